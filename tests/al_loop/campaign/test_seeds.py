import pytest

from al_loop.campaign.preparation import prepare
from al_loop.campaign.seeds import read_seeds
from al_loop.config import parse_config
from al_loop.environments.fragments import Fragments
from al_loop.environments.pool import Pool
from al_loop.environments.selfies import Selfies
from al_loop.environments.sequence import Sequences
from al_loop.errors import ConfigError
from tests.support.project import enter_project

ANILIDE = "CC(=O)Nc1ccc(O)cc1"


@pytest.fixture(scope="module")
def molecules():
    return Fragments()


def notes(environment, given):
    return " | ".join(read_seeds(environment, given).notes)


def test_molecules_are_read_by_any_spelling_and_once(molecules):
    seeds = read_seeds(molecules, ["Oc1ccc(NC(C)=O)cc1", ANILIDE, "Cc1ccccc1"])
    assert seeds.objects == (ANILIDE, "Cc1ccccc1")
    assert "2 of 3 objects" in seeds.notes[0]
    assert "1 duplicate left out" in seeds.notes


def test_of_a_salt_the_largest_part_counts_and_this_is_said(molecules):
    seeds = read_seeds(molecules, [f"{ANILIDE}.Cl", "[Na+].[Cl-].Cc1ccccc1"])
    assert seeds.objects == (ANILIDE, "Cc1ccccc1")
    (note,) = [n for n in seeds.notes if n.startswith("salts")]
    assert ANILIDE in note
    assert "Cc1ccccc1" in note


@pytest.mark.parametrize("smiles", ["C[NH2+]Cc1ccccc1.[Cl-]", "C[NH2+]Cc1ccccc1"])
def test_a_charged_molecule_outside_the_space_counts_as_the_neutral_one(smiles):
    seeds = read_seeds(Selfies(alphabet=["[C]", "[=C]", "[N]", "[Branch1]", "[Ring1]", "[=Branch1]", "[O]"]), [smiles])
    assert seeds.objects == ("CNCc1ccccc1",)
    assert "neutral" in " ".join(seeds.notes)


@pytest.fixture(scope="module")
def patterns():
    return Fragments(vocabulary="zinc")


@pytest.mark.parametrize(
    ("smiles", "name"),
    [
        ("CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Oc1ccccc1C(=O)[O-]"),
        ("CC(=O)Oc1ccccc1C(=O)[O-].[Na+]", "CC(=O)Oc1ccccc1C(=O)[O-]"),
        ("CN1CCC(c2ccc(C(=O)O)cc2)CC1", "CN1CCC(c2ccc(C(=O)[O-])cc2)CC1"),
    ],
)
def test_an_acid_counts_as_the_ion_that_is_in_the_space(patterns, smiles, name):
    seeds = read_seeds(patterns, [smiles])
    assert seeds.objects == (name,)
    assert any(note.endswith(f"{smiles} as {name}") for note in seeds.notes)


def test_the_reason_for_a_racemate_names_an_isomer_that_is_in_the_space(patterns):
    with pytest.raises(ConfigError, match="only with a defined configuration") as refusal:
        read_seeds(patterns, ["CN1CCCC1c1cccnc1"])
    isomer = str(refusal.value).rpartition("it has ")[2]
    assert read_seeds(patterns, [isomer]).objects == (isomer,)


def test_what_is_not_in_the_space_is_listed_with_the_reason(molecules):
    text = notes(molecules, ["Cc1ccccc1", "CCO", "[Fe]", "no molecule", *["C1CCCCCCCCCC1"] * 12])
    assert "15 not in the space" in text
    assert "CCO: " in text
    assert "no molecule: it is not a molecule that RDKit can read" in text
    assert "and 5 more" in text


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (Fragments, ["CCO", "[Fe]"]),
        (lambda: Sequences("ACGU", 4), ["ACG", "TTTT"]),
        (lambda: Selfies(length=3), ["CCCCCC"]),
    ],
)
def test_seeds_none_of_which_fits_are_refused_with_each_reason(make, given):
    with pytest.raises(ConfigError, match=r"^seeds: ") as refusal:
        read_seeds(make(), given)
    for text in given:
        assert f"{text}: " in str(refusal.value)


