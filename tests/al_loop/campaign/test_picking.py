from types import SimpleNamespace

import torch

from al_loop.campaign.candidates import CandidatePool
from al_loop.campaign.picking import pick
from al_loop.features.one_hot import OneHot
from al_loop.modelling.fidelities import Fidelities
from al_loop.modelling.fidelity_selection import BatchLimits
from al_loop.selectors.graded import Graded

WORDS = ("ACC", "CCA", "AAC")


def test_a_batch_covers_the_letters_that_the_best_words_lack():
    features = OneHot(alphabet="ACG", length=3)
    X = features(list(WORDS))
    models = SimpleNamespace(
        X_pending=None,
        pending=(),
        mean_and_variance=lambda rows: (torch.zeros(len(rows)), torch.ones(len(rows))),
        draw=None,
    )
    parts = SimpleNamespace(fidelities=Fidelities(("",), (1.0,)), features=features, selector=Graded())
    pool = CandidatePool(WORDS, ("sampler",) * 3, X, torch.tensor([2.0, 1.0, 0.5]), (0,) * 3)

    def picked(plateau):
        return pick(parts, models, pool, BatchLimits(1, 9.0), SimpleNamespace(tied=lambda: plateau), 0)

    assert picked([]) == [(0, 0)]
    assert picked(["ACC", "ACG"]) == [(1, 0)]
