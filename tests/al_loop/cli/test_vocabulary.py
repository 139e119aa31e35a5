"""``al-loop vocabulary``, and ``al-loop check --covers``."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from al_loop.environments.fragments.vocabulary_file import NAMED_VOCABULARIES, read_vocabulary
from tests.support.command_line import call
from tests.support.patterns import MOLECULES

CONFIG = "name: x\nenvironment: {kind: fragments, vocabulary: VOCABULARY}\noracle: {kind: human}\n"


@pytest.fixture
def molecules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    lines = [*MOLECULES, "Fc1ccccc1.Cl", "not a molecule", "C[Fe]C"]
    Path("library.smi").write_text("\n".join(f"{smiles.replace(' ', '_')} name" for smiles in lines))
    return "library.smi"


def test_a_file_becomes_a_vocabulary_that_says_what_it_covers(molecules: str) -> None:
    code, out, err = call("vocabulary", molecules, "-o", "blocks.json.gz")
    assert (code, err) == (0, [])
    assert "15 molecules in library.smi" in out
    assert "1 has a salt or a solvent, which is stripped" in out
    assert "skipped, because RDKit cannot read them: 1" in out
    assert "the element Fe (1)" in out
    assert "blocks (of 1000; the file has no more) cover 86.7% of the molecules" in out
    assert gzip.decompress(Path("blocks.json.gz").read_bytes()).startswith(b'{"classes"')
    made = read_vocabulary("blocks.json.gz")
    assert made is not None
    assert made.source["file"] == "library.smi"
    assert made.source["n_salts_stripped"] == 1
    assert max(made.counts) == made.counts[0]
    # the same file, the same bytes
    first = Path("blocks.json.gz").read_bytes()
    assert call("vocabulary", molecules, "-o", "blocks.json.gz")[0] == 2, "an existing file is not replaced"
    assert call("vocabulary", molecules, "-o", "blocks.json.gz", "--force")[0] == 0
    assert Path("blocks.json.gz").read_bytes() == first


def test_several_sizes_are_several_files(molecules: str) -> None:
    code, out, _ = call("vocabulary", molecules, "-o", "blocks.json", "--size", "4", "--size", "8")
    assert code == 0
    shares = [float(line.split("cover ")[1].split("%")[0]) for line in out.splitlines() if "cover" in line]
    assert shares[0] < shares[1]
    sizes = [len(made.blocks) for n in (4, 8) if (made := read_vocabulary(f"blocks-{n}.json"))]
    assert sizes == [4, 8]


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("", (), "contains no object"),
        ("hello\nworld", (), "none of 2 lines is a molecule"),
        ("c1ccccc1\nCCCC", ("--size", "2"), "none of 2 lines|its blocks do not suffice"),
        ("O=C1CCCCCCCCCCCCCCO1\n", (), "its blocks do not suffice: vocabulary: no molecule can be made"),
        ("CCO", ("-o", "no/such/folder.json"), "its folder does not exist"),
    ],
)
def test_bad_input_is_one_error(
    text: str, options: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.smi").write_text(text)
    code, _, err = call("vocabulary", "bad.smi", *options)
    assert (code, len(err)) == (2, 1)
    assert any(word in err[0] for word in reason.split("|"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [(("[1*]C", "[1*]N"), "do not match its checksum"), (("al-loop vocabulary 2", "?"), "is not a vocabulary")],
)
def test_a_changed_vocabulary_is_refused(change: tuple[str, str], reason: str, molecules: str) -> None:
    call("vocabulary", molecules, "-o", "blocks.json")
    Path("blocks.json").write_text(Path("blocks.json").read_text().replace(*change))
    with pytest.raises(ValueError, match=reason):
        read_vocabulary("blocks.json")


def test_the_included_vocabularies_name_their_source() -> None:
    sizes = {}
    for name in ("zinc_small", "zinc", "zinc_large"):
        made = read_vocabulary(name)
        assert made is not None
        assert made.source["file"] == "zinc250k.smi.xz"
        sizes[name] = len(made.blocks), made.source["coverage"]
    assert [n for n, _ in sizes.values()] == [300, 1000, 3000]
    assert sizes["zinc"][1] > 0.6
    assert read_vocabulary("bengio72") is None
    assert sum(path.stat().st_size for path in NAMED_VOCABULARIES.values()) < 300_000


def test_check_says_which_share_of_a_file_can_be_made(molecules: str) -> None:
    Path("x.yaml").write_text(CONFIG.replace("VOCABULARY", "zinc_small"))
    code, out, err = call("check", "x.yaml", "--covers", molecules)
    assert (code, err) == (0, [])
    assert "300 blocks" in out
    assert "it cannot make other ring systems" in out
    assert "% of 15 objects can be made" in out
    assert "1 has a salt or a solvent" in out
    assert "it contains a block that is not in the vocabulary; most often [1*]" in out
    assert "no block has such an atom; most often the element Fe (1)" in out
    assert "it is not a molecule" in out


def test_check_states_what_charges_and_stereocentres_a_space_lacks(molecules: str) -> None:
    Path("x.yaml").write_text(CONFIG.replace("VOCABULARY", "zinc_small"))
    Path("hits.smi").write_text("CC(=O)Oc1ccccc1C(=O)O\nCc1ccccc1\nCC1CCC[NH+](Cc2ccccc2)C1\nCC[Fe]\n")
    code, out, err = call("check", "x.yaml", "--covers", "hits.smi")
    assert (code, err) == (0, [])
    text = " ".join(out.split())
    assert "it has carboxylic acids as their ions alone" in text
    assert "blocks with a stereochemistry in a defined configuration alone" in text
    assert "25.0% cannot as written, but in another charge state" in text
    assert "only with a defined configuration; most often [1*]C1CCC[NH+]([2*])C1 (1)" in text


def test_check_says_that_a_key_has_changed_the_blocks(molecules: str) -> None:
    Path("x.yaml").write_text("name: x\nenvironment: {kind: fragments, min_fragments: 3}\noracle: {kind: human}\n")
    for options in ((), ("--covers", molecules)):
        code, out, err = call("check", "x.yaml", *options)
        assert (code, err) == (0, [])
        assert "environment.min_fragments: 3 has a meaning for the vocabulary bengio72 alone" in " ".join(out.split())


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["Cc1ccccc1F", "CC1" + "C" * 30 + "1"],
            "the file has no more, but for 1 with more than 30 heavy atoms, such as",
        ),
        (["CC1" + "C" * 30 + "1"], "left out: 1 with more than 30 heavy atoms, such as"),
        (["CCO" + "CO" * 12], "warning: no molecule of few.smi can be made of these blocks"),
    ],
)
def test_what_a_vocabulary_leaves_out_is_said(lines: list[str], message: str, molecules: str) -> None:
    Path("few.smi").write_text("\n".join(lines))
    _, out, err = call("vocabulary", "few.smi", "-o", "few.json")
    assert message in " ".join([*out.split(), *err])
