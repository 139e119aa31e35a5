"""Checkpoints in a folder and in an object store."""

from pathlib import Path

import pytest

from al_loop.errors import CampaignError, ConfigError
from al_loop.storage.checkpoints import Checkpoints


@pytest.fixture(params=["folder", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "a" / "b") if request.param == "folder" else f"memory://{tmp_path.name}"


def test_the_last_two_checkpoints_are_kept(place: str) -> None:
    checkpoints = Checkpoints(place, "uid")
    for number in range(1, 12):
        checkpoints.save(number, f"state {number}".encode())
    again = Checkpoints(place, "uid")
    assert again.load(11) == b"state 11"
    assert again.load(10) == b"state 10"
    with pytest.raises(FileNotFoundError):
        again.load(9)
    assert again.name(11) == f"{place}/round-00011.pt"


def test_brackets_in_a_folders_name_keep_no_more_checkpoints_than_two(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path / "run [a]"), "uid")
    (tmp_path / "run [a]" / "round-notes.pt").touch()
    for number in range(4):
        checkpoints.save(number, b"state")
    kept = sorted(path.name for path in (tmp_path / "run [a]").iterdir())
    assert kept == ["campaign", "round-00002.pt", "round-00003.pt", "round-notes.pt"]


def test_checkpoints_of_another_campaign_are_not_written_over(place: str) -> None:
    Checkpoints(place, "mine").save(1, b"mine")
    with pytest.raises(ConfigError, match="another campaign"):
        Checkpoints(place, "yours")
    assert Checkpoints(place, "mine").load(1) == b"mine"


@pytest.mark.parametrize("place", ["nowhere://bucket/folder", "/proc/no/folder"])
def test_a_place_for_checkpoints_that_cannot_be_used_is_told_at_once(place: str) -> None:
    with pytest.raises(ConfigError, match=f"checkpoints: {place} is not usable: "):
        Checkpoints(place, "uid")


def test_a_checkpoint_that_cannot_be_written_is_tried_again_and_then_told(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[str] = []
    checkpoints = Checkpoints(place, "uid", patience_s=0.2, on_wait=waits.append)
    refusing = OSError("no space left")
    monkeypatch.setattr(checkpoints, "_write", lambda path, content: (_ for _ in ()).throw(refusing))
    with pytest.raises(CampaignError, match=r"cannot write .*round-00001\.pt \(no space left\)"):
        checkpoints.save(1, b"state")
    assert len(waits) == 1


@pytest.mark.parametrize("at", [0, 4, -1])
def test_a_flipped_bit_in_a_checkpoint_is_noticed(at: int, tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path), "uid")
    checkpoints.save(1, b"state of the learner")
    path = tmp_path / "round-00001.pt"
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="differs from what was written"):
        checkpoints.load(1)
    assert Path(checkpoints.keep_aside(1)).read_bytes() == content


def test_a_checkpoint_of_an_earlier_version_and_a_damaged_owner_are_no_obstacle(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path), "uid")
    (tmp_path / "round-00001.pt").write_bytes(b"unsealed")
    assert checkpoints.load(1) == b"unsealed"
    notes: list[str] = []
    for damaged in (b"", b"\xff\x00u"):
        (tmp_path / "campaign").write_bytes(damaged)
        Checkpoints(str(tmp_path), "uid", on_wait=notes.append)
    assert (tmp_path / "campaign").read_text() == "uid"
    assert len(notes) == 2
