"""Each encoder against its definition written out with PyTorch's own layers, or against what it must not change."""

import pytest
import torch
from torch.nn.functional import conv1d, layer_norm, multi_head_attention_forward, pad, silu

from al_loop.features.graph import Graph
from al_loop.features.morgan import Morgan
from al_loop.features.one_hot import OneHot
from al_loop.features.row_layout import GraphLayout, SequenceLayout
from al_loop.surrogates.deep_kernel import DeepKernel
from al_loop.surrogates.encoders.convolution import Convolution, _convolved, _matrix_products
from al_loop.surrogates.encoders.encoding import Encoding
from al_loop.surrogates.encoders.graph import MessagePassing
from al_loop.surrogates.encoders.reverse_complement import reverse_complement
from al_loop.surrogates.encoders.transformer import Transformer
from al_loop.surrogates.ensemble import DeepEnsemble

WORDS = ["ACGTAC", "TTGAC", "GGGGGG", "A"]
DNA = OneHot("ACGT", 6)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_convolution_is_that_of_pytorch():
    X = DNA(WORDS).float()
    trunk = Convolution(DNA.layout, 3, 8, 2, generator())
    for i in range(3):
        first = trunk.first[:, 4 * i : 4 * i + 4].reshape(5, 5, 4)  # window, letters, channels
        h = silu(conv1d(X.reshape(4, 6, 5).mT, first.permute(2, 1, 0), trunk.bias[i, 0], padding=2))
        second = trunk.layers[0].weight[i].reshape(5, 4, 4)
        h = h + silu(conv1d(h, second.permute(2, 1, 0), trunk.layers[0].bias[i, 0], padding=2))
        expected = silu(h.mT.reshape(4, -1) @ trunk.last.weight[i] + trunk.last.bias[i])
        assert torch.allclose(trunk(X)[i], expected, atol=1e-5)


def test_a_gpus_matrix_products_are_the_same_convolution():
    h, weight, bias = (torch.randn(shape, generator=generator()) for shape in [(4, 6, 7), (3, 10, 8), (3, 1, 8)])
    expected = _convolved(h, weight, bias, beyond=1)
    assert expected.shape == (4, 24, 9)
    assert torch.allclose(_matrix_products(pad(h, (3, 3)), weight, bias), expected, atol=1e-5)
    assert _matrix_products(h[:0], weight, bias).shape == (0, 24, 3)


def test_the_attention_is_that_of_pytorch():
    X = DNA(WORDS).float()
    trunk = Transformer(DNA.layout, 2, 64, 1, generator())  # 2 heads of 16 units
    for i in range(2):
        letters = trunk.letters[:, 32 * i : 32 * i + 32]
        h = X.reshape(4, 6, 5) @ letters + trunk.positions[i]
        a, told = layer_norm(h, (32,)).transpose(0, 1), trunk.outputs[0]
        weights = trunk.queries[0].weight[i].T, trunk.queries[0].bias[i, 0]
        mixed, _ = multi_head_attention_forward(
            a, a, a, 32, 2, *weights, None, None, False, 0.0, told.weight[i].T, told.bias[i, 0]
        )
        h = h + mixed.transpose(0, 1)
        wide, narrow = trunk.wide[0], trunk.narrow[0]
        within = silu(layer_norm(h, (32,)) @ wide.weight[i] + wide.bias[i])
        h = h + within @ narrow.weight[i] + narrow.bias[i]
        expected = silu(layer_norm(h, (32,)).mean(1) @ trunk.last.weight[i] + trunk.last.bias[i])
        assert torch.allclose(trunk(X)[i], expected, atol=1e-5)


