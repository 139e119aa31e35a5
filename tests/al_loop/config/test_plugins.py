import inspect
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from pydantic import ValidationError

from al_loop.config import Part
from al_loop.config import plugins as parts
from al_loop.environments.sequence import Sequences
from al_loop.errors import ConfigError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("section", parts.ROOMS)
def test_every_built_in_part_is_found_and_described(section):
    found = parts.built_in(section)
    assert found, f"no part in {section}"
    for info in found:
        assert info.section == section
        assert info.summary.endswith("."), f"{info.kind}: the docstring needs a first line"
        built = parts.find(section, info.kind)
        assert inspect.isclass(built)
        assert built.kind == info.kind
        assert not inspect.isabstract(built)


def test_the_parts_that_a_user_knows_are_there():
    kinds = {section: {info.kind for info in parts.built_in(section)} for section in parts.ROOMS}
    assert {"hypergrid", "sequence", "fragments"} <= kinds["environment"]
    assert {"xtb", "docking", "rna"} <= kinds["oracle"]
    assert "gp" in kinds["surrogate"]
    assert {"ucb", "qlogei"} <= kinds["acquisition"]
    assert {"diverse", "greedy"} <= kinds["selector"]
    assert {"base", "testing", "__init__"}.isdisjoint(set().union(*kinds.values()))


def test_a_new_file_is_a_new_part(tmp_path, monkeypatch):
    room = tmp_path / "my_room"
    room.mkdir()
    (room / "__init__.py").write_text("")
    (room / "fast.py").write_text('class Fast:\n    """Quick one."""\n\n    kind = "fast"\n')
    (room / "helper.py").write_text('raise RuntimeError("listing imports nothing")\n')
    (room / "other.py").write_text('class Wrong:\n    kind = "not_the_name_of_the_file"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(parts, "ROOMS", {"room": "my_room"})
    assert parts.built_in("room") == [parts.PartInfo("room", "fast", "Quick one.")]
    assert "my_room.fast" not in sys.modules
    assert parts.find("room", "fast").__name__ == "Fast"


def test_a_changed_file_is_read_again(tmp_path, monkeypatch):
    room = tmp_path / "changing_room"
    room.mkdir()
    path = room / "fast.py"
    path.write_text('class Fast:\n    """Quick one."""\n\n    kind = "fast"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    (room / "__init__.py").write_text("")
    monkeypatch.setattr(parts, "ROOMS", {"room": "changing_room"})
    assert [info.summary for info in parts.built_in("room")] == ["Quick one."]
    path.write_text('class Fast:\n    """Quicker one."""\n\n    kind = "fast"\n')
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000_000))
    assert [info.summary for info in parts.built_in("room")] == ["Quicker one."]


def test_an_unknown_kind_suggests_the_most_similar_one():
    with pytest.raises(ConfigError, match="did you mean 'gp'"):
        parts.find("surrogate", "gpp")


def test_a_class_attribute_is_read_without_building_the_part():
    assert Part(kind="human").declared("oracle", "is_external", False) is True
    assert Part(target="pathlib:Path").declared("oracle", "is_external", False) is False


@pytest.mark.parametrize("kind", ["gpp", "base", "../gp", "", "gp.py", "os", "class"])
def test_an_unknown_kind_lists_those_that_are_there(kind):
    with pytest.raises(ConfigError, match=r"is not one of .*gp"):
        parts.find("surrogate", kind)


def test_load_target_gives_what_is_named():
    assert parts.load_target("al_loop.environments.sequence:Sequences") is Sequences


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_colon", "not of the form"),
        (":Name", "not of the form"),
        ("module:", "not of the form"),
        ("no_such_module_at_all:Name", "cannot import 'no_such_module_at_all': ModuleNotFoundError"),
        ("al_loop.errors:Nothing", "has no 'Nothing'"),
        ("..relative:Name", "cannot import"),
    ],
)
def test_a_bad_target_says_why(target, reason):
    with pytest.raises(ConfigError, match=reason):
        parts.load_target(target)


