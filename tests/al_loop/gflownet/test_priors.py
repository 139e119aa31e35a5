"""Files of priors: compatible samplers, refused files, and training that starts from them."""

import pytest
import torch

from al_loop.environments.selfies import Selfies
from al_loop.environments.sequence import Sequences
from al_loop.errors import ConfigError
from al_loop.gflownet import Trainer, Training
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.policies.transformer import TransformerPolicy
from al_loop.gflownet.priors import environment_metadata, load_prior, read_prior, save_prior
from al_loop.gflownet.rollout import rollout
from al_loop.properties.qed import QED

WORDS = Sequences("ACGU", 4)


def made(environment=WORDS, kind=TransformerPolicy, seed=0, **settings):
    torch.manual_seed(seed)
    return kind(environment, 16, 2, **settings)


@pytest.fixture
def prior(tmp_path):
    policy = made()
    save_prior(tmp_path / "prior.pt", policy, environment_metadata(WORDS))
    assert [path.name for path in tmp_path.iterdir()] == ["prior.pt"]
    return tmp_path / "prior.pt", policy


def flat(objects):
    return torch.zeros(len(objects))


def test_training_starts_from_a_prior(prior):
    path, policy = prior
    weights = read_prior(path)
    trainer = Trainer(WORDS, flat, Training(batch_size=4), policy=made(seed=1), prior=weights)
    states = rollout(WORDS, None, 8, generator=torch.Generator().manual_seed(0)).states[2]
    assert torch.equal(trainer.policy.forward_logits(states), policy.forward_logits(states))
    trainer.step()
    assert not torch.equal(trainer.policy.forward_logits(states), policy.forward_logits(states))
    # and a copy stays as it was, for objectives that hold the policy against it
    assert torch.equal(trainer.learner._reference.forward_logits(states), policy.forward_logits(states))
    assert torch.equal(weights["letter.weight"], policy.letter.weight)


def test_a_prior_may_be_of_words_of_another_shortest_length(prior):
    environment = Sequences("ACGU", 4, 2)
    load_prior(environment, made(environment), read_prior(prior[0]))


@pytest.mark.parametrize(
    ("environment", "policy", "reason"),
    [
        (Sequences("ACGT", 4), {}, r"trained for the environment sequence \(4 letters\)"),
        (Sequences("ACG", 4), {}, r"differ from this sequence \(3 letters\)"),
        (Sequences("ACGU", 5), {}, "position.weight is 5 x 16, not 6 x 16;"),
        (WORDS, {"heads": 2}, "scale_in is missing, not 2 x 16"),
        (WORDS, {"kind": MLPPolicy}, r"trained with TransformerPolicy, does not fit the policy MLPPolicy"),
    ],
)
def test_a_prior_of_something_else_is_refused_and_changes_nothing(environment, policy, reason, prior):
    weights = read_prior(prior[0])
    own = made(environment, seed=1, **policy)
    before = {name: weight.clone() for name, weight in own.state_dict().items()}
    with pytest.raises(ConfigError, match=reason) as caught:
        Trainer(environment, flat, policy=own, prior=weights)
    assert str(prior[0]) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert all(torch.equal(weight, before[name]) for name, weight in own.state_dict().items())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "was not written by"),
        (b"nonsense", "was not written by"),
        ({"weights": 3}, "was not written by"),
        ([], "no"),
    ],
)
def test_files_that_are_no_prior_are_refused(content, reason, tmp_path):
    path = tmp_path / "no.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ConfigError, match=reason) as caught:
        read_prior(path)
    assert "no.pt" in str(caught.value)


def test_half_a_prior_is_refused(prior):
    path, _ = prior
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="is corrupt"):
        read_prior(path)


def test_no_file_is_no_prior_and_a_missing_folder_is_told():
    assert read_prior(None) is None
    with pytest.raises(ConfigError, match="cannot write the prior nowhere"):
        save_prior("nowhere/prior.pt", made(), {})


def test_the_included_prior_of_selfies_draws_more_drug_like_molecules_than_random_actions():
    pytest.importorskip("selfies")
    environment = Selfies(length=60)
    policy = TransformerPolicy(environment)
    load_prior(environment, policy, read_prior("zinc_selfies"))

    def mean_qed(chosen):
        draws = rollout(environment, chosen, 100, generator=torch.Generator().manual_seed(0))
        return float(QED().compute(environment.decode(draws.terminal)).mean())

    assert mean_qed(policy) > mean_qed(None) + 0.1
