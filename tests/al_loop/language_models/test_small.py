import pytest
import torch

from al_loop.errors import ConfigError
from al_loop.language_models.loading import load_language_model
from al_loop.language_models.small import SmallTransformer, fit
from al_loop.language_models.tokenizers import ListedTokens


def make(**options):
    torch.manual_seed(0)
    return SmallTransformer(ListedTokens(["<s>", "</s>", "a", "b"], start="<s>", end="</s>"), width=16, **options)


@torch.no_grad()
def test_padding_does_not_change_what_a_prompt_means():
    model = make()
    tokens = torch.tensor([[0, 0, 0, 2], [0, 2, 3, 2]])
    is_token = torch.tensor([[False, False, True, True], [True] * 4])
    memory, hidden = model.read_prompts(tokens, is_token)
    alone, expected = model.read_prompts(tokens[:1, 2:], is_token[:1, 2:])
    assert torch.allclose(hidden[:1], expected, atol=1e-5)
    more = torch.tensor([[3, 3], [2, 2]])
    assert torch.allclose(model.read(memory, more)[:1], model.read(alone, more[:1]), atol=1e-5)


def test_likelihood_training_learns_the_texts_and_their_end(tmp_path):
    model = make(layers=1)
    loss = fit(model, ["abab", "ab"], steps=120, batch_size=16, lr=1e-2)
    assert loss < 0.35
    with torch.no_grad():
        tokens = torch.tensor([[0, 2]])
        _, hidden = model.read_prompts(tokens, torch.ones_like(tokens, dtype=torch.bool))
        assert float(model.logits(hidden)[0].softmax(0)[3]) > 0.95
    model.save(tmp_path / "model.pt")
    loaded = load_language_model(str(tmp_path / "model.pt"))
    assert loaded.output.weight.equal(model.output.weight)
    with pytest.raises(ValueError, match="at least one"):
        fit(model, [])


def test_files_and_texts_that_do_not_fit_are_refused(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="not a language model"):
        load_language_model(str(tmp_path / "x.pt"))
    with pytest.raises(ConfigError, match="cannot read"):
        load_language_model(str(tmp_path / "y.pt"))
    model = make(places=4)
    tokens = torch.zeros(1, 5, dtype=torch.int64)
    with pytest.raises(ValueError, match="more than 4 tokens"):
        model.read_prompts(tokens, torch.ones_like(tokens, dtype=torch.bool))
    with pytest.raises(ValueError, match="multiple of heads"):
        make(heads=5)


@pytest.mark.parametrize(
    ("tokens", "text", "expected"),
    [
        (["</s>", "C", "Cl", "l"], "CClC", [1, 2, 1]),
        (["</s>", "[C@H]", "C", "%10", "1"], "C[C@H]%101", [2, 1, 3, 4]),
    ],
)
def test_the_longest_token_comes_first(tokens, text, expected):
    tokenizer = ListedTokens(tokens, end="</s>")
    assert tokenizer.encode(text) == expected
    assert tokenizer.decode([*expected, 0]) == text
    with pytest.raises(ValueError, match="no token at"):
        tokenizer.encode(f"{text}?")


def test_words_are_separated():
    tokenizer = ListedTokens(["</s>", "two", "words"], end="</s>", separator=" ")
    assert tokenizer.encode("two words two") == [1, 2, 1]
    assert tokenizer.decode([1, 2]) == "two words"
