"""``al-loop submit``, ``logs`` and ``stop``: campaigns as jobs on a Ray cluster, and stopping them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from al_loop.cli.common import (
    ConfigArgument,
    JobArgument,
    OverridesArgument,
    ServerOption,
    VerboseOption,
    exit_codes,
)
from al_loop.cli.layout import print_fields
from al_loop.errors import ConfigError

_N_LOG_LINES = 10


def submit(
    config: ConfigArgument,
    address: ServerOption,
    overrides: OverridesArgument = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the run on the cluster's head, on storage that outlives the head unless the ledger is "
            "in PostgreSQL. Default: runs/<name> below the current folder.",
            show_default=False,
        ),
    ] = None,
    requirements: Annotated[
        Path | None,
        typer.Option(help="A pip requirements file to install on the cluster first.", show_default=False),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            help="A container image with al-loop in which everything runs (by podman on the nodes); then only the "
            "config is uploaded, and the ledger must be a database.",
            show_default=False,
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An environment variable to pass to the job.", show_default=False),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show the job's log and exit with its exit code.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Run a campaign as a job on a Ray cluster; submit it again to resume it."""
    message = "interrupted: if the job was submitted, it keeps running; the same command shows its log"
    with exit_codes(verbose=verbose, when_interrupted=message):
        from al_loop.actors.jobs.runtime_env import JobEnvironment
        from al_loop.actors.jobs.submit import Cluster
        from al_loop.config import load_config

        settings = load_config(config, overrides or ())
        environment = JobEnvironment(requirements, image, tuple(env or ()))
        folder = (run_dir or Path("runs") / settings.name).absolute()
        cluster = Cluster(address)
        job = cluster.submit(config, settings, overrides or (), folder, environment)
        for name in job.left_behind:
            typer.echo(f"note: {name} is too large to upload with the job", err=True)
        if job.is_new:
            typer.echo(f"submitted {job.id}; the run directory is {folder} on the cluster")
        else:
            typer.echo(f"{settings.name} is already running as job {job.id}; no second job was started")
        if follow:
            raise typer.Exit(cluster.follow(job.id, lambda text: typer.echo(text, nl=False)))
        target = f"{settings.name} --address {address}"
        typer.echo(f"to watch it: al-loop logs {target} --follow; to stop it: al-loop stop {target}")


def logs(
    job: JobArgument,
    address: ServerOption,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing until the job ends; exit with its exit code.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Show the output of a job on a cluster."""
    with exit_codes(verbose=verbose, needs_output=True, when_interrupted="interrupted: the job keeps running"):
        from al_loop.actors.jobs.submit import Cluster

        cluster = Cluster(address)
        status = cluster.find(job)
        if follow:
            raise typer.Exit(cluster.follow(status.id, lambda text: typer.echo(text, nl=False)))
        output = cluster.log(status.id)
        typer.echo(output, nl=False)
        if not output:
            typer.echo(f"{status.id} has not printed anything; it is {status.status}: {status.message}", err=True)


def stop(
    run: Annotated[
        str,
        typer.Argument(
            help="Directory of a run or a sweep on this machine; with --address, the name of a campaign or the id of a "
            "job.",
            metavar="RUN",
        ),
    ],
    address: Annotated[
        str | None, typer.Option(help="The job server of a cluster, http://HEAD:8265.", show_default=False)
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for it to end.")] = False,
    finish_calls: Annotated[
        bool, typer.Option("--finish-calls", help="Let the calls of the oracle that are running finish first.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Stop a running campaign or sweep cleanly, on this machine or on a cluster."""
    message = "interrupted: if the run was found, it has received the request and will stop by itself"
    with exit_codes(verbose=verbose, when_interrupted=message):
        if address is not None:
            if finish_calls:
                raise ConfigError(
                    "--finish-calls: Ray ends a job soon after the request, whatever runs; leave it out, or set "
                    "evaluation.finish_calls and RAY_JOB_STOP_WAIT_TIME_S on the cluster's head"
                )
            _stop_job(run, address, wait=not no_wait)
            return
        from al_loop.actors.jobs.stop import stop_here

        def report(message: str) -> None:
            typer.echo(message, err=True)

        pid = stop_here(Path(run), wait=not no_wait, finish_calls=finish_calls, on_wait=report)
        if pid is None:
            typer.echo(f"nothing is running in {run}")
        else:
            state = "is stopping" if no_wait else "has stopped"
            typer.echo(f"{run} (pid {pid}) {state}; the command that started it resumes it")


def _stop_job(name: str, address: str, *, wait: bool) -> None:
    from al_loop.actors.jobs.submit import Cluster

    cluster = Cluster(address)
    job = cluster.find(name)
    if job.has_ended:
        typer.echo(f"{job.campaign} (job {job.id}) has already ended: {job.status}")
        return
    job = cluster.stop(job.id, wait=wait)
    state = f"has ended: {job.status}" if job.has_ended else "is stopping"
    typer.echo(f"{job.campaign} (job {job.id}) {state}; the same al-loop submit resumes it")


def print_job_status(name: str, address: str) -> None:
    """Print the status of a job and the last lines of its log.

    Args:
        name: name of a campaign, or id of a job.
        address: the cluster's job server.
    """
    from al_loop.actors.jobs.submit import Cluster

    cluster = Cluster(address)
    job = cluster.find(name)
    fields = {"job": job.id, "campaign": job.campaign, "status": job.status}
    if job.exit_code:
        fields["status"] += f", with exit code {job.exit_code}"
    if job.started is not None:
        fields["since"] = f"{job.started.astimezone():%Y-%m-%d %H:%M:%S}"
    if job.ended is not None:
        fields["ended"] = f"{job.ended.astimezone():%Y-%m-%d %H:%M:%S}"
    print_fields(
        {**fields, "run": f"{job.run_dir} on the cluster", **({"message": job.message} if job.message else {})}
    )
    last_lines = cluster.log(job.id).splitlines()[-_N_LOG_LINES:]
    if last_lines:
        typer.secho("\nlast lines of its log", bold=True)
        typer.echo("\n".join(last_lines))
