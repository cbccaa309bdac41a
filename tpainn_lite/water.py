"""Boxes of water, its molecules ordered O H H, and the models that move them."""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import openmm
from ase import Atoms
from scipy.spatial.transform import Rotation

from . import analysis, guards, units
from .analysis import FAR, check_water, nearest_image, neighbours
from .data import cell_of, reordered
from .engine import Box
from .guards import checked, instance, number, optional, positive, settle, structure

CUTOFF = 9.0  # Å
KCAL = units.KCAL_MOL / units.KJ_MOL  # kcal/mol -> kJ/mol
CLASH = 1.4  # Å: in liquid water no two molecules come as close
DENSITY = number(least=1e-6, most=100)  # g/cm³
ORIENTATIONS = 50  # tried for each molecule of a new box
LATTICES: list = [  # sites in a cubic cell of edge 1, and how far they are apart
    ([[0, 0, 0]], 1.0),
    ([[0, 0, 0], [0.5, 0.5, 0.5]], 0.75**0.5),
    ([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], 0.5**0.5),
]


@dataclass(frozen=True)
class WaterModel:
    """Parameters of a flexible point-charge water with Lennard-Jones on oxygen."""

    name: str
    stretch: tuple[float, ...]  # kcal/mol/Å², /Å³, ...: energy = sum_k c_k (r - r0)^k
    r0: float  # Å
    k_angle: float  # kcal/mol/rad²; the energy of an angle is k/2 (theta - theta0)²
    theta0: float  # degrees
    sigma: float  # Å
    epsilon: float  # kcal/mol
    charge: float  # e, on each hydrogen; its opposite, twice, on oxygen or on site M
    gamma: float = 1.0  # M = gamma O + (1 - gamma)/2 (H1 + H2); 1: M is oxygen
    source: str = ""

    def __post_init__(self):
        """Check the parameters: a model that falls into itself is none."""
        settle(self, name=guards.text, stretch=guards.several(guards.finite))
        settle(self, r0=positive, theta0=number(above=0, most=180))
        settle(self, k_angle=positive, sigma=positive, epsilon=guards.not_negative)
        settle(self, charge=number(least=0, most=10), gamma=number(above=0, most=1))
        settle(self, source=instance(str))
        positive(self.stretch[0], "stretch[0]")


SPC_FW = WaterModel(
    name="SPC/Fw",
    stretch=(1059.162 / 2,),
    r0=1.012,
    k_angle=75.90,
    theta0=113.24,
    sigma=3.165492,
    epsilon=0.1554253,
    charge=0.41,
    source="Wu, Tepper & Voth, J. Chem. Phys. 124, 024503 (2006), "
    "doi 10.1063/1.2136877",
)
_D, _A = 116.09, 2.287  # kcal/mol and 1/Å: depth and width of q-TIP4P/F's stretch
Q_TIP4P_F = WaterModel(
    name="q-TIP4P/F",
    stretch=(_D * _A**2, -_D * _A**3, _D * _A**4 * 7 / 12),  # a Morse curve to x⁴
    r0=0.9419,
    k_angle=87.85,
    theta0=107.4,
    sigma=3.1589,
    epsilon=0.1852,
    charge=0.5564,
    gamma=0.73612,
    source="Habershon, Markland & Manolopoulos, J. Chem. Phys. 131, 024501 (2009), "
    "doi 10.1063/1.3167790; made for quantum nuclei, here run with classical ones",
)
TIP3P_FLEXIBLE = WaterModel(
    name="flexible TIP3P",
    stretch=(450.0,),
    r0=0.9572,
    k_angle=110.0,
    theta0=104.52,
    sigma=3.1507,
    epsilon=0.1521,
    charge=0.417,
    source="Jorgensen et al., J. Chem. Phys. 79, 926 (1983), doi 10.1063/1.445869, "
    "with CHARMM's springs, MacKerell et al., J. Phys. Chem. B 102, 3586 (1998), "
    "doi 10.1021/jp973084f, and no Lennard-Jones term on hydrogen",
)
MODELS = {"spc-fw": SPC_FW, "q-tip4p-f": Q_TIP4P_F, "tip3p-flexible": TIP3P_FLEXIBLE}


