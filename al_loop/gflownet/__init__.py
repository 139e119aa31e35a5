"""GFlowNets: samplers that draw objects in proportion to a reward. They require only torch and numpy.

- ``settings``: ``TrainingSettings``, formerly ``Training``.
- ``trainer``: training in one process, for any reward. ``pipeline``: training in which sampling and learning overlap.
- ``learner``: the owner of the weights (``trained_weights``) and of what it trains on (``learner_sources``).
- ``batch_training``: its gradient steps, which several processes may share: ``replicas``, ``local_replicas``, ``team``.
- ``sampler``: drawing and scoring of trajectories. ``reward``: their rewards.
- ``trajectories``: batches of them. ``rollout``, ``backward_rollout``: their drawing, by actions that ``action_choice``
  picks. ``trajectory_terms``: their log-probabilities and flows.
- ``back_and_forth``: moves from object to object with their log-ratios, and Metropolis-Hastings acceptance.
- ``conditions``: the conditions of trajectories, in their start state (``conditioned``: environments under conditions)
  or of the reward (``conditioning``: temperature and preferences). ``log_z``: the learned total flow.
- ``sources``: objects to train on besides fresh draws: data sets, heaps for each condition, and the ``replay``.
- ``moving_average``, ``losses``, ``unique_rows``, ``device``: components of the above.
- ``pretraining``, ``priors``: policies trained on data, and their files.
- ``exact_distribution``: exact distributions on small spaces. ``evaluation``: measures of a sampler on large ones.
- ``objectives``, ``policies``, ``searches``: the exchangeable parts.
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
