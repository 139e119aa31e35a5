"""GFlowNets: samplers that draw objects in proportion to a reward. They need torch and numpy alone.

- ``settings``: ``TrainingSettings``, of which ``Training`` is the old name.
- ``trainer``: training in one process, for any reward. ``pipeline``: samplers that draw while the learner learns.
- ``learner``: owns the weights. ``sampler``: draws and scores trajectories. ``reward``: what they are trained on.
- ``rollout``: trajectories, forwards and backwards. ``trajectory_terms``: their log-probabilities and flows.
- ``replay``, ``conditioning``, ``losses``, ``unique_rows``, ``device``: what these consist of.
- ``pretraining``, ``priors``: policies trained on data, and their files.
- ``exact_distribution``: the truth on small spaces.
- ``objectives``, ``policies``, ``searches``: parts that a config names.
"""

from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.reward import Reward, StateReward
from al_loop.gflownet.sampler import Sampler
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.trainer import Trainer, train

#: the old name of ``TrainingSettings``
Training = TrainingSettings

__all__ = [
    "Conditioning",
    "Learner",
    "Reward",
    "Sampler",
    "StateReward",
    "Trainer",
    "Training",
    "TrainingSettings",
    "train",
]
