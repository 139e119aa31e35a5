import inspect
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from al_loop import parts
from al_loop.environments.sequence import Sequences
from al_loop.errors import ConfigError


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
