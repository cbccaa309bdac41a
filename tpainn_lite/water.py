"""Boxes of water molecules; the models that move them are in ``water_models``.

Atoms come molecule by molecule, ordered O H H.
"""

import math

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from . import analysis, units
from .data import cell_of
from .public.formats import whole_waters
from .water_models import MODELS, SPC_FW, WaterModel, water_system

__all__ = [
    "MODELS",
    "WaterModel",
    "ordered",
    "scaled",
    "spc_fw",
    "water_box",
    "water_system",
]

CLASH = 1.4  # Å: in liquid water no two molecules come as close
ORIENTATIONS = 50  # tried for each molecule of a new box
LATTICES = [  # sites in a cubic cell of edge 1, distance between neighbouring sites
    ([[0, 0, 0]], 1.0),
    ([[0, 0, 0], [0.5, 0.5, 0.5]], 0.75**0.5),
    ([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], 0.5**0.5),
]


def spc_fw(atoms: Atoms, *, cutoff: float | None = None, tolerance: float = 1e-4):
    """The OpenMM System of SPC/Fw water; see `water_system`."""
    return water_system(SPC_FW, atoms, cutoff=cutoff, tolerance=tolerance)


def water_box(n_molecules: int, *, density: float = 0.997, seed: int) -> Atoms:
    """A cubic periodic box of `n_molecules` at `density` (g/cm³).

    Oxygens sit on sites of the roomiest cubic lattice that has enough of them; each
    molecule (SPC/Fw's geometry) takes the roomiest of 50 random orientations, all
    drawn with `seed`. This is no liquid yet: run some picoseconds of dynamics first.

    Raises `ValueError` for sizes that are not positive, and for densities at which
    molecules would overlap.
    """
    if not (isinstance(n_molecules, int | np.integer) and n_molecules > 0):
        raise ValueError(f"n_molecules: needs a positive integer, got {n_molecules}")
    if not 0 < density < math.inf:
        raise ValueError(f"density: needs a positive number of g/cm³, got {density}")
    rng = np.random.default_rng(seed)
    mass = n_molecules * Atoms("OHH").get_masses().sum()  # u
    length = (mass / (density * units.GRAM_CM3)) ** (1 / 3)  # Å
    positions = np.empty((0, 3))
    for site in length * _sites(n_molecules, rng):
        positions = np.vstack([positions, _place(site, positions, length, rng)])
    box = Atoms("OHH" * n_molecules, positions, cell=[length] * 3, pbc=True)
    first, second, image = neighbor_list("ijS", box, CLASH)
    if np.any((first // 3 != second // 3) | image.any(1)):
        raise ValueError(
            f"density: at {density} g/cm³ two molecules come closer than {CLASH} Å; "
            "build the box at a lower density and let a barostat compress it"
        )
    return box


def scaled(atoms: Atoms, density: float) -> Atoms:
    """A box of water at another density (g/cm³): molecules move, none is deformed.

    Momenta stay. Raises `ValueError` for a density that is not positive, and for what
    is no periodic box of molecules in the order O, H, H.
    """
    if not 0 < density < math.inf:
        raise ValueError(f"density: needs a positive number of g/cm³, got {density}")
    if not atoms.pbc.all():
        raise ValueError("atoms: needs a box that is periodic in all directions")
    analysis.check_water(atoms)
    factor = (analysis.densities([atoms])[0] / density) ** (1 / 3)
    moved = atoms.copy()
    arms = analysis.bond_vectors(atoms).reshape(-1, 2, 3)
    molecules = atoms.positions[::3, None] + np.pad(arms, ((0, 0), (1, 0), (0, 0)))
    centres = molecules.mean(axis=1, keepdims=True)
    moved.positions = (molecules + (factor - 1) * centres).reshape(-1, 3)
    moved.set_cell(factor * atoms.cell.array)
    return moved


PER_ATOM = ("forces", "energies", "stresses", "charges", "magmoms")  # of ASE's labels


def ordered(atoms: Atoms) -> Atoms:
    """Return a copy of water with its atoms in the order O H H, O H H, ....

    Each hydrogen goes to its nearest oxygen and is moved next to it by cell vectors.
    Momenta, labels and everything else move along with the atoms.

    Raises `ValueError` where an oxygen does not get exactly two hydrogens.
    """
    order, positions = whole_waters(atoms.numbers, atoms.positions, cell_of(atoms))
    found, known = atoms[order], {}
    found.positions = positions
    found.set_constraint()  # they would hide the forces on fixed atoms
    for name in atoms.calc.results if atoms.calc else ():
        value = atoms.calc.get_property(name, atoms, allow_calculation=False)
        if value is not None:  # the label is of these positions
            known[name] = value[order] if name in PER_ATOM else value
    if known:
        found.calc = SinglePointCalculator(found, **known)
    return found


def _sites(n: int, rng: np.random.Generator) -> np.ndarray:
    """`n` sites (n, 3) in a cube of edge 1, drawn from a lattice, far apart."""
    choices = []
    for basis, distance in LATTICES:
        cells = math.ceil(round((n / len(basis)) ** (1 / 3), 9))
        choices.append((distance / cells, cells, basis))
    _, cells, basis = max(choices)
    corners = np.array(list(np.ndindex(cells, cells, cells)), float)
    sites = (corners[:, None] + np.array(basis)).reshape(-1, 3) / cells
    return rng.permutation(sites)[:n]


def _place(site, others, length: float, rng: np.random.Generator) -> np.ndarray:
    """A molecule (3, 3) Å at `site`, turned to keep away from `others` (K, 3) Å."""
    half = math.radians(SPC_FW.theta0) / 2
    x, y = SPC_FW.r0 * math.sin(half), SPC_FW.r0 * math.cos(half)
    molecule = np.array([[0, 0, 0], [x, y, 0], [-x, y, 0]])
    turns = Rotation.random(ORIENTATIONS, rng=rng).as_matrix()
    trials = molecule @ turns  # (orientations, 3, 3)
    apart = others - site
    apart -= length * np.round(apart / length)  # nearest image
    apart = apart[np.linalg.norm(apart, axis=1) < 5.0]
    gaps = np.linalg.norm(trials[:, :, None] - apart, axis=3)
    return site + trials[gaps.min(axis=(1, 2), initial=np.inf).argmax()]
