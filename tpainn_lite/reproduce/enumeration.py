"""Small organic molecules by the thousand, enumerated in the manner of GDB (RDKit)."""

from collections.abc import Iterator

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from ..molecules import parse

_UNSTABLE = [
    Chem.MolFromSmarts(smarts)
    for smarts in (
        "O~O",  # peroxides
        "[N,O]~[N,O]~[N,O]",  # chains of three hetero atoms
        "N=[N,O]",
        "*=*=*=*",
        "[R]#*",  # triple bond at a ring
        "[R]=[R]=[R]",  # allene in a ring
        "[r3]=*",  # double bond at a three-membered ring
        "[R2;r3,r4]",  # cages: two rings that share atoms of a small ring
        "[R2;!a]=*",  # double bond at a bridgehead
    )
]


def enumerate_smiles(
    max_heavy: int, keep: int | None = None, seed: int = 0
) -> list[str]:
    """Canonical SMILES of C, N, O molecules, smallest first.

    In the manner of GDB (Fink & Reymond, J. Chem. Inf. Model. 47, 342 (2007)): attach
    an atom, then raise bond orders and close rings in every way that valence and a few
    rules of stability allow. The rules are ours and much shorter than GDB's; what
    MMFF94 cannot type is left out. Of 6 heavy atoms there are thousands, so `keep`
    caps how many of each size stay, and grow; they are drawn at random, every carbon
    making a molecule 3 times likelier (free growth is rich in N and O).
    """
    if not 1 <= max_heavy <= 9:
        raise ValueError(f"max_heavy: needs 1 to 9 heavy atoms, got {max_heavy}")
    if keep is not None and keep < 1:
        raise ValueError(f"keep: needs a positive number of molecules, got {keep}")
    rng = np.random.default_rng(seed)
    typed = rdForceFieldHelpers.MMFFHasAllMoleculeParams
    level, found = ["C", "N", "O"], ["C", "N", "O"]
    for _ in range(max_heavy - 1):
        grown = {new for smiles in level for new in _attached(smiles)}
        everything, frontier = set(grown), grown
        while frontier:
            changed = {new for smiles in frontier for new in _bonded(smiles)}
            frontier = changed - everything
            everything |= frontier
        level = sorted(everything)
        if keep and len(level) > keep:
            weight = 3.0 ** np.array([s.upper().count("C") for s in level])
            chosen = rng.choice(level, keep, replace=False, p=weight / weight.sum())
            level = sorted(chosen.tolist())
        found += level
    return [smiles for smiles in found if typed(parse(smiles))]


def _open_sites(smiles: str) -> tuple[Chem.RWMol, list[int]]:
    """The molecule with explicit bond orders, and its atoms that carry a hydrogen."""
    mol = Chem.RWMol(Chem.MolFromSmiles(smiles))
    Chem.Kekulize(mol, clearAromaticFlags=True)
    sites = [a.GetIdx() for a in mol.GetAtoms() if a.GetTotalNumHs() > 0]
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(False)
        atom.SetNumExplicitHs(0)
    return mol, sites


def _attached(smiles: str) -> Iterator[str]:
    mol, sites = _open_sites(smiles)
    for i in sites:
        for number in (6, 7, 8):
            child = Chem.RWMol(mol)
            child.AddBond(i, child.AddAtom(Chem.Atom(number)), Chem.BondType.SINGLE)
            yield from _stable(child)


def _bonded(smiles: str) -> Iterator[str]:
    """Raise the order of one bond, or close one ring of 3 to 6 atoms."""
    mol, sites = _open_sites(smiles)
    distance = Chem.GetDistanceMatrix(mol)
    raised = {1.0: Chem.BondType.DOUBLE, 2.0: Chem.BondType.TRIPLE}
    for k, i in enumerate(sites):
        for j in sites[:k]:
            child, bond = Chem.RWMol(mol), mol.GetBondBetweenAtoms(i, j)
            if bond is None and distance[i, j] <= 5:
                child.AddBond(i, j, Chem.BondType.SINGLE)
            elif bond is not None and bond.GetBondTypeAsDouble() < 3:
                order = raised[bond.GetBondTypeAsDouble()]
                child.GetBondBetweenAtoms(i, j).SetBondType(order)
            else:
                continue
            yield from _stable(child)


def _stable(mol: Chem.RWMol) -> Iterator[str]:
    Chem.SanitizeMol(mol)
    if not any(mol.HasSubstructMatch(pattern) for pattern in _UNSTABLE):
        yield Chem.MolToSmiles(mol)
