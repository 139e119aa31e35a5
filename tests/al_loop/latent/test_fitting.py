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