@checked(model=instance(WaterModel), atoms=structure, cutoff=optional(positive))
def water_system(
    model: WaterModel, atoms: Atoms, *, cutoff: float | None = None
) -> openmm.System:
    """Build the OpenMM System of `model`: springs, point charges, Lennard-Jones.

    A periodic box has particle-mesh Ewald sums, and a Lennard-Jones term switched off
    over the last tenth of `cutoff` (Å), with OpenMM's correction for the tail. By
    default that is 9 Å, or 0.45 of the shortest height of a smaller box (a barostat may
    then shrink it by a tenth). A cluster has no cutoff.

    `atoms` are O H H, O H H, ...; open, or periodic in all three directions, wrapped or
    whole.
    """
    check_water(atoms)
    oxygens, system = range(0, len(atoms), 3), openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    if model.gamma != 1:
        side = (1 - model.gamma) / 2
        for o in oxygens:  # a massless site each, after all atoms
            members = o, o + 1, o + 2
            site = openmm.ThreeParticleAverageSite(*members, model.gamma, side, side)
            system.setVirtualSite(system.addParticle(0.0), site)
    forces = [*_springs(oxygens, model), _nonbonded(oxygens, model)]
    if atoms.pbc.any():
        box = Box.of(atoms.cell.array)  # as `engine` will turn it
        system.setDefaultPeriodicBoxVectors(*(box.vectors / units.NM))
        for spring in forces[:-1]:
            spring.setUsesPeriodicBoundaryConditions(True)
        _make_periodic(forces[-1], box, cutoff)
    for force in forces:
        system.addForce(force)
    return system


def _springs(oxygens: range, model: WaterModel) -> list[openmm.Force]:
    """Build bonds and angles (kJ/mol, nm); OpenMM's harmonic k is the one in k/2 x²."""
    r0, theta0 = model.r0 / units.NM, math.radians(model.theta0)
    c = [a * (KCAL * units.NM**k) for k, a in enumerate(model.stretch, 2)]
    angles = openmm.HarmonicAngleForce()
    if len(c) == 1:
        bonds, parameters = openmm.HarmonicBondForce(), (r0, 2 * c[0])
    else:
        terms = " + ".join(f"{value!r}*x^{k}" for k, value in enumerate(c, 2))
        bonds, parameters = openmm.CustomBondForce(f"{terms}; x = r - {r0!r}"), ()
    for o in oxygens:
        bonds.addBond(o, o + 1, *parameters)
        bonds.addBond(o, o + 2, *parameters)
        angles.addAngle(o + 1, o, o + 2, theta0, model.k_angle * KCAL)
    return [bonds, angles]


def _nonbonded(oxygens: range, model: WaterModel) -> openmm.NonbondedForce:
    """Build charges and Lennard-Jones on oxygen, none of it within a molecule."""
    nonbonded, q = openmm.NonbondedForce(), model.charge
    sigma, epsilon = model.sigma / units.NM, model.epsilon * KCAL
    has_site = model.gamma != 1
    for _ in oxygens:
        nonbonded.addParticle(0.0 if has_site else -2 * q, sigma, epsilon)
        for _ in range(2):
            nonbonded.addParticle(q, 1.0, 0.0)
    for o in oxygens:
        members = [o, o + 1, o + 2]
        if has_site:
            members.append(nonbonded.addParticle(-2 * q, 1.0, 0.0))
        for i, j in combinations(members, 2):
            nonbonded.addException(i, j, 0.0, 1.0, 0.0)
    return nonbonded


