"""Cheap rivals of a network: force fields as published, and calibrated.

Calibrated MMFF94 has one weight for each of the seven terms of MMFF94, one at first,
and for each bond type two springs, zero at first: the sums of r - r0 and of (r - r0)²,
r0 the sum of the covalent radii. All are linear in the forces; a ridge regression finds
them. Its penalty is the same at all sizes and comes from trials on the pool, as the
settings of the networks do (`trials.held_out`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from rdkit.Chem import rdForceFieldHelpers

from .. import calibrate, data, datasets, molecules
from ..data import EnergyForces, label, labels
from ..ridge_head import HeadConfig, Rows, solve
from ..water import MODELS, WaterModel
from .pretraining import anew

TERMS = ("Bond", "Angle", "StretchBend", "Torsion", "Oop", "VdW", "Ele")
LIQUIDS = ("q-TIP4P/F", "calibrated q-TIP4P/F")
BOXES = 8  # at most, to calibrate on
MOLECULES = ("MMFF94", "calibrated MMFF94")
ARMS = (*MOLECULES, *LIQUIDS)
# Force MAE (meV/Å) of four draws at n = 3, 10, 30, 100, 300, MMFF94 itself 249.8:
# 10: 241.2, 223.7, 214.4, 207.1, 206.8; 30: 244.5, 226.6, 215.9, 207.1, 204.3;
# 100: 247.7, 238.9, 229.6, 216.0, 205.1; leaving one out chose too little at 3 and 300
PENALTY = 20.0
BondType = tuple[int, int, float]  # elements in order, bond order


@cache
def terms(smiles: str) -> list[EnergyForces]:
    """Build the seven terms of MMFF94 of a molecule, each alone."""
    found = []
    for wanted in TERMS:
        mol = molecules.parse(smiles)
        how = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
        for term in TERMS:
            getattr(how, f"SetMMFF{term}Term")(term == wanted)
        build = rdForceFieldHelpers.MMFFGetMoleculeForceField
        found.append(molecules.force_field("MMFF94", smiles, mol, build, how))
    return found


@cache
def bonds(smiles: str) -> dict[BondType, np.ndarray]:
    """List the bonds of a molecule by type: pairs of atoms (bonds, 2)."""
    found: dict[BondType, list] = {}
    for bond in molecules.parse(smiles).GetBonds():
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        first, second = sorted(atom.GetAtomicNum() for atom in ends)
        pairs = found.setdefault((first, second, bond.GetBondTypeAsDouble()), [])
        pairs.append([atom.GetIdx() for atom in ends])
    return {kind: np.array(pairs) for kind, pairs in found.items()}


@dataclass(frozen=True)
class ForceField:
    """MMFF94's seven terms, springs of bond `types`, and reference energies (eV)."""

    types: tuple[BondType, ...] = ()
    weights: np.ndarray = field(default_factory=lambda: np.ones(len(TERMS)))
    reference_energies: Mapping[int, float] = field(default_factory=dict)

    def features(self, atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
        """Compute energies (D,) eV and forces (D, N, 3) eV/Å, each of weight one."""
        smiles = atoms.info["smiles"]
        found = [term(atoms.numbers, atoms.positions, None) for term in terms(smiles)]
        for kind in self.types:
            found += _springs(atoms, kind, bonds(smiles).get(kind))
        energies, forces = zip(*found, strict=True)
        return np.array(energies), np.array(forces)

    def predict(self, frames: Sequence[Atoms], forces: bool = True):
        """Predict energies (frames,) eV and forces, (N, 3) eV/Å each, or None."""
        parts = [self.features(a) for a in frames]
        energies = np.array([e @ self.weights for e, _ in parts])
        pushes = [np.tensordot(self.weights, f, 1) for _, f in parts]
        energies += _zero(frames, self.reference_energies)
        return energies, pushes if forces else None


@dataclass(frozen=True)
class Liquid:
    """A classical model of water, and reference energies (eV)."""

    model: WaterModel
    reference_energies: Mapping[int, float] = field(default_factory=dict)

    def predict(self, frames: Sequence[Atoms], forces: bool = True):
        """Predict as `ForceField.predict` does."""
        found = [labels(atoms) for atoms in anew(self.model, frames)]
        energies, pushes = zip(*found, strict=True)
        zero = _zero(frames, self.reference_energies)
        return np.array(energies) + zero, list(pushes) if forces else None


def _zero(frames: Sequence[Atoms], energies: Mapping[int, float]) -> np.ndarray:
    """Add up reference energies (eV) of the atoms of each frame."""
    return np.array([sum(energies.get(int(z), 0.0) for z in a.numbers) for a in frames])


def _springs(atoms: Atoms, kind: BondType, pairs: np.ndarray | None) -> list[tuple]:
    """Compute (r - r0) and (r - r0)² of all bonds of a type, with their forces."""
    forces = np.zeros((2, len(atoms), 3))
    if pairs is None:
        return [(0.0, forces[0]), (0.0, forces[1])]
    first, second = pairs.T
    vectors = atoms.positions[second] - atoms.positions[first]
    r = np.linalg.norm(vectors, axis=1)
    long = r - covalent_radii[list(kind[:2])].sum()
    for k, slope in enumerate((np.ones_like(r), 2 * long)):
        pull = (slope / r)[:, None] * vectors
        np.add.at(forces[k], first, pull)
        np.add.at(forces[k], second, -pull)
    return [(long.sum(), forces[0]), ((long**2).sum(), forces[1])]


def fit(
    arm: str, frames: Sequence[Atoms], atomic_energies: Mapping[int, float] | None
) -> ForceField | Liquid:
    """Fit one of `ARMS` to labelled frames; only a calibrated one to their forces."""
    if arm in LIQUIDS:
        water = MODELS["q-tip4p-f"]
        if arm != LIQUIDS[0]:
            water, _ = calibrate.water(water, frames[:BOXES])
        model = Liquid(water)
    else:
        model = _calibrated(frames) if arm == "calibrated MMFF94" else ForceField()
    truth = np.array([labels(a)[0] for a in frames])
    left = truth - model.predict(frames, forces=False)[0]
    zero = data.fit_reference_energies(frames, left, atomic_energies)
    return replace(model, reference_energies=zero)


def _calibrated(frames: Sequence[Atoms]) -> ForceField:
    """Find weights by ridge regression on the forces, towards MMFF94 as it is."""
    types = tuple(sorted({kind for a in frames for kind in bonds(a.info["smiles"])}))
    start = np.r_[np.ones(len(TERMS)), np.zeros(2 * len(types))]
    model, rows = ForceField(types, start), []
    for atoms in frames:
        _, forces = model.features(atoms)
        X = forces.reshape(len(start), -1).T / np.sqrt(atoms.positions.size)
        y = (labels(atoms)[1] - np.tensordot(start, forces, 1)).ravel()
        rows.append((X, y / np.sqrt(atoms.positions.size)))
    sizes = np.array([(X**2).sum(axis=0) for X, _ in rows])  # where a type occurs
    scale = np.sqrt(sizes.sum(axis=0) / (sizes > 0).sum(axis=0))
    how = HeadConfig(ridges=(PENALTY / len(rows),))
    w, _ = solve([Rows(X / scale, y) for X, y in rows], how)
    return ForceField(types, start + w / scale)


def known(frames: Sequence[Atoms]) -> EnergyForces:
    """Look up the labels of frames, where a method needs more than the positions."""
    found = {atoms.positions.tobytes(): labels(atoms) for atoms in frames}
    return lambda numbers, positions, cell=None: found[positions.tobytes()]


@cache
def known_mmff94(name: str) -> EnergyForces:
    """Look up MMFF94 of a shipped set, whose SMILES tell the bonds."""
    every = [atoms for part in datasets.load(name).values() for atoms in part]
    return known([label([a], molecules.mmff94(a.info["smiles"]))[0] for a in every])
