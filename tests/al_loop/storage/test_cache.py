"""The cache of answers that campaigns share."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from al_loop.errors import ConfigError
from al_loop.oracles.base import Failure, Outcome
from al_loop.storage.cache import EvaluationCache


def cache(path: Path, oracle: str = "o", notes: list[str] | None = None) -> EvaluationCache:
    return EvaluationCache(str(path / "cache.db"), oracle, "mine", (notes if notes is not None else []).append)


def test_a_cache_shares_values_and_invalid_objects_and_says_whose_they_are(tmp_path: Path) -> None:
    first = cache(tmp_path)
    first.add("A", "", Outcome((1.5,), cost=9.0, noise=(0.1,), info={"n": 1}))
    first.add("B", "", Outcome.failed("invalid", "no molecule"))
    for kind in ("permanent", "retryable", "timeout"):
        first.add(f"C{kind}", "", Outcome.failed(kind, "it may pass"))
    names = ["A", "B", "Cpermanent", "Cretryable", "Ctimeout", "D"]
    found = cache(tmp_path).find([(name, "") for name in names])
    assert set(found) == {("A", ""), ("B", "")}
    a = found["A", ""]
    assert (a.values, a.noise, a.cost, a.info) == ((1.5,), (0.1,), 0.0, {"n": 1, "from_campaign": "mine"})
    assert found["B", ""].failure == Failure("invalid", "no molecule")


def test_a_cache_tells_oracles_and_fidelities_apart(tmp_path: Path) -> None:
    cache(tmp_path).add("A", "low", Outcome((1.0,)))
    assert cache(tmp_path).find([("A", "high"), ("A", "")]) == {}
    assert cache(tmp_path, oracle="another").find([("A", "low")]) == {}
    assert cache(tmp_path).find([("A", "low")])["A", "low"].values == (1.0,)


def test_the_first_answer_in_a_cache_stays(tmp_path: Path) -> None:
    one, two = cache(tmp_path), cache(tmp_path)
    one.add("A", "", Outcome((1.0,)))
    two.add("A", "", Outcome((2.0,)))
    assert two.find([("A", "")])["A", ""].values == (1.0,)


def test_a_cache_finds_more_objects_than_one_query_takes(tmp_path: Path) -> None:
    one = cache(tmp_path)
    for i in (0, 600, 1199):
        one.add(f"o{i}", "", Outcome((float(i),)))
    assert len(one.find([(f"o{i}", "") for i in range(1200)])) == 3


def test_a_cache_that_breaks_is_left_out_and_told_once(tmp_path: Path) -> None:
    notes: list[str] = []
    broken = cache(tmp_path, notes=notes)
    broken.add("A", "", Outcome((1.0,)))
    with sqlite3.connect(tmp_path / "cache.db") as connection:
        connection.execute("DROP TABLE al_loop_evaluation_cache")
    assert broken.find([("A", "")]) == {}
    broken.add("B", "", Outcome((1.0,)))
    assert broken.find([("A", "")]) == {}
    assert len(notes) == 1
    assert "the campaign continues without it" in notes[0]


def test_campaigns_that_create_a_cache_at_once_all_succeed(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        caches = list(pool.map(lambda _: cache(tmp_path), range(8)))
    caches[0].add("A", "", Outcome((1.0,)))
    assert all(len(one.find([("A", "")])) == 1 for one in caches)


def test_a_cache_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_text("not a database, but long enough to be looked at as one" * 20)
    with pytest.raises(ConfigError, match=r"evaluation\.cache.*is not usable"):
        cache(tmp_path)
    with pytest.raises(ConfigError, match=r"^evaluation\.cache: 'mysql' is not one of sqlite, postgresql"):
        EvaluationCache("mysql://host/db", "o", "mine", print)


def test_the_password_of_a_cache_is_in_no_message() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigError, match=r"evaluation\.cache: .*//me:\*\*\*@127.0.0.1:1/db is not usable") as caught:
        EvaluationCache("postgresql://me:secret@127.0.0.1:1/db", "o", "mine", print)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("damaged", ["", "{", '{"values": [1.0]}', "null", '{"values": ["x"], "failure": null}'])
def test_a_damaged_row_is_measured_again(damaged: str, tmp_path: Path) -> None:
    notes: list[str] = []
    cache = EvaluationCache(str(tmp_path / "cache.db"), "oracle", "first", notes.append, 1)
    for name in ("A", "B"):
        cache.add(name, "", Outcome((1.0,)))
    with closing(sqlite3.connect(tmp_path / "cache.db")) as connection, connection:
        connection.execute("UPDATE al_loop_evaluation_cache SET outcome = ? WHERE object = 'A'", [damaged])
    assert list(cache.find([("A", ""), ("B", "")])) == [("B", "")]
    assert len(notes) == 1
    cache.close()
