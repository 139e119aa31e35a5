# %% [markdown]
# # Why GFlowNets
#
# A model of 60 measurements is right in places and wrong in others. Here every object can be listed, so the truth is
# known: 4,096 RNA words of six letters. What does a batch of 16 look like if it maximises the model, and what if it is
# drawn in proportion to how promising the model finds each word? Runs in about a minute on one core.

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np
import torch

from al_loop.environments.sequence import Sequences
from al_loop.gflownet import Training, train
from al_loop.gflownet.exact_distribution import terminal_distribution

environment = Sequences("ACGU", 6)
words = ["".join(letters) for letters in itertools.product("ACGU", repeat=6)]
one_hot = np.array([[letter == other for letter in word for other in "ACGU"] for word in words], dtype=float)
triples = ["".join(letters) for letters in itertools.product("ACGU", repeat=3)]
counts = np.array([[triple in word for triple in triples] for word in words], dtype=float)

# %% [markdown]
# ## The truth
#
# Four motifs make a word active, at any place; a word may have several.

# %%
MOTIFS = {"GGA": 1.0, "CUUC": 1.3, "AUA": 0.9, "UGC": 1.1}


def activity(word):
    """Return the true activity of a word."""
    return sum(worth for motif, worth in MOTIFS.items() if motif in word) - 0.1 * word.count("G")


truth = np.array([activity(word) for word in words])

# %% [markdown]
# ## A model that is wrong on purpose
#
# A Gaussian process fitted to 60 words, chosen with a bias as real data are: most come from one chemical series, words
# that contain GGA. It knows little about the other motifs.

# %%
rng = np.random.default_rng(0)
in_series = np.array(["GGA" in word for word in words])
series, others = np.flatnonzero(in_series), np.flatnonzero(~in_series)
measured = np.concatenate([rng.choice(series, 40, replace=False), rng.choice(others, 20, replace=False)])


def kernel(a, b):
    """Return the similarity of words: the share of three-letter words that they have in common (Tanimoto)."""
    common = a @ b.T
    return common / (a.sum(1)[:, None] + b.sum(1) - common)


noise = 0.05 * np.eye(len(measured))
level = truth[measured].mean()
solve = np.linalg.solve(kernel(counts[measured], counts[measured]) + noise, truth[measured] - level)
mean = level + kernel(counts, counts[measured]) @ solve
unmeasured = np.setdiff1d(np.arange(len(words)), measured)
print(f"correlation of model and truth on unmeasured words: {np.corrcoef(mean, truth)[0, 1]:.2f}")

# %% [markdown]
# ## A sampler for it
#
# The reward is exp(beta x predicted mean). Because the space is small, the probability that the trained sampler ends in
# each word can be computed exactly, and compared with R/Z.

# %%
BETA = 8.0
index = {word: i for i, word in enumerate(words)}


def log_reward(objects):
    """Return the log-reward of words, shape n."""
    return torch.tensor([BETA * mean[index[word]] for word in objects], dtype=torch.float32)


learner, sampler = train(environment, log_reward, Training(steps=500, batch_size=128, hidden=64, lr=3e-3))
states, p = terminal_distribution(environment, learner.policy)
drawn = np.zeros(len(words))
drawn[[index[word] for word in environment.decode(states)]] = p.numpy()
wanted = np.exp(BETA * (mean - mean.max()))
wanted /= wanted.sum()
print(f"L1 distance between the sampler's distribution and R/Z: {np.abs(drawn - wanted).sum():.3f}")

# %% [markdown]
# ## Two batches of 16
#
# One takes the 16 words that the model likes best, the other draws 16 different words from the sampler.


# %%
def describe(name, batch):
    """Print what a batch promises, what it brings, and how many motifs it contains."""
    batch = np.asarray(batch)
    distance = 6 - (one_hot[batch] @ one_hot[batch].T)
    pairs = distance[np.triu_indices(len(batch), 1)]
    motifs = {motif for i in batch for motif in MOTIFS if motif in words[i]}
    print(f"{name:<12} predicted {mean[batch].mean():.2f}, true {truth[batch].mean():.2f}", end=", ")
    print(
        f"best {truth[batch].max():.2f}, {len(motifs)} of 4 motifs, {pairs.mean():.1f} letters differ between two words"
    )


