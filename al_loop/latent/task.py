"""The fit of a config's model to a file of data: progress, metrics, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from al_loop.config.build import build
from al_loop.errors import ConfigError, counted
from al_loop.gflownet.pipeline import SamplerGroup
from al_loop.latent.checkpoint import Checkpoint
from al_loop.latent.config import LatentConfig
from al_loop.latent.em import Alternation, Result, Round
from al_loop.latent.files import build_model, read_data, save
from al_loop.latent.observations import Observations
from al_loop.seeding import derive_seed
from al_loop.sinks import Sinks
from al_loop.system import stopping

#: opens a progress bar (name, number of steps); its value is called after each step, with a detail to show
ProgressBar = Callable[[str, int], AbstractContextManager[Callable[..., None]]]
#: makes the samplers for E-steps from the config and the observations
MakeSamplers = Callable[[LatentConfig, Observations], SamplerGroup]


def fit_file(
    config: LatentConfig,
    data: str | Path,
    output: str | Path,
    *,
    bar: ProgressBar,
    report: Callable[[str], None],
    samplers: MakeSamplers | None = None,
) -> Result:
    """Fit the model of a config to a file, and write it.

    The state after each round is in ``OUTPUT.checkpoint`` until the fit is complete; a fit that was interrupted resumes
    there, bit for bit.

    Args:
        config: the config.
        data: a file of observations; see ``read_data``.
        output: the file to write.
        bar: shows progress.
        report: receives lines of text about the fit.
        samplers: makes the samplers for E-steps; None: one in this process.

    Raises:
        ConfigError: the data do not suit the model, a checkpoint belongs to another fit, or a file cannot be written.
    """
    torch.set_num_threads(config.resources.threads)
    model, em = build_model(config.latent), config.em
    x = read_data(data, model)
    report(counted(len(x), "observation"))
    model.initialise(x, torch.Generator().manual_seed(derive_seed(config.seed, "model")))
    group = None if samplers is None else samplers(config, Observations(model, x))
    try:
        try:
            alternation = Alternation(model, x, em, config.seed, group)
        except ValueError as error:
            raise ConfigError(f"em.{error}") from None
        checkpoint = Checkpoint(f"{output}.checkpoint", config.fingerprint, x)
        if checkpoint.load(alternation):
            report(f"resuming after round {alternation.n_rounds} of {em.rounds}, from {checkpoint.path}")
        sinks = Sinks([build("sink", part) for part in config.sinks], report)
        sinks.begin(config.name, checkpoint.key, config.model_dump(mode="json"))
        status, rounds = "stopped", []
        try:
            with bar("fitting", em.rounds - alternation.n_rounds) as advance:
                while alternation.n_rounds < em.rounds:
                    stopping.look()
                    done = alternation.round()
                    rounds.append(done)
                    checkpoint.save(alternation)
                    sinks.log(done.number, metrics_of(done))
                    advance(f"loss {done.loss:.3g}")
                    if done.report is not None:
                        report(describe(done, em.rounds))
            status = "finished"
        finally:
            sinks.end("finished" if status == "finished" else "stopped")
        posterior = alternation.posterior
        last = (rounds[-1].report if rounds else None) or alternation.report()
        metadata = {"data": Path(data).name, "n": len(x), "rounds": alternation.n_rounds, "seed": config.seed}
        save(output, posterior, config.latent, {**metadata, "bound": last.bound, "log_likelihood": last.log_likelihood})
        checkpoint.path.unlink(missing_ok=True)
        return Result(model, posterior, rounds)
    finally:
        if group is not None:
            group.close()


def metrics_of(done: Round) -> dict[str, float]:
    """Return the figures of a round by name."""
    figures: dict[str, float] = {"loss": done.loss, "e_steps": done.n_e_steps, "moved": done.accepted}
    if done.report is not None:
        figures |= {name: float(value) for name, value in vars(done.report).items() if name != "is_kl_exact"}
    return figures


def describe(done: Round, n_rounds: int) -> str:
    """Return a line of text about a round with a report.

    Args:
        done: the round.
        n_rounds: number of rounds of the fit.
    """
    figures = done.report
    assert figures is not None
    exact = ""
    if figures.log_likelihood == figures.log_likelihood:
        kind = "" if figures.is_kl_exact else " at most"
        exact = f", log-likelihood {figures.log_likelihood:.4f}, KL of the posterior{kind} {figures.kl:.4f}"
    return (
        f"round {done.number} of {n_rounds}: {done.n_e_steps} E-steps, loss {done.loss:.3g}, bound {figures.bound:.4f}"
        f"{exact}, effective sample size {figures.effective:.0%}"
    )
