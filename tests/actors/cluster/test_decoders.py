"""Decoding by Ray tasks."""

from __future__ import annotations

import pytest

from al_loop.environments.fragments import Fragments
from al_loop.gflownet.parallel_scoring import ParallelScorer, Task


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_tasks_decode_as_this_process_does_and_raise_its_errors() -> None:
    from al_loop.actors.cluster.decoders import RayWorkers, cores_for_decoders

    environment = Fragments(max_fragments=3)
    smiles = ["Cc1ccccc1", "Cc1ccc(F)cc1", "COc1ccncc1"]
    states = environment.encode(smiles)
    workers = RayWorkers(environment, 2)
    scorer = ParallelScorer(environment, workers)
    assert scorer.decode(states) == environment.decode(states)
    scorer.set_reward(_n_fluorines)
    assert scorer.begin(states).result().log_reward.tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(IndexError):
        workers.submit(Task([[99] * states.shape[1]], [], None)).result()
    scorer.close()
    assert cores_for_decoders(1000) == 1 <= cores_for_decoders(1)


def _n_fluorines(objects: list[str]) -> object:
    import torch

    return torch.tensor([float(name.count("F")) for name in objects])