def _make_periodic(nonbonded, box: Box, cutoff: float | None) -> None:
    """Sum charges by particle-mesh Ewald, and switch Lennard-Jones off."""
    height = box.height()
    cutoff = min(CUTOFF, 0.45 * height) if cutoff is None else cutoff
    if cutoff > height / 2:
        needs = f"up to {height / 2:.2f} Å, half the shortest height of the box"
        raise guards.refusal("cutoff", needs, cutoff)
    nonbonded.setNonbondedMethod(openmm.NonbondedForce.PME)
    nonbonded.setCutoffDistance(cutoff / units.NM)
    nonbonded.setEwaldErrorTolerance(1e-4)  # about the relative error of forces
    nonbonded.setUseSwitchingFunction(True)
    nonbonded.setSwitchingDistance(0.9 * cutoff / units.NM)
    nonbonded.setExceptionsUsePeriodicBoundaryConditions(True)


@checked(n_molecules=guards.whole(1, 10_000), density=DENSITY, seed=guards.seed)
def water_box(n_molecules: int, *, density: float = 0.997, seed: int) -> Atoms:
    """Build a cubic periodic box of `n_molecules` at `density` (g/cm³).

    Oxygens sit on the roomiest cubic lattice; each molecule (SPC/Fw's geometry) takes
    the roomiest of 50 random orientations. This is no liquid yet: run some picoseconds.
    """
    rng = np.random.default_rng(seed)
    mass = n_molecules * Atoms("OHH").get_masses().sum()  # u
    length = (mass / (density * units.GRAM_CM3)) ** (1 / 3)  # Å
    positions = np.empty((0, 3))
    for site in length * _sites(n_molecules, rng):
        positions = np.vstack([positions, _place(site, positions, length, rng)])
    box = Atoms("OHH" * n_molecules, positions, cell=[length] * 3, pbc=True)
    first, second, image = neighbours("ijS", box, CLASH)
    if np.any((first // 3 != second // 3) | image.any(1)):
        raise ValueError(
            f"density: at {density} g/cm³ two molecules come closer than {CLASH} Å; "
            "build the box at a lower density and let a barostat compress it"
        )
    return box


@checked(atoms=structure, density=DENSITY)
def scaled(atoms: Atoms, density: float) -> Atoms:
    """Move molecules, undeformed, to another density (g/cm³) of the box."""
    if not atoms.pbc.all():
        raise ValueError("atoms: needs a box that is periodic in all directions")
    check_water(atoms)
    factor, moved = (analysis.densities([atoms])[0] / density) ** (1 / 3), atoms.copy()
    arms = analysis.bond_vectors(atoms).reshape(-1, 2, 3)
    molecules = atoms.positions[::3, None] + np.pad(arms, ((0, 0), (1, 0), (0, 0)))
    centres = molecules.mean(axis=1, keepdims=True)
    moved.positions = (molecules + (factor - 1) * centres).reshape(-1, 3)
    moved.set_cell(factor * atoms.cell.array)
    return moved


@checked(atoms=structure)
def ordered(atoms: Atoms) -> Atoms:
    """Copy water with its atoms in the order O H H, O H H, ..., molecules whole.

    Each hydrogen goes to its nearest oxygen, under periodic boundaries, and is moved
    next to it by cell vectors. Momenta, labels and all else move with the atoms. Raises
    `ValueError` where an oxygen does not get exactly two hydrogens.
    """
    cell, numbers, positions = cell_of(atoms), atoms.numbers, atoms.positions
    guards.array(None, 3, most=FAR)(positions, "atoms, positions")
    oxygens, hydrogens = np.flatnonzero(numbers == 8), np.flatnonzero(numbers == 1)
    n = len(oxygens)
    if n == 0 or sorted(numbers) != [1] * (2 * n) + [8] * n:
        raise ValueError(
            f"atoms: needs two hydrogens for each oxygen and nothing else, got {n} "
            f"oxygens, {len(hydrogens)} hydrogens and {len(numbers)} atoms in all"
        )
    vectors = positions[hydrogens] - positions[oxygens][:, None]  # (O, H, 3) Å
    vectors = vectors if cell is None else nearest_image(vectors, cell)
    owner = np.linalg.norm(vectors, axis=-1).argmin(0)  # (H,)
    counts = np.bincount(owner, minlength=n)
    if (counts != 2).any():
        raise ValueError(
            "atoms: needs every oxygen to be the nearest of exactly two hydrogens, got "
            f"{sorted(set(counts.tolist()))} hydrogens an oxygen"
        )
    whole = positions.copy()
    near = vectors[owner, np.arange(len(hydrogens))]  # (H, 3) Å from the owner
    whole[hydrogens] = positions[oxygens][owner] + near
    pairs = hydrogens[np.argsort(owner, kind="stable").reshape(-1, 2)]  # (O, 2)
    return reordered(atoms, np.column_stack([oxygens, pairs]).ravel().tolist(), whole)


def _sites(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `n` sites (n, 3) in a cube of edge 1 from a lattice, far apart."""
    choices = []
    for basis, distance in LATTICES:
        cells = math.ceil(round((n / len(basis)) ** (1 / 3), 9))
        choices.append((distance / cells, cells, basis))
    _, cells, basis = max(choices)
    corners = np.array([*np.ndindex(cells, cells, cells)], float)
    sites = (corners[:, None] + np.array(basis)).reshape(-1, 3) / cells
    return rng.permutation(sites)[:n]


def _place(site, others, length: float, rng: np.random.Generator) -> np.ndarray:
    """Turn a molecule (3, 3) Å at `site` to keep away from `others` (K, 3) Å."""
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


def force_parts(atoms: Atoms, forces: np.ndarray) -> dict[str, np.ndarray]:
    """Split forces (N, 3) on water ordered O H H, ... by what they do to a molecule.

    "translation" and "rotation" accelerate and turn it as a whole, so other molecules
    exert them; "vibration" is the rest (Magdău et al. 10.1038/s41524-023-01100-w).
    """
    check_water(atoms)
    F = guards.array(len(atoms), 3)(forces, "forces").reshape(-1, 3, 3)
    masses = analysis.masses_of(atoms).reshape(-1, 3, 1)  # (molecules, 3, 1)
    share = masses / masses.sum(axis=1, keepdims=True)
    r = np.zeros_like(F)  # from the oxygen, then from the centre of mass
    r[:, 1:] = analysis.bond_vectors(atoms).reshape(-1, 2, 3)
    r -= (share * r).sum(axis=1, keepdims=True)
    torque = np.cross(r, F).sum(axis=1)[..., None]  # (molecules, 3, 1)
    inertia = np.einsum("mai,maj->mij", masses * r, r)
    inertia = np.trace(inertia, axis1=1, axis2=2)[:, None, None] * np.eye(3) - inertia
    spin = np.linalg.solve(inertia, torque).swapaxes(1, 2)  # (molecules, 1, 3)
    parts = {"translation": share * F.sum(axis=1, keepdims=True)}
    parts["rotation"] = masses * np.cross(spin, r)
    parts["vibration"] = F - parts["translation"] - parts["rotation"]
    return {name: part.reshape(-1, 3) for name, part in parts.items()}


@checked(angle=guards.number(above=0, most=180))
def hydrogen_bonds(atoms: Atoms, r_max: float = 3.5, angle: float = 30.0) -> int:
    """Count the hydrogen bonds of water ordered O H H, ...; each belongs to two.

    A bond: two oxygens nearer than `r_max` Å and, at the donor, an angle H-O...O below
    `angle` degrees (Luzar & Chandler 1996, doi 10.1103/PhysRevLett.76.928).
    """
    check_water(atoms)
    reach = analysis.reach(atoms.cell.array) if atoms.pbc.any() else np.inf
    analysis.check_reach(r_max, reach)
    donor, acceptor = np.nonzero(~np.eye(len(atoms) // 3, dtype=bool))
    to = analysis.displacements(atoms, 3 * donor, 3 * acceptor)
    distances = np.linalg.norm(to, axis=1)
    near = distances < r_max
    arms = analysis.bond_vectors(atoms).reshape(-1, 2, 3)[donor[near]]  # (pairs, 2, 3)
    cosines = (arms @ to[near, :, None])[..., 0] / np.linalg.norm(arms, axis=2)
    bonded = cosines > np.cos(np.radians(angle)) * distances[near, None]
    return int(bonded.sum())
