"""The report of a run as one self-contained HTML page, which opens offline."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from al_loop.analysis.outlook import duration
from al_loop.outgoing import written_out, written_out_all
from al_loop.report import assets
from al_loop.report.logo import logo_svg

_SCRIPTS = ("core.js", "chem.js", "table.js", "charts.js", "report.js")


@cache
def environment() -> jinja2.Environment:
    """Return the environment of the templates, in which every text is escaped."""
    env = jinja2.Environment(
        loader=jinja2.FunctionLoader(assets.text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: written_out(value) if type(value) is str else value,  # no Markup
    )
    env.filters |= {"short": short, "percent": percent}
    return env


def report_page(facts: Mapping[str, Any], *, live: str = "") -> str:
    """Return the page.

    Args:
        facts: of a run, see ``analysis.facts``.
        live: for a page whose server has news: the version of these facts.
    """
    facts = written_out_all(facts)
    cells = _Cells(facts)
    is_molecule = facts["run"]["object_type"] == "molecule"
    libraries = assets.RDKIT if is_molecule else ()
    scripts = [assets.text(name) for name in (*assets.CHART_LIBRARIES, *_SCRIPTS, *(("live.js",) if live else ()))]
    hashed = [*scripts, *(assets.text(file) for name, file in libraries if file.endswith(".js"))]
    optimised = [o for o in facts["objectives"] if o["optimised"]]
    return (
        environment()
        .get_template("page.html")
        .render(
            facts=facts,
            live=live,
            css=Markup(assets.text("page.css")),
            scripts=list(map(Markup, scripts)),
            policy=assets.policy(hashed, has_rdkit=is_molecule, connects=bool(live)),
            packed=Markup(assets.pack(json.dumps(facts, allow_nan=False, separators=(",", ":")).encode())),
            packed_libraries=[(name, Markup(assets.packed_library(file))) for name, file in libraries],
            licences=assets.text("licences.txt"),
            config=yaml.safe_dump(facts["run"]["config"], sort_keys=False, allow_unicode=True),
            goal=_goal(optimised),
            several=len(optimised) > 1,
            objective=optimised[0],
            objectives={o["column"]: o for o in facts["objectives"]},
            sections=_sections(facts),
            tiles=_tiles(facts),
            trust={entry["column"]: _trust(entry) for entry in facts["calibration"]},
            spent=_spent(facts["spending"]),
            logo=logo_svg(facts["letters"]["logo"]) if facts["letters"] else "",
            pictures=_pictures(facts, cells) if is_molecule else {},
            cell=cells.of,
        )
    )


class _Cells:
    """What the cards show of a row of the table."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._columns = {column["name"]: column for column in facts["table"]["columns"]}
        self._objectives = [o for o in facts["objectives"] if o["optimised"]]
        self._alerts: dict[int, list[str]] = {}
        for entry in (facts["alerts"] or {"entries": ()})["entries"]:
            for row in entry["rows"]:
                self._alerts.setdefault(row, []).append(entry["alert"])

    def value(self, name: str, row: int) -> Any:
        """Return a cell, None where there is none."""
        column = self._columns.get(name)
        if column is None:
            return None
        cell = column["cells"][row]
        return (None if cell < 0 else column["names"][cell]) if column["kind"] == "category" else cell

    def of(self, row: int) -> dict[str, Any]:
        """Return what a card shows."""
        optimised = [
            {
                "label": o["label"],
                "unit": o["unit"],
                "value": self.value(o["column"], row),
                "std": self.value(f"{o['column']}_std", row),
                "predicted": self.value(o["predicted"][0], row),
                "predicted_std": self.value(o["predicted"][1], row),
            }
            for o in self._objectives
        ]
        names = ("object", "round", "series", "status", "reason")
        return {**{n: self.value(n, row) for n in names}, "optimised": optimised, "alerts": self._alerts.get(row, [])}


def _pictures(facts: Mapping[str, Any], cells: _Cells) -> dict[int, Markup]:
    """Return the drawings of the molecules on cards, by row."""
    from al_loop.analysis.molecules import draw

    entries = [*facts["best"], *facts["next"]["candidates"]]
    rows = {*(entry["row"] for entry in entries), *(entry["best"] for entry in facts["series"]["entries"])}
    drawings = {row: draw(str(cells.value("object", row))) for row in sorted(rows)}
    head = "<svg role='img' aria-label='structure' "
    return {row: Markup(svg.replace("<svg ", head, 1)) for row, svg in drawings.items() if svg}


