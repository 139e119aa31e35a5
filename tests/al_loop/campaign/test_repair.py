"""A campaign whose oracle fails, is mended, and goes on by the same command."""

from pathlib import Path

import pytest

from al_loop import retry
from al_loop.errors import CampaignError
from al_loop.ledger import Ledger
from tests.support.project import WORDS_ORACLE, Project, enter_project

pytestmark = pytest.mark.slow

ONE_ROUND = ("rounds.count=0", "evaluation.workers=1", "evaluation.backoff_s=0.01")

BROKEN = {
    "a missing module": ("import no_such_module\n" + WORDS_ORACLE, "cannot import .*No module named 'no_such_module'"),
    "a module that is missing in the function": (
        "def measure(word):\n    import no_such_module\n",
        "the oracle cannot work: ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "a constructor that raises": (
        "class measure:\n    def __init__(self):\n        raise RuntimeError('no licence')\n"
        "    def evaluate(self, objects):\n        return [1.0 for _ in objects]\n",
        "cannot be built: RuntimeError: no licence",
    ),
    "a constructor that raises in the second process": (
        "from pathlib import Path\nclass measure:\n    def __init__(self):\n"
        "        seen = Path(__file__).with_name('seen')\n        if seen.exists():\n"
        "            raise RuntimeError('no licence')\n        seen.touch()\n"
        "    def evaluate(self, objects):\n        return [1.0 for _ in objects]\n",
        "the oracle cannot work: the oracle could not be built: RuntimeError: no licence",
    ),
    "the same exception for all": (
        "def measure(word):\n    raise RuntimeError('boom')\n",
        r"the first 5 objects all failed in the same way \(RuntimeError: boom",
    ),
    "a full disk": (
        "import errno\ndef measure(word):\n    raise OSError(errno.ENOSPC, 'No space left on device', '/tmp/x')\n",
        "the oracle cannot work: OSError: .*No space left",
    ),
    "a service that is down": (
        "from urllib.request import urlopen\ndef measure(word):\n    return urlopen('http://127.0.0.1:9/')\n",
        "the oracle cannot work: .*Connection refused",
    ),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter_project(tmp_path, monkeypatch)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_oracle_spends_nothing_and_the_same_command_goes_on(project: Project, fault: str) -> None:
    text, message = BROKEN[fault]
    project.set_oracle(text)
    with pytest.raises(Exception, match=message):
        project.start(*ONE_ROUND, "budget.calls=6")
    ledger_file = project / "run" / "ledger.db"
    if ledger_file.is_file():
        with Ledger(f"sqlite:///{ledger_file}") as ledger:
            assert (ledger.n_calls(), ledger.evaluations(), len(ledger.pending())) == (0, [], 6)
    project.set_oracle(WORDS_ORACLE)
    project.start(*ONE_ROUND, "budget.calls=6")
    with Ledger(f"sqlite:///{ledger_file}") as ledger:
        assert (ledger.n_calls(), ledger.cost(), ledger.pending()) == (6, 6.0, [])


def test_a_run_without_a_single_value_is_revived_by_retry(project: Project) -> None:
    project.set_oracle("from al_loop import OracleError\ndef measure(word):\n    raise OracleError('invalid', 'no')\n")
    with pytest.raises(CampaignError, match=r"al-loop retry .*run, and run the same command again"):
        project.start("rounds.count=1", "rounds.batch_size=2")
    project.set_oracle(WORDS_ORACLE)
    with pytest.raises(CampaignError, match="al-loop retry"):
        project.start("rounds.count=1", "rounds.batch_size=2")
    retry(project / "run", reason="mended")
    project.start("rounds.count=1", "rounds.batch_size=2")
    with Ledger(f"sqlite:///{project / 'run'}/ledger.db") as ledger:
        assert [e.failure_kind for e in ledger.evaluations()] == [None] * 8
        assert [e.revision for e in ledger.evaluations()] == [1] * 6 + [0] * 2
        assert (ledger.n_calls(), ledger.cost()) == (14, 14.0)


def test_a_service_that_is_down_for_a_while_is_waited_for(project: Project) -> None:
    project.set_oracle(
        "from pathlib import Path\n"
        "calls = Path(__file__).with_name('calls')\n"
        "def measure(word):\n"
        "    with calls.open('a') as file:\n"
        "        file.write('x')\n"
        "    if 3 <= calls.stat().st_size < 8:\n"
        "        raise ConnectionRefusedError(111, 'Connection refused')\n"
        "    return word.count('G')\n"
    )
    notes = project.start(*ONE_ROUND, "budget.calls=6").notes
    assert sum("the oracle is unavailable" in note and "nothing is lost" in note for note in notes) == 1
    with Ledger(f"sqlite:///{project / 'run'}/ledger.db") as ledger:
        assert [e.failure_kind for e in ledger.evaluations()] == [None] * 6
        assert (ledger.n_calls(), ledger.cost()) == (6, 6.0)


def test_a_slow_constructor_is_no_call(project: Project) -> None:
    slow = (
        "import time\nclass measure:\n    def __init__(self):\n        time.sleep(1.5)\n"
        "    def evaluate(self, objects):\n        return [float(len(o)) for o in objects]\n"
    )
    project.set_oracle(slow)
    project.start(*ONE_ROUND, "evaluation.timeout_s=1")
    with Ledger(f"sqlite:///{project / 'run'}/ledger.db") as ledger:
        assert {e.failure_kind for e in ledger.evaluations()} == {None}


def test_a_training_that_runs_away_is_one_line_and_smaller_steps_go_on(project: Project) -> None:
    settings = ("rounds.count=1", "sampler.steps=4", "evaluation.workers=1")
    with pytest.raises(CampaignError, match=r"sampler\.lr: the training runs away at step .* use smaller ones"):
        project.run(*settings, "sampler.lr=1e12")
    measured = project.objects()
    assert measured
    project.start(*settings)
    assert project.objects()[: len(measured)] == measured
    assert len(project.objects()) > len(measured)
