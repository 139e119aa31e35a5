"""Energies in a campaign: a term of the reward, a prior, the source of the first batch, and refits."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from al_loop.config import CampaignConfig
from tests.support.command_line import call

TRAINING = (
    "steps=60",
    "lr=0.02",
    "sampler.lr=0.01",
    "batch_size=32",
    "data_batch=32",
    "validations=1",
    "energy.hidden=16",
)


@pytest.fixture(scope="module")
def energies(folder: Path) -> Path:
    """Energies of words without and with G, and one of another environment."""
    folder.joinpath("a.txt").write_text("".join(f"{x}{y}{x}{y}A\n" for x in "AC" for y in "ACU") * 8)
    folder.joinpath("g.txt").write_text("".join(f"G{x}G{y}G\n" for x in "AC" for y in "ACU") * 8)
    config = folder / "tiny.yaml"
    space = "environment.length=5"
    for name, *changes in (("a",), ("g",), ("other", "environment.alphabet=ACG")):
        data = folder / f"{'a' if name == 'a' else 'g'}.txt"
        code, _, err = call(
            "learn-energy", str(config), str(data), space, *changes, *TRAINING, "-o", str(folder / f"{name}.pt")
        )
        assert code == 0, err
    return folder


def objects(run: Path, where: str = "") -> list[tuple[str, str]]:
    with closing(sqlite3.connect(run / "ledger.db")) as connection:
        return connection.execute(f"SELECT object, origin FROM candidates {where} ORDER BY id").fetchall()


def share_of_g(rows: list[tuple[str, str]]) -> float:
    return sum("G" in name for name, _ in rows) / len(rows)


def run(folder: Path, name: str, *changes: str) -> list[tuple[str, str]]:
    directory = folder / "runs" / name
    code, _, err = call("run", "tiny.yaml", "environment.length=5", *changes, "-q", "--run-dir", str(directory))
    assert (code, err) == (0, [])
    return objects(directory)


SEARCH = ("sampler.steps=60", "sampler.batch_size=32", "sampler.lr=0.01", "sampler.pool=64", "reward.beta=0.5")


@pytest.mark.slow
def test_the_reward_term_and_the_first_batch_keep_to_the_series(energies: Path) -> None:
    term = "reward.energy={file: a.pt, weight: 3}"
    plain = run(energies, "plain", *SEARCH)
    ours = run(energies, "ours", *SEARCH, term, "rounds.initial_from=energy")
    n_first = sum(origin == "energy" for _, origin in ours)
    assert n_first == sum(origin == "random" for _, origin in plain)
    assert share_of_g(ours) < 0.4 < share_of_g(plain)


@pytest.mark.slow
def test_energies_add_and_are_refitted_and_resumed(energies: Path) -> None:
    terms = "reward.energy=[{file: a.pt, refit_steps: 3}, {file: g.pt, weight: -1}]"
    rows = run(energies, "sum", *SEARCH, terms, "rounds.initial_from=energy", "rounds.count=1")
    assert share_of_g(rows) < 0.5
    assert len(run(energies, "sum", *SEARCH, terms, "rounds.initial_from=energy", "rounds.count=2")) > len(rows)
    again = run(energies, "again", *SEARCH, terms, "rounds.initial_from=energy", "rounds.count=2")
    assert again == objects(energies / "runs" / "sum")


def test_an_energy_is_a_prior(energies: Path) -> None:
    prior = ("sampler.prior=a.pt", "sampler.objective=relative_trajectory_balance")
    assert share_of_g(run(energies, "prior", *SEARCH, *prior, "rounds.initial_from=energy")) < 0.5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            ("reward.energy={file: a.pt}", "sampler.prior=a.pt", "sampler.objective=relative_trajectory_balance"),
            "the data would count twice",
        ),
        (("reward.energy={file: other.pt}",), "was learned for the environment sequence"),
        (("reward.energy={file: missing.pt}",), "reward.energy: cannot read"),
        (("reward.energy={file: tiny.yaml}",), "not a model of al-loop"),
        (("reward.energy={file: a.pt, wieght: 1}",), "wieght: unknown key; did you mean 'weight'"),
        (("rounds.initial_from=energy",), "requires an energy to draw from"),
        (("rounds.initial_from=energy", "reward.energy={file: a.pt, weight: -1}"), "requires an energy to draw from"),
    ],
)
def test_what_cannot_be_combined_is_one_clear_error(energies: Path, changes: tuple[str, ...], reason: str) -> None:
    code, _, err = call("run", "tiny.yaml", "environment.length=5", *changes, "--run-dir", str(energies / "no"))
    assert (code, len(err)) == (2, 1)
    assert reason in err[0]
    if "reward.energy={file: other.pt}" in changes:
        assert call("check", "tiny.yaml", "environment.length=5", *changes)[2] == err


def test_energies_do_not_change_the_identity_of_a_campaign() -> None:
    content = {
        "name": "a",
        "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 5},
        "oracle": {"kind": "human"},
    }
    more = {
        "reward": {"energy": {"file": "a.pt"}},
        "rounds": {"initial_from": "energy"},
        "energy": {"kind": "mlp", "steps": 5},
    }
    assert (
        CampaignConfig.model_validate(content).fingerprint == CampaignConfig.model_validate(content | more).fingerprint
    )
