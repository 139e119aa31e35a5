"""The arms of the language benchmarks on a tiny model, and what they count."""

from argparse import Namespace

import pytest
import torch

from al_loop.language_models.loading import register
from al_loop.language_models.small import SmallTransformer
from al_loop.language_models.tokenizers import ListedTokens
from benchmarks.language import arithmetic, few_labels


@pytest.fixture(scope="module")
def model() -> str:
    letters = [*"abcdefghijklmnopqrstuvwxyzNGST0123456789+-=,.: \n", *few_labels.LABELS]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = ListedTokens(["<s>", "</s>", *letters], start="<s>", end="</s>")
        return register(SmallTransformer(tokenizer, width=8, layers=1, heads=1, places=400), "tiny, of benchmarks")


@pytest.mark.parametrize("arm", arithmetic.ARMS)
def test_every_arm_answers_sums_of_all_sizes(model, arm):
    options = Namespace(model=model, dtype="float32", tests=2, steps=2, sft_steps=2, limit=0.1)
    table = arithmetic.measure(arm, 0, options)
    assert table["operands"].tolist() == [3, 4, 5]
    assert table["vote"].between(0, 1).all()


def test_chains_lead_to_the_answer_of_their_question():
    for text, chain in arithmetic.questions((3, 4, 5), 5, 0):
        assert int(chain.rpartition("=")[2]) == arithmetic.calculate(text)
        assert chain.count("=") == text.count("+") + text.count("-")


@pytest.mark.parametrize("arm", ["few_shot", "sft", "gflownet", "gflownet_sft"])
def test_every_arm_labels_sentences(model, arm):
    train = [("the court met", " news"), ("she went home", " fiction")] * 2
    options = Namespace(model=model, steps=2, sft_steps=2)
    given = few_labels.predict(arm, train, ["the bank paid", "he sat down", "rain fell"], 0, options)
    assert len(given) == 3
    assert set(given) <= set(few_labels.LABELS)


def test_tests_have_no_sentence_of_the_training():
    found = {label: [f"{label} {i}" for i in range(80)] for label in few_labels.LABELS}
    train, tests = few_labels.split(found, 20, 0)
    assert (len(train), len(tests)) == (20, few_labels.N_TESTS)
    assert not {text for text, _ in train} & {text for text, _ in tests}
    assert {label for _, label in train} == set(few_labels.LABELS)