def test_a_molecule_is_encoded_atom_by_atom_as_by_hand():
    features = Graph(max_atoms=12, n_bits=16)
    X = features(["CC(=O)N", "C1CC1C#N"]).float()
    trunk = MessagePassing(features.layout, 2, 12, 2, generator())
    atoms, bonds = features.layout.integers(X)
    for member in range(2):
        part = slice(6 * member, 6 * member + 6)
        for row, links, found in zip(atoms, bonds, trunk(X)[member], strict=True):
            h = []
            for code in row[row > 0] - 1:
                vector = torch.zeros(6)
                for table in trunk.atoms:
                    vector = vector + table[code % len(table), part]
                    code = code // len(table)
                h.append(vector)
            for table, wide, narrow in zip(trunk.bonds, trunk.wide, trunk.narrow, strict=True):
                told = [layer_norm(v, (6,)) for v in h]
                total = list(told)
                for link in links[links > 0] - 1:
                    i, j, message = int(link // 4 // 12), int(link // 4 % 12), table[link % 4, part]
                    total[i] = total[i] + silu(told[j] + message)
                    total[j] = total[j] + silu(told[i] + message)
                within = [silu(v @ wide.weight[member] + wide.bias[member, 0]) for v in total]
                h = [v + w @ narrow.weight[member] + narrow.bias[member, 0] for v, w in zip(h, within, strict=True)]
            total = sum(layer_norm(v, (6,)) for v in h) / 16
            assert torch.allclose(
                found, silu(total @ trunk.last.weight[member] + trunk.last.bias[member, 0]), atol=1e-5
            )


def test_the_order_of_the_atoms_does_not_matter():
    Chem = pytest.importorskip("rdkit.Chem")
    features = Graph()
    molecule = Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O")
    written = [Chem.MolToSmiles(molecule, rootedAtAtom=i, canonical=False) for i in range(13)]
    encoded = MessagePassing(features.layout, 1, 32, 3, generator())(features(written).float())[0]
    assert len(set(written)) > 5
    assert torch.allclose(encoded, encoded[:1].expand_as(encoded), atol=1e-5)
    other = MessagePassing(features.layout, 1, 32, 3, generator())(features(["CC(=O)Oc1cccc(C(=O)O)c1"]).float())[0]
    assert not torch.allclose(encoded[:1], other, atol=1e-4, rtol=1e-4)


def test_no_rows_are_encoded_as_no_rows():
    graph = Graph(n_bits=16).layout
    for trunk, d in [
        (Convolution(DNA.layout, 2, 32, 2, generator()), DNA.d),
        (Transformer(DNA.layout, 2, 32, 1, generator()), DNA.d),
        (MessagePassing(graph, 2, 32, 2, generator()), graph.d),
    ]:
        assert trunk(torch.zeros(0, d)).shape == (2, 0, 32)


def test_reverse_complements_end_in_their_blanks():
    found = reverse_complement(DNA(WORDS), DNA.layout)
    assert torch.equal(found, DNA(["GTACGT", "GTCAA", "CCCCCC", "T"]))
    rna = OneHot("UCAG", 3)
    assert torch.equal(reverse_complement(rna(["AAC"]), rna.layout), rna(["GUU"]))


@pytest.mark.parametrize("encoder", ["mlp", "cnn", "transformer"])
@pytest.mark.parametrize("form", [DeepKernel, DeepEnsemble])
def test_both_strands_are_believed_alike_where_that_is_asked_for(form, encoder):
    words = ["ACGTAC", "TTGACG", "GGGAGG", "CATCAT"] * 6
    X = DNA(words)
    Y = torch.arange(24.0).double().unsqueeze(-1)

    def means(tied: bool) -> tuple[torch.Tensor, torch.Tensor]:
        surrogate = form(encoder=encoder, layout=DNA.layout, reverse_complement=tied, hidden=32, max_epochs=2)
        model = surrogate.fit(X, Y)
        return model.mean_and_variance(X), model.mean_and_variance(reverse_complement(X, DNA.layout))

    for ours, theirs in zip(*means(tied=True), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4)
    assert not torch.allclose(means(tied=False)[0][0], means(tied=False)[1][0], rtol=1e-3)


def test_auto_is_what_suits_the_rows():
    graph = GraphLayout(16, 5, 7)
    assert [Encoding("auto", layout, False).kind for layout in (None, DNA.layout, graph)] == ["mlp", "cnn", "graph"]


@pytest.mark.parametrize("form", [DeepKernel, DeepEnsemble])
def test_an_encoder_that_does_not_read_the_rows_is_refused(form):
    layouts = {"cnn": GraphLayout(16, 5, 7), "transformer": None, "graph": DNA.layout}
    for encoder, layout in layouts.items():
        with pytest.raises(ValueError, match=f"surrogate.encoder: '{encoder}' requires the features"):
            form(encoder=encoder, layout=layout)


def test_only_words_of_nucleotides_have_another_strand():
    for layout in (None, SequenceLayout("ACGX", 4), SequenceLayout("ACG", 4)):
        with pytest.raises(ValueError, match=r"surrogate\.reverse_complement"):
            DeepKernel(layout=layout, reverse_complement=True)


def test_rows_of_another_length_are_refused():
    with pytest.raises(ValueError, match="30 columns"):
        DeepKernel(layout=DNA.layout).fit(torch.ones(3, 29), torch.ones(3, 1))


def test_layouts_are_those_of_the_features():
    assert Morgan().layout is None
    for features in (DNA, Graph(max_atoms=10)):
        assert features.layout.d == features.d


def test_a_motif_of_either_strand_is_known_at_places_where_it_was_never_seen():
    generator = torch.Generator().manual_seed(0)
    one_hot = OneHot("ACGT", 9)

    def words(places, n):
        rows = torch.randint(4, (n, 9), generator=generator)
        texts = ["".join("ACGT"[i] for i in row) for row in rows.tolist()]
        if not places:
            return [text for text in texts if "GATA" not in text and "TATC" not in text]
        motifs = ["GATA" if i % 2 else "TATC" for i in range(n)]
        starts = [places[i % len(places)] for i in range(n)]
        return [t[:p] + motif + t[p + 4 :] for t, p, motif in zip(texts, starts, motifs, strict=True)]

    others, seen = words([], 500), words([0, 5], 200)
    values = torch.tensor([0.0] * len(others) + [1.0] * len(seen), dtype=torch.float64)[:, None]
    surrogate = DeepEnsemble(
        2, "cnn", one_hot.layout, reverse_complement=True, hidden=32, max_epochs=30, learning_rate=3e-3
    )
    model = surrogate.fit(one_hot(others + seen), values)
    unseen = model.mean_and_variance(one_hot(words([2, 3], 100)))[0]
    without = model.mean_and_variance(one_hot(words([], 100)))[0]
    assert float((unseen[:, None] > without).double().mean()) > 0.95
