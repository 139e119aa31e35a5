"""Recording a campaign and the starts of its process, on SQLite and PostgreSQL alike."""

import os
from datetime import timedelta

import pytest

from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import Ledger
from tests.support.ledgers import GAP, begin, open_round


def test_a_new_ledger_is_empty_and_then_holds_one_campaign(url: str) -> None:
    with Ledger(url) as ledger:
        assert ledger.campaign() is None
        assert ledger.last_round() is None
        assert begin(ledger)
        assert not begin(ledger, config={"oracle": {"kind": "xtb"}, "rounds": 9})
        campaign = ledger.campaign()
        assert campaign is not None
        assert campaign.config == {"oracle": {"kind": "xtb"}, "rounds": 5}
        assert campaign.seed == 2**100
        assert campaign.objectives == (GAP,)
        assert campaign.created.utcoffset() == timedelta(0)
        assert [s.pid for s in ledger.sessions()] == [os.getpid()] * 2
        assert ledger.sessions()[0].versions == {"al-loop": "0.1.0"}
        assert [s.config["rounds"] for s in ledger.sessions()] == [5, 9]


def test_a_password_on_the_command_line_is_not_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["al-loop", "run", "c.yaml", "ledger=postgresql+psycopg://me:secret@db/runs"])
    begin(ledger)
    assert ledger.sessions()[-1].command == "al-loop run c.yaml ledger=postgresql+psycopg://me:***@db/runs"


def test_another_campaign_is_refused_with_the_differing_keys(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match=r"'demo' \(different: rounds, surrogate, seed\).*--run-dir"):
        begin(
            ledger,
            config={"oracle": {"kind": "xtb"}, "rounds": 6, "surrogate": {"kind": "gp"}},
            fingerprint="f2",
            seed=1,
        )
    with pytest.raises(ConfigError, match="same config, but different code"):
        begin(ledger, fingerprint="f2")
    assert len(ledger.sessions()) == 1


def test_a_round_needs_a_campaign(url: str) -> None:
    with Ledger(url) as ledger, pytest.raises(CampaignError, match="no campaign"):
        open_round(ledger, 0, "C")
