"""``al-loop pretrain``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import call


@pytest.fixture
def words(folder: Path) -> str:
    """A data set of words in which A and C take turns with G and U."""
    lines = [a + b + c + a + b + c for a in "AC" for b in "GU" for c in "AC"] * 4
    (folder / "words.txt").write_text("\n".join([*lines, "not a word"]))
    return "data=words.txt"


def test_a_pretrained_prior_starts_a_campaign(words: str, folder: Path) -> None:
    code, out, err = call("pretrain", "tiny.yaml", words, "steps=20", "lr=0.01", "batch_size=8", "-o", "words.pt")
    assert (code, err) == (0, [])
    assert "32 of 33 objects are in the space" in out
    assert "'not a word' has letters" in out
    assert "step 20 of 20: validation" in out
    assert out.splitlines()[-1] == "sampler: {prior: words.pt}"
    prior = "sampler.prior=words.pt"
    assert call("check", "tiny.yaml", prior, "--no-oracle")[0] == 0
    assert call("run", "tiny.yaml", prior, "-q", "--run-dir", str(folder / "prior"))[0] == 0
    for change, reason in (("sampler.hidden=9", "does not fit"), ("environment.alphabet=ACGT", "was trained for")):
        code, _, err = call("run", "tiny.yaml", prior, change, "--run-dir", str(folder / reason))
        assert (code, len(err)) == (2, 1)
        assert reason in err[0]
        assert "words.pt" in err[0]
    # some of the data, by seed
    code, out, _ = call("pretrain", "tiny.yaml", words, "steps=1", "limit=8", "-o", "some.pt")
    assert code == 0
    assert "of 8 objects" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["data: missing", "data=FILE"]),
        (["data=nowhere.txt"], ["nowhere.txt", "No such file"]),
        (["data=empty.txt"], ["empty.txt", "contains no object"]),
        (["data=foreign.txt"], ["none of 1 objects", "'XYZ'"]),
        (["data=words.txt", "steps=many"], ["steps", "'many'", "whole number"]),
        (["data=words.txt", "stpes=3"], ["stpes", "did you mean 'steps'"]),
        (["data=words.txt", "sampler.hiden=3"], ["sampler.hiden", "did you mean 'hidden'"]),
        (["data=words.txt", "-o", "no/such/folder.pt"], ["no/such/folder.pt", "-o"]),
        (["data=words.txt", "sampler.device=cuda:77"], ["sampler.device", "cuda:77"]),
    ],
)
def test_what_cannot_be_pretrained_is_one_clear_line(
    arguments: list[str], expected: list[str], words: str, folder: Path
) -> None:
    (folder / "empty.txt").write_text("\n\n")
    (folder / "foreign.txt").write_text("XYZ\n")
    code, out, err = call("pretrain", "tiny.yaml", *arguments)
    assert (code, out) == (2, "")
    assert len(err) == 1, err
    for word in expected:
        assert word in err[0]
    assert not (folder / "prior.pt").exists()
