"""Devices by their names."""

import pytest
import torch

from al_loop.gflownet.device import find_device


def test_the_cpu_is_always_available():
    assert find_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:77", "abacus", "meta"])
def test_a_device_that_is_not_available_is_named(name):
    with pytest.raises(ValueError, match=f"device: '{name}' is not available .*'cpu' always is"):
        find_device(name)
