import xml.etree.ElementTree as ET

import pytest

from al_loop.analysis.molecules import alerts, are_canonical, draw, parse, scaffold_of
from al_loop.analysis.object_kinds import kind_of_objects


def test_a_drawing_is_a_small_svg_element_without_the_text():
    drawing = draw("CC(=O)Oc1ccccc1C(=O)O")
    assert ET.fromstring(drawing).tag.endswith("svg")
    assert len(drawing) < 12_000
    assert "CC(=O)" not in drawing


@pytest.mark.parametrize("text", ["", "<script>", "C" * 5000, "c1cc"])
def test_what_is_no_molecule_has_no_drawing(text):
    assert draw(text) is None


def test_alerts_name_the_catalogue_and_the_group():
    (azo, plain, missing) = alerts(parse(["c1ccccc1N=Nc1ccccc1", "CCO", "nothing"]))
    assert any(name.startswith("Brenk: ") for name in azo)
    assert plain == missing == []


def test_a_scaffold_is_rings_and_linkers():
    assert scaffold_of("CCc1ccccc1") == "c1ccccc1"
    assert scaffold_of("CCO") == scaffold_of("nothing") == ""


@pytest.mark.parametrize(
    ("environment", "objects", "expected"),
    [
        ({"kind": "fragments"}, [], "molecule"),
        ({"kind": "sequence"}, ["CCC"], "sequence"),
        ({"kind": "pool"}, ["CCO", "c1ccccc1"], "molecule"),
        ({"kind": "pool"}, ["ACGT", "ACGA"], "sequence"),
        ({"kind": "pool", "object_type": "other"}, ["CCO"], "other"),
        ({"kind": None, "target": "x:Y"}, ["1,2", "3,4"], "other"),
        ("fragments", ["1,2"], "molecule"),
        (None, [], "other"),
    ],
)
def test_the_type_of_objects_is_what_the_config_or_they_say(environment, objects, expected):
    assert kind_of_objects({"environment": environment}, objects) == expected


@pytest.mark.parametrize(("smiles", "is_canonical"), [(["CCO", "nothing"], True), (["OCC"], False), ([], True)])
def test_the_notation_of_molecules_is_recognised(smiles, is_canonical):
    assert are_canonical(smiles) is is_canonical
