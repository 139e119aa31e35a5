"""``al-loop check``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import call


def test_check_builds_the_parts_and_calls_the_oracle_once(folder: Path) -> None:
    log = folder / "check.log"
    code, out, err = call("check", "tiny.yaml", f"oracle.log={log}", "evaluation.cost=2.5")
    assert (code, err) == (0, [])
    assert "parameters" in out
    assert "14 calls x cost 2.5 = 35" in out
    assert len(log.read_text().split()) == 1
    assert not (folder / "runs").exists()


def test_check_shows_which_seeds_were_read_and_why_others_were_not(folder: Path) -> None:
    (folder / "hits.csv").write_text("name,sequence\na,ACGUAC\nb,ACG\nc,ACGUAC\n")
    code, out, err = call("check", "tiny.yaml", "--no-oracle", "seeds=hits.csv")
    assert (code, err) == (0, [])
    text = " ".join(out.split())
    assert "1 of 3 objects of hits.csv is in the space" in text
    assert "1 duplicate left out" in text
    assert "ACG: 'ACG' has 3 letters" in text
    code, _, err = call("check", "tiny.yaml", "--no-oracle", "seeds=[XYZ]")
    assert code == 2
    assert "seeds: " in err[0]


def test_check_without_oracle_calls_none(folder: Path) -> None:
    log = folder / "none.log"
    assert call("check", "tiny.yaml", f"oracle.log={log}", "--no-oracle")[0] == 0
    assert not log.exists()


def test_check_says_why_the_oracle_fails() -> None:
    code, _, err = call("check", "tiny.yaml", 'oracle={target: "cli_oracle:cli_broken"}')
    assert code == 1
    assert len(err) == 1
    assert "the furnace is cold" in err[0]


def test_check_shows_the_traceback_and_the_place_of_the_oracles_error() -> None:
    _, out, err = call("check", "tiny.yaml", 'oracle={target: "cli_oracle:cli_broken"}')
    assert "(cli_oracle.py, line " in err[0]
    assert 'raise ValueError("the furnace is cold")' in out
    assert "al_loop" not in out


PARTS = """
import torch
from botorch.models import SingleTaskGP
from al_loop.acquisitions.base import Acquisition
from al_loop.environments.sequence import Sequences
from al_loop.features.base import Features
from al_loop.properties.base import Property
from al_loop.selectors.base import Selector
from al_loop.surrogates.base import Surrogate
from al_loop.acquisitions.ucb import UCB

class Letters(Sequences):
    def __init__(self):
        super().__init__("ACGU", 4)
    def forward_mask(self, states):
        return undefined_mask

class Odd(Features):
    kernel = "rbf"
    object_type = None
    def __init__(self, way="raise"):
        super().__init__()
        self.way = way
    @property
    def d(self):
        return 3
    def similarity(self, X1, X2):
        return torch.ones(len(X1), len(X2))
    def compute(self, objects):
        if self.way == "raise":
            raise KeyError("no column for U")
        if self.way == "some":
            if any(name.startswith("A") for name in objects):
                raise ValueError("it begins with A")
            return torch.rand(len(objects), 3, dtype=torch.float64)
        X = torch.rand(len(objects), 3, dtype=torch.float64)
        return X * float("nan") if self.way == "nan" else X[1:]

class Broken(Surrogate):
    def fit(self, X, Y, Yvar=None):
        return SingleTaskGP(X, Y, unknown=1)

class Sour(Acquisition):
    def build(self, model, context):
        return UCB(2.0).build(model, context.no_such_field)

class Lazy(Selector):
    def select(self, context):
        return [0, 0, 1, 99]

class Heavy(Property):
    def compute(self, objects):
        return [float(o) for o in objects]

class Furnace:
    def __init__(self):
        raise FileNotFoundError("no licence")
    def evaluate(self, objects):
        return [0.0 for _ in objects]
"""


@pytest.fixture(scope="module")
def parts(folder: Path) -> None:
    (folder / "cli_parts.py").write_text(PARTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('environment={target: "cli_parts:Letters"}', "environment: NameError: name 'undefined_mask' is not defined"),
        ('features={target: "cli_parts:Odd"}', "features: KeyError: 'no column for U' (cli_parts.py, line "),
        ('features={target: "cli_parts:Odd", way: nan}', "features: ValueError: compute returned NaN or infinity"),
        (
            'features={target: "cli_parts:Odd", way: short}',
            "features: ValueError: compute returned 15 rows for 16 objects",
        ),
        ('surrogate={target: "cli_parts:Broken"}', "surrogate: TypeError"),
        ('acquisition={target: "cli_parts:Sour"}', "acquisition: AttributeError"),
        ('selector={target: "cli_parts:Lazy"}', "selector: 'cli_parts:Lazy' returned [0, 0, 1, 99], expected 4"),
        ('constraints=[{target: "cli_parts:Heavy", min: 0}]', "constraints.0: ValueError: could not convert string"),
        (
            'oracle={target: "cli_parts:Furnace"}',
            "oracle: 'cli_parts:Furnace' cannot be built: FileNotFoundError: no licence (",
        ),
        ('oracle={target: "cli_parts:Furnase"}', "has no 'Furnase'; did you mean 'Furnace'?"),
        ("sampler.device=cuda:7", "sampler.device: 'cuda:7' is not available"),
        ("sampler.device=gpu", "sampler.device: 'gpu' is not available"),
    ],
)
@pytest.mark.usefixtures("parts")
def test_the_failure_of_each_part_is_one_line_with_its_key(change: str, message: str) -> None:
    code, _, err = call("check", "tiny.yaml", change, "--no-oracle")
    assert code == 2, err
    assert len(err) == 1
    assert message in err[0]


@pytest.mark.usefixtures("parts")
def test_objects_without_features_take_no_part_and_are_counted() -> None:
    code, out, err = call("check", "tiny.yaml", 'features={target: "cli_parts:Odd", way: some}', "--no-oracle")
    assert (code, err) == (0, [])
    text = " ".join(out.split())
    assert "3 dimensions, rbf kernel; none for " in text
    assert "of 16 random objects, such as A" in text
    assert ": it begins with A" in text


def test_a_device_of_the_cluster_is_a_note() -> None:
    changes = ("sampler.device=cuda:7", "resources.learner.num_gpus=1", "--no-oracle")
    code, out, err = call("check", "tiny.yaml", *changes)
    assert (code, err) == (0, [])
    assert "checked on the CPU" in out


def test_run_refuses_a_device_that_is_not_there(folder: Path) -> None:
    code, _, err = call("run", "tiny.yaml", "sampler.device=cuda:7")
    assert code == 2
    assert err == [e for e in err if e.startswith("error: sampler.device: 'cuda:7' is not available")]
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    "changes",
    [
        ["constraints=[{kind: gc_content, min: 0.2}]", "sampler.searches=[{kind: genetic, size: 4}]"],
        ["surrogate.kind=ensemble", "acquisition.kind=thompson", "selector.kind=dpp", "transform=rank"],
    ],
)
def test_a_valid_config_passes_with_other_parts(changes: list[str]) -> None:
    code, _, err = call("check", "tiny.yaml", *changes, "--no-oracle")
    assert (code, err) == (0, [])
