"""Creation of fragment vocabularies from lists of SMILES, and cutting of molecules into fragments. Requires RDKit.

A molecule is cut at every acyclic single bond that touches a ring atom. The pieces are whole ring systems (with the
atoms double-bonded to them) and whole acyclic chains. Every molecule can therefore be cut in exactly one way, and
joining pieces by the same rule never forms a bond that would not be cut again: one object, one fragment tree.

``python -m al_loop.environments.fragments.vocabulary zinc250k.smi.xz OUT.json`` creates the included file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import lzma
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdkit import Chem, RDLogger

from al_loop.errors import ConfigError
from al_loop.features.molecules.reading import atom_row
from al_loop.smiles import parse_smiles
from al_loop.storage.files import require_free, write_output

ELEMENTS = {6, 7, 8, 9, 16, 17, 35}
MAX_SITES = 6
MAX_SYMMETRIES = 48


@dataclass(frozen=True)
class Piece:
    """A piece of a molecule, and the atoms at which it was bonded.

    Args:
        smiles: canonical SMILES, with hydrogens in place of the cut bonds.
        bonds: (atom index in the SMILES, number of the cut bond) for each cut.
    """

    smiles: str
    bonds: tuple[tuple[int, int], ...]


def _is_cut(bond: Any) -> bool:
    ends_in_ring = bond.GetBeginAtom().IsInRing() or bond.GetEndAtom().IsInRing()
    return bond.GetBondType() == Chem.BondType.SINGLE and not bond.IsInRing() and ends_in_ring


def take_apart(mol: Any) -> list[Piece]:
    """Cut a sanitised RDKit molecule without stereochemistry into its pieces."""
    cut = [bond.GetIdx() for bond in mol.GetBonds() if _is_cut(bond)]
    if not cut:
        return [Piece(Chem.MolToSmiles(mol), ())]
    broken = Chem.FragmentOnBonds(mol, cut, dummyLabels=[(k + 1, k + 1) for k in range(len(cut))])
    pieces = []
    for fragment in Chem.GetMolFrags(broken, asMols=True):
        editable = Chem.RWMol(fragment)
        ends: list[tuple[int, int]] = []  # (atom, number of the cut bond)
        for atom in editable.GetAtoms():
            if atom.GetAtomicNum() == 0:
                neighbour = atom.GetNeighbors()[0]
                ends.append((neighbour.GetIdx(), atom.GetIsotope() - 1))
                # an aromatic nitrogen or a bracket atom has no implicit hydrogens: add one in place of the cut bond
                if neighbour.GetNoImplicit() or (neighbour.GetAtomicNum() == 7 and neighbour.GetIsAromatic()):
                    neighbour.SetNumExplicitHs(neighbour.GetNumExplicitHs() + 1)
        dummies = [a.GetIdx() for a in editable.GetAtoms() if a.GetAtomicNum() == 0]
        for index in sorted(dummies, reverse=True):
            editable.RemoveAtom(index)
        shift = {old: old - sum(d < old for d in dummies) for old, _ in ends}
        core = editable.GetMol()
        Chem.SanitizeMol(core)
        smiles = Chem.MolToSmiles(core)
        order = list(core.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
        rank = {old: new for new, old in enumerate(order)}
        pieces.append(Piece(smiles, tuple((rank[shift[a]], k) for a, k in ends)))
    return pieces


def _symmetries(mol: Any, sites: list[int]) -> list[list[int]] | None:
    """Return the permutations of the sites that leave the piece unchanged; ``p[i]`` is the image of site i.

    Return None if the sites are only part of an orbit: different sets of sites could then give the same molecule.
    """
    tagged = Chem.Mol(mol)
    atom: Any
    for atom in tagged.GetAtoms():  # an isotope label makes the match depend on hydrogens
        atom.SetIsotope(atom.GetTotalNumHs() + 1)
    site_atoms = sorted(set(sites))
    maps = {
        tuple(m[a] for a in site_atoms) for m in tagged.GetSubstructMatches(tagged, uniquify=False, maxMatches=10_000)
    }
    sites_of = {a: [i for i, s in enumerate(sites) if s == a] for a in site_atoms}
    permutations = set()
    for image in maps:
        if any(len(sites_of[a]) != len(sites_of.get(b, ())) for a, b in zip(site_atoms, image, strict=True)):
            return None
        for choice in itertools.product(*(itertools.permutations(sites_of[b]) for b in image)):
            permutation = [0] * len(sites)
            for atom, targets in zip(site_atoms, choice, strict=True):
                for source, target in zip(sites_of[atom], targets, strict=True):
                    permutation[source] = target
            permutations.add(tuple(permutation))
    return [list(p) for p in sorted(permutations)]


def _tokens(mol: Any, smiles: str) -> list[str]:
    """Cut a SMILES behind each atom symbol, so that ring-closure bonds to other pieces can be inserted there.

    Token i is the text from the end of atom symbol i - 1 to the end of atom symbol i; the last token is the rest.
    """
    tokens: list[str] = []
    position, n = 0, 0
    while position < len(smiles):
        start = position
        while not (smiles[position].isalpha() or smiles[position] == "["):
            position += 1
            if position == len(smiles):
                return [*tokens, smiles[start:]]
        if smiles[position] == "[":
            position = smiles.index("]", position) + 1
        else:
            position += 2 if smiles[position : position + 2] in ("Cl", "Br") else 1
        tokens.append(smiles[start:position])
        n += 1
    assert n == mol.GetNumAtoms()
    return [*tokens, ""]


def _site_class(atom: Any) -> str:
    if atom.IsInRing():
        return "ring_carbon" if atom.GetAtomicNum() == 6 else "ring_hetero"
    if atom.GetAtomicNum() == 16 and atom.GetTotalValence() == 6:
        return "sulfonyl"
    return "carbon" if atom.GetAtomicNum() == 6 else "hetero"


def describe_block(smiles: str, sites: list[int]) -> dict[str, Any] | None:
    """Return the vocabulary entry of a piece (see ``blocks.Block``), or None if it cannot be used.

    Args:
        smiles: canonical SMILES of the piece.
        sites: indices of the atoms that may carry a bond; an atom that may carry two occurs twice.
    """
    mol = Chem.MolFromSmiles(smiles)
    symmetries = _symmetries(mol, sites)
    classes = [_site_class(mol.GetAtomWithIdx(a)) for a in sites]
    # a sulfonyl group with a hydrogen on sulfur is not drug-like, so this site requires a bond
    required = [i for i, c in enumerate(classes) if c == "sulfonyl"]
    if symmetries is None or len(required) > 1 or len(symmetries) > MAX_SYMMETRIES:
        return None
    return {
        "smiles": smiles,
        "is_ring": any(a.IsInRing() for a in mol.GetAtoms()),
        "sites": sites,
        "classes": classes,
        "required": required[0] if required else None,
        "n_atoms": mol.GetNumAtoms(),
        "tokens": _tokens(mol, smiles),
        "symmetries": symmetries,
    }


def describe_graph(smiles: str) -> dict[str, Any]:
    """Return the fields of ``graphs.BlockGraph`` of a block."""
    mol = Chem.MolFromSmiles(smiles)
    return {
        "atoms": [atom_row(atom) for atom in mol.GetAtoms()],
        "bonds": [
            [bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), int(bond.GetBondType()), int(bond.IsInRing())]
            for bond in mol.GetBonds()
        ],
        "n_rings": mol.GetRingInfo().NumRings(),
    }


def _clean(smiles: Iterable[str]) -> Iterator[Any]:
    for line in smiles:
        mol = parse_smiles(line)
        if mol is None or any(
            a.GetAtomicNum() not in ELEMENTS or a.GetFormalCharge() or a.GetIsotope() or a.GetNumRadicalElectrons()
            for a in mol.GetAtoms()
        ):
            continue
        Chem.RemoveStereochemistry(mol)
        yield mol


def build(smiles: Iterable[str], n_rings: int = 40, n_chains: int = 32, min_count: int = 50) -> list[dict[str, Any]]:
    """Return a vocabulary of the most frequent ring systems and chains, with the sites at which they are bonded.

    Args:
        smiles: molecules; those with unusual elements, charges, isotopes or radicals are skipped.
        n_rings: number of ring systems.
        n_chains: number of chains.
        min_count: smallest number of occurrences of a site.

    Returns:
        Entries of ``describe_block``, the most frequent first.
    """
    occurrences: Counter[str] = Counter()
    bonded: dict[str, Counter[tuple[int, int]]] = defaultdict(
        Counter
    )  # piece -> (atom, number of simultaneous bonds) -> count
    for mol in _clean(smiles):
        for piece in take_apart(mol):
            if piece.bonds:
                occurrences[piece.smiles] += 1
                for atom, n in Counter(a for a, _ in piece.bonds).items():
                    bonded[piece.smiles].update((atom, k) for k in range(1, n + 1))
    blocks: list[dict[str, Any]] = []
    n_missing = {True: n_rings, False: n_chains}
    for core, _ in occurrences.most_common():
        mol = Chem.MolFromSmiles(core)
        if mol is None or Chem.MolToSmiles(mol) != core:
            continue
        is_ring = any(a.IsInRing() for a in mol.GetAtoms())
        if not n_missing[is_ring]:
            continue
        # equivalent atoms share their counts; RDKit's ranks without tie-breaking identify the orbits
        ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
        orbit_counts: Counter[tuple[int, int]] = Counter()
        for (atom, k), n in bonded[core].items():
            orbit_counts[ranks[atom], k] += n
        sites: list[int] = []
        for (rank, k), n in sorted(orbit_counts.items(), key=lambda item: (-item[1], item[0])):
            atoms = [a.GetIdx() for a in mol.GetAtoms() if ranks[a.GetIdx()] == rank]
            atoms = [a for a in atoms if mol.GetAtomWithIdx(a).GetTotalNumHs() >= k]
            if is_ring:  # one bond per ring atom, and none from the substituents of the ring
                atoms = [a for a in atoms if k == 1 and mol.GetAtomWithIdx(a).IsInRing()]
            if n >= min_count and len(sites) + len(atoms) <= MAX_SITES:
                sites += atoms
        block = describe_block(core, sorted(sites)) if sites else None
        if block is not None:
            blocks.append(block)
            n_missing[is_ring] -= 1
    return blocks


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Make a fragment vocabulary from a file of SMILES.")
    parser.add_argument("smiles", type=Path, help="one SMILES per line, plain or .xz")
    parser.add_argument("out", type=Path, help="the JSON file to write")
    parser.add_argument("--rings", type=int, default=40, help="number of ring systems (default: 40)")
    parser.add_argument("--chains", type=int, default=32, help="number of chains (default: 32)")
    parser.add_argument(
        "--min-count", type=int, default=50, help="smallest number of occurrences of a site (default: 50)"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    arguments = parser.parse_args()
    try:
        require_free(arguments.out, force=arguments.force)
    except ConfigError as error:
        parser.error(str(error))
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined,unused-ignore]
    opener = lzma.open if arguments.smiles.suffix == ".xz" else open
    with opener(arguments.smiles, "rt", encoding="utf-8") as lines:
        smiles = [line.split()[0] for line in lines if line.strip()]
    blocks = build(smiles, arguments.rings, arguments.chains, arguments.min_count)
    if not any(block["required"] is None for block in blocks):
        parser.exit(
            2,
            f"{arguments.smiles}: no block was found in {len(smiles)} lines, so no vocabulary is written. Each line "
            f"must begin with a SMILES, and a site must occur at least {arguments.min_count} times: lower "
            "--min-count, or give more molecules\n",
        )
    rows = ",\n".join(json.dumps(block, separators=(",", ":")) for block in blocks)
    write_output(arguments.out, f"[\n{rows}\n]\n".encode(), force=arguments.force)


if __name__ == "__main__":
    main()
