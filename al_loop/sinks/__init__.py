"""Sinks: destinations of a campaign's metrics while it runs.

- ``base``: the base class
- ``jsonl``, ``mlflow``, ``wandb``: a file of JSON lines, MLflow, Weights & Biases
- ``_sinks``: distribution to several sinks, each in its own thread
"""

from al_loop.sinks._sinks import Sinks
from al_loop.sinks.base import Sink, Status

__all__ = ["Sink", "Sinks", "Status"]