def _goal(objectives: Sequence[Mapping[str, Any]]) -> str:
    units = [f" ({o['unit']})" if o["unit"] else "" for o in objectives]
    return " and ".join(f"{o['goal']} {o['label']}{unit}" for o, unit in zip(objectives, units, strict=True))


def _sections(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    several = sum(o["optimised"] for o in facts["objectives"]) > 1
    return [
        ("outlook", "Recommendation"),
        ("best", "Best"),
        ("progress", "Progress"),
        ("next", "Next" if facts["next"]["pending"] else "Last batch"),
        *([("series", "Series and map")] if facts["series"]["entries"] or facts["map"] else []),
        *([("front", "Trade-off")] if several else []),
        ("trust", "Trust"),
        ("problems", "Failures"),
        ("spending", "Money and time"),
        ("candidates", "Candidates"),
        ("about", "About"),
    ]


def _tiles(facts: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    status, spending = facts["status"], facts["spending"]
    first = next(o for o in facts["objectives"] if o["optimised"])
    planned = "" if status["planned_rounds"] is None else f" of {status['planned_rounds']}"
    budget = spending["budget"]
    tiles = []
    if status["hypervolume"] is not None:
        tiles.append(("hypervolume", short(status["hypervolume"]), f"{status['n_front']} on the front"))
    elif status["best_value"] is not None:
        tiles.append((f"best {first['label']}", f"{short(status['best_value'])} {first['unit']}".strip(), ""))
    else:
        tiles.append(("best", "–", status["no_best"]))
    imported = f", {status['imported']} imported" if status["imported"] else ""
    return [
        *tiles,
        ("rounds closed", f"{status['closed_rounds']}{planned}", status["state"]),
        ("answers", f"{status['answered']}", f"{status['failed']} failed{imported}"),
        ("waiting", f"{status['pending']}", f"{status['in_flight']} in flight"),
        ("oracle calls", f"{status['calls']}", f"of {budget['calls']}" if budget["calls"] else ""),
        ("cost", short(status["cost"]), f"of {short(budget['cost'])}" if budget["cost"] else ""),
        ("time of the oracle", duration(3600 * (spending["oracle_hours"] or 0.0)), ""),
    ]


def _trust(entry: Mapping[str, Any]) -> str:
    """Return in a sentence how far the predictions of an objective can be trusted."""
    inside = {promised: actual for promised, actual, _ in entry["coverage"]}.get(0.8)
    if inside is None:
        return ""
    n = entry["n"]
    slack = 2 * math.sqrt(0.8 * 0.2 / max(n, 1))
    if inside < 0.8 - slack:
        sentence = "The model is overconfident: take its intervals as too narrow."
    elif inside > 0.8 + slack:
        sentence = "The model is more careful than it needs to be: its intervals are wide."
    else:
        sentence = "The intervals held what they promised, as far as so many values can tell."
    correlation = entry["rank_correlation"]
    if correlation is not None:
        quality = "well" if correlation >= 0.6 else "moderately" if correlation >= 0.3 else "hardly"
        sentence += f" It ranks objects {quality} (rank correlation {correlation:.2f} over all rounds)."
    return f"{inside:.0%} of the values lay in the predicted 80 % interval. {sentence}"


def _spent(spending: Mapping[str, Any]) -> str:
    oracle, own = (duration(3600 * (spending[name] or 0.0)) for name in ("oracle_hours", "own_hours"))
    cost = f" at a cost of {short(spending['cost'])}" if spending["cost"] else ""
    return (
        f"{spending['calls']} calls{cost}; the oracle worked {oracle}, and fitting, training and selecting took {own}. "
        "Earlier data cost nothing."
    )


def short(value: float | int | str | None, digits: int = 4) -> str:
    """Return a number with as many significant digits, "–" for None."""
    if value is None:
        return "–"
    if isinstance(value, str) or (isinstance(value, int) and abs(value) < 10**7):
        return str(value)
    return f"{value + 0.0:.{digits}g}"  # -0.0 + 0.0 is 0.0


def percent(share: float | None) -> str:
    """Return a share in per cent."""
    return "–" if share is None else f"{100 * share:.0f} %"
