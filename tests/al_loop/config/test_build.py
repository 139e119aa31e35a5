import inspect
from dataclasses import fields

import pytest

from al_loop.config import BuildContext, Part, build, plugins
from al_loop.config.build import SUPPLIED, supplied_arguments
from al_loop.errors import ConfigError

FIELDS = [field.name for field in fields(BuildContext)]
CONTEXT = BuildContext(
    alphabet="ACGU",
    length=6,
    lengths=(6, 6),
    kernel="hamming",
    layout="layout",
    n_fidelities=2,
    environment="environment",
    features="features",
    hidden=8,
    layers=2,
    heads=3,
    n_conditions=4,
)
POLICY = {"environment", "hidden", "layers", "heads", "n_conditions"}
#: what each built-in part is supplied with; a renamed parameter would silently go without
EXPECTED = {
    ("energy", "graph"): {"environment", "features"},
    ("energy", "mlp"): {"environment", "features"},
    ("energy", "pairwise"): {"environment"},
    ("evolution", "letters"): {"alphabet"},
    ("features", "joined"): {"alphabet", "length"},
    ("features", "kmers"): {"alphabet"},
    ("features", "one_hot"): {"alphabet", "length"},
    ("policy", "blocks"): POLICY,
    ("policy", "chart"): POLICY,
    ("policy", "folding"): POLICY,
    ("policy", "forest"): POLICY,
    ("policy", "fragment_transformer"): POLICY,
    ("policy", "fragments"): POLICY,
    ("policy", "language"): POLICY,
    ("policy", "masked_autoregressive"): POLICY,
    ("policy", "mlp"): POLICY,
    ("policy", "pairing"): POLICY,
    ("policy", "sister_chart"): POLICY,
    ("policy", "tagging"): POLICY,
    ("policy", "transformer"): POLICY,
    ("property", "gc_content"): {"alphabet"},
    ("property", "motif"): {"alphabet"},
    ("property", "structure"): {"lengths"},
    ("surrogate", "auto"): {"kernel"},
    ("surrogate", "deep_kernel"): {"kernel", "layout"},
    ("surrogate", "ensemble"): {"layout"},
    ("surrogate", "gp"): {"kernel"},
    ("surrogate", "gp_ensemble"): {"kernel"},
    ("surrogate", "multi_fidelity"): {"kernel", "n_fidelities"},
    ("surrogate", "sequence"): {"layout"},
    ("surrogate", "variational"): {"kernel"},
}


class Borrowing:
    """Somebody's own surrogate that names a value of the context."""

    def __init__(self, kernel: str, layout: object = "its own") -> None:
        self.kernel, self.layout = kernel, layout


OWN = Part(target=f"{__name__}:Borrowing")


@pytest.fixture(autouse=True)
def _own_part(monkeypatch):
    monkeypatch.setattr("al_loop.config.plugins.load_target", lambda target: Borrowing)


def test_every_built_in_part_that_names_a_value_of_the_context_gets_it():
    supplied = {
        (section, info.kind): set(supplied_arguments(section, plugins.find(section, info.kind), CONTEXT))
        for section in plugins.ROOMS
        for info in plugins.built_in(section)
    }
    assert {key: names for key, names in supplied.items() if names} == EXPECTED


def test_no_built_in_part_of_a_supplied_section_names_a_value_that_its_section_is_not_supplied_with():
    own_arguments = {
        ("energy", "graph"): {"hidden", "layers"},
        ("energy", "mlp"): {"hidden", "layers"},
        ("surrogate", "deep_kernel"): {"hidden"},
        ("surrogate", "ensemble"): {"hidden"},
    }
    for section, names in SUPPLIED.items():
        for info in plugins.built_in(section):
            parameters = set(inspect.signature(plugins.find(section, info.kind)).parameters) & set(FIELDS)
            assert parameters - set(names) == own_arguments.get((section, info.kind), set()), (section, info.kind)


def test_every_value_of_the_context_has_a_section():
    assert {name for names in SUPPLIED.values() for name in names} == set(FIELDS)


def test_a_part_of_ones_own_gets_the_values_that_it_names():
    built = build("surrogate", OWN, BuildContext(kernel="hamming", n_fidelities=2))
    assert (built.kernel, built.layout) == ("hamming", "its own")


def test_the_config_wins_over_the_context():
    part = Part(target=OWN.target, kernel="minmax")
    assert build("surrogate", part, BuildContext(kernel="hamming")).kernel == "minmax"


def test_other_sections_are_not_supplied():
    with pytest.raises(ConfigError, match="kernel"):
        build("selector", OWN, BuildContext(kernel="hamming"))
