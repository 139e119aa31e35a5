"""Pages that are generated from the code: every key of a config, every part, every command; and the notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import jupytext
import nbformat
import yaml
from pydantic import BaseModel
from typer.main import get_command

from al_loop import open_run
from al_loop.analysis.notebook import METADATA
from al_loop.cli.app import app as command_line
from al_loop.config import plugins
from al_loop.config.annotations import key_type
from al_loop.config.describe import Explanation, KeyInfo, explain
from al_loop.config.schema import CampaignConfig
from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Objective, Outcome

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: heading and introduction of the page of each room of parts
ROOMS = {
    "environment": ("Environments", "The space of objects, and how they are built step by step."),
    "oracle": ("Oracles", "What measures an object."),
    "surrogate": ("Surrogates", "The model that is fitted to everything measured."),
    "features": ("Features", "What the surrogate sees of an object."),
    "acquisition": ("Acquisition functions", "How promising an object is, given the surrogate."),
    "selector": ("Selectors", "How a batch is picked from the drawn candidates."),
    "objective": ("Training objectives", "The loss of the GFlowNet; `sampler.objective`."),
    "policy": ("Policies", "The network of the GFlowNet; `sampler.policy`."),
    "search": ("Searches", "Ways to better objects beside the policy's own draws; `sampler.searches`."),
    "evolution": ("Evolution", "Operators of the genetic algorithm on the acquisition; `sampler.evolution`."),
    "property": ("Properties", "Cheap properties for `constraints`; each also has the bounds `min` and `max`."),
    "sink": ("Sinks", "Where numbers of a running campaign are sent."),
    "energy": ("Energies", "Learned log-probabilities of a data set, for `al-loop learn-energy`; the key `energy`."),
    "latent": ("Latent-variable models", "Models with discrete latents for `al-loop fit-latent`; the key `latent`."),
}


def pages() -> dict[str, str]:
    """Return the generated pages: name without suffix -> Markdown."""
    parts = {room: list(plugins.built_in(room)) for room in plugins.ROOMS}
    return {
        "config": "\n".join(_config_page()),
        "commands": "\n".join(_commands_page()),
        "columns": "\n".join(_columns_page()),
        **{room: "\n".join(_room_page(room, [info.kind for info in infos])) for room, infos in parts.items()},
    }


def _config_page() -> Iterator[str]:
    yield "# Every key of a config\n"
    yield (
        "A config is a YAML file with these keys and sections. `al-loop list SECTION` prints the same on a terminal, "
        "and `al-loop schema` writes the JSON schema for an editor's completion. "
        "Every key can also be given on the command line: `al-loop run FILE rounds.count=10`.\n"
    )
    sections, plain = [], []
    for name, field in CampaignConfig.model_fields.items():
        kind = key_type(field.annotation)
        is_section = kind.model is not None and not issubclass(kind.model, plugins.Part)
        (sections if is_section else plain).append(name)
    yield "## Top level\n"
    yield from _key_list([key for name in plain for found in _sections_only([name]) for key in found.keys])
    for name in sections:
        yield from _section(name, CampaignConfig.model_fields[name].annotation, level=2)


def _section(path: str, annotation: object, level: int) -> Iterator[str]:
    for explanation in _sections_only([path]):
        yield f"{'#' * level} `{path}`\n"
        yield f"{explanation.summary}\n"
        yield from _key_list(explanation.keys)
        yield from _example(path, explanation.keys)
    model = key_type(annotation).model
    for name, field in (model.model_fields if model is not None else {}).items():
        inner = key_type(field.annotation).model
        if inner is not None and issubclass(inner, BaseModel) and not issubclass(inner, plugins.Part):
            yield from _section(f"{path}.{name}", field.annotation, level + 1)


def _sections_only(names: Sequence[str]) -> list[Explanation]:
    """Return what names mean as a section or key, not as a part of the same name."""
    return [found for found in explain(names) if " " not in found.title]


def _room_page(room: str, kinds: Sequence[str]) -> Iterator[str]:
    title, introduction = ROOMS[room]
    yield f"# {title}\n"
    yield f"{introduction}\n"
    yield "| `kind` | |\n|---|---|"
    explanations = {kind: explain([room, kind])[0] for kind in kinds}
    for kind, explanation in explanations.items():
        yield f"| [`{kind}`](#{kind.replace('_', '-')}) | {_escape(explanation.summary)} |"
    yield ""
    for kind, explanation in explanations.items():
        yield f"({room}-{kind})=\n## {kind}\n"
        yield f"{_escape(explanation.summary)}\n"
        yield from _key_list(explanation.keys)
        if not explanation.keys:
            yield "It has no keys.\n"


def _key_list(keys: Sequence[KeyInfo]) -> Iterator[str]:
    """Yield a definition list, which a phone shows as well as a wide screen."""
    for key in keys:
        default = "required" if key.default is None else f"default: `{key.default}`"
        yield f"`{key.name}` — {_escape(key.type)}, {default}"
        yield f": {_escape(' '.join(key.meaning.split())) or '&nbsp;'}\n"


def _example(path: str, keys: Sequence[KeyInfo]) -> Iterator[str]:
    """Yield the section as YAML with its defaults."""
    values = {}
    for key in keys:
        if key.default is not None:
            try:
                values[key.name] = yaml.safe_load(key.default)
            except yaml.YAMLError:
                continue
    texts = {"see its keys", "from the campaign"}
    config: object = {name: value for name, value in values.items() if not (isinstance(value, str) and value in texts)}
    if not config:
        return
    for name in reversed(path.split(".")):
        config = {name: config}
    yield "The defaults:\n"
    yield f"```yaml\n{yaml.safe_dump(config, sort_keys=False, allow_unicode=True)}```\n"


def _commands_page() -> Iterator[str]:
    yield "# Every command\n"
    yield "`al-loop COMMAND --help` prints the same on a terminal.\n"
    commands = get_command(command_line).commands
    yield "| | |\n|---|---|"
    for name, command in commands.items():
        yield f"| [`{name}`](#al-loop-{name}) | {_escape(_first_line(command.help))} |"
    yield ""
    for name, command in commands.items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option"]
        usage = " ".join(["al-loop", name, *(_metavar(p) for p in arguments), "[OPTIONS]" if options else ""]).strip()
        yield f"## al-loop {name}\n"
        yield f"```text\n{usage}\n```\n"
        yield f"{_escape(_paragraphs(command.help))}\n"
        for parameter in [*arguments, *options]:
            names = [*parameter.opts, *parameter.secondary_opts] if parameter in options else [_metavar(parameter)]
            yield f"`{', '.join(names)}`"
            yield f": {_escape(' '.join((parameter.help or '').split())) or '&nbsp;'}\n"


#: what the tables of a run hold, in the order of the page
TABLES = {
    "evaluations": "`run.evaluations`: one row per answer.",
    "candidates": "`run.candidates`: one row per candidate, answered or not.",
    "rounds": "`run.rounds`: one row per round. Details of models and samplers begin with `info.`.",
    "top": "`run.best(k)`, `run.top(k)`, `run.front()`: results, best first.",
    "predictions": "`run.predictions`: how each round's predictions turned out.",
    "forecasts": "`run.forecasts`: what each batch was expected to bring, and what it brought.",
    "calibration": "`run.calibration()`: each measurement beside its prediction.",
    "alarms": "`run.alarms`: what a campaign found wrong with itself.",
    "failures": "`run.failures`: one row per failed object.",
    "timeline": "`run.timeline()`: one row per call of the oracle.",
    "map": "`run.map()`: the place of each object on the map.",
}


def _columns_page() -> Iterator[str]:
    with TemporaryDirectory() as folder, open_run(_example_run(Path(folder) / "run")) as run:
        table = run.describe()
    yield "# Every column of every table\n"
    yield (
        "Tables are pandas data frames of `run = al_loop.open_run(RUN)`; `al-loop export` writes the evaluations, and "
        "the table of a report has all of them at once. `run.describe()` prints the same for your run, with your "
        "objectives' names and units. The example here measures `affinity` (pKd). Columns of a library's file (ids, "
        "prices) keep their names.\n"
    )
    for name, introduction in TABLES.items():
        yield f"## {name}\n"
        yield f"{introduction}\n"
        yield "| column | unit | |\n|---|---|---|"
        rows = table[(table["table"] == name) & ~table["column"].str.match(r"info\.(?!forecast)")]
        for row in rows.itertuples():
            yield f"| `{row.column}` | {_escape(row.unit)} | {_escape(row.meaning)} |"
        yield ""


def _example_run(folder: Path) -> Path:
    """Write the ledger of a small campaign with predictions, a failure and a forecast; return its directory."""
    folder.mkdir()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        objectives = [Objective("affinity", "pKd")]
        ledger.begin_campaign(
            name="example", config={"name": "example"}, fingerprint="f", seed=0, objectives=objectives, versions={}
        )
        for number in range(2):
            words = [f"{letter}{number}" for letter in "ABCD"]
            names = [Proposal(w, "sampler", 5.0 + number, 0.5, 1.0) if number else Proposal(w, "random") for w in words]
            info = {"predicted": {"mean": [[6.0]] * 4, "std": [[0.5]] * 4}, "nearest": [0.5] * 4, "factors": [1.0]}
            forecast = {"expected_improvement": 0.1, "probability": 0.5, "expected_best": 6.0, "low": 5.5, "high": 6.5}
            candidates = ledger.open_round(
                number, names, seed=number, seconds={"fit": 1.0, "train": 1.0, "select": 1.0},
                info={**info, "forecast": forecast} if number else {},
            )  # fmt: skip
            ledger.begin_attempts([c.id for c in candidates], "worker-0")
            failed = Outcome.failed("timeout", "more than 60 s")
            outcomes = [failed, *(Outcome((5.0 + number + 0.1 * i,), noise=(0.1,), cost=1.0) for i in range(3))]
            ledger.commit_answers(
                [Answer(c.id, o, "worker-0", now, now) for c, o in zip(candidates, outcomes, strict=True)]
            )
            scores = {"n": 3, "rank_correlation": 0.5, "rmse": 0.1, "nlpd": 0.1, "bias": 0.0, "squared": 1.0}
            scores["coverage"] = {"50": 0.5, "80": 0.8, "95": 1.0}
            metrics = {
                "best": 5.3 + number, "top10_mean": 5.2 + number, "calls": 4 * (number + 1), "failures": 1,
                "diversity": 0.5, "predictions": {"affinity": scores},
                "alarms": {"miscalibration": "an example of an alarm"},
            }  # fmt: skip
            ledger.close_round(number, metrics=metrics, seconds={"evaluate": 1.0})
    return folder


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _paragraphs(text: str | None) -> str:
    """Join the lines of each paragraph of a command's help."""
    return "\n\n".join(
        " ".join(part.split()) for part in (text or "").replace("\b", "").replace("\f", "").split("\n\n")
    )


def _escape(text: str) -> str:
    """Return text with what Markdown would take for markup; the docstrings' double backticks become code."""
    return text.replace("``", "`").replace("*", r"\*").replace("|", r"\|").replace("<", "&lt;").replace("$", r"\$")


def with_outputs(notebook: Any, executed: Path) -> Any:
    """Return a notebook with the outputs of its execution, if that is kept and had the same cells."""
    if not executed.exists():
        return notebook
    kept = nbformat.read(executed, as_version=4)
    return kept if [c.source for c in kept.cells] == [c.source for c in notebook.cells] else notebook


def _write(application: Sphinx) -> None:
    folder = Path(application.srcdir) / "reference" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    notebooks = Path(application.srcdir) / "notebooks"
    notebooks.mkdir(exist_ok=True)
    for source in (Path(application.srcdir).parent / "notebooks").glob("*.py"):
        notebook = with_outputs(jupytext.read(source), Path(application.srcdir) / "executed" / f"{source.stem}.ipynb")
        notebook.metadata.update(METADATA)
        jupytext.write(notebook, notebooks / f"{source.stem}.ipynb")


def setup(application: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    application.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
