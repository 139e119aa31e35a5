"""Saved states of trainings that cannot be gone on from."""

from __future__ import annotations

import io
import math

import pytest
import torch

from al_loop.gflownet.saved_state import read_state


def saved(weight: float) -> bytes:
    buffer = io.BytesIO()
    torch.save({"policy": {"w": torch.tensor([1.0, weight])}, "replay": torch.tensor([-math.inf])}, buffer)
    return buffer.getvalue()


def test_finite_weights_are_read_whatever_the_replay_has() -> None:
    assert read_state(saved(2.0), "cpu", ("policy",))["policy"]["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="policy are not finite"):
        read_state(saved(weight), "cpu", ("policy", "absent"))
