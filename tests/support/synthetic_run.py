"""The ledger of a small synthetic campaign."""

import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Goal, Objective, Outcome

START = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


def fill(folder: Path, *, goal: Goal = "maximise", n_rounds: int = 4, batch: int = 12, pending: int = 0) -> Path:
    """Write the ledger of a campaign whose values improve round by round; every eleventh object fails."""
    rng = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    sign = 1 if goal == "maximise" else -1
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        ledger.begin_campaign(
            name="demo",
            config={"name": "demo", "rounds": {"count": 3, "batch_size": batch}},
            fingerprint="f",
            seed=1,
            objectives=[Objective("gap", "eV", goal), Objective("round", "")],
            versions={"al-loop": "0.1.0"},
        )
        n = 0
        for number in range(n_rounds):
            proposals, truths = [], []
            for i in range(batch):
                truth = sign * (3 + 0.8 * number + rng.gauss(0, 0.6))
                mean = truth + rng.gauss(0, 0.4) if number else None
                origin = "sampler" if number else "random"
                proposals.append(Proposal(f"<C{number}.{i}>", origin, mean, 0.4 if number else None))
                truths.append(truth)
            info = {"lengthscale": 0.5, "training": {"loss": 1.5}}
            candidates = ledger.open_round(number, proposals, seed=2**70, seconds={"fit": 1.0}, info=info)
            answered = candidates if number + 1 < n_rounds else candidates[: batch - pending]
            for candidate, truth in zip(answered, truths, strict=False):
                n += 1
                ledger.begin_attempts([candidate.id], "w0")
                outcome = Outcome((truth, 1.0), cost=2.0, info={"conformer": n})
                if n % 11 == 0:
                    outcome = Outcome.failed("timeout", "more than 60 s")
                started = START + timedelta(seconds=n)
                finished = started + timedelta(seconds=0.5)
                ledger.commit_answers([Answer(candidate.id, outcome, "w0", started, finished)])
            if len(answered) == batch:
                ledger.close_round(number, metrics={"top10_mean": 1.5, "rank": math.nan}, seconds={"oracle": 6.0})
    return folder
