"""The ledger of a small campaign of molecules or words, with predictions, forecasts, failures and an open batch."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Goal, Objective, Outcome

START = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
MOLECULES = [f"{head}{tail}" for head in ("CCO", "c1ccccc1", "CCN", "OC(=O)c1ccccc1", "N#CC") for tail in
             ("C", "CC", "CCC", "C(C)C", "CO", "CN", "Cl", "Br", "F", "CCl")]  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>"
ATTACKS = (HOSTILE, "</script><script>alert(2)</script>", '"><svg onload=alert(3)>', "=HYPERLINK(1)", "\x1b[31mred\x07")


def fill(
    folder: Path,
    *,
    objects: Sequence[str] = MOLECULES,
    name: str = "demo",
    goal: Goal = "minimise",
    n_rounds: int = 4,
    open_batch: bool = True,
    failure: str = "more than 60 s",
    config: Mapping[str, Any] | None = None,
    objectives: Sequence[Objective] = (),
    gains: Sequence[float] = (0.5, 0.4, 0.3, 0.2),
    details: Mapping[str, Any] | None = None,
    seed_of_run: int = 1,
    **environment: Any,
) -> Path:
    """Write the ledger of a campaign whose best value improves by ``gains``, as forecast; every ninth answer fails.

    Args:
        folder: the run directory.
        objects: the objects, which the rounds take in turn.
        name: the campaign's name.
        goal: of the first objective.
        n_rounds: number of rounds, the random first batch included.
        open_batch: whether the last batch has no answers yet.
        failure: the reason for failures.
        config: further keys of the config.
        objectives: what is measured; one energy by default.
        gains: improvement of the best value in each round after the first.
        details: what a library says about each object.
        seed_of_run: the campaign's seed, from which the values follow.
        environment: the config's environment.
    """
    rng = random.Random(seed_of_run)
    folder.mkdir(parents=True, exist_ok=True)
    measured = list(objectives) or [Objective("energy", "eV", goal)]
    m = len([config["optimise"]] if config and isinstance(config.get("optimise"), str) else measured)
    sign = 1.0 if goal == "maximise" else -1.0
    batch, best = len(objects) // n_rounds, 1.0
    settings = {"name": name, "environment": environment or {"kind": "fragments"}, "rounds": {"count": n_rounds - 1}}
    if len(measured) > 1:
        settings["optimise"] = [o.name for o in measured]
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        ledger.begin_campaign(
            name=name, config={**settings, **(config or {})}, fingerprint="f", seed=seed_of_run, objectives=measured,
            versions={"al-loop": "0.1.0"},
        )  # fmt: skip
        for number in range(n_rounds):
            gain = 0.0 if number == 0 else gains[(number - 1) % len(gains)]
            names = objects[number * batch : (number + 1) * batch]
            means = [[sign * (best + gain / 2 + rng.gauss(0, 0.1))] * m for _ in names]
            info: dict[str, Any] = {"n_answers": number * batch}
            if number:
                info |= {"predicted": {"mean": means, "std": [[0.2] * m for _ in names]}, "nearest": [0.4] * len(names)}
                info |= {"factors": [1.0] * m}
                low, high = sorted((sign * best, sign * (best + 2 * gain)))
                info["forecast"] = {
                    "expected_improvement": gain, "probability": 0.7, "expected_best": sign * (best + gain),
                    "low": low, "high": high,
                }  # fmt: skip
            proposals = [
                Proposal(o, "sampler" if number else "random", mean[0] if number else None, 0.2 if number else None,
                         details=details)
                for o, mean in zip(names, means, strict=True)
            ]  # fmt: skip
            candidates = ledger.open_round(number, proposals, seed=7, seconds={"fit": 1.0, "train": 4.0}, info=info)
            if open_batch and number == n_rounds - 1:
                break
            for i, candidate in enumerate(candidates):
                ledger.begin_attempts([candidate.id], f"local-{i % 2}")
                value = sign * (best + (gain if i == 1 else -0.1 - rng.random()))
                outcome = Outcome(tuple([value] * len(measured)), cost=2.0)
                if i % 9 == 8:
                    outcome = Outcome.failed("timeout", failure)
                began = START + timedelta(minutes=10 * number, seconds=10 * (i // 2))
                answer = Answer(candidate.id, outcome, f"local-{i % 2}", began, began + timedelta(seconds=8))
                ledger.commit_answers([answer])
            best += gain
            metrics = {"best": sign * best, "calls": (number + 1) * batch, "alarms": {}, "diversity": 0.6}
            if len(measured) > 1:
                metrics["hypervolume"] = best
            ledger.close_round(number, metrics=metrics, seconds={"evaluate": 60.0})
    return folder
