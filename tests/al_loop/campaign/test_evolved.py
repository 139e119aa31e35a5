import random

import pytest
import torch

from al_loop.campaign.candidates import CandidateSource
from al_loop.campaign.evolved import evolved
from al_loop.campaign.preparation import prepare
from al_loop.config.load import parse_config
from al_loop.errors import ConfigError
from al_loop.evolution.base import Evolution

CONFIG = {
    "name": "evolved",
    "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 4},
    "oracle": {"kind": "rna"},
    "features": {"kind": "one_hot"},
    "sampler": {"evolution": {"target": "tests.al_loop.campaign.test_evolved:Letters", "children": 40}},
}


class Letters(Evolution):
    """Words whose children change a letter."""

    object_type = "sequence"

    def child(self, first: str, second: str, generator: random.Random) -> str | None:
        place = generator.randrange(len(first))
        return first[:place] + generator.choice("ACGU") + first[place + 1 :]


class Models:
    """An acquisition that counts A."""

    class Scale:
        spread = 1.0

    scale = Scale()

    def scores(self, X: torch.Tensor) -> torch.Tensor:
        return X.reshape(len(X), 4, 5)[:, :, 0].sum(1) if X.shape[-1] == 20 else X.sum(1)


class State:
    def __init__(self, good: list[str]) -> None:
        self._good = good

    def ranked(self) -> list[str]:
        return self._good

    def good(self, value: float) -> list[str]:
        return self._good


class Sampler:
    def draw(self, n: int, *, seed: int) -> list[str]:
        return ["GGGG", "GGCC"]

    def best_seen(self) -> list[str]:
        return []


def test_children_of_measured_objects_and_draws_join_the_candidates():
    source = CandidateSource(prepare(parse_config(CONFIG)), Sampler())
    pool = source.pool(1, Models(), 2, {"AACC"}, {"AACC"}, State(["AACC"]))
    origins = dict(zip(pool.objects, pool.origins, strict=True))
    assert origins["GGGG"] == "sampler"
    assert origins["AAAA"] == "evolved"
    assert "AACC" not in origins


def test_nothing_near_a_good_object_is_a_candidate_while_others_suffice():
    config = CONFIG | {"diversity_filter": {"good": 0.5, "distance": 0.5}}
    source = CandidateSource(prepare(parse_config(config)), Sampler())
    pool = source.pool(1, Models(), 2, {"AACC"}, {"AACC"}, State(["AACC"]))
    assert len(pool) == 2
    for name in pool.objects:
        assert sum(a != b for a, b in zip(name, "AACC", strict=True)) >= 2
    assert sum(a != b for a, b in zip(*pool.objects, strict=True)) >= 2


def test_operators_for_other_objects_are_refused():
    with pytest.raises(ConfigError, match=r"sampler.evolution: 'graph_edits' works on molecules.*sequences"):
        parse_config(CONFIG | {"sampler": {"evolution": {"kind": "graph_edits"}}})


def test_sequences_evolve_with_all_letters_of_the_environment():
    evolution = prepare(parse_config(CONFIG | {"sampler": {"evolution": {"kind": "letters"}}})).evolution
    assert evolution.alphabet == ("A", "C", "G", "U")


def test_children_and_immigrants_have_the_scaffold_of_the_environment(tmp_path):
    (tmp_path / "library.smi").write_text("Cc1ccc(C)cc1\nCCOc1ccc(N)cc1\nCCO\nCc1ccccc1\n")
    evolution = {"kind": "graph_edits", "children": 60, "generations": 2, "library": str(tmp_path / "library.smi")}
    parts = prepare(
        parse_config(
            {
                "name": "t",
                "environment": {"kind": "fragments", "scaffold": "[*:1]c1ccc([*:2])cc1"},
                "oracle": {"kind": "rdkit_properties", "properties": ["qed"]},
                "sampler": {"evolution": evolution},
            }
        )
    )
    measured = ["Cc1ccc(F)cc1", "CCCc1ccccc1"]  # earlier data need not have it
    found = evolved(parts, Models(), measured, [], set(measured), 1)
    assert {"evolved", "library"} == set(found.values())
    assert all(parts.environment.admits(list(found)))
    source = CandidateSource(parts, None)
    assert [source.can_be_proposed(name) for name in measured] == [True, False]
