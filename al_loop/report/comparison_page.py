"""A comparison of runs as one self-contained HTML page."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
from markupsafe import Markup

from al_loop import __version__
from al_loop.analysis.comparison import Comparison
from al_loop.outgoing import written_out_all
from al_loop.report import assets
from al_loop.report.page import environment, short

_SCRIPTS = ("core.js", "compare.js")
_SIGNIFICANT = 0.05


def comparison_page(comparison: Comparison) -> str:
    """Return the page.

    Args:
        comparison: of runs.
    """
    scripts = [assets.text(name) for name in (*assets.CHART_LIBRARIES, *_SCRIPTS)]
    facts = written_out_all(comparison_facts(comparison))
    headline, sentences = verdict(comparison)
    return (
        environment()
        .get_template("compare.html")
        .render(
            facts=facts,
            title=comparison.title,
            headline=headline,
            sentences=sentences,
            version=__version__,
            css=Markup(assets.text("page.css")),
            scripts=list(map(Markup, scripts)),
            policy=assets.policy(scripts),
            packed=Markup(assets.pack(json.dumps(facts, allow_nan=False).encode())),
            licences=assets.text("licences.txt"),
        )
    )


def comparison_facts(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values."""
    what = {"top10_mean": "mean of the ten best", "best": "best", "hypervolume": "hypervolume"}[comparison.metric]
    name = comparison.objective.name.replace("_", " ")
    is_volume = comparison.metric == "hypervolume"
    return {
        "what": what if is_volume else f"{what} {name}",
        "unit": "" if is_volume else comparison.objective.unit,
        "goal": comparison.goal,
        "at": comparison.at,
        "runs": _records(comparison.runs.assign(seed=comparison.runs["seed"].astype(str))),
        "bands": _records(comparison.bands),
        "groups": _records(comparison.groups.reset_index()),
        "tests": _records(comparison.tests),
        "notes": list(comparison.notes),
    }


def verdict(comparison: Comparison) -> tuple[str, list[str]]:
    """Return what the comparison says in a sentence, and a sentence for each test."""
    groups = comparison.groups.dropna(subset=["mean"])
    if len(groups) < 2:
        return f"{comparison.title}: there is one group, so nothing is compared with anything.", []
    sign = 1.0 if comparison.goal == "maximise" else -1.0
    best = str((sign * groups["mean"]).idxmax())
    tests, sentences, beaten = comparison.tests, [], 0
    for row in tests.to_dict("records"):
        ahead = row["first"] if sign * row["difference"] > 0 else row["second"]
        is_clear = row["p_holm"] < _SIGNIFICANT
        beaten += bool(is_clear and ahead == best and best in (row["first"], row["second"]))
        interval = (
            "" if math.isnan(row["low"]) else f" (95 % interval {short(row['low'], 3)} to {short(row['high'], 3)})"
        )
        how = f"over {row['n_first']} pairs of seeds" if row["paired"] else "without pairs of seeds"
        p = "no test is possible" if math.isnan(row["p"]) else f"p = {short(row['p_holm'], 2)}"
        sentences.append(
            f"{row['first']} less {row['second']}: {short(row['difference'], 3)}{interval} {how}, {p}"
            f"{'' if is_clear else '; they cannot be told apart'}."
        )
    mean = float((sign * groups["mean"]).max()) * sign
    means = f"{best} has the best mean ({short(mean)})"
    if beaten == len(groups) - 1:
        return f"{means}, and the difference to every other group is significant.", sentences
    return f"{means}, but not every other group is significantly worse.", sentences


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(k): None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in frame.to_dict("records")
    ]
