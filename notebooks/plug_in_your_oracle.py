# %% [markdown]
# # Plug in your oracle
#
# An oracle is whatever measures an object. Here it grows from a function of three lines to one with noise, failures,
# two values and a program in another language; each is used in a small campaign. The objects are peptides, so that
# every cell takes seconds; for molecules only the environment changes.

# %%
import tempfile
from pathlib import Path

import pandas as pd

import al_loop
from al_loop import Failure, Objective, Outcome

pd.set_option("display.width", 120, "display.max_columns", 10)
work = Path(tempfile.mkdtemp())
CONFIG = {
    "environment": {"kind": "sequence", "alphabet": "ADEGKLNRSW", "length": 6},
    "rounds": {"initial": 8, "batch_size": 6, "count": 2},
    "sampler": {"steps": 20, "batch_size": 32, "pool": 128},
    "evaluation": {"workers": 1},
}

# %% [markdown]
# ## A function
#
# It takes one object and returns a number. It may be defined in a cell: workers receive it by value.


# %%
def charge(peptide):
    return sum(peptide.count(letter) for letter in "KR") - sum(peptide.count(letter) for letter in "DE")


campaign = al_loop.campaign(CONFIG, oracle=charge, run_dir=work / "charge", quiet=True)
campaign.run()
campaign.best(3)

# %% [markdown]
# ## An oracle that fails for some objects, and knows how sure it is
#
# An exception is recorded as that object's failure, and the campaign goes on. `Outcome` says more: noise, cost, further
# information. With `reward.feasibility` a classifier learns which objects fail, so that they are avoided.


# %%
def assay(peptide):
    if "W" in peptide:
        return Outcome(failure=Failure("invalid", "tryptophan quenches the signal"))
    return Outcome(values=(peptide.count("K") + 0.5 * peptide.count("LK"),), noise=(0.1,), cost=2.5)


campaign = al_loop.campaign({**CONFIG, "reward": {"feasibility": 1}}, oracle=assay, run_dir=work / "assay", quiet=True)
campaign.run()
failed = campaign.record.failures
print(f"{len(failed)} of {len(campaign.evaluations)} failed: {', '.join(failed['reason'].unique())}")
campaign.best(3)

# %% [markdown]
# ## Several values
#
# Name them with their directions; the campaign then looks for the front of trade-offs.


# %%
def two_values(peptide):
    return {"helix": peptide.count("A") + peptide.count("L"), "charge": abs(charge(peptide))}


campaign = al_loop.campaign(
    CONFIG,
    oracle=two_values,
    objectives=[Objective("helix"), Objective("charge", "e", "minimise")],
    run_dir=work / "two",
    quiet=True,
)
campaign.run()
campaign.record.front().head()

# %% [markdown]
# ## A program in any language
#
# It reads a table of objects and writes one of values. In a YAML file this is
# `oracle: {kind: command, command: [sh, "{here}/count.sh"], objectives: [glycines]}`; a service is `{kind: http, ...}`,
# a table of known values `{kind: table, ...}`, people are `{kind: human}`: see the page "Plugging in your oracle".

# %%
script = work / "count.sh"
script.write_text("""awk -F, 'NR == 1 { print "object,glycines" } NR > 1 { print $1 "," gsub(/G/, "", $1) }'""")
program = {"kind": "command", "command": ["sh", str(script)], "objectives": ["glycines"], "call_size": 8}
campaign = al_loop.campaign({**CONFIG, "oracle": program}, run_dir=work / "program", quiet=True)
campaign.run(1)
campaign.best(3)

# %% [markdown]
# ## Before the first call: is the campaign worth its price?
#
# `al_loop.plan` simulates the campaign on functions drawn from what is believed before anything is measured, or better
# from earlier measurements, here those of the first campaign. It never calls the oracle.

# %%
plan = al_loop.plan(
    {**CONFIG, "name": "charge", "oracle": program},
    goal="1%",
    calls=(10, 20, 40),
    simulations=8,
    pool=300,
    has_variants=False,
)
print(*plan.lines(), sep="\n")

# %% [markdown]
# Then look at a campaign in the notebook "Analyse a run" (`al-loop notebook RUN`), or as a page: `al-loop report RUN`.
