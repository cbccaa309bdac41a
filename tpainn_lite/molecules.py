"""Molecules from SMILES, and the MMFF94 force field, with RDKit.

MMFF94: Halgren, J. Comput. Chem. 17, 490 (1996). RDKit works in kcal/mol and Å.
"""

import numpy as np
from ase import Atoms
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolHash

from . import dynamics, units
from .data import EnergyForces


def parse(smiles: str) -> Chem.Mol:
    """The molecule of a SMILES string, hydrogens added.

    Raises `ValueError` where RDKit cannot read it.
    """
    mol = Chem.MolFromSmiles(smiles) if smiles else None
    if mol is None:
        raise ValueError(
            f"smiles: RDKit cannot read {smiles!r}; ethanol, for example, is 'CCO'"
        )
    return Chem.AddHs(mol)


def skeleton(smiles: str) -> str:
    """The heavy-atom graph without bond orders, hydrogens, charges or stereochemistry.

    Tautomers, stereoisomers, and a molecule and its unsaturated relatives share one;
    splits by skeleton are stricter than splits by molecule.
    """
    mol = Chem.RemoveHs(parse(smiles))
    return rdMolHash.MolHash(mol, rdMolHash.HashFunction.ElementGraph)


def conformers(smiles: str, n: int = 1, *, seed: int) -> list[Atoms]:
    """Up to `n` conformers by distance geometry (ETKDG), relaxed with MMFF94.

    Raises `ValueError` for SMILES that cannot be read, typed or embedded.
    """
    if n < 1:
        raise ValueError(f"n: needs a positive number of conformers, got {n}")
    mol = parse(smiles)
    _properties(mol, smiles)
    ids = list(rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=seed))
    if not ids:
        raise ValueError(f"smiles: RDKit finds no 3D structure for {smiles!r}")
    rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, maxIters=1000)
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    return [
        Atoms(numbers, mol.GetConformer(i).GetPositions(), info={"smiles": smiles})
        for i in ids
    ]


def _properties(mol: Chem.Mol, smiles: str):
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    if properties is None:
        raise ValueError(
            f"smiles: MMFF94 has no parameters for some atom of {smiles!r}; it covers "
            "most closed-shell organic molecules of H, C, N, O, F, Si, P, S, Cl, Br, I"
        )
    return properties


def mmff94(smiles: str) -> EnergyForces:
    """MMFF94 of one molecule; atoms in the order of `conformers`.

    The force field needs bonds, and bonds come from the SMILES: it is a function of the
    positions of one molecule only. Its zero of energy is arbitrary for each molecule.
    """
    mol = parse(smiles)
    properties = _properties(mol, smiles)
    mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)
    expected = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])

    def energy_forces(numbers, positions, cell=None):
        if cell is not None or not np.array_equal(numbers, expected):
            raise ValueError(
                f"numbers: MMFF94 of {smiles!r} needs an open structure with atomic "
                f"numbers {expected.tolist()}, got {np.asarray(numbers).tolist()}"
            )
        flat = np.asarray(positions, float).ravel().tolist()
        energy = field.CalcEnergy(flat) * units.KCAL_MOL
        gradient = np.array(field.CalcGrad(flat)).reshape(-1, 3)
        return energy, -gradient * units.KCAL_MOL

    return energy_forces


def sample(
    smiles: str,
    n: int,
    *,
    temperature: float,
    seed: int,
    spacing: float = 100.0,
    equilibration: float = 500.0,
) -> list[Atoms]:
    """`n` MMFF94-labelled structures from NVT dynamics, `spacing` fs apart.

    Strong friction (1/20 fs) makes a single molecule forget its start quickly.
    """
    start = conformers(smiles, 1, seed=seed)[0]
    every = round(spacing / 0.5)
    skip = round(equilibration / spacing)
    frames = dynamics.simulate(
        mmff94(smiles),
        start,
        steps=(n + skip) * every,
        temperature=temperature,
        friction=0.05,
        every=every,
        seed=seed,
    )
    for frame in frames:
        frame.info["temperature"] = temperature
    return frames[skip:]


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


def enumerate_smiles(max_heavy: int, keep: int | None = None, seed: int = 0):
    """Canonical SMILES (list of str) of C, N, O molecules, smallest first.

    In the manner of GDB (Fink & Reymond, J. Chem. Inf. Model. 47, 342 (2007)): attach an
    atom, then raise bond orders and close rings in every way that valence and a few
    rules of stability allow. The rules are ours and much shorter than GDB's; what MMFF94
    cannot type is left out. There are thousands of molecules of 6 heavy atoms, so `keep`
    caps how many of each size stay, and grow; they are drawn at random, every carbon
    making a molecule 3 times likelier (free growth is rich in N and O).
    """
    if not 1 <= max_heavy <= 9:
        raise ValueError(f"max_heavy: needs 1 to 9 heavy atoms, got {max_heavy}")
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


def _attached(smiles: str):
    mol, sites = _open_sites(smiles)
    for i in sites:
        for number in (6, 7, 8):
            child = Chem.RWMol(mol)
            child.AddBond(i, child.AddAtom(Chem.Atom(number)), Chem.BondType.SINGLE)
            yield from _stable(child)


def _bonded(smiles: str):
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


def _stable(mol: Chem.RWMol):
    Chem.SanitizeMol(mol)
    if not any(mol.HasSubstructMatch(pattern) for pattern in _UNSTABLE):
        yield Chem.MolToSmiles(mol)
