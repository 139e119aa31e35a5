"""Maximum likelihood on data sets whose best likelihood is known, and the files of priors."""

import math

import pytest
import torch

from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.errors import ConfigError
from al_loop.gflownet import Conditioning, Trainer, Training
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.policies.transformer import TransformerPolicy
from al_loop.gflownet.pretraining import (
    encode_objects,
    load_prior,
    pretrain,
    read_prior,
    save_prior,
    vocabulary_of,
)
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
    found = pretrain(
        WORDS, DATA * 10, policy, steps=150, lr=1e-2, batch_size=32, on_step=lambda step, loss: losses.append(loss)
    )
    assert (found.n_train, found.n_validation, found.n_skipped) == (72, 8, 0)
    assert len(losses) == 150
    assert losses[0] > 1.5 * losses[-1]
    assert found.validation_nll == pytest.approx(math.log(8), abs=0.25)
    assert found.validation[0][1] > found.validation_nll
    p = object_distribution(WORDS, policy)
    assert sum(p[word] for word in DATA) > 0.9
    drawn = WORDS.decode(rollout(WORDS, policy, 200, generator=torch.Generator().manual_seed(0)).terminal)
    assert sum(word in DATA for word in drawn) > 170


def test_the_weights_that_are_kept_are_those_with_the_best_validation():
    policy = made()
    # far too long for so little: the last weights know these words by heart
    found = pretrain(WORDS, ["AAAA", "CCCC", "GGGG", "ACGU"], policy, steps=60, lr=1e-2, validation=0.25)
    assert found.step < 60
    assert found.validation_nll == dict(found.validation)[found.step]
    assert found.validation[-1][1] > found.validation_nll


@pytest.mark.parametrize("backward", ["uniform", "maximum_entropy"])
def test_objects_with_many_histories_are_learned(backward):
    environment = Sets([str(i) for i in range(6)], size=3)
    data = [environment.decode(environment.encode([name]))[0] for name in ("0,1,2", "1,2,3", "2,3,4")]
    policy = made(environment, MLPPolicy)
    pretrain(environment, data, policy, steps=200, lr=1e-2, validation=0, backward=backward)
    p = object_distribution(environment, policy)
    assert all(p[name] == pytest.approx(1 / 3, abs=0.1) for name in data)


def test_the_same_seed_learns_the_same():
    a, b, c = made(), made(), made()
    for policy, seed in ((a, 1), (b, 1), (c, 2)):
        pretrain(WORDS, DATA, policy, steps=5, seed=seed)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))


def test_conditions_and_heads_are_trained():
    policy = made(n_conditions=1, heads=3)
    pretrain(WORDS, DATA, policy, steps=80, lr=1e-2, validation=0, conditioning=Conditioning(beta=(1.0, 4.0)))
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
    assert pretrain(WORDS, ["ACGU", "X"], made(), steps=1).n_skipped == 1


def test_a_loss_that_explodes_is_refused():
    with pytest.raises(ConfigError, match=r"lr: .* not finite; take less"):
        pretrain(WORDS, DATA, made(kind=MLPPolicy), steps=50, lr=1e30)


@pytest.fixture
def prior(tmp_path):
    policy = made()
    save_prior(tmp_path / "prior.pt", policy, vocabulary_of(WORDS))
    assert [path.name for path in tmp_path.iterdir()] == ["prior.pt"]
    return tmp_path / "prior.pt", policy


def flat(objects):
    return torch.zeros(len(objects))


def test_training_starts_from_a_prior(prior):
    path, policy = prior
    weights = read_prior(path)
    trainer = Trainer(WORDS, flat, Training(batch_size=4), policy=made(seed=1), prior=weights)
    states = rollout(WORDS, None, 8, generator=torch.Generator().manual_seed(0)).states[2]
    assert torch.equal(trainer.policy.forward_logits(states), policy.forward_logits(states))
    trainer.step()
    assert not torch.equal(trainer.policy.forward_logits(states), policy.forward_logits(states))
    # and a copy stays as it was, for objectives that hold the policy against it
    assert torch.equal(trainer.learner._reference.forward_logits(states), policy.forward_logits(states))
    assert torch.equal(weights["letter.weight"], policy.letter.weight)


def test_a_prior_may_be_of_words_of_another_shortest_length(prior):
    environment = Sequences("ACGU", 4, 2)
    load_prior(environment, made(environment), read_prior(prior[0]))


@pytest.mark.parametrize(
    ("environment", "policy", "reason"),
    [
        (Sequences("ACGT", 4), {}, r"made for the environment sequence \(4 letters\)"),
        (Sequences("ACG", 4), {}, r"not those of this sequence \(3 letters\)"),
        (Sequences("ACGU", 5), {}, "position.weight is 5 x 16, not 6 x 16;"),
        (WORDS, {"heads": 2}, "scale_in is missing, not 2 x 16"),
        (WORDS, {"kind": MLPPolicy}, r"made with TransformerPolicy, does not fit the policy MLPPolicy"),
    ],
)
def test_a_prior_of_something_else_is_refused_and_changes_nothing(environment, policy, reason, prior):
    weights = read_prior(prior[0])
    own = made(environment, seed=1, **policy)
    before = {name: weight.clone() for name, weight in own.state_dict().items()}
    with pytest.raises(ConfigError, match=reason) as caught:
        Trainer(environment, flat, policy=own, prior=weights)
    assert str(prior[0]) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert all(torch.equal(weight, before[name]) for name, weight in own.state_dict().items())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "no file of"),
        (b"nonsense", "no file of"),
        ({"weights": 3}, "no file of"),
        ([], "no"),
    ],
)
def test_files_that_are_no_prior_are_refused(content, reason, tmp_path):
    path = tmp_path / "no.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ConfigError, match=reason) as caught:
        read_prior(path)
    assert "no.pt" in str(caught.value)


def test_half_a_prior_is_refused(prior):
    path, _ = prior
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="is damaged"):
        read_prior(path)


def test_no_file_is_no_prior_and_a_missing_folder_is_told():
    assert read_prior(None) is None
    with pytest.raises(ConfigError, match="cannot write the prior nowhere"):
        save_prior("nowhere/prior.pt", made(), {})
