"""A user's constructor runs in workers only."""

import os
import time
from pathlib import Path

import pytest

from al_loop.campaign.oracle_description import DescribedOracle, describe_oracle
from al_loop.config import load_config
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from tests.support.project import Project, enter_project

pytestmark = pytest.mark.slow

ORACLE = """
import os
from pathlib import Path
from al_loop import Fidelity, Objective, Oracle

class measure(Oracle):
    def __init__(self):
        built = Path(__file__).with_name("built")
        with built.open("a") as file:
            file.write(f"{os.getpid()}\\n")
        print("loading the model")
        self.objectives = (Objective("gain", "eV", "minimise"),)
        self.call_size = 3
        self.version = "7"

    def check(self):
        if os.environ.get("NO_LICENCE"):
            raise RuntimeError("no licence")

    def evaluate(self, objects):
        yield from (float(len(set(o))) for o in objects)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = enter_project(tmp_path, monkeypatch)
    project.set_oracle(ORACLE)
    return project


def builders(project: Project) -> list[int]:
    return [int(line) for line in (project / "built").read_text().split()]


def test_a_campaign_does_not_build_its_oracle_in_its_own_process(project: Project) -> None:
    project.start("rounds.count=0", "rounds.initial=3", "evaluation.workers=1")
    assert len(builders(project)) == 2  # for its description, and in the worker
    assert os.getpid() not in builders(project)
    with Ledger(f"sqlite:///{project / 'run'}/ledger.db") as ledger:
        campaign = ledger.campaign()
        assert campaign is not None
        assert [(o.name, o.unit, o.goal) for o in campaign.objectives] == [("gain", "eV", "minimise")]
        assert [e.failure for e in ledger.evaluations()] == [None] * 3


def test_the_description_has_what_the_oracle_says_and_what_its_check_finds(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_LICENCE", "1")
    oracle = describe_oracle(load_config(project.config))
    assert isinstance(oracle, DescribedOracle)
    assert (oracle.objectives[0].name, oracle.call_size, oracle.version) == ("gain", 3, "7")
    with pytest.raises(ConfigError, match=r"^RuntimeError: no licence"):
        oracle.check()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('no licence')", "cannot be built: RuntimeError: no licence"),
        ("import sys; sys.exit('no licence')", "cannot be built: SystemExit: no licence"),
        ("import os; print('a bad library', flush=True); os.kill(os.getpid(), 11)", "died while .*: a bad library"),
        ("import time; time.sleep(600)", r"was not ready within 20 s; raise evaluation\.build_timeout_s"),
    ],
)
def test_an_oracle_that_cannot_be_built_is_an_error_of_the_config(project: Project, body: str, message: str) -> None:
    project.set_oracle(
        f"class measure:\n    def __init__(self):\n        {body}\n    def evaluate(self, objects): ...\n"
    )
    began = time.monotonic()
    with pytest.raises(ConfigError, match=message):
        describe_oracle(load_config(project.config, ["evaluation.build_timeout_s=20"]))
    assert time.monotonic() - began < 300


def test_functions_and_classes_without_a_constructor_are_described_at_once(project: Project) -> None:
    project.set_oracle("def measure(word):\n    return 1.0\n")
    assert not isinstance(describe_oracle(load_config(project.config)), DescribedOracle)
