import pytest
import torch

from al_loop.errors import ConfigError
from al_loop.features.language_model import LanguageModelFeatures
from al_loop.features.testing import FeaturesContract
from al_loop.language_models.loading import load_language_model, register
from al_loop.language_models.small import SmallTransformer
from al_loop.language_models.tokenizers import ListedTokens

NAME = "a small model of the tests"


@pytest.fixture(scope="module", autouse=True)
def _model():
    torch.manual_seed(0)
    register(SmallTransformer(ListedTokens(["</s>", *"ABC"], end="</s>"), width=16, layers=2, heads=2), NAME)


class TestSmallModel(FeaturesContract):
    objects = ("AB", "ABCA", "CCC", "A")
    invalid = ("XY",)

    def make(self):
        return LanguageModelFeatures(NAME)


def test_an_embedding_is_the_mean_state_of_the_second_reading():
    features = LanguageModelFeatures(NAME)
    model = load_language_model(NAME)
    tokens = torch.tensor([model.tokenizer.encode("ABC")])
    memory, _ = model.read_prompts(tokens, torch.ones_like(tokens, dtype=torch.bool))
    assert torch.allclose(features.compute(["ABC"])[0], model.read(memory, tokens)[0].mean(0))


def test_a_model_that_is_not_there_is_named_with_what_to_install():
    with pytest.raises(ConfigError, match=r"none\.gguf"):
        _ = LanguageModelFeatures("none.gguf").d
