"""The contract of environments as tests: subclass ``EnvironmentContract`` in your own test file and run pytest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.state_checks import check_terminal_states
from al_loop.gflownet.trajectories import Trajectories


def _take(environment: Environment, states: Tensor, choices: Tensor, is_backward: bool = False) -> Tensor:
    """Return the result of ``step`` or ``backward_step``, after checking that the arguments are unchanged."""
    before, choices_before = states.clone(), choices.clone()
    moved = environment.backward_step(states, choices) if is_backward else environment.step(states, choices)
    name = "backward_step" if is_backward else "step"
    assert torch.equal(states, before), f"{name} changed its argument states"
    assert torch.equal(choices, choices_before), f"{name} changed its argument actions"
    assert moved.shape == states.shape, (
        f"{name} returned shape {tuple(moved.shape)} for states of shape {tuple(states.shape)}"
    )
    return moved


class EnvironmentContract:
    """Base class for the tests of one environment.

    Subclass it under a name that starts with ``Test``, implement ``make`` and fill ``invalid``::

        class TestMyEnvironment(EnvironmentContract):
            invalid = ("not in the space",)

            def make(self) -> Environment:
                return MyEnvironment()
    """

    #: objects outside the space, which ``encode`` must reject
    invalid: ClassVar[Sequence[str]] = ()
    #: number of random roll-outs that the tests examine
    n_rollouts: ClassVar[int] = 32
    #: largest number of state-action pairs that are tested
    n_pairs: ClassVar[int] = 2000
    #: whether the space is small enough (a few thousand states) to be enumerated
    is_small: ClassVar[bool] = False

    def make(self) -> Environment:
        """Return a new environment, built from the same arguments each time."""
        raise NotImplementedError(f"{type(self).__name__} must implement make()")

    def _rollouts(self, environment: Environment) -> Trajectories:
        return rollout(environment, None, self.n_rollouts, generator=torch.Generator().manual_seed(0))

    def _states(self, environment: Environment) -> Tensor:
        """Return the distinct states of the roll-outs."""
        states: Tensor = torch.unique(self._rollouts(environment).states.flatten(0, 1), dim=0)
        return states

    def _pairs(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and columns that a mask allows, at most ``n_pairs`` of them at random."""
        pairs = mask.nonzero()
        if len(pairs) > self.n_pairs:
            pairs = pairs[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(1))[: self.n_pairs]]
        return pairs[:, 0], pairs[:, 1]

    def test_shapes_are_as_declared(self) -> None:
        environment = self.make()
        states = self._states(environment)
        n = len(states)
        assert states.dtype == torch.int64
        assert states.shape == (n, environment.state_size)
        assert environment.initial(3).shape == (3, environment.state_size)
        assert not environment.is_terminal(environment.initial(3)).any(), "an initial state is terminal"
        for mask, width in (
            (environment.forward_mask(states), environment.n_actions),
            (environment.backward_mask(states), environment.n_backward_actions),
        ):
            assert mask.shape == (n, width)
            assert mask.dtype == torch.bool
        assert environment.is_terminal(states).shape == (n,)
        multiplicity = environment.log_multiplicity(states[environment.is_terminal(states)])
        assert torch.isfinite(multiplicity).all(), "log_multiplicity is not finite"

    def test_feature_index_is_where_features_are_one(self) -> None:
        environment = self.make()
        states = self._states(environment)
        index = environment.feature_index(states)
        if index is not None:
            ones = torch.zeros(len(states), environment.n_features).scatter_add(1, index, torch.ones(index.shape))
            assert torch.equal(ones, environment.features(states))

    def test_roll_outs_end_within_max_steps(self) -> None:
        environment = self.make()
        trajectories = self._rollouts(environment)  # raises if one does not end
        assert len(trajectories.actions) <= environment.max_steps
        assert environment.is_terminal(trajectories.terminal).all()

    def test_forward_masks_agree_with_is_terminal(self) -> None:
        environment = self.make()
        states = self._states(environment)
        assert torch.equal(environment.forward_mask(states).any(1), ~environment.is_terminal(states)), (
            "a terminal state must allow no action, any other at least one"
        )

    def test_backward_masks_agree_with_the_initial_state(self) -> None:
        environment = self.make()
        states = self._states(environment)
        is_initial = (states == environment.initial(1)).all(1)
        assert torch.equal(environment.backward_mask(states).any(1), ~is_initial), (
            "the initial state must allow no backward action, any other at least one"
        )

    def test_backward_step_undoes_step(self) -> None:
        environment = self.make()
        states = self._states(environment)
        row, action = self._pairs(environment.forward_mask(states))
        before = states[row]
        after = _take(environment, before, action)
        undo = environment.backward_action(before, action)
        is_allowed = environment.backward_mask(after).gather(1, undo[:, None])[:, 0]
        assert is_allowed.all(), (
            f"backward_mask forbids undoing action {int(action[~is_allowed][0])} of {before[~is_allowed][0].tolist()}"
        )
        back = _take(environment, after, undo, is_backward=True)
        differs = (back != before).any(1)
        assert not differs.any(), (
            f"action {int(action[differs][0])} of {before[differs][0].tolist()} is not undone by its backward action"
        )

    def test_finished_objects_are_taken_apart_and_built_again(self) -> None:
        environment = self.make()
        check_terminal_states(environment, self._rollouts(environment).terminal)

    def test_backward_steps_lead_where_forward_actions_lead_back(self) -> None:
        """Check that every backward step can be redone: some action leads back to the same object.

        An object may have several states. Since unfinished states cannot be decoded, it suffices for them that some
        child of the smaller state allows as many actions and backward actions as the state itself.
        """
        environment = self.make()
        states = self._states(environment)
        order = torch.randperm(len(states), generator=torch.Generator().manual_seed(3))
        states = states[order]
        row, undo = self._pairs(environment.backward_mask(states))
        row, undo = row[: self.n_pairs // 10], undo[: self.n_pairs // 10]
        after = states[row]
        before = _take(environment, after, undo, is_backward=True)
        forward = environment.forward_mask(before)
        assert forward.any(1).all(), "a backward step leads to a state that allows no action"
        for i in range(len(before)):
            actions = forward[i].nonzero()[:, 0]
            children = environment.step(before[i].expand(len(actions), -1), actions)
            children = children[environment.is_terminal(children) == environment.is_terminal(after[i : i + 1])]
            assert self._same_object(environment, children, after[i : i + 1]), (
                f"no action leads back to {after[i].tolist()} from {before[i].tolist()}"
            )

    def test_forward_action_redoes_a_backward_step(self) -> None:
        """Check that the action leads back to the state, or to another state of the same object."""
        environment = self.make()
        states = self._states(environment)
        row, undo = self._pairs(environment.backward_mask(states))
        after = states[row]
        before = _take(environment, after, undo, is_backward=True)
        states_before, choices_before = after.clone(), undo.clone()
        action = environment.forward_action(after, undo)
        assert torch.equal(after, states_before), "forward_action changed its argument states"
        assert torch.equal(undo, choices_before), "forward_action changed its argument backward_actions"
        assert action.shape == undo.shape
        is_allowed = environment.forward_mask(before).gather(1, action[:, None])[:, 0]
        assert is_allowed.all(), (
            f"forward_mask forbids action {int(action[~is_allowed][0])} in {before[~is_allowed][0].tolist()}"
        )
        again = _take(environment, before, action)
        for i in (again != after).any(1).nonzero()[:, 0].tolist():
            same_end = torch.equal(environment.is_terminal(again[i : i + 1]), environment.is_terminal(after[i : i + 1]))
            is_same = same_end and self._same_object(environment, again[i : i + 1], after[i : i + 1])
            assert is_same, (
                f"forward_action leads from {before[i].tolist()} to {again[i].tolist()}, not to {after[i].tolist()}"
            )

    def test_retrace_gives_forward_trajectories_of_backward_walks(self) -> None:
        environment = self.make()
        objects = environment.decode(self._rollouts(environment).terminal)
        terminal = environment.encode(objects)
        choices = self._backward_walks(environment, terminal)
        copies = terminal.clone(), choices.clone()
        states, actions = environment.retrace(terminal, choices)
        assert torch.equal(terminal, copies[0]), "retrace changed its argument states"
        assert torch.equal(choices, copies[1]), "retrace changed its argument backward_actions"
        assert states.shape == (len(choices) + 1, *terminal.shape)
        assert actions.shape == choices.shape
        assert (states[0] == environment.initial(1)).all(), "a trajectory must start in the initial state"
        assert torch.equal((actions >= 0).sum(0), (choices >= 0).sum(0)), "a trajectory is not as long as its walk"
        for before, after, action in zip(states[:-1], states[1:], actions, strict=True):
            is_step = action >= 0
            assert environment.is_terminal(before[~is_step]).all(), "a trajectory is over before its object is finished"
            assert torch.equal(after[~is_step], before[~is_step]), "a trajectory continues after it is over"
            before, after, action = before[is_step], after[is_step], action[is_step]
            assert environment.forward_mask(before).gather(1, action[:, None]).all(), "an action is not allowed"
            assert torch.equal(_take(environment, before, action), after), "an action does not lead to the next state"
        assert environment.is_terminal(states[-1]).all()
        assert environment.decode(states[-1]) == objects, "a trajectory ends in another object"

    def test_histories_are_those_of_walks(self) -> None:
        """Check that histories that are written down at once are the only ones, and those of backward walks."""
        environment = self.make()
        terminal = self._rollouts(environment).terminal
        found = environment.histories(terminal)
        if found is None:
            return
        choices = self._backward_walks(environment, terminal)[:-1]
        states, actions = environment.retrace(terminal, choices)
        for name, written, walked in (("states", found[0], states), ("actions", found[1], actions)):
            assert torch.equal(written, walked[: len(written)]), f"the {name} of histories are not those of a walk"
        assert torch.equal(found[0][-1], terminal), "histories do not end in their objects"
        assert (environment.backward_mask(states.flatten(0, 1)).sum(1) <= 1).all(), "an object has several histories"

    def _backward_walks(self, environment: Environment, states: Tensor) -> Tensor:
        """Return random backward actions to the initial state, shape T x n, -1 after the end of a walk.

        Each walk has its own length; the mask of the initial state ends it. All walks are over at T - 1.
        """
        generator = torch.Generator().manual_seed(4)
        choices = []
        for _ in range(environment.max_steps + 1):
            mask = environment.backward_mask(states)
            is_step = mask.any(1)
            undo = torch.multinomial((mask | ~is_step[:, None]).float(), 1, generator=generator)[:, 0]
            choices.append(torch.where(is_step, undo, -1))
            alive = is_step.nonzero()[:, 0]
            states = states.index_copy(0, alive, environment.backward_step(states[alive], undo[alive]))
        assert (choices[-1] < 0).all(), "a backward walk takes more than max_steps"
        return torch.stack(choices)

    def test_log_paths_adds_up_over_backward_actions(self) -> None:
        """Check that the number of ways to build a state is the sum over its parents."""
        environment = self.make()
        states = self._states(environment)
        try:
            log_paths = environment.log_paths(states)
        except ValueError:
            pytest.skip("the environment does not count the ways to build a state")
        assert log_paths.shape == (len(states),)
        assert log_paths.dtype == torch.float64
        assert environment.log_paths(environment.initial(2)).tolist() == [0, 0], (
            "there is one way to reach an initial state"
        )
        mask = environment.backward_mask(states)
        few = mask.cumsum(0).sum(1) <= self.n_pairs  # whole rows only
        states, log_paths, mask = states[few], log_paths[few], mask[few]
        row, undo = mask.nonzero(as_tuple=True)
        parents = environment.log_paths(environment.backward_step(states[row], undo))
        table = torch.full(mask.shape, -torch.inf, dtype=torch.float64)
        total = table.index_put((row, undo), parents).logsumexp(1)
        differs = mask.any(1) & ~torch.isclose(total, log_paths, rtol=1e-9, atol=1e-9)
        assert not differs.any(), (
            f"log_paths of {states[differs][0].tolist()} is {log_paths[differs][:1].tolist()}, "
            f"but its parents' sum is {total[differs][:1].tolist()}"
        )

    def test_small_spaces_are_reached_as_a_whole(self) -> None:
        """Check by enumeration that no probability is lost, and that states from ``encode`` can be reached."""
        if not self.is_small:
            pytest.skip("the space is too large to be enumerated (is_small)")
        environment = self.make()
        states, probabilities = terminal_distribution(environment, None)
        assert (probabilities > 0).all()
        assert abs(float(probabilities.sum()) - 1) < 1e-9, "the probabilities of the terminal states do not add up to 1"
        reached = set(map(tuple, states.tolist()))
        encoded = environment.encode(sorted(set(environment.decode(states)))).tolist()
        assert all(tuple(row) in reached for row in encoded), "encode returned a state that no actions lead to"

    def _same_object(self, environment: Environment, children: Tensor, state: Tensor) -> bool:
        if not len(children):
            return False
        if (children == state).all(1).any():
            return True
        if environment.is_terminal(state)[0]:
            return environment.decode(state)[0] in environment.decode(children)

        def summary(states: Tensor) -> Tensor:
            masks = environment.forward_mask(states), environment.backward_mask(states)
            return torch.stack([mask.sum(1) for mask in masks], 1)

        return bool((summary(children) == summary(state)).all(1).any())

    def test_encode_inverts_decode(self) -> None:
        environment = self.make()
        objects = environment.decode(self._rollouts(environment).terminal)
        states = environment.encode(objects)
        assert states.shape == (len(objects), environment.state_size)
        assert environment.is_terminal(states).all(), "encode must return terminal states"
        assert environment.decode(states) == objects
        assert all(environment.admits(objects)), "what actions build has what the environment requires of all objects"

    def test_encoded_states_are_reached_by_forward_actions(self) -> None:
        environment = self.make()
        states = environment.encode(environment.decode(self._rollouts(environment).terminal))
        generator = torch.Generator().manual_seed(2)
        for _ in range(environment.max_steps):
            mask = environment.backward_mask(states)
            alive = mask.any(1).nonzero()[:, 0]
            if not len(alive):
                break
            undo = torch.multinomial(mask[alive].float(), 1, generator=generator)[:, 0]
            states = states.index_copy(0, alive, environment.backward_step(states[alive], undo))
            assert environment.forward_mask(states).any(1).all(), "a backward step leads to a dead end"
        assert (states == environment.initial(1)).all(), "backward steps must end in the initial state"

    def test_decode_is_deterministic(self) -> None:
        environment, again = self.make(), self.make()
        states = self._rollouts(environment).terminal
        objects = environment.decode(states)
        assert environment.decode(states) == objects
        assert again.decode(states.flip(0)) == objects[::-1], "an object depends on the rest of the batch"

    def test_invalid_objects_raise(self) -> None:
        environment = self.make()
        for item in self.invalid:
            with pytest.raises(ValueError, match=r".{8}"):
                environment.encode([item])

    def test_steps_do_not_look_at_the_numbers(self) -> None:
        """Check that nothing is read back from the device, for example by ``item``, ``nonzero`` or a mask as an index.

        On a GPU, each of these waits for all pending work. Tensors on the device "meta" have no values to read.
        """
        environment = self.make()
        if environment.reads_from_device:
            pytest.skip("the environment says that it reads numbers back")
        states = environment.initial(4, "meta")
        assert states.device.type == "meta"
        actions = torch.zeros(4, dtype=torch.int64, device="meta")
        results = [
            environment.step(states, actions),
            environment.backward_step(states, actions),
            environment.backward_action(states, actions),
            environment.forward_action(states, actions),
            environment.forward_mask(states),
            environment.backward_mask(states),
            environment.is_terminal(states),
        ]
        if environment.n_features:
            results.append(environment.features(states))
        assert all(result.device.type == "meta" for result in results)

    def test_arguments_are_left_as_they_are(self) -> None:
        environment = self.make()
        states = self._states(environment)
        copy = states.clone()
        environment.forward_mask(states), environment.backward_mask(states), environment.is_terminal(states)
        terminal = states[environment.is_terminal(states)]
        finished = terminal.clone()
        environment.decode(terminal), environment.log_multiplicity(terminal)
        assert torch.equal(states, copy)
        assert torch.equal(terminal, finished)

    def test_empty_batches_are_allowed(self) -> None:
        environment = self.make()
        states = environment.initial(0)
        assert environment.forward_mask(states).shape == (0, environment.n_actions)
        assert environment.backward_mask(states).shape == (0, environment.n_backward_actions)
        assert environment.decode(states) == []
        assert environment.encode([]).shape == (0, environment.state_size)
        assert environment.log_multiplicity(states).shape == (0,)
        none = torch.zeros(0, dtype=torch.int64)
        assert environment.step(states, none).shape == states.shape
        assert environment.backward_step(states, none).shape == states.shape
        assert environment.forward_action(states, none).shape == (0,)
