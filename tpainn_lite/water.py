"""Water: boxes of molecules, and flexible classical models as OpenMM Systems.

Atoms come molecule by molecule, ordered O H H. Parameters stand here in the units of
their papers (kcal/mol, Å, degrees); OpenMM takes kJ/mol, nm and radians.
"""

import math

import ase.units
import numpy as np
import openmm
from ase import Atoms
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from . import units

# SPC/Fw: Wu, Tepper & Voth, J. Chem. Phys. 124, 024503 (2006), doi 10.1063/1.2136877
SPC_FW = dict(
    k_bond=1059.162,  # kcal/mol/Å²; the energy of a bond is k/2 (r - r0)²
    r0=1.012,  # Å
    k_angle=75.90,  # kcal/mol/rad²; the energy of an angle is k/2 (theta - theta0)²
    theta0=113.24,  # degrees
    sigma=3.165492,  # Å, oxygen only: hydrogens have no Lennard-Jones term
    epsilon=0.1554253,  # kcal/mol
    charge=0.41,  # e, on each hydrogen; oxygen has -2 times that
)
CUTOFF = 9.0  # Å
CLASH = 1.4  # Å: in liquid water no two molecules come as close
ORIENTATIONS = 50  # tried for each molecule of a new box
KCAL = units.KCAL_MOL / units.KJ_MOL  # kcal/mol -> kJ/mol
GRAM_CM3 = 1e-3 * ase.units.kg / (1e-2 * ase.units.m) ** 3  # u/Å³
LATTICES = [  # sites in a cubic cell of edge 1, distance between neighbouring sites
    ([[0, 0, 0]], 1.0),
    ([[0, 0, 0], [0.5, 0.5, 0.5]], 0.75**0.5),
    ([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], 0.5**0.5),
]


def spc_fw(
    atoms: Atoms, *, cutoff: float | None = None, tolerance: float = 1e-4
) -> openmm.System:
    """Flexible SPC/Fw water: three charged sites, every bond and angle a spring.

    A periodic box has particle-mesh Ewald electrostatics, and a Lennard-Jones term that
    a switching function takes to zero over the last tenth of `cutoff`, with OpenMM's
    correction for the tail. An open cluster has no cutoff. Molecules may be wrapped.

    Args:
        atoms: O H H, O H H, ...; open, or periodic in all three directions.
        cutoff: Å; by default 9, or 0.45 of the shortest height of a smaller box (a
            barostat may then shrink it by a tenth).
        tolerance: OpenMM's Ewald error tolerance, about the relative error of forces.

    Raises `ValueError` for other atoms or another order, for a structure that is
    periodic in some directions only, and for a cutoff that does not fit the box.
    """
    oxygens = _oxygens(atoms)
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    bonds, angles = _springs(oxygens, SPC_FW)
    nonbonded = _nonbonded(oxygens, SPC_FW)
    if atoms.pbc.any():
        system.setDefaultPeriodicBoxVectors(*(atoms.cell.array / units.NM))
        bonds.setUsesPeriodicBoundaryConditions(True)
        angles.setUsesPeriodicBoundaryConditions(True)
        _make_periodic(nonbonded, atoms, cutoff, tolerance)
    for force in (bonds, angles, nonbonded):
        system.addForce(force)
    return system


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
    length = (mass / (density * GRAM_CM3)) ** (1 / 3)  # Å
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
    half = math.radians(SPC_FW["theta0"]) / 2
    x, y = SPC_FW["r0"] * math.sin(half), SPC_FW["r0"] * math.cos(half)
    molecule = np.array([[0, 0, 0], [x, y, 0], [-x, y, 0]])
    turns = Rotation.random(ORIENTATIONS, rng=rng).as_matrix()
    trials = molecule @ turns  # (orientations, 3, 3)
    apart = others - site
    apart -= length * np.round(apart / length)  # nearest image
    apart = apart[np.linalg.norm(apart, axis=1) < 5.0]
    gaps = np.linalg.norm(trials[:, :, None] - apart, axis=3)
    return site + trials[gaps.min(axis=(1, 2), initial=np.inf).argmax()]


def _oxygens(atoms: Atoms) -> range:
    """Index of the oxygen of each molecule, after checking order and periodicity."""
    if not len(atoms) or atoms.numbers.tolist() != [8, 1, 1] * (len(atoms) // 3):
        raise ValueError(
            "atoms: water models need whole molecules ordered O H H, O H H, ..., got "
            f"{atoms.get_chemical_formula('reduce')[:40] or 'no atom'}"
        )
    if atoms.pbc.any() and not atoms.pbc.all():
        raise ValueError(
            "atoms: needs to be periodic in all three directions or in none, got "
            f"pbc={atoms.pbc.tolist()}"
        )
    return range(0, len(atoms), 3)


def _springs(oxygens: range, model: dict):
    """Harmonic bonds and angles; OpenMM's k is the one in k/2 x²."""
    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    r0, theta0 = model["r0"] / units.NM, math.radians(model["theta0"])
    k_bond = model["k_bond"] * KCAL * units.NM**2  # kJ/mol/nm²
    k_angle = model["k_angle"] * KCAL  # kJ/mol/rad²
    for o in oxygens:
        bonds.addBond(o, o + 1, r0, k_bond)
        bonds.addBond(o, o + 2, r0, k_bond)
        angles.addAngle(o + 1, o, o + 2, theta0, k_angle)
    return bonds, angles


def _nonbonded(oxygens: range, model: dict) -> openmm.NonbondedForce:
    """Point charges and Lennard-Jones on oxygen, none of it within a molecule."""
    nonbonded, q = openmm.NonbondedForce(), model["charge"]
    sigma, epsilon = model["sigma"] / units.NM, model["epsilon"] * KCAL
    for o in oxygens:
        nonbonded.addParticle(-2 * q, sigma, epsilon)
        for _ in range(2):
            nonbonded.addParticle(q, 1.0, 0.0)
        for i, j in ((o, o + 1), (o, o + 2), (o + 1, o + 2)):
            nonbonded.addException(i, j, 0.0, 1.0, 0.0)
    return nonbonded


def _make_periodic(nonbonded, atoms: Atoms, cutoff: float | None, tolerance: float):
    height = (1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)).min()  # Å
    cutoff = min(CUTOFF, 0.45 * height) if cutoff is None else cutoff
    if not 0 < cutoff <= height / 2:
        raise ValueError(
            f"cutoff: needs a positive number up to {height / 2:.2f} Å, half the "
            f"shortest height of the box, got {cutoff}"
        )
    nonbonded.setNonbondedMethod(openmm.NonbondedForce.PME)
    nonbonded.setCutoffDistance(cutoff / units.NM)
    nonbonded.setEwaldErrorTolerance(tolerance)
    nonbonded.setUseSwitchingFunction(True)
    nonbonded.setSwitchingDistance(0.9 * cutoff / units.NM)
    nonbonded.setExceptionsUsePeriodicBoundaryConditions(True)
