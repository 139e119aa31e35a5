"""Maximum likelihood on data sets whose best likelihood is known."""

import math

import pytest
import torch

from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.errors import ConfigError
from al_loop.gflownet import Conditioning, pretraining
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.policies.transformer import TransformerPolicy
from al_loop.gflownet.pretraining import PretrainingSettings, encode_objects, pretrain
from al_loop.gflownet.rollout import rollout

WORDS = Sequences("ACGU", 4)
#: twice the same two letters, the first of which is A or C: 8 words
DATA = [pair * 2 for pair in ("AA", "AC", "AG", "AU", "CA", "CC", "CG", "CU")]


def made(environment=WORDS, kind=TransformerPolicy, seed=0, **settings):
    torch.manual_seed(seed)
    return kind(environment, 16, 2, **settings)


@pytest.mark.parametrize("kind", [TransformerPolicy, MLPPolicy])
def test_the_likelihood_of_words_becomes_the_best_there_is(kind):
    policy = made(kind=kind)
    losses = []
    settings = PretrainingSettings(steps=150, lr=1e-2, batch_size=32)
    found = pretrain(WORDS, DATA * 10, policy, settings, on_step=lambda step, loss: losses.append(loss))
    assert (found.n_train, found.n_validation, found.n_skipped) == (72, 8, 0)
    assert len(losses) == 150
    assert losses[0] > 1.5 * losses[-1]
    assert found.validation_nll == pytest.approx(math.log(8), abs=0.25)
    assert found.validation[0][1] > found.validation_nll
    p = object_distribution(WORDS, policy)
    assert sum(p[word] for word in DATA) > 0.9
    drawn = WORDS.decode(rollout(WORDS, policy, 200, generator=torch.Generator().manual_seed(0)).terminal)
    assert sum(word in DATA for word in drawn) > 170


@pytest.mark.parametrize(("n", "held_out"), [(5, 4), (10, 5)])
def test_no_more_objects_are_held_out_than_tell_anything(n, held_out, monkeypatch):
    monkeypatch.setattr(pretraining, "MOST_HELD_OUT", 5)
    found = pretrain(WORDS, DATA * n, made(), PretrainingSettings(steps=2))
    assert (found.n_train, found.n_validation) == (8 * n - held_out, held_out)


def test_the_weights_that_are_kept_are_those_with_the_best_validation():
    policy = made()
    # far too long for so little: the last weights know these words by heart
    settings = PretrainingSettings(steps=60, lr=1e-2, validation=0.25)
    found = pretrain(WORDS, ["AAAA", "CCCC", "GGGG", "ACGU"], policy, settings)
    assert found.step < 60
    assert found.validation_nll == dict(found.validation)[found.step]
    assert found.validation[-1][1] > found.validation_nll


@pytest.mark.parametrize("backward", ["uniform", "maximum_entropy"])
def test_objects_with_many_histories_are_learned(backward):
    environment = Sets([str(i) for i in range(6)], size=3)
    data = [environment.decode(environment.encode([name]))[0] for name in ("0,1,2", "1,2,3", "2,3,4")]
    policy = made(environment, MLPPolicy)
    pretrain(environment, data, policy, PretrainingSettings(steps=200, lr=1e-2, validation=0, backward=backward))
    p = object_distribution(environment, policy)
    assert all(p[name] == pytest.approx(1 / 3, abs=0.1) for name in data)


def test_the_same_seed_learns_the_same():
    a, b, c = made(), made(), made()
    for policy, seed in ((a, 1), (b, 1), (c, 2)):
        pretrain(WORDS, DATA, policy, PretrainingSettings(steps=5), seed=seed)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))


def test_conditions_and_heads_are_trained():
    policy = made(n_conditions=1, heads=3)
    settings = PretrainingSettings(steps=80, lr=1e-2, validation=0)
    pretrain(WORDS, DATA, policy, settings, conditioning=Conditioning(beta=(1.0, 4.0)))
    told = Context(torch.tensor([[-1.0], [0.0], [1.0]]), torch.arange(3))
    p = policy.forward_logits(WORDS.initial(3), told)[:, :4].softmax(1)
    assert (p[:, :2].sum(1) > 0.95).all()


def test_what_is_not_in_the_space_is_counted():
    seen = []
    encoded = encode_objects(WORDS, ["ACGU", "ACG", "XXXX", "UUUU"], lambda: seen.append(1))
    assert (len(encoded.states), encoded.n_skipped, len(seen)) == (2, 2, 4)
    assert "'ACG'" in encoded.reason
    with pytest.raises(ConfigError, match=r"none of 2 objects .* the first: 'ACG'"):
        encode_objects(WORDS, ["ACG", "X"])
    assert pretrain(WORDS, ["ACGU", "X"], made(), PretrainingSettings(steps=1)).n_skipped == 1


def test_a_loss_that_explodes_is_refused():
    with pytest.raises(ConfigError, match=r"lr: .* not finite .*; use a smaller lr"):
        pretrain(WORDS, DATA, made(kind=MLPPolicy), PretrainingSettings(steps=50, lr=1e30))


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_share_that_leaves_nothing_to_train_on_is_refused(share):
    with pytest.raises(ConfigError, match="validation: must be at least 0 and below 1"):
        PretrainingSettings(validation=share)
