from pathlib import Path

from al_loop.campaign.building import build_oracle, oracle_identity
from al_loop.config import parse_config


def test_a_cache_tells_oracles_apart_by_all_that_changes_their_answers(tmp_path: Path) -> None:
    from importlib import metadata

    base = {"name": "x", "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 4}}

    def identity(**oracle: object) -> str:
        config = parse_config({**base, "oracle": oracle})
        return oracle_identity(config, build_oracle(config))

    same = identity(kind="rna")
    assert same == identity(kind="rna")
    assert metadata.version("ViennaRNA") in same
    assert same != identity(kind="rna", score="energy")
