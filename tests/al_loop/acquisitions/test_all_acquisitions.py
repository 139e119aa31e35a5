"""What every built-in acquisition keeps to."""

import pickle

import pytest
import torch

from al_loop.acquisitions.base import AcquisitionContext, score
from al_loop.config import Part, build
from al_loop.config import plugins as parts
from al_loop.surrogates.gp import ExactGP

ALL = [part.kind for part in parts.built_in("acquisition")]
KINDS = [kind for kind in ALL if not parts.find("acquisition", kind).is_multi_objective]
GENERATOR = torch.Generator().manual_seed(0)
WORDS = torch.eye(4).double()[torch.randint(0, 4, (90, 8), generator=GENERATOR)].flatten(1)
X, PENDING, XS, MORE = WORDS[:20], WORDS[20:24], WORDS[24:60], WORDS[60:]
Y = X[:, ::4].sum(-1, keepdim=True) + 0.1 * torch.randn(20, 1, generator=GENERATOR, dtype=torch.float64)


def values(kind, pending=PENDING, Xs=XS, n=20):
    model = ExactGP(kernel="hamming").fit(X[:n], Y[:n])
    acquisition = build("acquisition", Part(kind=kind)).build(
        model, AcquisitionContext(X[:n], float(Y[:n].max()), pending, MORE)
    )
    return score(pickle.loads(pickle.dumps(acquisition)), Xs)


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_has_a_finite_value_of_its_own(kind):
    value = values(kind)
    assert value.shape == (36,)
    assert value.dtype == torch.float64
    assert value.isfinite().all()
    assert len(value.unique()) > 30
    assert torch.allclose(values(kind, Xs=XS[30:]), value[30:], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_belief_gives_the_same_values(kind):
    assert torch.equal(values(kind), values(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_no_pending_objects_are_none(kind):
    assert torch.equal(values(kind, pending=PENDING[:0]), values(kind, pending=None))


@pytest.mark.parametrize("kind", KINDS)
def test_one_measurement_is_enough(kind):
    assert values(kind, n=1).isfinite().all()
    assert values(kind, pending=None, n=1).isfinite().all()


# a draw of thompson may go either way, and qlogei is of an object and the pending ones together: see their own tests
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("thompson", "qlogei")])
def test_a_pending_object_loses_most_of_all(kind):
    lost = values(kind, pending=None) - values(kind, pending=XS[:1])
    assert int(lost.argmax()) == 0
    assert lost[0] > 0