def test_words_and_listed_objects_are_seeds_as_well(tmp_path):
    assert read_seeds(Sequences("ACGU", 4), ["ACGU", "ACG", "ACGU"]).objects == ("ACGU",)
    (tmp_path / "library.smi").write_text("CCO\nCCN\n")
    assert read_seeds(Pool(str(tmp_path / "library.smi")), ["OCC", "CCC"]).objects == ("CCO",)


@pytest.mark.parametrize(
    ("name", "text"),
    [("hits.smi", "Cc1ccccc1 toluene\n"), ("hits.csv", "id,smiles,ic50\n1,Cc1ccccc1,3.0\n"), ("hits.txt", "Cc1ccccc1")],
)
def test_files_of_several_kinds_are_read(molecules, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_seeds(molecules, str(tmp_path / name)).objects == ("Cc1ccccc1",)


def test_a_missing_file_is_named(molecules, tmp_path):
    with pytest.raises(ConfigError, match=r"^seeds: cannot read .*none\.smi"):
        read_seeds(molecules, str(tmp_path / "none.smi"))


def test_notes_name_the_lines_and_count_rows_without_an_object(molecules, tmp_path):
    (tmp_path / "hits.csv").write_text("id,smiles\n1,Cc1ccccc1\n2,\n3,C1CCCCCCCCCC1\n")
    text = notes(molecules, str(tmp_path / "hits.csv"))
    assert "1 of 2 objects" in text
    assert "csv is in the space" in text
    assert "1 row without an object left out" in text
    assert "line 4, C1CCCCCCCCCC1: " in text


def test_a_hydrogen_that_defines_a_double_bond_may_be_left_out():
    space = Selfies(alphabet=["[C]", "[=C]", "[N]", "[=N]", "[Branch1]", "[Ring1]", "[=Branch1]"])
    assert read_seeds(space, ["[H]/N=C(\\C)c1ccccc1"]).objects == ("CC(=N)c1ccccc1",)


def test_seeds_that_are_no_texts_are_refused(molecules):
    with pytest.raises(ConfigError, match="seeds: expected texts, got 5"):
        read_seeds(molecules, [5])


def test_a_campaign_says_what_it_read_and_begins_with_it(tmp_path, monkeypatch):
    project = enter_project(tmp_path, monkeypatch)
    notes = project.run("rounds.count=1", "sampler.steps=2", "seeds=[GAGAGA, GAGAG, CCCCCC]")
    assert any(note.startswith("seeds: 2 of 3 objects of the config are in the space") for note in notes.notes)
    assert any("GAGAG: 'GAGAG' has 5 letters" in note for note in notes.notes)
    assert project.objects()[:2] == ["GAGAGA", "CCCCCC"]


def test_similarity_to_the_seeds_counts_those_outside_of_the_space():
    outside = "C1CCCCCCCCCC1"
    content = {
        "name": "t",
        "environment": {"kind": "fragments", "vocabulary": "bengio72"},
        "oracle": {"kind": "rdkit_properties", "properties": ["qed"]},
        "constraints": [{"kind": "similarity", "min": 0.9}],
        "seeds": [f"{outside}.Cl", "Cc1ccccc1", "no molecule"],
    }
    parts = prepare(parse_config(content))
    assert parts.seeds.objects == ("Cc1ccccc1",)
    assert parts.seeds.references == (outside, "Cc1ccccc1")
    assert parts.constraints.acceptable([outside, "CCO"]) == [outside]


def test_an_error_about_seeds_names_the_key_that_has_changed_the_blocks():
    content = {
        "name": "t",
        "environment": {"kind": "fragments", "min_fragments": 3},
        "oracle": {"kind": "rdkit_properties", "properties": ["qed"]},
        "seeds": ["C[C@H](N)c1ccccc1"],
    }
    with pytest.raises(ConfigError, match=r"environment\.min_fragments: 3 has a meaning for the vocabulary bengio72"):
        _ = prepare(parse_config(content)).seeds
