"""Energies learned from data, together with samplers that draw from them (EB-GFN, Zhang et al. 2022).

- ``learning``: ``learn``, the joint training with validation, early stop and checkpoints. ``settings``: its settings.
- ``trainer``: one step of it. ``negatives``: the objects whose score a step lowers. ``data``: data sets as states.
- ``report``: likelihoods, log Z and distances, exact for small spaces. ``model``: scores, draws and the file.
- ``energies``: the models, found by their kind. ``building``: the parts that a config names.
"""

from al_loop.energy.learning import Monitor, learn, learn_from_config
from al_loop.energy.model import EnergyModel, load
from al_loop.energy.settings import EnergySettings

__all__ = ["EnergyModel", "EnergySettings", "Monitor", "learn", "learn_from_config", "load"]
