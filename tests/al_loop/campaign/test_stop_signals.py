"""One signal at any moment stops a campaign: none is ignored, and no answer that arrived is lost."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from al_loop.ledger import Ledger
from benchmarks.support.driver import Driver
from tests.al_loop.campaign.test_crash import paid, write_config

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@pytest.fixture
def driver(tmp_path: Path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    driver = Driver(tmp_path)
    signal.signal(signal.SIGINT, before)
    yield driver
    driver.close()


def committed(folder: Path) -> dict[str, object]:
    """Return the answers in the ledger, by object."""
    if not (folder / "run" / "ledger.db").exists():
        return {}
    with Ledger(f"sqlite:///{folder}/run/ledger.db", read_only=True) as ledger:
        return {o.object: o.values for o in ledger.observations()}


@pytest.mark.slow
def test_one_signal_at_any_of_many_moments_stops_a_campaign(driver: Driver, tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    write_config(folder)
    config = folder / "crash.yaml"
    text = config.read_text().replace("count: 5", "count: 400")  # it does not end by itself
    config.write_text(text.replace(f", log: {folder / 'paid.log'}", ""))  # a file that changes is no data of an oracle
    source = folder / "crash_oracle.py"
    source.write_text(source.read_text().replace("(word, log)", f"(word, log={str(folder / 'paid.log')!r})"))
    log = Path(folder / "paid.log")
    moments = random.Random(2)
    before: dict[str, object] = {}
    for i in range(24):
        pid = driver.start(config, folder / "run")
        n_calls = sum(paid(folder).values())
        if i % 4:  # else while it opens
            wanted, ends = n_calls + moments.randint(1, 10), time.monotonic() + 120
            while sum(paid(folder).values()) < wanted:
                assert driver.is_running()
                assert time.monotonic() < ends
                time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 0.5))
        number = SIGNALS[i % 3]
        os.kill(pid, number)
        status = driver.wait()
        assert status in (128 + number, -number), "the signal was ignored, or the campaign failed"
        assert not (folder / "run" / "rescued.jsonl").exists()
        now = committed(folder)
        assert before.items() <= now.items()
        before = now
    calls = Counter(log.read_text().split())
    assert len(before) > 40
    assert set(before) <= set(calls)
    # the calls that ran when a signal came are the only ones that were made again
    assert calls.total() - len(calls) <= 24 * 2
