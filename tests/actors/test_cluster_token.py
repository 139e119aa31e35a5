"""The token of a Ray cluster: found where Ray looks for it, and asked for in plain words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from al_loop.actors.cluster_token import (
    find_token,
    is_refused_token,
    make_token,
    read_mode,
    token_advice,
    use_token,
)
from al_loop.actors.jobs.submit import Cluster
from al_loop.errors import ConfigError

ADDRESS = "http://head:8265"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A job server that asks for the token "secret", or for none; it records the headers of each connection."""
    from ray.exceptions import AuthenticationError

    state: dict[str, Any] = {"asks": True, "headers": []}

    def connect(address: str, headers: dict[str, str]) -> object:
        state["headers"].append(headers)
        if state["asks"] and not headers:
            raise AuthenticationError("Authentication required: Unauthorized: Missing authentication token")
        if state["asks"] and headers != {"Authorization": "Bearer secret"}:
            raise AuthenticationError("Authentication failed: Forbidden: Invalid authentication token")
        return object()

    monkeypatch.setattr("ray.job_submission.JobSubmissionClient", connect)
    return state


def write_token(home: Path, text: str = "secret\n") -> None:
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(text)


def test_a_token_is_found_where_ray_looks_for_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_token() is None
    write_token(home, "of the home")
    assert find_token().value == "of the home"
    (home / "other").write_text("of a path")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "other"))
    assert find_token().value == "of a path"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the environment")
    assert find_token().value == "of the environment"
    assert "of the environment" not in repr(find_token())
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert find_token() is None


def test_a_head_without_tokens_gets_none(home: Path, server: dict[str, Any]) -> None:
    write_token(home)
    server["asks"] = False
    Cluster(ADDRESS)
    assert server["headers"] == [{}]


def test_a_head_that_asks_for_a_token_gets_this_machines(home: Path, server: dict[str, Any]) -> None:
    write_token(home)
    Cluster(ADDRESS)
    assert server["headers"] == [{}, {"Authorization": "Bearer secret"}]


def test_a_missing_token_is_asked_for(server: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="asks for a token, and this machine has none") as caught:
        Cluster(ADDRESS)
    for part in ("RAY_AUTH_MODE=token", "RAY_AUTH_TOKEN", "~/.ray/auth_token", "--address"):
        assert part in str(caught.value)


def test_a_wrong_token_is_named_by_its_origin(server: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    with pytest.raises(ConfigError, match="refuses the token of the variable RAY_AUTH_TOKEN") as caught:
        Cluster(ADDRESS)
    assert "wrong" not in str(caught.value)


def test_tokens_that_are_disabled_here_are_named(
    home: Path, server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_token(home)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ConfigError, match="asks for a token, but here RAY_AUTH_MODE=disabled"):
        Cluster(ADDRESS)


def test_other_errors_are_no_question_of_tokens() -> None:
    assert not is_refused_token(ConnectionError("Failed to connect to Ray at address: http://head:8265."))
    assert token_advice(ADDRESS, None).startswith(f"the Ray cluster at {ADDRESS}")


def test_a_ray_that_is_started_here_gets_a_token_that_no_other_cluster_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_loop.actors.cluster_token._switch_on", lambda: os.environ.update(RAY_AUTH_MODE="token"))
    make_token()
    assert os.environ["RAY_AUTH_MODE"] == "token"
    made = os.environ["RAY_AUTH_TOKEN"]
    assert len(made) == 64
    use_token()  # for another cluster
    assert find_token() is None
    assert "RAY_AUTH_MODE" not in os.environ
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    make_token()
    assert "RAY_AUTH_TOKEN" not in os.environ


@pytest.mark.parametrize("mode", ["token", "disabled"])
def test_ray_follows_the_mode_as_it_is_now(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that once used a cluster without tokens is let in by a Ray with one, and the other way round."""
    from ray._raylet import get_authentication_mode

    for now in ("disabled", "token", mode):
        monkeypatch.setenv("RAY_AUTH_MODE", now)
        make_token()
        assert get_authentication_mode() == {"disabled": 0, "token": 1}[now]
    monkeypatch.undo()
    read_mode()
