"""Several oracles as one joint oracle."""

from collections.abc import Iterator, Sequence

import pytest

from al_loop.config import Part
from al_loop.errors import ConfigError
from al_loop.oracles.base import Call, Fidelity, Objective, Oracle, Outcome, current_call, evaluate_all
from al_loop.oracles.joint import Joint
from al_loop.oracles.rdkit_properties import RDKitProperties
from al_loop.oracles.testing import OracleContract

PROPERTIES = {"kind": "rdkit_properties", "properties": ["qed", "sa_score"]}


class Length(Oracle):
    """The length of a text at two fidelities, with noise, cost and a file; it counts how often it is asked."""

    objectives = (Objective("length", "letters", "minimise"),)
    fidelities = (Fidelity("rough", 1.0), Fidelity("exact", 5.0))
    fidelity = "exact"
    version = "7"
    asked: list[tuple[str, str, str | None]] = []  # noqa: RUF012  shared on purpose

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        for item in objects:
            self.asked.append((item, self.fidelity, current_call().keys.get(item)))
            value = float(len(item)) if self.fidelity == "exact" else 10.0 * (len(item) // 10)
            yield Outcome((value,), cost=2.0, noise=(0.5,), info={"spelt": item}, artifacts={"text.txt": item})


def joint(*parts: dict[str, object]) -> Joint:
    return Joint([Part.model_validate(part) for part in parts])


HERE = {"target": f"{__name__}:Length"}


class TestContract(OracleContract):
    valid = ("CCO", "CC(=O)Oc1ccccc1C(=O)O")
    invalid = ("not a molecule",)

    def make(self) -> Oracle:
        return joint(PROPERTIES, HERE)


def test_the_values_of_all_stand_side_by_side() -> None:
    oracle = joint(PROPERTIES, HERE)
    assert [o.name for o in oracle.objectives] == ["qed", "sa_score", "length"]
    assert [o.goal for o in oracle.objectives] == ["maximise", "minimise", "minimise"]
    (outcome,) = evaluate_all(oracle, ["CCO"])
    (alone,) = evaluate_all(RDKitProperties(["qed", "sa_score"]), ["CCO"])
    assert alone.values is not None
    assert outcome.values == (*alone.values, 3.0)
    assert outcome.noise == (0.0, 0.0, 0.5)
    assert outcome.cost == 2.0
    assert outcome.info == {"spelt": "CCO"}
    assert outcome.artifacts == {"text.txt": b"CCO"}


def test_after_a_failure_no_further_one_is_asked() -> None:
    Length.asked.clear()
    (outcome,) = evaluate_all(joint(PROPERTIES, HERE), ["nonsense"])
    assert outcome.failure is not None
    assert outcome.failure.kind == "invalid"
    assert Length.asked == []


def test_the_fidelity_and_the_keys_reach_the_member_that_has_them() -> None:
    Length.asked.clear()
    oracle = joint(PROPERTIES, HERE)
    assert oracle.fidelities == Length.fidelities
    (outcome,) = evaluate_all(oracle, ["CCO"], Call({"CCO": "key"}, "rough"))
    assert outcome.values is not None
    assert outcome.values[2] == 0.0
    evaluate_all(oracle, ["CCO"])
    assert Length.asked == [("CCO", "rough", "key"), ("CCO", "exact", None)]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([PROPERTIES], "1 given, expected at least two"),
        ([PROPERTIES, {"kind": "rdkit_properties", "properties": ["qed"]}], "qed is measured by more than one"),
        ([HERE, HERE], "length is measured"),
        ([PROPERTIES, {"kind": "rna"}], "one member measures molecules, another sequences"),
        ([PROPERTIES, {"kind": "human", "objectives": ["y"]}], "answers come from people"),
    ],
)
def test_what_does_not_go_together_is_refused(parts: list[dict[str, object]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        joint(*parts)


def test_its_version_is_that_of_all() -> None:
    assert joint(PROPERTIES, HERE).version == "1+7"
    assert joint(PROPERTIES, HERE).libraries == ("rdkit",)
