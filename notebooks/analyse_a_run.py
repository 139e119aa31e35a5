# %% [markdown]
# # Analyse a run
#
# What a campaign measured, how far it got, and how well its model predicted. To open your run, set the environment
# variable `AL_LOOP_RUN` or change the path below. The notebook also works while the campaign is running, and never
# changes the ledger. The two figures are saved in the run directory (or in `AL_LOOP_FIGURES`).

# %%
import os
from pathlib import Path

import pandas as pd

from al_loop import open_run

pd.set_option("display.width", 160, "display.max_columns", 12, "display.max_colwidth", 60)
run = open_run(os.environ.get("AL_LOOP_RUN", "runs/quickstart"))
figures = Path(os.environ.get("AL_LOOP_FIGURES", run.path if Path(run.path).is_dir() else "."))
run

# %% [markdown]
# ## Status

# %%
status = run.status()
print(f"{status.name}: {status.state}, {status.closed_rounds} rounds closed, {status.calls} oracle calls")
print(f"{status.answered} answers, {status.failed} of them failures; {status.pending} objects are pending")

# %% [markdown]
# ## The best objects
#
# In the oracle's unit, best first, whether high or low values are better.

# %%
best = run.best(10)
value = best.columns[2]  # the first objective, by its name
print(best[["object", value, "round", "predicted_mean", "predicted_std"]].to_string())

# %% [markdown]
# ## Progress
#
# Each dot is one measurement, coloured by its round; red ticks at the bottom are failures. Grey dots are the random
# first batch, which later rounds should surpass.

# %%
progress = run.plot_progress()
progress.savefig(figures / "progress.png", dpi=150)
progress

# %% [markdown]
# ## Calibration
#
# Each object's value was predicted before it was measured. Points near the dashed line were predicted well; about two
# thirds of the error bars should cross it. A high rank correlation means that the model ranks objects correctly.

# %%
calibration = run.plot_calibration()
calibration.savefig(figures / "calibration.png", dpi=150)
calibration

# %% [markdown]
# ## Round by round
#
# What each round proposed and measured, its metrics, and where the time went.

# %%
rounds = run.rounds
report = rounds.loc[
    :, [c for c in rounds.columns if not c.startswith(("seconds_", "info.", "opened", "closed", "seed"))]
]
print(report.T.to_string())

# %%
seconds = rounds.filter(like="seconds_").rename(columns=lambda name: name.removeprefix("seconds_"))
print(seconds.round(1).to_string())

# %% [markdown]
# ## Failures and their reasons

# %%
failures = run.evaluations.dropna(subset=["failure"])
print(failures.groupby(["failure", "reason"]).size().to_string() if len(failures) else "no failures")

# %% [markdown]
# ## Your own question
#
# `run.evaluations`, `run.candidates` and `run.rounds` are plain pandas DataFrames. For example: is the oracle slowing
# down, and how many candidates came from the sampler, how many were random?

# %%
evaluations = run.evaluations
print(evaluations.groupby("round")["seconds"].describe()[["count", "mean", "max"]].round(2).to_string())
print(run.candidates["origin"].value_counts().to_string())
