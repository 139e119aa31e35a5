"""The searches around good objects."""

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.gflownet import Training
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.reward import Reward
from al_loop.gflownet.searches.base import Parents, SearchContext
from al_loop.gflownet.searches.delta_conservative import DeltaConservative
from al_loop.gflownet.searches.genetic import Genetic, crossover
from al_loop.gflownet.searches.local_search import LocalSearch
from al_loop.gflownet.trainer import Trainer

WORDS = Sequences("ACGU", 10)
A, C = WORDS.encode(["A" * 10]), WORDS.encode(["C" * 10])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def walker(environment=WORDS):
    torch.manual_seed(0)
    return SearchContext(environment, make_policy(environment, 8, 1))


def children(search, states, uncertainty=None, environment=WORDS):
    found = search.propose(walker(environment), Parents(states, uncertainty), generator())
    assert len(found) == len(states)
    return environment.decode(found.terminal)


@pytest.mark.parametrize(("back", "kept"), [(0.3, 7), (0.5, 5), (1.0, 0)])
def test_local_search_keeps_the_first_steps_and_changes_the_last(back, kept):
    words = children(LocalSearch(back), A.repeat(50, 1))
    assert all(word[:kept] == "A" * kept for word in words)
    assert len({word[kept:] for word in words}) > 30


@pytest.mark.parametrize("search", [LocalSearch(), DeltaConservative(), Genetic()])
@pytest.mark.parametrize("environment", [Sets(8, 4, 1), Sequences("AC", 5, 2), Fragments(max_fragments=4)])
def test_children_are_objects_of_the_space(search, environment):
    from al_loop.gflownet.rollout import rollout

    parents = rollout(environment, None, 8, generator=generator()).terminal
    objects = children(search, parents, environment=environment)
    assert environment.decode(environment.encode(objects)) == objects


def test_delta_conservative_search_stays_nearer_where_the_surrogate_is_unsure():
    n = 400
    unsure = torch.tensor([0.0, 1.0, 100.0]).repeat_interleave(n)
    words = children(DeltaConservative(0.5, shrink=0.3, least=0.1), A.repeat(3 * n, 1), unsure)
    left = torch.tensor([float(sum(letter != "A" for letter in word)) for word in words]).view(3, n).mean(1)
    chance = left[0] / 0.5  # letters that the policy would change, of ten
    torch.testing.assert_close(left / chance, torch.tensor([0.5, 0.2, 0.1]), atol=0.03, rtol=0)


def test_crossover_joins_the_start_of_one_and_the_end_of_another():
    crossed = WORDS.decode(crossover(WORDS, A.repeat(100, 1), C.repeat(100, 1), generator()))
    assert all(word == "A" * word.count("A") + "C" * word.count("C") for word in crossed)
    assert len(set(crossed)) == 10


def test_an_environment_may_cross_by_itself():
    environment = Fragments(max_fragments=4, min_fragments=1)
    a, b = environment.encode(["c1ccc(-c2ccccn2)cc1"]), environment.encode(["C1CCNCC1"])
    crossed = set(environment.decode(crossover(environment, a.repeat(50, 1), b.repeat(50, 1), generator())))
    assert len(crossed) > 3
    assert any("N" in s and "c" in s for s in crossed)


def test_mutation_is_the_share_of_random_letters():
    words = children(Genetic(mutation=0.2), A.repeat(500, 1))
    changed = sum(10 - word.count("A") for word in words) / 5000
    assert changed == pytest.approx(0.2 * 0.75, abs=0.02)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LocalSearch(back=0),
        lambda: DeltaConservative(delta=0.1, least=0.2),
        lambda: Genetic(mutation=2),
        lambda: LocalSearch(size=0),
        lambda: LocalSearch(size=2.5),
        lambda: Genetic(rounds=True),
        lambda: DeltaConservative(shrink=float("nan")),
        lambda: LocalSearch(accept="mh"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match=r"^(back|least|mutation|size|rounds|shrink|accept): "):
        make()


def test_metropolis_hastings_requires_a_policy():
    search = LocalSearch(accept="metropolis_hastings")
    with pytest.raises(ValueError, match=r"^accept: metropolis_hastings compares .*; use better$"):
        search.move(SearchContext(WORDS, None), Parents(A), generator())


def count_a(objects):
    return torch.tensor([2.0 * o.count("A") for o in objects])


def visited_best(searches, steps=30):
    seen = []

    def reward(objects):
        seen.extend(objects)
        return count_a(objects)

    settings = Training(batch_size=8, replay_size=0, hidden=8, lr=1e-5, searches=searches)
    trainer = Trainer(WORDS, reward, settings, seed=1)
    for _ in range(steps):
        trainer.step()
    return sorted((o.count("A") for o in seen), reverse=True)[:20], len(seen)


@pytest.mark.parametrize("search", [LocalSearch(0.3, 8), Genetic(0.1, 8)])
def test_searches_find_better_objects_than_as_many_draws_of_the_policy(search):
    found, n = visited_best((search,))
    drawn, m = visited_best((), steps=60)
    assert n < m
    assert sum(found) > sum(drawn) + 5


def test_rounds_go_on_from_the_better_of_parent_and_child():
    found, _ = visited_best((LocalSearch(0.3, 4, rounds=3),))
    once, _ = visited_best((LocalSearch(0.3, 4),))
    assert sum(found) > sum(once)


def test_delta_conservative_search_starts_from_what_was_measured():
    learner = Learner(WORDS, Training(searches=(DeltaConservative(size=4), LocalSearch(size=3))), seed=0)
    assert learner.jobs(0) == []
    assert learner.remember(["A" * 10, "not a word", "C" * 10], count_a) == 2
    (job,) = learner.jobs(0)
    assert isinstance(job.search, DeltaConservative)
    assert set(job.parents.keys) <= {"A" * 10, "C" * 10}
    assert len(job.parents.keys) == 4


class Sure(Reward):
    """A reward whose model says how unsure it is."""

    def __init__(self):
        self.asked = []

    def __call__(self, objects):
        return count_a(objects)

    def uncertainty(self, objects):
        self.asked += objects
        return torch.zeros(len(objects))


def test_the_rewards_uncertainty_is_asked_about_the_parents():
    reward = Sure()
    trainer = Trainer(WORDS, reward, Training(searches=(DeltaConservative(size=4),), hidden=8, batch_size=4))
    trainer.learner.remember(["A" * 10], reward)
    trainer.step()
    assert reward.asked == ["A" * 10] * 4
