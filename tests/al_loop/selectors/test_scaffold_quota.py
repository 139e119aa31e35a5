import pytest
import torch

from al_loop.errors import ConfigError
from al_loop.selectors.base import SelectionContext
from al_loop.selectors.scaffold_quota import ScaffoldQuota

BENZENES = ["Cc1ccccc1", "CCc1ccccc1", "Oc1ccccc1", "Nc1ccccc1"]
PYRIDINES = ["Cc1ccncc1", "CCc1ccncc1"]
CHAINS = ["CCO", "CCCN"]
OBJECTS = [*BENZENES, *PYRIDINES, *CHAINS]  # scores fall in this order
SCORES = torch.arange(8, 0, -1).float()


def select(q, objects=OBJECTS, scores=SCORES, pending=(), **options):
    X = torch.zeros(len(objects), 1)
    context = SelectionContext(q, scores, X, lambda a, b: a @ b.T, objects=objects, pending_objects=pending)
    return ScaffoldQuota(**options).select(context)


def test_each_scaffold_gives_its_best():
    assert select(3) == [0, 4, 6]
    assert select(6, per_scaffold=2) == [0, 1, 4, 5, 6, 7]
    assert select(2, scores=SCORES.flip(0)) == [7, 5]


def test_where_the_quotas_leave_too_few_each_scaffold_gets_another():
    assert select(5) == [0, 4, 6, 1, 5]
    assert select(99) == [0, 4, 6, 1, 5, 7, 2, 3]


def test_pending_molecules_use_up_their_scaffolds_quotas():
    assert select(2, pending=["Clc1ccccc1"]) == [4, 6]
    assert select(4, pending=["Clc1ccccc1"], per_scaffold=2) == [0, 4, 5, 6]
    assert select(3, pending=["CCCC", "Clc1ccccc1", "Clc1ccncc1"]) == [0, 4, 6]


def test_scores_that_are_no_numbers_come_last():
    scores = SCORES.clone()
    scores[0] = float("nan")
    assert select(8, scores=scores) == [1, 4, 6, 2, 5, 7, 3, 0]
    assert select(0) == []
    assert select(2, objects=[], scores=torch.empty(0)) == []


def test_what_is_no_molecule_is_refused_with_the_remedy():
    with pytest.raises(ConfigError, match="use another selector"):
        select(1, objects=["GGGAAACC"] * 2, scores=torch.ones(2))


def test_without_objects_it_says_what_is_missing():
    with pytest.raises(ValueError, match=r"SelectionContext\.objects"):
        ScaffoldQuota().select(SelectionContext(1, SCORES, torch.zeros(8, 1), lambda a, b: a @ b.T))
