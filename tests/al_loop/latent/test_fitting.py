"""Fits in Python resume from a checkpoint."""

import pytest
import torch

from al_loop.errors import ConfigError
from al_loop.latent import EM, Mixture, fit

POINTS = [[0.5, 1.0], [-1.0, 0.2], [2.0, 2.0]]
QUICK = EM(rounds=3, e_steps=2, batch_size=4, hidden=4, layers=1)


def test_an_interrupted_fit_resumes_bit_for_bit(tmp_path):
    def stop(done):
        if done.number == 2:
            raise KeyboardInterrupt

    whole = fit(Mixture(2, 2), POINTS, QUICK, seed=1)
    with pytest.raises(KeyboardInterrupt):
        fit(Mixture(2, 2), POINTS, QUICK, seed=1, checkpoint=tmp_path / "state", on_round=stop)
    with pytest.raises(ConfigError, match="another config or other data"):
        fit(Mixture(2, 2), POINTS, QUICK, seed=2, checkpoint=tmp_path / "state")
    resumed = fit(Mixture(2, 2), POINTS, QUICK, seed=1, checkpoint=tmp_path / "state")
    assert [done.number for done in resumed.rounds] == [3]
    assert torch.equal(resumed.model.centre, whole.model.centre)
    assert not (tmp_path / "state").exists()


def test_a_fit_from_other_parameters_does_not_resume(tmp_path):
    def stop(done):
        raise KeyboardInterrupt

    moved = Mixture(2, 2)
    with torch.no_grad():
        moved.centre += 1.0
    options = {"seed": 1, "initialise": False, "checkpoint": tmp_path / "state"}
    with pytest.raises(KeyboardInterrupt):
        fit(Mixture(2, 2), POINTS, QUICK, on_round=stop, **options)
    with pytest.raises(ConfigError, match="another config or other data"):
        fit(moved, POINTS, QUICK, **options)
    assert fit(Mixture(2, 2), POINTS, QUICK, **options).rounds[-1].number == 3
