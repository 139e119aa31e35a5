"""Six-letter words with three values each, and model fitters for them."""

import numpy as np

from al_loop.acquisitions.multi_fidelity_ei import MultiFidelityEI
from al_loop.acquisitions.ucb import UCB
from al_loop.config.reward_settings import Reward
from al_loop.features.one_hot import OneHot
from al_loop.ledger import Candidate, Observation
from al_loop.modelling.constraints import Constraints
from al_loop.modelling.fidelities import Fidelities
from al_loop.modelling.fitter import ModelFitter
from al_loop.modelling.objectives import CampaignObjectives
from al_loop.modelling.reward import ObjectSpace
from al_loop.modelling.transforms import TRANSFORMS
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.multi_fidelity import MultiFidelityGP

RNG = np.random.default_rng(0)
WORDS = ["".join(RNG.choice(list("ACGU"), 6)) for _ in range(60)]
KNOWN, NEW, REFERENCE = WORDS[:24], WORDS[24:40], WORDS[40:]
ONE = CampaignObjectives((1,), ("energy",), ("minimise",))
TWO = CampaignObjectives((0, 1), ("count", "energy"), ("maximise", "minimise"))
LEVELS = Fidelities(("rough", "exact"), (1.0, 10.0))


def bounded(*bounds):
    """Return objectives that minimise the energy under bounds."""
    return CampaignObjectives((1,), ("energy",), ("minimise",), bounds=bounds)


def values(word):
    return (float(word.count("G")), -100.0 - 5.0 * word.count("C") + word.count("A"), float(word.count("U")))


def observation(word, outcome=None, failure=None, **columns):
    return Observation(word, outcome, failure, 0, **columns)


def observed(words=KNOWN, **columns):
    return [observation(word, values(word), **columns) for word in words]


def pending(word):
    return Candidate(0, 1, 0, word, "sampler")


def rows(words):
    return OneHot("ACGU", 6)(words)


def fitter(objectives=ONE, acquisition=None, surrogate=None, transform="none", fidelities=None, **reward):
    return ModelFitter(
        surrogate or ExactGP("hamming"),
        acquisition or UCB(),
        ObjectSpace(OneHot("ACGU", 6), Constraints(), REFERENCE),
        objectives,
        fidelities or Fidelities(),
        TRANSFORMS[transform],
        Reward(beta=4.0, clip=5.0, **reward),
    )


def models_of_two_fidelities():
    """Return models fitted to rough measurements of all words and exact measurements of six."""
    rough_data = [observation(w, (0.0, values(w)[1] / 2 + 7, 0.0), fidelity="rough") for w in KNOWN]
    exact_data = [observation(w, values(w), fidelity="exact") for w in KNOWN[:6]]
    surrogate = MultiFidelityGP("hamming", 2)
    return fitter(ONE, MultiFidelityEI(), surrogate, fidelities=LEVELS).fit([*rough_data, *exact_data], [], [1.0])
