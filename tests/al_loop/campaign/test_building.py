from pathlib import Path

import pytest

from al_loop.campaign.building import build_oracle, oracle_identity, training_settings
from al_loop.config import parse_config
from al_loop.errors import ConfigError


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


def test_every_kind_of_target_has_an_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kinds_of_targets.py").write_text(
        "import functools\n\nclass Scorer:\n    def __call__(self, word):\n        return 1.0\n\n"
        "scorer = Scorer()\nbound = scorer.__call__\npart = functools.partial(bound)\nshort = lambda word: 1.0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in (
        "kinds_of_targets:scorer",
        "kinds_of_targets:bound",
        "kinds_of_targets:part",
        "kinds_of_targets:short",
    ):
        content = {"name": "x", "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 4}}
        config = parse_config({**content, "oracle": {"target": name}})
        assert '"code": "' in oracle_identity(config, build_oracle(config))


def test_a_setting_of_the_sampler_that_the_engine_refuses_is_named() -> None:
    content = {"name": "x", "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 4}}
    config = parse_config({**content, "oracle": {"kind": "rna"}})
    # as from Python: a config that is read has refused infinity before
    sampler = config.sampler.model_copy(update={"temperature": float("inf")})
    with pytest.raises(ConfigError, match=r"^sampler\.temperature: must be a number above 0 and finite, got inf$"):
        training_settings(config.model_copy(update={"sampler": sampler}))
