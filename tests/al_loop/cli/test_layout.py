"""Output that fits the terminal."""

from __future__ import annotations

import pytest

from al_loop.cli.layout import cut, print_fields

SMILES = "CC(C)(C)c1ccc(cc1)C(=O)NCCCN2CCN(CC2)c3cccc4ccccc34"


def test_an_object_is_cut_with_a_sign_and_never_where_it_fits() -> None:
    assert cut(SMILES, 20) == SMILES[:19] + "…"
    assert cut(SMILES, len(SMILES)) == cut(SMILES, None) == SMILES


@pytest.mark.parametrize("width", [40, 80])
def test_fields_wrap_between_words_on_a_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "the last 48 answers are on average 1.2 worse than predicted: the model is too optimistic about what it picks"
    )
    monkeypatch.setenv("COLUMNS", str(width))
    print_fields({"campaign": "tiny", "last alarm": text})
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines)
    assert " ".join(line.strip() for line in lines[1:]).split() == ["last", "alarm", *text.split()]
    monkeypatch.delenv("COLUMNS")
    print_fields({"last alarm": text})
    assert capsys.readouterr().out == f"last alarm  {text}\n"
