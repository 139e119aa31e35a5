"""Data sets: what is in the space, what is refused, and how they are drawn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from al_loop.config import build
from al_loop.config.plugins import Part
from al_loop.energy.data import LiveData, encode_data, read_data, read_library
from al_loop.environments.assignment import Assignments
from al_loop.environments.fragments import Fragments
from al_loop.environments.sequence import Sequences
from al_loop.errors import ConfigError

BITS = Assignments("01", 4)


def test_objects_outside_the_space_are_counted_and_listed() -> None:
    data = encode_data(BITS, ["0101", "0101", "1", "abcd", "0011"])
    assert data.states.tolist() == [[0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]]
    assert [name for name, _ in data.refused] == ["1", "abcd"]
    refused, duplicates = data.notes()
    assert refused.startswith("2 of 5 objects are outside the space: 1: '1' has 1 letters, not 4; abcd:")
    assert duplicates == "1 of 5 objects are duplicates; each occurrence counts"


@pytest.mark.parametrize(
    ("objects", "most", "reason"),
    [
        ([], 0.5, "there is no object"),
        (["1", "2"], 1.0, "none of 2 objects is in the space"),
        (["0101", "1", "2"], 0.5, "more than most_refused=0.5 allows"),
        (["0101", float("nan")], 0.4, "nan: not a text"),
    ],
)
def test_unusable_data_is_refused(objects: list[str], most: float, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        encode_data(BITS, objects, most)


def test_objects_that_no_action_leads_to_are_refused() -> None:
    data = encode_data(Fragments(), ["c1ccccc1CC(=O)N1CCOCC1", "O=C(Nn1cnc2ccccc21)c1cccc(F)c1"])
    assert len(data.states) == 1
    assert "which no action makes" in data.refused[0][1]


@pytest.mark.parametrize(
    "space",
    [
        Part(kind="fragments", vocabulary="zinc"),
        Part(kind="fragments", vocabulary="bengio72"),
        Part(kind="selfies", length=8),
    ],
)
def test_texts_that_are_no_molecules_are_refused_without_messages_of_rdkit(
    space: Part, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rdkit")
    if space.kind == "selfies":
        pytest.importorskip("selfies")
    with pytest.raises(ConfigError, match="none of 2 objects is in the space"):
        encode_data(build("environment", space), ["not_a_smiles", "C1CC"])
    assert capfd.readouterr() == ("", "")


def test_the_user_sets_the_share_that_may_be_outside() -> None:
    assert len(encode_data(BITS, ["0101", "1", "2"], 0.7).states) == 1


def test_arrays_of_letters_and_of_spins_are_states() -> None:
    rows = np.array([[0, 1, 1, 0], [1, 1, 1, 1]])
    assert encode_data(BITS, rows).states.equal(torch.from_numpy(rows))
    assert encode_data(BITS, (2 * rows - 1).astype(np.float32)).states.equal(torch.from_numpy(rows))
    for kind in (">i4", "uint64", "float16", bool):
        assert encode_data(BITS, rows.astype(kind)).states.equal(torch.from_numpy(rows))
    assert encode_data(BITS, np.array(["0110", "1111"])).states.equal(torch.from_numpy(rows))
    assert encode_data(BITS, torch.from_numpy(rows).bfloat16()).states.equal(torch.from_numpy(rows))
    assert encode_data(Sequences("ACGU", 2), np.array([[0, 3]])).states.tolist() == [[0, 3, 2, 0]]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (np.zeros((2, 3), dtype=int), "n objects x 4 places"),
        (np.full((1, 4), 2), "from 0 to 1, or -1 and 1"),
        (np.full((1, 4), np.nan), "not whole numbers, such as NaN"),
        (np.full((1, 4), 0.5), "not whole numbers"),
        (np.full((1, 4), np.inf), "not whole numbers"),
        (np.zeros((1, 4), dtype=complex), "the type complex128"),
        (np.array([["0", "1"], ["1", "1"]]), "none of 4 objects is in the space"),
        (np.zeros((1, 4), dtype="datetime64[s]"), "the type datetime64"),
        (np.zeros((0, 4)), "no object to learn from"),
    ],
)
def test_arrays_of_anything_else_are_refused(rows: np.ndarray, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        encode_data(BITS, rows)


def test_files_are_lists_tables_or_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[0, 1]]))
    (tmp_path / "list.txt").write_text("01\n11\n")
    (tmp_path / "table.csv").write_text("sequence,value\n01,3\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "text.npy").write_text("01")
    np.save(tmp_path / "none.npy", np.empty((0, 2)))
    np.save(tmp_path / "names.npy", np.array(["01", "11"]))
    np.save(tmp_path / "pickled.npy", np.array([["a", 1]], dtype=object), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "rows.npy").read_bytes()[:-3])
    (tmp_path / "no_bytes.npy").write_bytes(b"")
    assert read_data(tmp_path / "names.npy") == ["01", "11"]
    assert read_library(tmp_path / "rows.npy", Assignments("01", 2)) == ["01"]
    assert read_data(tmp_path / "rows.npy").tolist() == [[0, 1]]  # type: ignore[union-attr]
    assert read_data(tmp_path / "list.txt") == ["01", "11"]
    assert read_data(tmp_path / "table.csv") == ["01"]
    for name in (
        "empty.txt",
        "text.npy",
        "none.npy",
        "missing.npy",
        "missing.txt",
        "pickled.npy",
        "cut.npy",
        "no_bytes.npy",
    ):
        with pytest.raises(ConfigError, match=name):
            read_data(tmp_path / name)


def test_weighted_objects_are_drawn_in_proportion() -> None:
    data = LiveData(torch.tensor([[0], [1], [2]]), torch.tensor([1.0, 0.0, 3.0]))
    rows = data.rows(4000, torch.Generator().manual_seed(0))[:, 0]
    assert rows.bincount(minlength=3)[1] == 0
    assert abs(float((rows == 2).float().mean()) - 0.75) < 0.03
