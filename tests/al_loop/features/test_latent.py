"""Posterior features: their rows, the refit to the best objects, and a campaign that resumes with them."""

import pickle

import pytest
import torch

from al_loop.config.plugins import Part
from al_loop.errors import ConfigError
from al_loop.features.joined import Joined
from al_loop.features.latent import Latent
from al_loop.features.testing import FeaturesContract
from al_loop.latent import EM, HMM, Grammar, Mixture, Motifs, RNAStructures, fit, save

SEQUENCES = ["ACGTAC", "GGATAA", "ACCGGA", "TTGGAT"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    made = Motifs("ACGT", 6, 2, 3)
    result = fit(made, SEQUENCES, EM(rounds=1, e_steps=2, hidden=4, layers=1))
    path = str(tmp_path_factory.mktemp("latent") / "latent.pt")
    save(path, result.posterior)
    return path


class TestLatent(FeaturesContract):
    objects = SEQUENCES
    invalid = ("ACGX", "ACGTACGT")

    @pytest.fixture(autouse=True)
    def _use(self, file):
        self.file = file

    def make(self):
        return Latent(self.file)


def test_rows_are_finite_and_the_same_for_equal_objects(file):
    features = Latent(file)
    rows = features(["ACGTAC", "GGAT", "ACGTAC"])
    assert rows.shape == (3, features.d)
    assert torch.equal(rows[0], rows[2])
    assert torch.allclose(features.similarity(rows, rows).diag(), torch.ones(3, dtype=torch.float64))
    assert torch.equal(pickle.loads(pickle.dumps(features))(["GGAT"]), rows[1:2])


def test_the_refit_depends_on_its_arguments_alone(file):
    one, other = Latent(file, rounds=3), Latent(file, rounds=3)
    before = one(SEQUENCES)
    one.refit(SEQUENCES[:2], [1.0, 0.0], seed=5)
    values = [3.0, 1.0, 2.0, 0.0]
    one.refit(SEQUENCES, values, seed=1)
    other.refit(SEQUENCES, values, seed=1)
    assert torch.equal(one(SEQUENCES), other(SEQUENCES))
    assert not torch.equal(one(SEQUENCES), before)


def test_it_is_refitted_to_the_best_objects(file):
    low, high = Latent(file, share=0.5), Latent(file, share=0.5)
    low.refit(SEQUENCES, [0.0, 1.0, 2.0, 3.0], seed=1)
    high.refit(SEQUENCES[2:], [2.0, 3.0], seed=1)
    everything = Latent(file, share=1.0)
    everything.refit(SEQUENCES[2:], [2.0, 3.0], seed=1)
    assert torch.equal(low(SEQUENCES), everything(SEQUENCES))
    assert not torch.equal(low(SEQUENCES), high(SEQUENCES))


def test_without_rounds_nothing_changes(file):
    features = Latent(file, rounds=0)
    before = features(SEQUENCES)
    features.refit(SEQUENCES, [1.0, 2.0, 3.0, 4.0], seed=0)
    assert torch.equal(features(SEQUENCES), before)


def test_joined_features_pass_the_refit_on(file):
    joined = Joined([Part(kind="latent", file=file), Part(kind="one_hot", alphabet="ACGT", length=6)])
    before = joined(SEQUENCES)
    joined.refit(SEQUENCES, [1.0, 2.0, 3.0, 4.0], seed=0)
    assert not torch.equal(joined(SEQUENCES), before)


def test_objects_outside_the_model_have_no_features(file):
    features = Latent(file)
    assert features.describable(["ACGT", "ACGX", "ACGTACGT"]) == ["ACGT"]
    assert "'X' is not one of the letters" in features.refused["ACGX"]


def test_files_of_other_models_are_refused(tmp_path):
    result = fit(Mixture(), [[0.0, 1.0]], EM(rounds=0, hidden=4, layers=1))
    save(tmp_path / "m.pt", result.posterior)
    with pytest.raises(ConfigError, match="not one of objects that are texts"):
        Latent(str(tmp_path / "m.pt"))(["ACGT"])
    with pytest.raises(ConfigError, match="cannot read"):
        Latent("missing.pt")(["ACGT"])


@pytest.mark.parametrize(
    ("model", "sequences", "changes"),
    [
        (HMM("ACGT", 6, 2), SEQUENCES, True),  # its codes can be enumerated
        (HMM("ACGT", 6, 7), SEQUENCES, True),  # these cannot
        (Grammar("ACGT", 6, 2, 2, order="top_down"), SEQUENCES, True),
        (RNAStructures(6), ["GAAAUC", "GGAACC", "GCAAGC"], False),  # its energies are given
    ],
)
def test_a_model_of_any_kind_describes_sequences_and_is_refitted(tmp_path, model, sequences, changes):
    if model.kind == "rna":
        pytest.importorskip("RNA")
    save(tmp_path / "l.pt", fit(model, sequences, EM(rounds=1, e_steps=2, hidden=4, layers=1, moves=0)).posterior)
    features = Latent(str(tmp_path / "l.pt"), rounds=2)
    before = features(sequences)
    assert before.shape == (len(sequences), features.d)
    features.refit(sequences, [float(i) for i in range(len(sequences))], seed=0)
    assert torch.equal(features(sequences), before) != changes


def test_a_missing_file_is_one_error_and_not_a_reason_for_each_object():
    with pytest.raises(ConfigError, match=r"cannot read nofile\.pt"):
        Latent("nofile.pt").describable(SEQUENCES)
