import pytest

from al_loop.errors import ConfigError
from al_loop.language import Chain, Checked, Continuation, Falling, Infill, TuneOptions, tune
from al_loop.language.settings import TuneSettings
from tests.support.language import tiny_model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: value}, f"{name}: expected a whole number, got ")
          for name in ("steps", "batch_size", "max_tokens", "report_draws", "lora") for value in ("3", 2.5, True, [3])),
        ({"steps": None}, "steps: expected a whole number, got None"),
        ({"lr": "0.1"}, "lr: expected a number"),
        ({"device": None}, "device: expected a text"),
        ({"end": 3}, "end: expected a text"),
        ({"allowed": [1]}, "allowed: expected a list of texts"),
        ({"allowed": "ab"}, "allowed: expected a list of texts"),
        ({"forbidden": "a"}, "forbidden: expected a list of texts"),
        ({"tool": "calc"}, "tool: expected 'calculator'"),
        ({"dtype": "float16"}, "dtype: expected one of float32, bfloat16"),
        ({"settings": 3}, r"settings: expected TuneSettings\(...\), got 3"),
        ({"settings": {"lora": 2}}, r"settings: expected TuneSettings\(...\)"),
        ({"options": {"seeds": []}}, r"options: expected TuneOptions\(...\)"),
        ({"options": TuneOptions(seeds=["a"])}, "seeds: expected pairs .*, got 'a'"),
        ({"options": TuneOptions(seeds=[(None, 1)])}, "seeds: expected pairs"),
        ({"options": TuneOptions(held_out="ab")}, "held_out: expected a list of texts"),
        ({"prompts": [1]}, "prompts: expected a list of texts"),
        ({"prompts": None}, "prompts: expected a list of texts"),
        ({"model": 3}, "model: expected a language model, or its name or path, got 3"),
        ({"seed": "1", "max_tokens": 2}, "seed: expected a whole number"),
    ],
)  # fmt: skip
def test_arguments_of_another_type_are_refused(changes, message):
    arguments = {"model": tiny_model(), "prompts": ["ab"], "reward": Continuation(), **changes}
    with pytest.raises(ConfigError, match=message):
        tune(**arguments)


def test_a_setting_may_be_missing_and_a_number_whole():
    settings = TuneSettings(lora=None, lr=1, allowed=("a", "b"), tool=None, end=None)
    assert settings.lora is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Checked(len, invalid="-3"), "invalid: must be finite"),
        (lambda: Continuation("1"), "temperature: expected a number"),
        (lambda: Continuation(Falling("1", 1.0, 3)), "temperature: expected numbers"),
        (lambda: Infill(["ab"]), r"gaps: expected Gap\(before, after\)"),
        (lambda: Chain([("ab", 2)]), r"gaps: expected Gap\(before, after\) of texts"),
        (lambda: Chain(["abc"]), "examples: expected pairs"),
    ],
)
def test_rewards_of_other_types_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_model_may_be_a_path(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        tune(tmp_path / "model.pt", ["ab"], Continuation())
