from pathlib import Path

import pytest

from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from al_loop.people.campaign_of_ledger import campaign_config


def test_a_config_of_another_version_is_named_with_its_version(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        config = {"name": "later", "rounds": {"key_of_the_future": 3}}
        ledger.begin_campaign(
            name="later", config=config, fingerprint="f", seed=0, objectives=(), versions={"al-loop": "9.1"}
        )
        with pytest.raises(ConfigError, match=r"rounds\.key_of_the_future.* started by al-loop 9\.1"):
            campaign_config(ledger)
