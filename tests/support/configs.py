"""A small valid config, and the error messages of invalid ones."""

from pathlib import Path

import pytest

from al_loop.config import load_config
from al_loop.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))
BASE = """\
name: words
seed: 1
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle:
  target: my_module_of_oracles:count
sampler:
  steps: 5
  pool: 32
rounds: {batch_size: 4, initial: 4}
constraints:
  - {kind: gc_content, min: 0.2}
"""


def refused(path, overrides=()):
    """Return the message of the ConfigError that a config file raises."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)
