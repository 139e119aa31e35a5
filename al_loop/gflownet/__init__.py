"""GFlowNets: policies, objectives, roll-outs, searches, training. Needs torch and numpy alone."""

from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.learner import Learner, Training
from al_loop.gflownet.sampler import Sampler, StateReward
from al_loop.gflownet.trainer import Trainer, train

__all__ = ["Conditioning", "Learner", "Sampler", "StateReward", "Trainer", "Training", "train"]
