import csv
import gzip
import math
from importlib.resources import files

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from al_loop.modelling.feasibility import Expense, Feasibility


def rows(n, seed=0, d=40):
    X = np.random.default_rng(seed).poisson(0.4, (n, d)).astype(float)
    X[:, 0] += 1
    return torch.from_numpy(X)


@pytest.mark.parametrize("n", [1, 7, 100])
def test_without_a_failure_everything_is_about_as_likely_to_answer(n):
    model = Feasibility().fit(rows(n), torch.ones(n, dtype=torch.bool))
    assert model.log_probability(rows(5, seed=1)).exp().tolist() == pytest.approx([(n + 1) / (n + 2)] * 5)
    none = Feasibility().fit(rows(n), torch.zeros(n, dtype=torch.bool))
    assert none.log_probability(rows(5, seed=1)).exp().tolist() == pytest.approx([1 / (n + 2)] * 5)


def test_a_single_answer_among_thousands_is_not_left_out():
    X = rows(2000)
    is_answered = torch.zeros(2000, dtype=torch.bool)
    is_answered[7] = True
    near, others = Feasibility().fit(X, is_answered).log_probability(X).exp()[[7, 8]]
    assert near > 1.1 * others


def truth(X):
    """Failures where two of the features come together often."""
    return torch.sigmoid(2.5 - 2.0 * X[:, 1] - 2.0 * X[:, 2] + X[:, 3])


@pytest.mark.parametrize("n", [200, 3000])
def test_probabilities_are_calibrated_and_better_than_the_base_rate(n):
    X, asked = rows(n, d=12), rows(2000, seed=1, d=12)
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(n, generator=generator) < truth(X)
    model = Feasibility().fit(X, y)
    p, real = model.log_probability(asked).exp(), truth(asked)
    base = y.double().mean()
    skill = 1 - (p - real).square().mean() / (base - real).square().mean()
    assert float(skill) > (0.2 if n == 200 else 0.6)
    for low, high in ((0.0, 0.4), (0.4, 0.7), (0.7, 1.0)):
        group = (p > low) & (p <= high)
        if int(group.sum()) > 50:
            assert float((p[group].mean() - real[group].mean()).abs()) < 0.12


@pytest.mark.parametrize(("n_failed", "expected"), [(20, 0.8), (4, 0.95)])
def test_far_from_all_data_it_is_the_base_rate(n_failed, expected):
    X = rows(100)
    X[:, 39] = 0
    strange = torch.zeros(1, 40, dtype=torch.float64)
    strange[0, 39] = 50
    # what fails looks alike, so that the kernel's variance is large
    is_answered = torch.ones(100, dtype=torch.bool)
    is_answered[X[:, 1].argsort(descending=True)[:n_failed]] = False
    assert float(Feasibility().fit(X, is_answered).log_probability(strange).exp()) == pytest.approx(expected, abs=0.02)


@pytest.fixture(scope="module")
def enamine():
    """Real molecules: features, heavy atoms, and which contain a thiophene (4 %) or SO2 or CF3 (13 %)."""
    data = files("al_loop.oracles") / "data" / "enamine10k.csv.gz"
    with data.open("rb") as f, gzip.open(f, "rt") as text:
        smiles = [row["smiles"] for row in csv.DictReader(text)]
    smiles = [smiles[i] for i in np.random.default_rng(0).permutation(len(smiles))[:4000]]
    molecules = [Chem.MolFromSmiles(s) for s in smiles]
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    X = torch.from_numpy(np.array([generator.GetCountFingerprintAsNumPy(m) for m in molecules]).astype(float))

    def has(smarts):
        return torch.tensor([m.HasSubstructMatch(Chem.MolFromSmarts(smarts)) for m in molecules])

    heavy = torch.tensor([float(m.GetNumHeavyAtoms()) for m in molecules])
    return X, heavy, has("c1ccsc1"), has("S(=O)(=O)") | has("C(F)(F)F")


@pytest.mark.parametrize("n", [300, 2400])
@pytest.mark.parametrize(("truth", "gain"), [("rare", 0.08), ("common", 0.4), ("noisy", -0.01)])
def test_on_real_molecules_it_is_calibrated_and_better_than_the_base_rate(enamine, truth, gain, n):
    X, heavy, thiophene, groups = enamine
    chance = torch.rand(len(X), generator=torch.Generator().manual_seed(0)) < torch.sigmoid(heavy - 28)
    y = ~{"rare": thiophene, "common": groups, "noisy": chance}[truth]
    p = Feasibility().fit(X[:n], y[:n]).log_probability(X[2400:]).exp()
    asked, base = y[2400:].double(), y[:n].double().mean()

    def log_loss(q):
        return float(torch.nn.functional.binary_cross_entropy(q.expand(len(asked)), asked))

    assert 1 - log_loss(p) / log_loss(base) > gain
    tenths = p.argsort().tensor_split(10)
    error = sum(len(t) / len(p) * float((p[t].mean() - asked[t].mean()).abs()) for t in tenths)
    assert error < 0.1 if truth == "common" and n == 300 else error < 0.04


@pytest.mark.parametrize(("n_failed", "picked"), [(50, 50), (400, 150), (1200, 300), (5990, 1498)])
def test_of_many_measurements_failures_are_picked_up_to_a_tenth_or_by_their_share(n_failed, picked):
    y = torch.ones(6000, dtype=torch.bool)
    y[:n_failed] = False
    rows = Feasibility()._subset(y, 1500)
    assert len(rows.unique()) == 1500
    assert int((~y[rows]).sum()) == picked


def test_failures_that_are_picked_more_often_do_not_look_more_likely():
    X, asked = rows(6000, d=12), rows(2000, seed=1, d=12)
    real = torch.sigmoid(5.5 - 2.0 * X[:, 1] - X[:, 2]), torch.sigmoid(5.5 - 2.0 * asked[:, 1] - asked[:, 2])
    y = torch.rand(6000, generator=torch.Generator().manual_seed(0)) < real[0]
    assert 0.02 < float((~y).double().mean()) < 0.06
    assert float(Feasibility().fit(X, y).log_probability(asked).exp().mean()) == pytest.approx(
        float(real[1].mean()), abs=0.015
    )


def test_a_cost_that_depends_on_the_object_is_foretold():
    X, asked = rows(80), rows(40, seed=1)

    def cost(X):
        return (1.0 + 0.5 * X[:, 1:8].sum(1)) * 20.0

    model = Expense().fit(X, cost(X))
    expected = model.relative(asked) * math.exp(model.usual)
    assert np.corrcoef(expected.log(), cost(asked).log())[0, 1] > 0.7
    assert float(expected.mean() / cost(asked).mean()) == pytest.approx(1, abs=0.15)


def test_costs_that_hardly_differ_or_are_few_tell_nothing():
    assert Expense().fit(rows(30), torch.full((30,), 2.0)).relative(rows(4)).tolist() == [1.0] * 4
    assert Expense().fit(rows(3), torch.tensor([1.0, 9.0, 2.0])).relative(rows(4)).tolist() == [1.0] * 4
