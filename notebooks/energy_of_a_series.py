# %% [markdown]
# # An energy of a series of molecules
#
# A data set instead of a reward: learn a score of molecules like those of a series, and a sampler of new ones. To use
# your own series, set the environment variable `AL_LOOP_SERIES` to a file of SMILES, or change the path below; without
# one, the notebook makes up a series. `AL_LOOP_STEPS` is the number of training steps.

# %%
import os
from pathlib import Path

import torch

from al_loop import energy
from al_loop.config import build
from al_loop.config.plugins import Part
from al_loop.datafiles.object_lists import read_objects
from al_loop.features.morgan import Morgan
from al_loop.gflownet.rollout import rollout

steps = int(os.environ.get("AL_LOOP_STEPS", "300"))
series_file = os.environ.get("AL_LOOP_SERIES", "")
space = {"kind": "fragments", "vocabulary": "zinc", "max_fragments": 4, "max_atoms": 24}

# %% [markdown]
# ## The series
#
# Made up: molecules with a piperazine. A real one would be the actives of a project.

# %%
environment = build("environment", Part(**space))
if series_file:
    series = read_objects(Path(series_file))
else:
    drawn = rollout(environment, None, 3000, generator=torch.Generator().manual_seed(0)).terminal
    series = [smiles for smiles in dict.fromkeys(environment.decode(drawn)) if "CCN" in smiles and "N" in smiles][:300]
print(f"{len(series)} molecules, such as {series[0]}")

# %% [markdown]
# ## Learn
#
# First a policy is trained by maximum likelihood (`base_steps`); from there, the energy and its sampler are trained
# together. The report of each evaluation has the held-out likelihoods of energy and sampler; see
# docs/explanation/energies.md.

# %%
model = energy.learn(
    space,
    series,
    features={"kind": "morgan", "n_bits": 512},
    energy={"kind": "mlp", "hidden": 64, "layers": 2},
    sampler={"hidden": 64, "layers": 2},
    base_steps=2 * steps,
    steps=steps,
    lr=1e-3,
    batch_size=32,
    data_batch=32,
    validations=4,
    patience=3,
    monitor=energy.Monitor(report=print),
)

# %% [markdown]
# ## Score
#
# The series against random molecules of the same space: the share of pairs in which the molecule of the series has the
# higher score (the area under the ROC curve).

# %%
others = rollout(environment, None, 300, generator=torch.Generator().manual_seed(1)).terminal
of_series, of_others = model.score(series), model.score(environment.decode(others))
of_series, of_others = of_series[~of_series.isnan()], of_others[~of_others.isnan()]
print(f"AUC {float((of_series[:, None] > of_others[None, :]).double().mean()):.2f}")

# %% [markdown]
# ## Draw
#
# New molecules, their novelty, and their similarity to the nearest of the series.

# %%
new = model.draw(200, seed=1)
print(f"{sum(smiles not in set(series) for smiles in new) / len(new):.0%} of the draws are new")
morgan = Morgan()
nearest = morgan.similarity(morgan(new), morgan(series)).max(dim=1).values
print(f"mean Tanimoto similarity to the nearest of the series: {float(nearest.mean()):.2f}")
for smiles in new[:5]:
    print(smiles)

# %% [markdown]
# ## Use it in a campaign
#
# Save the model, and add to the campaign's config
# `reward: {energy: {file: energy.pt, weight: 1.0}}` and `rounds: {initial_from: energy}`.

# %%
path = Path(os.environ.get("AL_LOOP_ENERGY", "energy.pt"))
model.save(path)
print(f"saved {path}: log Z {model.log_z:.2f} +- {model.log_z_error:.2f}")
