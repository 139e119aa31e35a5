from dataclasses import replace

import pytest

from al_loop.campaign.closing import RoundProgress, affordable, may_close, n_to_keep_busy
from al_loop.config.schema import Rounds

#: half of a batch of ten is measured, and the workers have enough to do
HALF = RoundProgress(
    n_batch=10, n_open=5, n_waiting=3, n_needed=2, n_new=5, calls_left=None, has_value=True, open_s=60.0
)


def test_by_default_a_round_closes_with_its_last_answer():
    assert not may_close(Rounds(), 1, HALF)
    assert not may_close(Rounds(), 1, replace(HALF, n_open=1))
    assert may_close(Rounds(), 1, replace(HALF, n_open=0))


def test_a_round_closes_with_its_share_of_the_answers():
    assert may_close(Rounds(close_share=0.5), 1, HALF)
    assert not may_close(Rounds(close_share=0.6), 1, HALF)


def test_a_round_closes_when_its_time_is_over():
    assert may_close(Rounds(close_after_s=60.0), 1, HALF)
    assert not may_close(Rounds(close_after_s=61.0), 1, HALF)


def test_to_keep_workers_busy_a_round_closes_before_they_run_out():
    busy = Rounds(keep_busy=True)
    assert not may_close(busy, 1, HALF)
    running_out = replace(HALF, n_waiting=2)
    assert may_close(busy, 1, running_out)
    assert not may_close(busy, 1, replace(running_out, n_new=0)), "nothing new was learned"
    assert not may_close(busy, 0, replace(running_out, n_open=6)), "of random objects at least half are needed"


@pytest.mark.parametrize(
    "progress", [replace(HALF, has_value=False), replace(HALF, calls_left=3), replace(HALF, calls_left=0)]
)
def test_without_a_value_or_a_call_left_nothing_is_closed_early(progress):
    assert not may_close(Rounds(close_share=0.1, close_after_s=1.0, keep_busy=True), 1, progress)


def test_the_last_round_is_not_closed_early():
    assert not may_close(Rounds(count=3, close_share=0.1), 3, HALF)
    assert may_close(Rounds(count=4, close_share=0.1), 3, HALF)


def test_as_many_must_wait_as_workers_measure_during_a_decision():
    assert n_to_keep_busy(4, decision_s=10.0, mean_call_s=2.0) == 24
    assert n_to_keep_busy(4, decision_s=None, mean_call_s=2.0) == 4
    assert n_to_keep_busy(4, decision_s=10.0, mean_call_s=None) == 4


def test_a_batch_is_cut_to_what_the_budget_allows():
    assert affordable(8, None, 3, are_fidelities_chosen=False) == 8
    assert affordable(8, 5, 3, are_fidelities_chosen=False) == 2
    assert affordable(8, 3, 3, are_fidelities_chosen=False) == 0
    assert affordable(8, 5, 3, are_fidelities_chosen=True) == 8, "its cost is the limit"
    assert affordable(8, 3, 3, are_fidelities_chosen=True) == 0
