import pytest
import torch

from al_loop.errors import ConfigError
from al_loop.gflownet.rollout import rollout
from al_loop.language import Checked, Continuation, Gap, Infill, TunedModel, tune
from al_loop.language_models import loading
from al_loop.language_models.loading import load_language_model
from al_loop.language_models.small import SmallTransformer
from al_loop.language_models.tokenizers import ListedTokens
from tests.support.language import PROMPTS, SMALL, tiny_model, wanted

pytest.importorskip("peft")


def test_draws_and_log_probabilities_agree_for_any_prompt():
    tuned = tune(tiny_model(), PROMPTS, Checked(wanted), steps=2, **SMALL)
    drawn = tuned.draw("ab", 6, seed=1)
    assert drawn.objects == tuned.draw("ab", 6, seed=1).objects
    assert torch.allclose(tuned.log_prob("ab", drawn.objects), drawn.log_prob, atol=1e-6)
    posterior = tuned.posterior("ab")
    for text, log_prob in zip(drawn.objects, drawn.log_prob.tolist(), strict=True):
        assert float(posterior.sampler[posterior.texts.index(text)].log()) == pytest.approx(log_prob, abs=1e-5)
    other = tuned.draw("abcabc", 3)
    assert len(other.objects) == 3
    assert tuned.posterior("abcabc").exact.sort()[0].equal(tuned.posterior("ab").exact.sort()[0])
    with pytest.raises(ConfigError, match="no token"):
        tuned.draw("?", 3)
    with pytest.raises(ValueError, match="at least 1"):
        tuned.draw("ab", 0)


def test_a_saved_sampler_is_small_and_draws_the_same(tmp_path):
    model = load_language_model(tiny_model(width=32, layers=2))
    model.save(tmp_path / "model.pt")
    tuned = tune(str(tmp_path / "model.pt"), PROMPTS, Checked(wanted), steps=3, lr=0.05, **{**SMALL, "lora": 1})
    tuned.save(tmp_path / "adapter.pt")
    assert (tmp_path / "adapter.pt").stat().st_size < (tmp_path / "model.pt").stat().st_size / 2
    loaded = TunedModel.load(tmp_path / "adapter.pt")
    assert loaded.draw("ab", 9, seed=3).log_prob.equal(tuned.draw("ab", 9, seed=3).log_prob)
    assert loaded.metadata["reward"] == "Checked at temperature 1"
    with torch.no_grad():
        model.output.bias.add_(1.0)
    model.save(tmp_path / "model.pt")
    loading._load.cache_clear()
    with pytest.raises(ConfigError, match="other weights"):
        TunedModel.load(tmp_path / "adapter.pt")
    with torch.no_grad():
        model.output.bias.sub_(1.0)


def make_model(seed):
    torch.manual_seed(seed)
    return SmallTransformer(ListedTokens(["<s>", "</s>", "a", "b", "c"], start="<s>", end="</s>"), width=16, places=16)


def test_adapters_of_a_model_in_memory_know_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_REGISTERED", {})
    tuned = tune(make_model(0), PROMPTS, Checked(wanted), steps=2, **SMALL)
    tuned.save(tmp_path / "adapter.pt")
    expected = tuned.log_prob("ab", ["a"])
    assert TunedModel.load(tmp_path / "adapter.pt").log_prob("ab", ["a"]).equal(expected)
    monkeypatch.setattr(loading, "_REGISTERED", {})  # as in another process
    with pytest.raises(ConfigError, match=r"tuned from the model 'model 1', which is in no file; pass it"):
        TunedModel.load(tmp_path / "adapter.pt")
    tune(make_model(1), PROMPTS, Checked(wanted), steps=1, **SMALL)  # another model 1
    with pytest.raises(ConfigError, match="other weights of model 1"):
        TunedModel.load(tmp_path / "adapter.pt")
    make_model(0).save(tmp_path / "model.pt")
    for model in (make_model(0), str(tmp_path / "model.pt")):
        assert TunedModel.load(tmp_path / "adapter.pt", model=model).log_prob("ab", ["a"]).equal(expected)


def test_the_path_of_a_model_may_be_relative_to_the_adapters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_model(0).save("model.pt")
    tuned = tune("model.pt", PROMPTS, Checked(wanted), steps=1, **SMALL)
    tuned.save("adapter.pt")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert TunedModel.load("../adapter.pt").draw("ab", 3).log_prob.equal(tuned.draw("ab", 3).log_prob)
    (tmp_path / "model.pt").unlink()
    with pytest.raises(ConfigError, match=r"\.\./adapter.pt was tuned from the model 'model.pt', which cannot be used"):
        TunedModel.load("../adapter.pt")


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "x.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot read" if content is None else "not a model of al-loop"):
        TunedModel.load(path)


def test_many_continuations_are_drawn_in_parts(monkeypatch):
    tuned = tune(tiny_model(), PROMPTS, Continuation(), steps=1, **SMALL)
    sizes = []
    whole = tuned.draw("ab", 7, seed=1)

    def counting(environment, policy, n, **options):
        sizes.append(n)
        return rollout(environment, policy, n, **options)

    monkeypatch.setattr("al_loop.language.tuned.rollout", counting)
    monkeypatch.setattr("al_loop.language.tuned._DRAWN_AT_ONCE", 7)
    drawn = tuned.draw("ab", 17, seed=1)
    assert sizes == [7, 7, 3]
    assert drawn.objects[:7] == whole.objects
    assert torch.allclose(tuned.log_prob("ab", drawn.objects), drawn.log_prob, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 10**9}, "n: at most 1000000 continuations"),
        ({"seed": 1 << 64}, r"seed: must be below 2\^64"),
        *(({"temperature": value}, "temperature: must be above 0") for value in (0, -1, float("inf"), float("nan"))),
    ],
)
def test_draws_that_cannot_be_are_refused(options, message):
    tuned = tune(tiny_model(), PROMPTS, Checked(wanted), steps=1, **SMALL)
    with pytest.raises(ConfigError, match=message):
        tuned.draw("ab", **options)


def test_probabilities_are_of_a_list_of_texts_that_may_be_empty():
    tuned = tune(tiny_model(), PROMPTS, Checked(wanted), steps=1, **SMALL)
    assert tuned.log_prob("ab", []).shape == (0,)
    with pytest.raises(ConfigError, match="texts: expected a list of texts"):
        tuned.log_prob("ab", "aa")
    tuned.environment.max_tokens = 20_000
    with pytest.raises(ValueError, match=r"about 10\^6021 continuations"):
        tuned.posterior("ab")


def test_the_posterior_of_gaps_is_known_for_their_own_prompts_only():
    tuned = tune(tiny_model(), PROMPTS, Infill([Gap("ab", "c"), Gap("c", "a")]), steps=1, **SMALL)
    assert tuned.posterior("ab").exact is not None
    assert tuned.posterior("a").exact is None
