"""The configs of tasks."""

from pathlib import Path

import pytest

from al_loop.config.task_files import naming_places
from al_loop.errors import ConfigError


def test_errors_that_are_found_later_name_the_places_of_their_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("task.yaml").write_text("latent:\n  kind: mixture\nem:\n  floor: 3\n")
    Path("latent.csv").write_text("1\n")
    found = ["em.lr: too large", "em.floor: too small", "em.rounds: too few", "latent.csv: empty", "seed: odd", "other"]
    with pytest.raises(ConfigError) as error, naming_places("task.yaml", ["em.lr=9"]):
        raise ConfigError("\n".join(found))
    assert str(error.value).splitlines() == [
        "em.lr: too large (from 'em.lr=9' on the command line)",
        "em.floor: too small (task.yaml, line 4)",
        "em.rounds: too few (task.yaml, line 3)",
        "latent.csv: empty",  # a file
        "seed: odd",  # not in the config
        "other",
    ]
    with (
        pytest.raises(ConfigError, match=r"^em\.floor: too small \(task\.yaml, line 4\)$"),
        naming_places("task.yaml", []),
    ):
        raise ConfigError("em.floor: too small (task.yaml, line 4)")
