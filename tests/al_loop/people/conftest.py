from collections.abc import Iterator
from pathlib import Path

import pytest

from al_loop.ledger import Ledger
from al_loop.people.ask import ask, candidates_to_ask
from tests.support.results import IC50, begin


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A campaign whose first batch was handed out."""
    with begin(tmp_path, IC50) as ledger:
        ask(ledger, candidates_to_ask(ledger), "smiles")
        yield ledger
