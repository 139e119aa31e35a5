"""States of fragments as molecular graphs: what is computed from them equals what is computed from their SMILES."""

import json

import pytest
import torch
from rdkit import Chem
from rdkit.Chem import Descriptors, rdFingerprintGenerator

from al_loop.environments.fragments import Fragments
from al_loop.environments.fragments.graphs import SHIPPED_GRAPHS
from al_loop.environments.fragments.vocabulary import describe_block, describe_graph
from al_loop.features.circular import Circular
from al_loop.features.molecules.circular import distinct_counts, folded_counts, substructures
from al_loop.features.molecules.descriptors import NAMES, descriptor
from al_loop.gflownet.rollout import rollout

SIZES = [(6, 2, 38), (1, 1, 20), (12, 3, 90)]


def drawn(environment, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return rollout(environment, None, n, generator=generator).terminal


@pytest.fixture(scope="module", params=SIZES, ids=lambda sizes: f"{sizes[0]} fragments")
def space(request):
    environment = Fragments(*request.param)
    states = drawn(environment, 150)
    return environment, states, [Chem.MolFromSmiles(smiles) for smiles in environment.decode(states)]


def test_unfolded_counts_equal_those_of_rdkit(space):
    environment, states, molecules = space
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    ids, counts = distinct_counts(substructures(environment.graphs(states), 2))
    for row, molecule in enumerate(molecules):
        own = {i: n for i, n in zip(ids[row].tolist(), counts[row].tolist(), strict=True) if n}
        assert own == generator.GetSparseCountFingerprint(molecule).GetNonzeroElements()


@pytest.mark.parametrize("name", NAMES)
def test_descriptors_equal_those_of_rdkit(name, space):
    environment, states, molecules = space
    values = descriptor(environment.graphs(states), name).tolist()
    assert values == pytest.approx([float(dict(Descriptors.descList)[name](m)) for m in molecules], abs=1e-9)


def test_unfinished_states_are_molecules_too():
    environment = Fragments()
    states = drawn(environment, 20)
    unfinished = torch.cat([states[:, :-1], torch.zeros_like(states[:, -1:])], 1)
    assert torch.equal(environment.graphs(states).atoms, environment.graphs(unfinished).atoms)
    empty = environment.graphs(environment.initial(3))
    assert not empty.is_atom.any()
    assert distinct_counts(substructures(empty, 2))[1].sum() == 0


def test_graphs_of_no_states_have_no_rows():
    environment = Fragments()
    assert len(environment.graphs(environment.initial(0))) == 0


def test_stored_graphs_are_those_that_rdkit_reads():
    stored = json.loads(SHIPPED_GRAPHS.read_text(encoding="utf-8"))
    assert stored == {block.smiles: describe_graph(block.smiles) for block in Fragments().blocks}


def test_blocks_of_another_vocabulary_are_read_by_rdkit(tmp_path):
    block = describe_block("c1ccc2[nH]ncc2c1", [0, 1, 4])
    path = tmp_path / "blocks.json"
    path.write_text(json.dumps([block, describe_block("CO", [0, 0])]))
    environment = Fragments(max_fragments=3, vocabulary=path)
    states = drawn(environment, 20)
    smiles = environment.decode(states)
    assert torch.equal(Circular().of_graphs(environment.graphs(states)).double(), Circular()(smiles))


def test_a_device_is_neither_left_nor_waited_for():
    """Tensors on ``meta`` have no numbers, and cannot be combined with those of another device."""
    environment = Fragments()
    states = environment.initial(5).to("meta")
    graphs = environment.graphs(states)
    counts = folded_counts(substructures(graphs, 2), 2048)
    for result in (environment.identity(states), counts, *(descriptor(graphs, name) for name in NAMES)):
        assert result.device.type == "meta"
        assert len(result) == 5
