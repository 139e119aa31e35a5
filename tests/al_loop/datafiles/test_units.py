"""Conversion between units."""

import sys

import pytest

from al_loop.datafiles.units import conversion_factor
from al_loop.errors import ConfigError


@pytest.mark.parametrize(("unit", "target", "factor"), [("uM", "nM", 1000.0), ("kJ", "J", 1000.0), ("h", "min", 60.0)])
def test_compatible_units_have_a_factor(unit, target, factor):
    assert conversion_factor(unit, target) == factor


@pytest.mark.parametrize(("unit", "target"), [("kg", "nM"), ("degC", "K"), ("furlongs?", "nM"), ("nM", "")])
def test_other_units_have_none(unit, target):
    assert conversion_factor(unit, target) is None


def test_without_pint_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pint", None)
    with pytest.raises(ConfigError, match="pip install pint"):
        conversion_factor("uM", "nM")
