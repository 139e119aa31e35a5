"""Training in one process, for any reward, independent of a campaign."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.local_replicas import LocalReplicas
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.reward import AnyReward
from al_loop.gflownet.sampler import Sampler
from al_loop.gflownet.saved_state import check_entries
from al_loop.gflownet.scoring import Scorer
from al_loop.gflownet.settings import TrainingSettings
from al_loop.seeding import derive_seed
from al_loop.system import stopping
from al_loop.system.checks import whole_number


class Trainer:
    """A learner and a sampler that shares its weights.

    The reward can be replaced between any two steps (``set_reward``), so that it can itself be learned.

    Args:
        environment: the space of objects.
        log_reward: a function of objects that returns n log-rewards, a ``Reward``, or a ``StateReward``.
        training: the settings; None: the defaults.
        seed: seed of the weights and of every draw.
        policy: the policy network; None: the environment's default policy.
        prior: weights of a policy trained on data; see ``Learner``.
        scorer: scores what is drawn, such as a ``ParallelScorer``; None: in this process.
        replicas: number of processes that share each batch, each on a GPU of its own if there are enough; see
            ``replicas``. With more than one, ``close`` ends the others.
    """

    def __init__(
        self,
        environment: Environment,
        log_reward: AnyReward,
        training: TrainingSettings | None = None,
        *,
        seed: int = 0,
        policy: Policy | None = None,
        prior: Mapping[str, Tensor] | None = None,
        scorer: Scorer | None = None,
        replicas: int = 1,
    ) -> None:
        whole_number("replicas", replicas, 1)
        self.training = training or TrainingSettings()
        self._seed = seed
        others = LocalReplicas(replicas) if replicas > 1 else None
        self.learner = Learner(environment, self.training, seed, policy, prior, others)
        self.sampler = Sampler(
            environment,
            self.learner.sampling_policy,
            self.training.conditioning,
            self.training.backward,
            self.training.dtype,
            scorer,
            self.learner.execution,
            self.training.uses_tf32,
        )
        self.n_steps = 0
        self.set_reward(log_reward)

    @property
    def policy(self) -> Policy:
        """The policy that draws."""
        return self.learner.sampling_policy

    def set_reward(self, log_reward: AnyReward) -> None:
        """Set a new reward for the following steps, and rescore the replay."""
        self.sampler.set_reward(log_reward)
        self.learner.start(log_reward)

    def step(self) -> float:
        """Draw, make the gradient steps of the draw, and return the mean loss of its trajectories."""
        number, training = self.n_steps, self.training
        draw = self.sampler.draw(
            training.batch_size * training.updates,
            seed=derive_seed(self._seed, "draw", number),
            epsilon=training.epsilon,
            temperature=training.temperature,
            jobs=self.learner.jobs(derive_seed(self._seed, "parents", number)),
            per_condition=training.per_condition,
        )
        loss = self.learner.updates(draw, seed=derive_seed(self._seed, "replay", number))
        self.n_steps += 1
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the complete state, from which ``load_state_dict`` resumes bit for bit on the same device."""
        return {"learner": self.learner.state_dict(), "n_steps": self.n_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by ``state_dict``.

        Raises:
            Exception: the state does not fit, see ``Learner.load_state_dict``.
        """
        check_entries(state, ("learner", "n_steps"), "Trainer.state_dict")
        whole_number("state: n_steps", state["n_steps"], 0)
        self.learner.load_state_dict(state["learner"])
        self.n_steps = state["n_steps"]

    def close(self) -> None:
        """End the other processes, if there are any."""
        self.learner.close()
        self.sampler.close()


def train(
    environment: Environment,
    log_reward: AnyReward,
    training: TrainingSettings | None = None,
    *,
    seed: int = 0,
    policy: Policy | None = None,
    prior: Mapping[str, Tensor] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> tuple[Learner, Sampler]:
    """Train a sampler for any reward.

    Args:
        environment: the space of objects.
        log_reward: a function of objects that returns n log-rewards, a ``Reward``, or a ``StateReward``.
        training: the settings; None: the defaults.
        seed: seed of the weights and of every draw.
        policy: the policy network; None: the environment's default policy.
        prior: weights of a policy trained on data; see ``Learner``.
        on_step: called after each step with its number and its loss.

    Returns:
        The learner (weights, log Z) and a sampler with its final weights.

    Raises:
        ValueError: the settings cannot be combined, or a log-reward is not valid.
    """
    trainer = Trainer(environment, log_reward, training, seed=seed, policy=policy, prior=prior)
    for step in range(trainer.training.steps):
        stopping.look()
        loss = trainer.step()
        if on_step is not None:
            on_step(step, loss)
    return trainer.learner, trainer.sampler
