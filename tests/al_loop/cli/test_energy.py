"""``al-loop learn-energy``, ``score`` and ``draw`` of an energy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import call

CONFIG = """
name: words
environment: {kind: sequence, alphabet: ACGU, length: 6}
energy: {kind: mlp, hidden: 8}
sampler: {hidden: 8}
steps: 10
validations: 2
sinks: [{kind: jsonl, path: metrics.jsonl}]
"""


@pytest.fixture
def data(folder: Path) -> str:
    lines = [a + b + c + a + b + c for a in "AC" for b in "GU" for c in "AC"] * 4
    (folder / "words.txt").write_text("\n".join([*lines, "not a word"]))
    (folder / "energy.yaml").write_text(CONFIG)
    return "words.txt"


def test_an_energy_is_learned_scores_a_library_and_is_drawn_from(data: str, folder: Path) -> None:
    code, out, err = call("learn-energy", "energy.yaml", data, "steps=12", "-o", "e.pt")
    assert (code, err) == (0, [])
    assert "1 of 33 objects are outside the space: not a word" in out
    assert "step 12 of 12: energy" in out
    assert "sampler: {prior: e.pt, objective: relative_trajectory_balance, hidden: 8}" in out
    assert not (folder / "e.pt.checkpoint").exists()
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert records[0]["name"] == "words"
    assert {"energy/energy_nll", "energy/log_z", "energy/gap"} <= set(records[1]["metrics"])
    assert records[-1]["record"] == "end"
    code, out, err = call("score", "e.pt", data, "-o", "scored.csv", "--sort")
    assert code == 0
    assert "1 object could not be scored: not a word" in err[0]
    rows = (folder / "scored.csv").read_text().splitlines()
    assert rows[0] == "object,score,log_p"
    scores = [float(row.split(",")[1]) for row in rows[1:-1]]
    assert scores == sorted(scores, reverse=True)
    assert rows[-1] == "not a word,,"
    code, out, err = call("draw", "e.pt", "-n", "7")
    assert (code, err) == (0, [])
    assert len(out.split()) == 7
    assert call("draw", "e.pt", "--prompt", "A")[0] == 2


def test_a_campaigns_config_serves_as_well(data: str, folder: Path) -> None:
    code, out, err = call("learn-energy", "tiny.yaml", data, "steps=4", "validations=1", "-o", "c.pt")
    assert (code, err) == (0, [])
    assert "learning from 32 objects" in out


def test_bad_input_is_one_line(data: str, folder: Path) -> None:
    (folder / "empty.txt").write_text("")
    (folder / "graph.yaml").write_text(CONFIG.replace("kind: mlp, hidden: 8", "kind: graph, hidden: 8"))
    (folder / "others.txt").write_text("ACGUAC\nCCC\nGGG\n")
    for arguments, reason in (
        (("energy.yaml", "empty.txt"), "contains no object"),
        (("energy.yaml", "others.txt"), "more than most_refused=0.5"),
        (("energy.yaml", "missing.txt"), "cannot read missing.txt"),
        (("energy.yaml", data, "stepps=3"), "unknown key; did you mean 'steps'"),
        (("energy.yaml", data, "energy.kind=gnn"), "is not one of graph, mlp, pairwise (from 'energy.kind=gnn'"),
        (("energy.yaml", data, "energy.kind=graph"), "graph requires molecules, and sequence has others"),
        (("graph.yaml", data), "use mlp (graph.yaml, line 4)"),
        (("energy.yaml", data, "features.kind=morgan"), "(from 'features.kind=morgan' on the command line)"),
        (("energy.yaml", data, "lr=1e6", "steps=60"), "use a smaller lr, or a larger l2 (from 'lr=1e6'"),
        (("energy.yaml", data, "-o", "no/e.pt"), "folder does not exist"),
        (("missing.yaml", data), "cannot read the config"),
    ):
        code, _, err = call("learn-energy", "-o", "bad.pt", *arguments)
        assert (code, len(err)) == (2, 1), err
        assert reason in err[0]
    assert not list(folder.glob("bad.pt*"))
