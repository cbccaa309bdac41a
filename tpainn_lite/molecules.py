"""Molecules from SMILES, and the force field MMFF94, with RDKit.

MMFF94: Halgren, J. Comput. Chem. 17, 490 (1996). RDKit works in kcal/mol and Å.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds, rdDistGeom, rdForceFieldHelpers, rdMolHash

from . import data, dynamics, guards, units
from .data import EnergyForces
from .guards import checked, optional, positive, structure, text, whole

# Times the sum of two covalent radii. Bonds of the DFT sets reach 1.21 times at 1000 K,
# and neighbours that share no bond come as near as 1.29 times.
STRETCHED = 1.5  # a longer bond needs a reason: a scan, or hot dynamics
NEAR = 1.3  # two atoms as near as this are bonded
BY_DISTANCE = (  # ways to read bonds: of hot structures, then of strained cages, whose
    {},  # atoms come as near as 1.25 times without a bond
    {"useVdw": True, "covFactor": 1.15},
)
MATCHES = 10_000  # of a molecule onto itself, looked at by `reorder`
TORN = 4.0  # no scan pulls a bond as far (O-H: 3.9 Å)
MOST = 200  # atoms of a molecule in space: RDKit needs seconds, and beyond it hours
LARGEST = 600  # atoms of any molecule
SPACING, WAIT = guards.number(least=0.5, most=1e6), guards.number(least=0, most=1e9)


@checked(smiles=text)
def parse(smiles: str) -> Chem.Mol:
    """Read the one neutral, closed-shell molecule of a SMILES; hydrogens are added.

    Raises `ValueError` where RDKit cannot read it, for several molecules (RDKit's force
    fields leave out what acts between them), for radicals and for ions.
    """
    mol = Chem.MolFromSmiles(smiles)
    if mol is None or not mol.GetNumAtoms():
        raise ValueError(f"smiles: RDKit cannot read {smiles!r}; ethanol is 'CCO'")
    mol = Chem.AddHs(mol)
    parts, charge = len(Chem.GetMolFrags(mol)), Chem.GetFormalCharge(mol)
    unpaired = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    for wrong, words in (
        (parts > 1, f"has {parts} that share no bond; take one, without a dot"),
        (unpaired, f"is a radical, with {unpaired} unpaired electron(s)"),
        (charge, f"is an ion, of charge {charge:+d}"),
        (mol.GetNumAtoms() > LARGEST, f"has more than {LARGEST} atoms"),
    ):
        if wrong:
            needs = "needs one molecule, neutral and closed-shell"
            raise ValueError(f"smiles: {needs}; {smiles!r:.60} {words}")
    return mol


def skeleton(smiles: str) -> str:
    """Reduce a SMILES to its graph of heavy atoms: no bond orders, charges, stereo.

    Tautomers, stereoisomers, and a molecule and its unsaturated relatives share one.
    """
    mol = Chem.RemoveHs(parse(smiles))
    Chem.RemoveStereochemistry(mol)
    return rdMolHash.MolHash(mol, rdMolHash.HashFunction.ElementGraph)


def _numbers(mol: Chem.Mol) -> list[int]:
    return [atom.GetAtomicNum() for atom in mol.GetAtoms()]


def _unbonded(atoms: Atoms) -> Chem.RWMol:
    """Build a molecule without bonds at the positions of `atoms`."""
    data.check([atoms], "atoms", labelled=False)
    if len(atoms) > MOST or atoms.pbc.any():
        found = f"{len(atoms)}, pbc={atoms.pbc.tolist()}"
        raise ValueError(f"atoms: needs an open structure of up to {MOST}, got {found}")
    mol = Chem.RWMol()
    for symbol in atoms.symbols:
        mol.AddAtom(Chem.Atom(symbol))
    mol.AddConformer(Chem.Conformer(len(atoms)))
    mol.GetConformer().SetPositions(atoms.positions)
    return mol


@checked(atoms=structure)
def perceive(atoms: Atoms) -> str:
    """Read the SMILES of a neutral open structure, its bonds from distances."""
    for way in BY_DISTANCE:
        mol = _unbonded(atoms)
        try:
            with rdBase.BlockLogs():
                rdDetermineBonds.DetermineBonds(mol, charge=0, **way)
            break
        except (ValueError, RuntimeError) as error:  # RDKit raises either
            why = error
    else:
        raise ValueError(
            f"atoms: RDKit finds no bonds in {atoms.symbols!s:.40} ({why}); needs a "
            "neutral, closed-shell molecule"
        ) from None
    with rdBase.BlockLogs():
        smiles = Chem.MolToSmiles(Chem.RemoveHs(mol))
    if "." in smiles:
        raise ValueError(
            f"atoms: needs one molecule, got {smiles}; take one, or mend a long bond"
        )
    _properties(parse(smiles), smiles)
    return smiles


@checked(atoms=structure, smiles=text)
def reorder(atoms: Atoms, smiles: str) -> Atoms:
    """Copy `atoms` with the atoms in the order of `conformers` and `mmff94`.

    Bonds are read from distances; labels move with the atoms. Where bonds alone leave a
    choice, double and triple bonds go to the short ones; stereochemistry does not
    count. Raises `ValueError` where `atoms` are another molecule than that of `smiles`,
    or a bond is too long to be seen.
    """
    mol, wanted, ends, orders = parse(smiles), Chem.RWMol(), [], []
    for number in _numbers(mol):
        wanted.AddAtom(Chem.Atom(number))
    for bond in mol.GetBonds():
        ends.append((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        orders.append(bond.GetBondTypeAsDouble())
        wanted.AddBond(*ends[-1], Chem.BondType.SINGLE)
    i, j = np.array(ends, int).reshape(-1, 2).T

    def multiple(match):  # lengths (Å) of bonds, times their orders less one
        positions = atoms.positions[list(match)]
        gaps = np.linalg.norm(positions[i] - positions[j], axis=1)
        return (np.array(orders) - 1) @ gaps

    # of all that fit, the one with the shortest multiple bonds (cyclooctatetraene)
    for way in BY_DISTANCE:
        found = _unbonded(atoms)
        rdDetermineBonds.DetermineConnectivity(found, **way)
        matches = found.GetSubstructMatches(wanted, uniquify=False, maxMatches=MATCHES)
        order = list(min(matches, key=multiple, default=()))
        if found.GetNumBonds() == wanted.GetNumBonds() and len(order) == len(atoms):
            break
    else:
        raise ValueError(
            f"atoms: {atoms.get_chemical_formula()} with bonds by distance is not the "
            f"molecule of {smiles!r}; look at the structure, or at the SMILES"
        )
    ordered = data.reordered(atoms, order, atoms.positions)
    ordered.info["smiles"] = smiles
    return ordered


@checked(n=whole(least=1, most=10_000), seed=guards.seed)
def conformers(smiles: str, n: int = 1, *, seed: int) -> list[Atoms]:
    """Embed up to `n` conformers (ETKDG), of up to `MOST` atoms; relax by MMFF94."""
    mol = parse(smiles)
    if mol.GetNumAtoms() > MOST:
        needs = f"a molecule of up to {MOST} atoms"
        raise guards.refusal("smiles", needs, f"{mol.GetNumAtoms()} atoms: {smiles}")
    _properties(mol, smiles)
    start = seed or 2**20  # with 0 RDKit would make every conformer the same
    ids = list(rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=start))
    if not ids:
        raise ValueError(f"smiles: RDKit finds no 3D structure for {smiles!r}")
    rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, maxIters=1000)
    places = [mol.GetConformer(i).GetPositions() for i in ids]
    return [Atoms(_numbers(mol), r, info={"smiles": smiles}) for r in places]


def _properties(mol: Chem.Mol, smiles: str):
    """Type the atoms for MMFF94."""
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    if properties is None:
        raise ValueError(
            f"smiles: MMFF94 has no parameters for some atom of {smiles!r}; it covers "
            "most organic molecules of H, C, N, O, F, Si, P, S, Cl, Br, I"
        )
    return properties


def mmff94(smiles: str) -> EnergyForces:
    """Build MMFF94 of one molecule; atoms in the order of `conformers` (see `reorder`).

    The force field is a function of the positions of this molecule only, whose bonds
    come from the SMILES; its zero of energy is arbitrary. A call raises `ValueError`
    for other elements, a cell, another atom order or a torn molecule (`_bond_check`).
    """
    mol = parse(smiles)
    build = rdForceFieldHelpers.MMFFGetMoleculeForceField
    return force_field("MMFF94", smiles, mol, build, _properties(mol, smiles))


def force_field(name: str, smiles: str, mol: Chem.Mol, build, *more) -> EnergyForces:
    """Wrap the RDKit force field that `build` makes of `mol`, of this `smiles`."""
    mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    field, expected = build(mol, *more), np.array(_numbers(mol))
    check_bonds = _bond_check(smiles, mol)

    def energy_forces(numbers, positions, cell=None):
        positions = np.asarray(positions, float)
        fits = cell is None and positions.shape == (len(expected), 3)
        if not (fits and np.array_equal(numbers, expected)):
            raise ValueError(
                f"numbers: {name} of {smiles!r} needs an open structure with atomic "
                f"numbers {expected.tolist()}, got {np.asarray(numbers).tolist()}"
            )
        check_bonds(positions)
        flat = positions.ravel().tolist()
        energy = field.CalcEnergy(flat) * units.KCAL_MOL
        gradient = np.array(field.CalcGrad(flat)).reshape(-1, 3)
        return energy, -gradient * units.KCAL_MOL

    return energy_forces


def _bond_check(smiles: str, mol: Chem.Mol) -> Callable[[np.ndarray], None]:
    """Build a check that positions (N, 3) Å hold the bonds of `mol`.

    A bond may be `STRETCHED` times the sum of the covalent radii. A longer one without
    a new one is a scan, and passes up to `TORN` times; but where one of its atoms is
    `NEAR` an atom it has no bond to, it is another atom order or another molecule.
    """
    radii = covalent_radii[_numbers(mol)]
    sums = radii + radii[:, None]  # (N, N) Å
    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    first, second = np.nonzero(np.triu(bonded))
    longest = (STRETCHED * sums[first, second]) ** 2
    eye = np.eye(len(radii))
    along = eye[first] - eye[second]  # (bonds, N): a product is quicker than indexing
    apart = ~bonded & ~eye.astype(bool)

    def check(positions):
        if not (((along @ positions) ** 2).sum(1) > longest).any():
            return
        distances = np.linalg.norm(positions - positions[:, None], axis=-1)  # (N, N) Å
        ratios = distances / sums
        loose = (bonded & (ratios > STRETCHED)).any(1)
        worst = np.unravel_index(np.argmax(ratios * bonded), ratios.shape)
        if (ratios < NEAR)[loose][apart[loose]].any() or ratios[worst] > TORN:
            raise ValueError(
                f"positions: atoms {worst[0]} and {worst[1]} are bonded in {smiles!r} "
                f"and {distances[worst]:.2f} Å apart; another order of the atoms is "
                f"mended by molecules.reorder(atoms, {smiles!r}); else it is another "
                "molecule, or torn"
            )

    return check


@checked(n=whole(1, 10**6), temperature=positive, spacing=SPACING, equilibration=WAIT)
def sample(
    smiles: str,
    n: int,
    *,
    temperature: float,
    seed: int,
    spacing: float = 100.0,
    equilibration: float = 500.0,
) -> list[Atoms]:
    """Sample `n` MMFF94-labelled structures of NVT dynamics, `spacing` fs apart.

    Strong friction (1/20 fs) makes a single molecule forget its start quickly.
    """
    (start,) = conformers(smiles, 1, seed=seed)
    every, skip = round(spacing / 0.5), round(equilibration / spacing)
    how: dict[str, Any] = dict(temperature=temperature, every=every, seed=seed)
    how |= dict(steps=(n + skip) * every, friction=0.05)
    frames = dynamics.simulate(start, mmff94(smiles), **how)
    for frame in frames:
        frame.info["temperature"] = temperature
    return frames[skip:]


_UNSTABLE = [  # for `enumerate_smiles`
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


@checked(max_heavy=whole(1, 9), keep=optional(guards.count), seed=guards.seed)
def enumerate_smiles(
    max_heavy: int, keep: int | None = None, seed: int = 0
) -> list[str]:
    """Enumerate molecules of C, N, O and H: canonical SMILES, smallest first.

    In the manner of GDB (Fink & Reymond, J. Chem. Inf. Model. 47, 342 (2007)): attach
    an atom, then raise bond orders and close rings in every way that valence, a few
    rules of stability (ours) and MMFF94 allow. `keep` caps how many of each size stay,
    and grow; each carbon makes a molecule 3 times likelier to be drawn.
    """
    rng = np.random.default_rng(seed)
    level, found = ["C", "N", "O"], ["C", "N", "O"]
    for _ in range(max_heavy - 1):
        grown = new = {child for smiles in level for child in _attached(smiles)}
        while new:
            new = {child for smiles in new for child in _bonded(smiles)} - grown
            grown = grown | new
        level = sorted(grown)
        if keep and len(level) > keep:
            weight = 3.0 ** np.array([s.upper().count("C") for s in level])
            chosen = rng.choice(level, keep, replace=False, p=weight / weight.sum())
            level = sorted(chosen.tolist())
        found += level
    typed = rdForceFieldHelpers.MMFFHasAllMoleculeParams
    return [smiles for smiles in found if typed(parse(smiles))]


def _open_sites(smiles: str) -> tuple[Chem.RWMol, list[int]]:
    """Read a molecule, its bond orders explicit, and its atoms that have a hydrogen."""
    mol = Chem.RWMol(Chem.MolFromSmiles(smiles))
    Chem.Kekulize(mol, clearAromaticFlags=True)
    sites = [a.GetIdx() for a in mol.GetAtoms() if a.GetTotalNumHs() > 0]
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(False)
        atom.SetNumExplicitHs(0)
    return mol, sites


def _attached(smiles: str) -> Iterator[str]:
    """Attach one more atom."""
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
    for i, j in ((i, j) for k, i in enumerate(sites) for j in sites[:k]):
        child, bond = Chem.RWMol(mol), mol.GetBondBetweenAtoms(i, j)
        order = bond and raised.get(bond.GetBondTypeAsDouble())
        if bond is None and distance[i, j] <= 5:
            child.AddBond(i, j, Chem.BondType.SINGLE)
        elif order:
            child.GetBondBetweenAtoms(i, j).SetBondType(order)
        else:
            continue
        yield from _stable(child)


def _stable(mol: Chem.RWMol) -> Iterator[str]:
    """Give the SMILES of a molecule that breaks no rule of stability."""
    Chem.SanitizeMol(mol)
    if not any(mol.HasSubstructMatch(pattern) for pattern in _UNSTABLE):
        yield Chem.MolToSmiles(mol)