greedy = unmeasured[np.argsort(-mean[unmeasured])[:16]]
describe("maximised", greedy)
candidates = np.setdiff1d(np.flatnonzero(drawn > 0), measured)
for seed in range(3):
    chance = np.random.default_rng(seed)
    share = drawn[candidates] / drawn[candidates].sum()
    describe(f"drawn, {seed}", chance.choice(candidates, 16, replace=False, p=share))

# %% [markdown]
# The maximised batch promises most, and where the model is right, it brings most. The drawn batches give up some of the
# promise and look elsewhere, too: that is what the next round's model learns from.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8))
axes[0].scatter(wanted, drawn, s=4)
axes[0].plot([1e-7, wanted.max()], [1e-7, wanted.max()], color="grey", lw=1)
axes[0].set(xscale="log", yscale="log", xlabel="R/Z", ylabel="probability that the sampler ends there")
axes[0].set(xlim=(1e-7, None), ylim=(1e-7, None), title="4,096 words, one point each")
for name, batch, colour in (
    ("maximised", greedy, "tab:red"),
    ("drawn", chance.choice(candidates, 16, False, share), "C0"),
):
    axes[1].scatter(mean[batch], truth[batch], label=name, s=18, color=colour)
axes[1].plot([mean.min(), mean.max()], [mean.min(), mean.max()], color="grey", lw=1)
axes[1].set(xlabel="predicted", ylabel="true", title="Two batches of 16")
axes[1].legend()
figure.tight_layout()

# %% [markdown]
# ## Several rounds
#
# One batch says little. Repeat: measure, refit, choose again, six rounds of 16, with the same kind of model and budget,
# 40 times from different first measurements. To be quick, words are drawn from R/Z itself, which is what the trained
# sampler approximates. A *kind* of active word is the set of motifs that it contains.


# %%
def campaign(choose, seed, rounds=6):
    """Return the best true activity, and the numbers of active words and of their kinds, after all rounds."""
    chance = np.random.default_rng(seed)
    known = list(chance.choice(len(words), 12, replace=False))
    for _ in range(rounds):
        level = truth[known].mean()
        gram = kernel(counts[known], counts[known]) + 0.05 * np.eye(len(known))
        opinion = level + kernel(counts, counts[known]) @ np.linalg.solve(gram, truth[known] - level)
        rest = np.setdiff1d(np.arange(len(words)), known)
        known += list(choose(opinion[rest], rest, chance))
    kinds = {frozenset(motif for motif in MOTIFS if motif in words[i]) for i in known if truth[i] > 0.8}
    return truth[known].max(), sum(truth[known] > 1.5), len(kinds)


def maximise(opinion, rest, chance):
    """Choose the 16 of the highest prediction."""
    return rest[np.argsort(-opinion)[:16]]


def draw(opinion, rest, chance):
    """Draw 16 in proportion to exp(beta x prediction)."""
    weight = np.exp(BETA * (opinion - opinion.max()))
    return chance.choice(rest, 16, replace=False, p=weight / weight.sum())


for name, choose in (("maximised", maximise), ("drawn", draw)):
    results = np.array([campaign(choose, seed) for seed in range(40)])
    best, active, kinds = [f"{m:.2f} ± {s:.2f}" for m, s in zip(results.mean(0), results.std(0) / 40**0.5, strict=True)]
    print(f"{name:<10} best {best}, words above 1.5: {active}, kinds of active words: {kinds}")

# %% [markdown]
# The best word is the same within the errors; what differs is how many *kinds* of good words are found on the way. Look
# at the numbers before you believe either side: with a larger `BETA` drawing turns into maximising, with a smaller one
# into random search, and where one kind of hit is enough, a maximiser is a fine choice.
