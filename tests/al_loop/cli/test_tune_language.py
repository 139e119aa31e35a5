"""``al-loop tune-language``: tune, draw, resume, and clear words about bad input."""

import copy
import json
import shlex

import pytest

from al_loop.language_models.loading import load_language_model
from tests.support.command_line import call
from tests.support.language import tiny_model

pytest.importorskip("peft")

CONFIG = """
model: model.pt
prompts: [ab, c]
reward: {kind: checked, target: "my_language_rewards:length"}
tune: {steps: 4, batch_size: 8, max_tokens: 3, lora: 2, report_every: 2, report_draws: 4}
"""


@pytest.fixture
def task(folder):
    copy.deepcopy(load_language_model(tiny_model())).save(folder / "model.pt")
    (folder / "language.yaml").write_text(CONFIG)
    (folder / "my_language_rewards.py").write_text(
        "def length(text):\n    return float(len(text))\ndef fails(text):\n    return len(text) / text.count('a')\n"
    )
    return folder


def test_a_model_is_tuned_written_and_drawn_from(task):
    (task / "sink.yaml").write_text(CONFIG + "sinks: [{kind: jsonl, path: metrics.jsonl}]\n")
    code, out, err = call("tune-language", "sink.yaml", "-o", "adapter.pt")
    assert (code, err) == (0, [])
    assert "step 4 of 4" in out
    assert "exact KL" in out
    assert not (task / "adapter.pt.checkpoint").exists()
    assert out.splitlines()[-1] == "al-loop draw adapter.pt --prompt ab"
    records = [json.loads(line) for line in (task / "metrics.jsonl").read_text().splitlines()]
    assert sum("tune/kl" in record.get("metrics", {}) for record in records) == 2
    code, out, _ = call("draw", "adapter.pt", "-n", "5", "--prompt", "abab")
    assert code == 0
    assert len(out.splitlines()) == 5
    code, out, _ = call("draw", "adapter.pt", "-n", "3", "--prompt", "c", "-o", "drawn.csv")
    assert code == 0
    assert (task / "drawn.csv").read_text().splitlines()[0] == "object,prompt,log_prob"
    code, _, err = call("draw", "adapter.pt", "-n", "3")
    assert code == 2
    assert "--prompt" in err[0]
    code, _, err = call("draw", "adapter.pt", "--prompt", "ab" * 7)
    assert (code, len(err)) == (2, 1)
    assert "the 16 tokens that the model reads" in err[0]


def test_an_interrupted_tuning_resumes(task, monkeypatch):
    from al_loop.language import tuning

    report = tuning._Tuning._report

    def interrupted(self, step, loss):
        report(self, step, loss)
        if step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(tuning._Tuning, "_report", interrupted)
    code, _, err = call("tune-language", "language.yaml", "-o", "part.pt")
    assert code != 0
    assert any("resume" in line for line in err)
    assert (task / "part.pt.checkpoint").exists()
    monkeypatch.setattr(tuning._Tuning, "_report", report)
    code, out, _ = call("tune-language", "language.yaml", "-o", "part.pt")
    assert code == 0
    assert "step 2 of 4" not in out


def test_the_command_that_draws_is_quoted_for_the_shell(task):
    prompt = "it's a $b"
    copy.deepcopy(load_language_model(tiny_model("".join(sorted(set(prompt)))))).save(task / "quoted.pt")
    changes = ["model=quoted.pt", "tune.steps=1", f"prompts={json.dumps([prompt])}"]
    code, out, err = call("tune-language", "language.yaml", "-o", "q.pt", *changes)
    assert (code, err) == (0, [])
    assert shlex.split(out.splitlines()[-1]) == ["al-loop", "draw", "q.pt", "--prompt", prompt]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=nothing.gguf"], "does not exist"),
        (["prompts=[]"], "at least one prompt"),
        (["prompts=missing.txt"], "missing.txt"),
        (["prompts=[ax]"], "no token"),
        (["reward.kind=chain"], "examples"),
        (["reward={kind: chain, examples: chains.jsonl}"], "remove them"),
        (["reward={kind: chain, examples: chains.jsonl}", "prompts=[]"], "line 2"),
        (["reward.target=my_language_rewards:nothing"], "reward.target: the module 'my_language_rewards' has no"),
        (["reward.target=nomod:f"], "reward.target: cannot import 'nomod'"),
        (["reward.target=my_language_rewards:fails"], "fails on 'cc': ZeroDivisionError"),
        (["reward.temperature=0"], "reward.temperature: must be above 0 and finite, got 0.0 (from "),
        (["reward.invalid=.inf"], "reward.invalid: must be finite"),
        (["held_out=[ax]"], "held_out: 'ax' has no token at 'x' (from "),
        (["tune.allowed=[ab]"], "tune.allowed: 'ab' is 2 tokens of this model, expected a single one (from "),
        (["tune.forbidden=[zz]"], "tune.forbidden: 'zz' has no token at 'zz' (from "),
        (["tune.end=ab"], "tune.end: 'ab' is 2 tokens"),
        (["tune.lr=1e30"], "tune.lr: the training runs away"),
        (["model="], "model: "),
        (["reward={kind: infill, examples: chains.jsonl}", "prompts=[]"], "line 1"),
        (["tune.lr=0"], "above 0"),
        (["tune.stepz=3"], "stepz"),
        (["seeds=seeds.jsonl"], "line 1"),
        (["tune.max_tokens=20"], "the 16 tokens that the model reads"),
        (["tune.forbidden=[a, b, c]"], "no token is left"),
        (["tune.objective=tb"], "tune.objective: 'tb' is not one of"),
        (["tune.steps=-3"], "tune.steps: must be at least 1, got -3 (from 'tune.steps=-3' on the command line)"),
    ],
)
def test_what_is_wrong_is_said(task, overrides, message):
    (task / "chains.jsonl").write_text('{"question": "a", "answer": "b"}\n{"question": "a"}\n')
    (task / "seeds.jsonl").write_text("text\n")
    code, _, err = call("tune-language", "language.yaml", "-o", "none.pt", *overrides)
    assert code == 2
    assert len(err) == 1
    assert message in " ".join(err)
