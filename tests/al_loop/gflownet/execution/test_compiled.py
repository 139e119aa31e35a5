"""Compilation, and functions that cannot be compiled."""

import logging

import torch

from al_loop.gflownet.execution.compiled import compile_time, compiled


def test_a_function_runs_as_it_is_once_and_then_compiled():
    before = compile_time.count
    function = compiled(lambda x: 2 * x + int(torch.compiler.is_compiling()), "eager")
    assert function(torch.ones(2)).tolist() == [2.0, 2.0]
    assert compile_time.count == before
    assert function(torch.ones(2)).tolist() == [3.0, 3.0]
    assert function(torch.ones(5)).tolist() == [3.0] * 5
    assert compile_time.count == before + 1


def test_what_cannot_be_compiled_runs_as_it_is_and_says_so_once(caplog):
    def steps(x):
        return x + len(str(x[0].item()))  # a number is read, and made a text

    function = compiled(steps, "eager")
    with caplog.at_level(logging.WARNING, "al_loop"):
        results = [function(torch.tensor([2.5, 0.0])).tolist() for _ in range(4)]
    assert results == [[5.5, 3.0]] * 4
    (record,) = [r for r in caplog.records if r.name.startswith("al_loop")]
    assert "runs as it is, since it cannot be compiled" in record.message
    assert "\n" not in record.message
