"""``al-loop learn-energy`` and ``score``: an energy learned from data, and its scores of a library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_loop.cli.common import VerboseOption, exit_codes, stop_on_signals
from al_loop.errors import counted

if TYPE_CHECKING:
    from al_loop.config.energy_schema import EnergyConfig

_N_LISTED = 5  # objects without a score that a message names


def learn_energy(
    config: Annotated[
        Path, typer.Argument(help="A YAML file of an energy, or of the campaign that it is for.", show_default=False)
    ],
    data: Annotated[
        Path,
        typer.Argument(
            help="The objects: a text file with one object per line (or .xz, .gz), a .smi file, a table, or an array "
            "of letter indices (.npy).",
            show_default=False,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Changes to the config, such as steps=20000 or energy.kind=graph.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("energy.pt"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    address: Annotated[
        str,
        typer.Option(help="local: this process; auto: start or join Ray, with samplers as actors; HOST:6379."),
    ] = "local",
    job_server: Annotated[
        str | None,
        typer.Option("--submit", help="Run as a job of this cluster: http://HEAD:8265.", show_default=False),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Learn an energy, and a sampler that draws from it, from a file of objects."""
    message = f"interrupted: no energy was written; to resume, run the same command again ({output}.checkpoint)"
    with exit_codes(verbose=verbose, when_interrupted=message), stop_on_signals():
        from al_loop.config.energy_schema import EnergyConfig, of_file, parts_of_energy
        from al_loop.config.task_files import load_task, naming_places
        from al_loop.storage.files import require_writable

        settings = load_task(config, overrides or (), EnergyConfig, parts_of_energy, of_file)
        if job_server is not None:
            _submit(job_server, config, settings, overrides or (), data, output.absolute())
            return
        require_writable(output, force=force, inputs=(config, data))
        with naming_places(config, overrides or ()):
            _learn(settings, data, output, address)


def _learn(settings: EnergyConfig, data: Path, output: Path, address: str) -> None:
    from al_loop.cli.terminal import progress_bar
    from al_loop.config import build
    from al_loop.energy.learning import Monitor, learn_from_config
    from al_loop.sinks import Sinks

    checkpoint = output.with_name(f"{output.name}.checkpoint")
    with ExitStack() as stack:
        sinks = Sinks([build("sink", part) for part in settings.sinks], lambda line: typer.echo(line, err=True))
        status = "failed"
        stack.callback(lambda: sinks.end(status))  # type: ignore[arg-type]
        sinks.begin(settings.name, str(output.absolute()), settings.model_dump(mode="json"))

        def log(step: int, metrics: Mapping[str, float]) -> None:
            sinks.log(step, metrics)

        monitor = Monitor(bar=progress_bar, report=typer.echo, log=log, checkpoint=checkpoint)
        if address == "local":
            model = learn_from_config(settings, data, monitor=monitor)
        else:
            from al_loop.actors.energy import learn_on_ray

            model = learn_on_ray(settings, data, monitor=monitor, address=address)
        model.save(output)
        status = "finished"
    checkpoint.unlink(missing_ok=True)
    typer.echo(f"written: {output}: {model.report}")
    typer.echo(f"to draw from it: al-loop draw {output}; to use it in a campaign, add to its config one of:")
    typer.echo(f"reward: {{energy: {{file: {output}, weight: 1.0}}}}")
    typer.echo(f"sampler: {{prior: {output}, objective: relative_trajectory_balance{_policy_keys(settings)}}}")


def _policy_keys(settings: EnergyConfig) -> str:
    """Return the keys of a campaign's ``sampler`` that give it the policy of the energy, without the defaults."""
    from al_loop.config.schema import SamplerSettings

    own = {name: getattr(settings.sampler, name) for name in ("hidden", "layers")}
    keys = [f", {key}: {value}" for key, value in own.items() if value != SamplerSettings.model_fields[key].default]
    if settings.sampler.policy is not None:
        section = settings.sampler.policy.model_dump(exclude_none=True)
        keys.append(f", policy: {{{', '.join(f'{key}: {value}' for key, value in section.items())}}}")
    return "".join(keys)


def _submit(
    address: str, config: Path, settings: EnergyConfig, overrides: Sequence[str], data: Path, output: Path
) -> None:
    from al_loop.actors.jobs.submit import Cluster

    job = Cluster(address).submit_energy(config, settings, overrides, data, output)
    if job.is_new:
        typer.echo(f"submitted {job.id}; it will write {output} on the cluster")
    else:
        typer.echo(f"job {job.id} is writing {output} already; no second job was started")
    target = f"{settings.name} --address {address}"
    typer.echo(f"to watch it: al-loop logs {target} --follow; to stop it: al-loop stop {target}")


def score(
    model: Annotated[Path, typer.Argument(help="A file of an energy, such as energy.pt.", show_default=False)],
    library: Annotated[
        Path,
        typer.Argument(help="The objects: a text file, a .smi file, a table or an array (.npy).", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The table to write (.csv, .tsv, .xlsx, ...); -: print it as CSV.")
    ] = Path("-"),
    sort: Annotated[bool, typer.Option("--sort", help="Write the best objects first.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Score the objects of a file by an energy: log p up to one constant, higher for objects like its data."""
    with exit_codes(verbose=verbose, needs_output=str(output) == "-"), stop_on_signals():
        from al_loop.cli.terminal import progress_bar
        from al_loop.datafiles.table_formats import encode_rows, format_of
        from al_loop.energy.data import read_library
        from al_loop.energy.model import load
        from al_loop.storage.files import require_output, write_output

        format = format_of(output, None, ("csv", "tsv", "jsonl", "xlsx", "sdf"))
        require_output(output, force=force, inputs=(model, library))
        energy = load(model)
        objects = read_library(library, energy.environment)
        with progress_bar("scoring", len(objects)) as advance:
            scores = energy.score(objects, _advancing(advance)).tolist()
        rows = [(name, value, value - energy.log_z) for name, value in zip(objects, scores, strict=True)]
        if sort:
            rows.sort(key=lambda row: -row[1] if row[1] == row[1] else float("inf"))
        write_output(output, encode_rows(("object", "score", "log_p"), rows, format), force=force)
        if energy.refused:
            listed = "; ".join(f"{name:.60}: {reason}" for name, reason in [*energy.refused.items()][:_N_LISTED])
            more = "; ..." if len(energy.refused) > _N_LISTED else ""
            typer.echo(f"{counted(len(energy.refused), 'object')} could not be scored: {listed}{more}", err=True)
        if str(output) != "-":
            typer.echo(f"written: {output}: {counted(len(objects), 'object')}")


def _advancing(advance: Callable[..., None]) -> Callable[[], None]:
    return lambda: advance()
