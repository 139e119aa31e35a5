import json
import threading

import pytest
import torch

from al_loop.errors import ConfigError
from al_loop.language import Checked, Continuation, Gap, Infill, TuneOptions, tune
from al_loop.language_models.small import SmallTransformer
from al_loop.language_models.tokenizers import ListedTokens
from al_loop.sinks.jsonl import JSONLines
from al_loop.system import stopping
from tests.support.language import PROMPTS, SMALL, tiny_model, wanted

pytest.importorskip("peft")


def test_the_sampler_reaches_the_posterior_and_reports_it():
    reports = []
    options = TuneOptions(on_report=lambda report, tuned: reports.append(report))
    tuned = tune(
        tiny_model(), PROMPTS, Checked(wanted, invalid=-3), steps=100, lr=0.02, sampling_temperature=1.5, min_tokens=0,
        options=options, **{**SMALL, "lora": 16},
    )  # fmt: skip
    assert [report.step for report in reports] == [10 * i for i in range(1, 11)]
    first, last = reports[0], reports[-1]
    assert last.kl < 0.03 < first.kl
    assert last.effective_share > 0.9
    assert abs(last.kl_bound) < 0.1
    for prompt in PROMPTS:
        posterior = tuned.posterior(prompt)
        assert float(posterior.sampler.sum()) == pytest.approx(1, abs=1e-5)
        assert float(posterior.exact.sum()) == pytest.approx(1)
        assert posterior.kl < 0.05
        assert posterior.texts[int(posterior.sampler.argmax())] == "ab"


@pytest.mark.parametrize(
    ("make", "lora"),
    [(lambda: Continuation(0.7), None), (lambda: Infill([Gap("ab", "c"), Gap("c", "a")]), 4)],
    ids=["continuation, all weights", "infill, adapters"],
)
def test_rewards_of_the_model_are_sampled_from(make, lora):
    reward = make()
    tuned = tune(tiny_model(), PROMPTS, reward, steps=30, lr=0.01, **{**SMALL, "lora": lora})
    start = tune(tiny_model(), PROMPTS, reward, steps=1, lr=1e-9, **{**SMALL, "lora": lora})
    for prompt in PROMPTS:
        assert tuned.posterior(prompt).kl < max(0.7 * start.posterior(prompt).kl, 0.01)


@pytest.mark.parametrize("objective", ["detailed_balance", "flow_matching"])
def test_objectives_of_edges_reach_the_posterior_too(objective):
    tuned = tune(
        tiny_model(),
        ["ab"],
        Checked(wanted, invalid=-3),
        steps=40,
        lr=0.02,
        objective=objective,
        **{**SMALL, "lora": 16},
    )
    assert tuned.posterior("ab").kl < 0.1


def test_a_function_of_the_text_and_a_single_prompt_are_enough():
    tuned = tune(tiny_model(), (text for text in ["ab"]), lambda text: float(len(text)), steps=1, **SMALL)
    assert tuned.environment.prompts == ["ab"]
    tuned = tune(tiny_model(), "ab", lambda text: float(len(text)), steps=1, **SMALL)
    posterior = tuned.posterior("ab")
    assert len(posterior.texts[int(posterior.exact.argmax())]) == 2
    assert tuned.reward.describe() == "Checked at temperature 1"


def make_model(seed):
    torch.manual_seed(seed)
    return SmallTransformer(ListedTokens(["<s>", "</s>", "a", "b", "c"], start="<s>", end="</s>"), width=16, places=16)


def test_a_checkpoint_of_a_model_in_memory_knows_its_weights(tmp_path):
    options = TuneOptions(checkpoint=tmp_path / "checkpoint")
    tune(make_model(0), PROMPTS, Checked(wanted), steps=1, options=options, **SMALL)
    with pytest.raises(ConfigError, match="with other model;"):
        tune(make_model(1), PROMPTS, Checked(wanted), steps=1, options=options, **SMALL)