@pytest.mark.parametrize("body", ["raise RuntimeError('boom')", "def broken(:"])
def test_a_module_that_fails_at_import_says_why(tmp_path, monkeypatch, body):
    name = f"failing_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=f"cannot import '{name}': (RuntimeError: boom|SyntaxError)"):
        parts.load_target(f"{name}:Thing")


class Mine:
    def __init__(self, size: int, path: Path, share: float = 0.5, names: tuple[str, ...] = ()) -> None:
        self.size = size


def test_arguments_are_checked_and_converted():
    model = parts.arguments_model(Mine)
    checked = model(size="3", path="a/b", names=["x"])
    assert (checked.size, checked.path, checked.share, checked.names) == (3, Path("a/b"), 0.5, ("x",))
    for wrong in ({"path": "a"}, {"size": "many", "path": "a"}, {"size": 1, "path": "a", "sise": 2}):
        with pytest.raises(ValidationError):
            model(**wrong)


def test_a_factory_with_open_arguments_takes_any():
    def factory(size: int, **others: object) -> None: ...

    assert parts.arguments_model(factory)(size=1, more=2).more == 2


@pytest.mark.parametrize("factory", [partial(Mine, 3), partial(partial(Mine), size=3)])
def test_the_arguments_left_to_a_partial_are_checked_and_converted(factory):
    model = parts.arguments_model(factory)
    assert model(path="a/b").path == Path("a/b")
    with pytest.raises(ValidationError):
        model(path="a/b", share="much")


def test_annotations_that_cannot_be_resolved_are_left_unchecked():
    def factory(size: "NoSuchName") -> None: ...  # noqa: F821

    assert parts.arguments_model(factory)(size="anything").size == "anything"


def test_an_argument_may_be_named_like_a_method_of_pydantic():
    def factory(copy: int = 1, model_name: str = "x", schema: str = "y") -> None: ...

    checked = parts.arguments_model(factory)(copy=2, model_name="z")
    assert (checked.copy, checked.model_name) == (2, "z")


def test_no_built_in_part_has_an_argument_that_the_config_reserves():
    for section in parts.ROOMS:
        for info in parts.built_in(section):
            names = parts.arguments_model(parts.find(section, info.kind)).model_fields
            assert not {"kind", "target", "min", "max"} & set(names), (section, info.kind)


# ---- parts of installed packages ----------------------------------------------------------------------------------

MODULE = """
from al_loop import Oracle

class Half(Oracle):
    def __init__(self, share: float = 0.5) -> None:
        self.share = share
    def evaluate(self, objects):
        return [self.share * len(name) for name in objects]

def third(word, share: float = 0.25):
    return share * len(word)

number = 3
"""


