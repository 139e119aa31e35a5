"""A small campaign whose results are reported by people."""

from pathlib import Path

from al_loop.ledger import Ledger, Proposal
from al_loop.oracles.base import Objective
from al_loop.people.tell import ImportOptions, ParsedResults, commit_results, parse_results
from al_loop.smiles import canonical_smiles

OBJECTS = ("CCO", "CCN", "c1ccccc1", "CC(=O)O")
IC50 = Objective("ic50", "nM", "minimise")


def begin(path: Path, *objectives: Objective) -> Ledger:
    """Begin a campaign in a folder, with the batch ``OBJECTS``."""
    ledger = Ledger(f"sqlite:///{path}/ledger.db")
    ledger.begin_campaign(name="t", config={}, fingerprint="f", seed=0, objectives=objectives, versions={})
    batch = [Proposal(o, "sampler", predicted_mean=100.0, predicted_std=10.0) for o in OBJECTS]
    ledger.open_round(0, batch, seed=0, seconds={}, info={})
    return ledger


def parse(ledger: Ledger, text: str, accept: ImportOptions | None = None) -> ParsedResults:
    """Parse a table of results without committing it."""
    path = Path(ledger.url.removeprefix("sqlite:///")).with_name("results.csv")
    path.write_text(text, encoding="utf-8")
    return parse_results(ledger, path, accept or ImportOptions(), canonical_smiles)


def tell(ledger: Ledger, text: str, accept: ImportOptions | None = None) -> None:
    """Commit a table of results, which must have no problems."""
    results = parse(ledger, text, accept)
    assert results.problems == []
    path = Path(ledger.url.removeprefix("sqlite:///")).with_name("results.csv")
    commit_results(ledger, results, path, accept or ImportOptions())