def test_an_interrupted_tuning_resumes_bit_for_bit(tmp_path):
    def run(steps, checkpoint):
        return tune(
            tiny_model(), PROMPTS, Checked(wanted), steps=steps, seed=3, decay=1e-9, report_every=4,
            options=TuneOptions(checkpoint=tmp_path / checkpoint, seeds=[(None, "ab")]), **SMALL,
        )  # fmt: skip

    whole = run(8, "a.pt")
    run(4, "b.pt")
    resumed = run(8, "b.pt")
    assert whole.draw("ab", 20).log_prob.equal(resumed.draw("ab", 20).log_prob)
    options = TuneOptions(checkpoint=tmp_path / "b.pt")
    with pytest.raises(ConfigError, match=r"another training, with other settings.decay, prompts, seed, seeds;"):
        tune(tiny_model(), ["ab"], Checked(wanted), steps=8, options=options, **SMALL)
    for other in (Checked(len), Checked(wanted, invalid=-3), Checked(wanted, temperature=2.0), Continuation()):
        with pytest.raises(ConfigError, match="with other reward;"):
            tune(
                tiny_model(), PROMPTS, other, steps=8, seed=3, decay=1e-9, report_every=4, **SMALL,
                options=TuneOptions(checkpoint=tmp_path / "b.pt", seeds=[(None, "ab")]),
            )  # fmt: skip
    (tmp_path / "b.pt").write_bytes(b"x")
    with pytest.raises(ConfigError, match="corrupt"):
        run(8, "b.pt")


def test_a_tuning_that_is_killed_between_reports_resumes_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("al_loop.language.tuning._SAVED_EVERY_S", 0.0)

    def run(checkpoint, on_step=None):
        options = TuneOptions(checkpoint=tmp_path / checkpoint, on_step=on_step)
        return tune(tiny_model(), PROMPTS, Continuation(), steps=8, report_every=8, options=options, **SMALL)

    losses = []

    def stop(loss):
        losses.append(loss)
        if len(losses) == 6:
            raise KeyboardInterrupt

    whole = run("a.pt")
    with pytest.raises(KeyboardInterrupt):
        run("b.pt", stop)
    rest = []
    resumed = run("b.pt", rest.append)
    assert len(rest) == 3  # the sixth step was not saved
    assert whole.draw("ab", 20).log_prob.equal(resumed.draw("ab", 20).log_prob)


def test_without_ray_nothing_lags_behind():
    lines = []
    tuned = [
        tune(
            tiny_model(), PROMPTS, Checked(wanted), steps=3, staleness=staleness, **SMALL,
            options=TuneOptions(on_line=lines.append),
        )
        for staleness in (0, 2)
    ]  # fmt: skip
    assert [line for line in lines if "lags" in line] == ["staleness: without Ray no sampler lags behind; 0 is used"]
    assert tuned[0].draw("ab", 20).log_prob.equal(tuned[1].draw("ab", 20).log_prob)


def test_seeds_outside_the_space_are_counted_and_named():
    lines = []
    options = TuneOptions(seeds=[(None, "ab"), (None, "xyz"), (None, "ababab")], on_line=lines.append)
    tune(tiny_model(), PROMPTS, Checked(wanted), steps=1, options=options, **SMALL)
    assert lines == ["seeds: 2 texts are not in the space and left out; the first, 'xyz': 'xyz' has no token at 'xyz'"]


def test_a_training_that_runs_away_is_one_clear_error():
    with pytest.raises(ConfigError, match=r"lr: the training runs away .* use a smaller lr"):
        tune(tiny_model(), PROMPTS, Checked(wanted), steps=20, **{**SMALL, "lr": 1e30})