@pytest.fixture
def install(tmp_path):
    """Lays a package down as pip does, and runs code in a fresh interpreter that finds it."""

    def lay_down(name, module, points):
        (tmp_path / f"{name}_module.py").write_text(module)
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        groups = "".join(
            f"[{group}]\n" + "".join(f"{kind} = {name}_module:{attribute}\n" for kind, attribute in entries.items())
            for group, entries in points.items()
        )
        (info / "entry_points.txt").write_text(groups)

    def run(code, *options):
        done = subprocess.run(
            [sys.executable, *options, "-c", "import sys\nfrom al_loop.config import plugins as parts\n" + code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    lay_down.run = run
    return lay_down


def test_a_package_brings_a_part_under_the_name_of_its_entry_point(install):
    install("halves", MODULE, {"al_loop.oracles": {"half-of-it": "Half"}, "al_loop.surrogates": {"half": "Half"}})
    code = """
from al_loop.oracles.base import evaluate_all
found = parts.find("oracle", "half-of-it")
print(found.__module__, evaluate_all(found(share=2.0), ["abc"])[0].values, parts.find("surrogate", "half") is found)
"""
    assert install.run(code) == "halves_module (6.0,) True"


def test_a_campaign_takes_it_as_kind_and_checks_its_arguments(install):
    install("halves", MODULE, {"al_loop.oracles": {"half": "Half"}})
    code = """
from al_loop.campaign.building import build_oracle
from al_loop.config import parse_config
from al_loop.errors import ConfigError
from al_loop.oracles.base import evaluate_all
def config(**oracle):
    environment = {"kind": "sequence", "alphabet": "AC", "length": 4}
    return parse_config({"name": "x", "environment": environment, "oracle": oracle})
print(evaluate_all(build_oracle(config(kind="half", share="2")), ["abc"])[0].values)
try:
    config(kind="half", shard=2)
except ConfigError as error:
    print(error)
"""
    value, error = install.run(code).splitlines()
    assert value == "(6.0,)"
    assert error.startswith("oracle.shard: unknown key; did you mean 'share'?")


def test_a_function_may_be_an_entry_point(install):
    install("thirds", MODULE, {"al_loop.oracles": {"third": "third"}})
    code = """
from al_loop.oracles.base import evaluate_all
from al_loop.oracles.wrap import oracle_from
print(evaluate_all(oracle_from(parts.find("oracle", "third"), share=3.0), ["abc"])[0].values)
"""
    assert install.run(code) == "(9.0,)"


def test_parts_of_packages_are_listed_with_their_package_and_not_imported(install):
    install("halves", MODULE, {"al_loop.oracles": {"half": "Half", "third": "third"}})
    code = """
for info in parts.available("oracle"):
    if info.distribution:
        print(info.kind, "|", info.summary, "|", info.distribution)
assert [info for info in parts.available("oracle") if not info.distribution] == parts.built_in("oracle")
assert "halves_module" not in sys.modules
"""
    assert install.run(code).splitlines() == [
        "half | halves_module:Half, from halves 1.2 | halves 1.2",
        "third | halves_module:third, from halves 1.2 | halves 1.2",
    ]


def test_a_built_in_part_wins_and_the_clash_is_reported(install):
    install("halves", MODULE, {"al_loop.oracles": {"rna": "Half"}})
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    print(parts.find("oracle", "rna").__module__)
print(caught[0].message)
print(next(info.summary for info in parts.available("oracle") if info.distribution))
"""
    found, warning, summary = install.run(code).splitlines()
    assert found == "al_loop.oracles.rna"
    assert "not the one from halves 1.2" in warning
    assert "target: 'halves_module:Half'" in warning
    assert "hidden by the built-in part" in summary


def refusal(kind):
    return f"""
from al_loop.errors import ConfigError
try:
    parts.find("oracle", {kind!r})
except ConfigError as error:
    print(error)
"""


def test_two_packages_with_one_name_are_told_apart_by_target(install):
    install("first", MODULE, {"al_loop.oracles": {"half": "Half"}})
    install("second", MODULE, {"al_loop.oracles": {"half": "Half"}})
    said = install.run(refusal("half"))
    assert "'first_module:Half' (first 1.2), 'second_module:Half' (second 1.2)" in said
    assert "target" in said


@pytest.mark.parametrize(
    ("module", "attribute", "reason"),
    [
        ("import no_such_library", "Half", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise SystemExit(3)", "Half", "SystemExit: 3"),
        ("def broken(:", "Half", "SyntaxError"),
        (MODULE, "Quarter", "AttributeError"),
        (MODULE, "number", "neither a class nor a function"),
    ],
)
def test_a_broken_entry_point_names_its_package_and_the_reason(install, module, attribute, reason):
    install("halves", module, {"al_loop.oracles": {"half": attribute}})
    said = install.run(refusal("half"))
    assert "halves 1.2" in said
    assert f"'halves_module:{attribute}'" in said
    assert reason in said


def test_an_unknown_kind_names_those_of_packages_too(install):
    install("halves", MODULE, {"al_loop.oracles": {"half": "Half"}})
    assert ", half" in install.run(refusal("hlaf"))


def test_every_room_has_a_group_of_its_own():
    groups = [parts.entry_point_group(section) for section in parts.ROOMS]
    assert len(set(groups)) == len(groups)
    assert {"al_loop.oracles", "al_loop.policies", "al_loop.searches", "al_loop.properties"} <= set(groups)
