"""Tuning a language model with samplers on Ray: adapters travel, and the result is that of one process."""

import copy

import pytest
import ray
import torch

from al_loop.actors.cluster.language import language_samplers
from al_loop.cli.terminal import progress_bar
from al_loop.language.config import load_language_config
from al_loop.language.task import tune_file
from al_loop.language_models.loading import load_language_model
from tests.support.language import tiny_model
from tests.support.local_ray import start_ray

pytest.importorskip("peft")

CONFIG = """
model: model.pt
prompts: [ab, c]
reward: {kind: continuation, temperature: {start: 2.0, end: 1.0, steps: 4}}
tune: {steps: 6, batch_size: 8, max_tokens: 3, lora: 2, staleness: STALENESS, report_every: 6}
resources: {sampler: {count: 2, num_cpus: 1}}
"""


@pytest.mark.slow
def test_samplers_on_ray_draw_what_one_process_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy.deepcopy(load_language_model(tiny_model())).save(tmp_path / "model.pt")
    start_ray()
    try:
        for staleness in (0, 2):
            (tmp_path / "language.yaml").write_text(CONFIG.replace("STALENESS", str(staleness)))
            config = load_language_config(tmp_path / "language.yaml")
            lines = []
            tuned = [
                tune_file(config, tmp_path / f"{name}.pt", bar=progress_bar, report=lines.append, samplers=samplers)
                for name, samplers in (("ray", language_samplers(config)), ("inline", None))
            ]
            assert len([line for line in lines if not line.startswith("staleness")]) == 2
            if staleness == 0:
                drawn = [sampler.draw("ab", 20).log_prob for sampler in tuned]
                assert torch.allclose(*drawn, atol=1e-5)
    finally:
        ray.shutdown()