def test_reports_go_to_sinks_and_may_be_of_held_out_prompts(tmp_path):
    options = TuneOptions(sinks=[JSONLines(str(tmp_path / "log.jsonl"))], held_out=["abab"])
    tune(tiny_model(), PROMPTS, Checked(wanted), steps=4, report_every=2, options=options, **SMALL)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["record"] for r in records] == ["begin", "metrics", "metrics", "end"]
    assert records[1]["step"] == 2
    assert {"tune/loss", "tune/kl", "tune/effective_share", "tune/kl_bound"} <= set(records[1]["metrics"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepz": 3}, "stepz: not a setting"),
        ({"steps": 0}, "at least 1"),
        ({"lr": 0}, "above 0"),
        ({"buffer_share": 1.0}, "below 1"),
        ({"decay": 2.0}, "between 0 and 1"),
        ({"lora": -1}, "lora: must be at least 0"),
        ({"lr": float("inf")}, "finite"),
        ({"objective": "ppo"}, "ppo"),
        ({"objective": "relative_trajectory_balance"}, "multiplies the reward by the model's likelihood"),
        ({"objective": "vanilla_policy_gradient"}, "objective: "),
        ({"device": "cuda:99"}, "device: "),
        ({"min_tokens": 3}, "at most max_tokens"),
        ({"allowed": ["ab"]}, "allowed: 'ab' is 2 tokens"),
        ({"model": " "}, "model: expected a name or a path"),
        ({"max_tokens": 0}, "max_tokens: must be at least 1"),
        ({"max_tokens": 14}, "'ab' has 3 tokens, and with a continuation of max_tokens=14.* 16 tokens"),
        ({"forbidden": ["a", "b", "c"]}, "no token is left"),
        ({"forbidden": ["zz"]}, "forbidden: .*no token at 'zz'"),
        ({"allowed": []}, "no token is left"),
        ({"end": "ab"}, "end: .*2 tokens of this model"),
        *(
            ({name: -1}, f"{name}: must be at least 0")
            for name in ("warmup", "staleness", "report_every", "min_tokens")
        ),
        ({"seed": 1 << 70}, r"seed: must be below 2\^64"),
        ({"buffer_distance": float("nan")}, "buffer_distance: must be at least 0"),
        ({"model": "annalogg"}, "annalogg"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = changes.pop("model", tiny_model())
    with pytest.raises(ConfigError, match=message):
        tune(model, PROMPTS, Checked(wanted), **{**SMALL, **changes})


def run_with(function, checkpoint, lines=None, **changes):
    options = TuneOptions(checkpoint=checkpoint, on_line=(lines if lines is not None else []).append)
    return tune(tiny_model(), PROMPTS, function, steps=6, report_every=3, options=options, **{**SMALL, **changes})


@pytest.mark.parametrize("n_calls", [0, 1, 5])
def test_a_training_whose_reward_fails_resumes_bit_for_bit_and_pays_nothing_twice(tmp_path, n_calls):
    calls, limit = [], [n_calls]

    def service(text):
        if limit == [len(calls)]:
            raise RuntimeError("service down")
        calls.append(text)
        return wanted(text)

    message = r"reward: .*service fails on '.*': RuntimeError: service down \(test_tuning.py, line \d+\)"
    with pytest.raises(ConfigError, match=message):
        run_with(service, tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint").exists() == (n_calls > 0)
    limit.clear()
    resumed = run_with(service, tmp_path / "checkpoint")
    assert sorted(calls) == sorted(set(calls))
    assert resumed.draw("ab", 20).log_prob.equal(run_with(wanted, None).draw("ab", 20).log_prob)


@pytest.mark.parametrize("level", [stopping.STOP, stopping.URGENT])
def test_a_stop_keeps_the_last_step_unless_it_interrupts_one(tmp_path, level):
    request, rest = stopping.StopRequest(), []

    def stop(loss):
        rest.append(loss)
        request.level = level * (len(rest) == 2)

    options = TuneOptions(checkpoint=tmp_path / "checkpoint", on_step=stop)
    with request.in_force(), pytest.raises(stopping.Stopped):
        tune(tiny_model(), PROMPTS, Checked(wanted), steps=4, report_every=4, options=options, **SMALL)
    assert (tmp_path / "checkpoint").exists() == (level == stopping.STOP)
    if level == stopping.STOP:
        options = TuneOptions(checkpoint=tmp_path / "checkpoint", on_step=rest.append)
        tune(tiny_model(), PROMPTS, Checked(wanted), steps=4, report_every=4, options=options, **SMALL)
        assert len(rest) == 4


@pytest.mark.parametrize(
    "make", [Continuation, lambda: Checked(wanted, likelihood=0.5), lambda: Infill([Gap("ab", "c"), Gap("c", "a")])]
)
def test_rewards_of_the_model_resume_with_the_values_that_they_had(tmp_path, make):
    first = tune(tiny_model(), PROMPTS, make(), steps=2, options=TuneOptions(checkpoint=tmp_path / "a"), **SMALL)
    values = torch.load(tmp_path / "a", weights_only=True)["values"]
    other = make()
    other.bind(first.environment)
    other.load_values(values)
    texts = first.environment.encode(["a", "b", "ab"])
    assert other(texts).equal(first.reward(texts))
    assert values["keys"].tolist() == list(first.reward._known)


def test_a_reward_whose_code_has_changed_scores_the_buffer_anew(tmp_path):
    lines, calls = [], []
    run_with(lambda text: float(len(text)), tmp_path / "checkpoint", lines)
    run_with(lambda text: calls.append(text) or 1.0, tmp_path / "checkpoint", lines, report_draws=9)
    assert lines == ["the code of the reward has changed since the checkpoint; rewards are computed anew"]
    assert {"a", "b"} <= set(calls)
    n_calls = len(calls)
    run_with(lambda text: calls.append(text) or 1.0, tmp_path / "missing", report_draws=9)
    assert len(calls) > n_calls


@pytest.mark.parametrize("changes", [{"buffer_share": 0.0}, {"batch_size": 1, "per_prompt": 1}])
def test_seeds_without_a_buffer_are_refused(changes):
    with pytest.raises(ConfigError, match="seeds: no continuation of a step comes from the buffer"):
        tune(tiny_model(), PROMPTS, wanted, options=TuneOptions(seeds=[(None, "a")]), **{**SMALL, **changes})


def test_a_reward_that_cannot_be_copied_is_reported_on_held_out_prompts():
    class Counter:
        def __init__(self):
            self.lock, self.texts = threading.Lock(), []

        def __call__(self, text):
            self.texts.append(text)
            return wanted(text)

    reports, counter = [], Counter()
    options = TuneOptions(held_out=["abab"], on_report=lambda report, _: reports.append(report))
    tune(tiny_model(), PROMPTS, counter, steps=1, options=options, **SMALL)
    assert len(reports) == 1
    assert len(counter.texts) == len(set(counter.texts))


@pytest.mark.parametrize(
    "reward",
    [lambda text: 1e39, lambda text: -1e39, lambda text: 10**400, lambda text: 1e20 * len(text)],
)
def test_extreme_rewards_are_named(reward):
    with pytest.raises(ConfigError, match="reward: "):
        tune(tiny_model(), PROMPTS, reward, steps=1, **SMALL)
    with pytest.raises(ConfigError, match=r"reward: a log-reward is .*divided by the temperature of "):
        tune(tiny_model(), PROMPTS, Checked(lambda text: 1.0, temperature=1e-40), steps=1, **SMALL)
    with pytest.raises(ConfigError, match="invalid: must be finite, and at most 1e"):
        Checked(wanted, invalid=-1e300)


def test_a_checkpoint_of_more_steps_is_refused(tmp_path):
    run_with(wanted, tmp_path / "checkpoint")
    options = TuneOptions(checkpoint=tmp_path / "checkpoint")
    with pytest.raises(ConfigError, match=r"steps: .*checkpoint has made 6 steps already, more than 4"):
        tune(tiny_model(), PROMPTS, wanted, steps=4, report_every=3, options=options, **SMALL)
