# %% [markdown]
# # A lab in the loop
#
# No program measures; people do. The campaign hands out tables and takes them back, filled in. Nothing runs in between:
# close the notebook, come back next week, execute the same cells. Here a function stands for the lab, with replicates
# that vary, a plate that comes back half, a solubility limit and a failure.

# %%
import random
import tempfile
from pathlib import Path

import pandas as pd

import al_loop
from al_loop.analysis.outlook import outlook

pd.set_option("display.width", 140, "display.max_columns", 10)
folder = Path(tempfile.mkdtemp()) / "lab"
bench = random.Random(1)


def measured(peptide):
    """What the lab would read: an affinity that likes K and W next to each other, with noise."""
    return 4 + 0.6 * peptide.count("K") + 1.2 * peptide.count("KW") + bench.gauss(0, 0.1)


# %% [markdown]
# ## The first batch
#
# Without an oracle, the campaign asks. `objectives` names what the lab measures.

# %%
CONFIG = {
    "environment": {"kind": "sequence", "alphabet": "ADEGKLNRSW", "length": 6},
    "rounds": {"initial": 12, "batch_size": 8, "close_share": 0.75},
    "sampler": {"steps": 20, "batch_size": 32, "pool": 128},
}
lab = al_loop.campaign(CONFIG, objectives={"pKd": "maximise"}, run_dir=folder, quiet=True)
batch = lab.ask(12)
batch.head()

# %% [markdown]
# The same table as a file: `al-loop ask RUN -n 12 -o batch.xlsx`; back: `al-loop tell RUN batch.xlsx`.
#
# ## Half a plate comes back
#
# Blank cells stay pending. `<4.2` is a bound, from which the model learns as such; a reason in the column `failure` is
# a failure.

# %%
batch["pKd"] = [f"{measured(word):.2f}" for word in batch["object"]]
batch.loc[batch.index[0], "pKd"] = "<4.2"
batch.loc[batch.index[1], ["pKd", "failure"]] = ["", "precipitated"]
half = batch.copy()
half.loc[half.index[8:], "pKd"] = ""
lab.tell(half)
status = lab.record.status()
print(f"{status.answered} answers, {status.failed} failed, {status.pending} pending")

# %% [markdown]
# ## The rest, and a compound of a colleague
#
# `tell` takes objects that were never proposed (`extra=True`), and lists every row that it cannot understand before
# anything is recorded.

# %%
rest = batch.iloc[8:].copy()
lab.tell(rest)
lab.tell(pd.DataFrame({"object": ["AKWAKW"], "pKd": [f"{measured('AKWAKW'):.2f}"]}), extra=True)
try:
    lab.tell(pd.DataFrame({"object": ["AKWAKA"], "pKd": ["about five"]}), extra=True)
except al_loop.errors.ConfigError as error:
    print(error)

# %% [markdown]
# ## The next batch, and why
#
# The model has seen the first answers. Each proposal comes with its prediction, recorded before the answer.

# %%
batch = lab.ask(8)
batch[["object", "predicted_mean", "predicted_std"]]

# %%
batch["pKd"] = [f"{measured(word):.2f}" for word in batch["object"]]
lab.tell(batch)
lab.best(5)

# %% [markdown]
# ## Is another round worth it?
#
# The same recommendation stands on top of `al-loop report RUN`.

# %%
lab.ask(8)
run = al_loop.open_run(folder)
advice = outlook(run, run.status())
print(advice.headline)
print(*(f"- {reason}" for reason in advice.because), sep="\n")

# %% [markdown]
# ## A mistake is corrected, not erased
#
# The earlier value stays in the ledger as a revision.

# %%
best = lab.best(1).iloc[0]
lab.tell(pd.DataFrame({"object": [best["object"]], "pKd": [best["pKd"] - 0.2]}), correct="misread")
lab.best(1)[["object", "pKd"]]
