import sys

import pytest

from tests.support.configs import BASE


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # the module of an earlier test has other contents
    monkeypatch.delitem(sys.modules, "my_module_of_oracles", raising=False)
    (tmp_path / "my_module_of_oracles.py").write_text("def count(item: str) -> float:\n    return item.count('A')\n")
    return tmp_path


@pytest.fixture
def write(folder):
    def write(text=BASE, *replacements):
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = folder / "campaign.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
