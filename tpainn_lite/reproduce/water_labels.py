"""Sample boxes of water from three classical models, scan molecules, label by CP2K."""

from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
import openmm
from ase import Atoms

from .. import dynamics, water
from . import cp2k
from .cards import grouped, write_set
from .parts import Part

MOLECULES = 32
FRAMES = 112
NOISE = 2  # frames that a converged calculation labels again
TEMPERATURES = (300.0, 500.0)  # K
DENSITIES = (0.90, 1.10)  # g/cm³
SEED = 2026
STRETCHES = (0.85, 0.9, 0.94, 0.97, 1.0, 1.04, 1.1, 1.2, 1.3)  # Å
ANGLES = (85.0, 92.0, 98.0, 104.5, 110.0, 118.0, 130.0)  # degrees
SEPARATIONS = (2.4, 2.55, 2.7, 2.8, 2.9, 3.0, 3.2, 3.5, 4.0, 5.0)  # Å, O to O
BOND, ANGLE = 0.97, 104.5  # Å, degrees: the monomer that is scanned
WIDTH = {"monomer": 10.0, "dimer": 16.0}  # Å: twice the molecules and their electrons
EACH = {"water-dft": 1, "water-scans": 3}  # structures a part
FILES = {name: [f"{name}.extxyz", f"{name}.json"] for name in EACH}


def water_tasks() -> list[tuple[str, float, float, int, str]]:
    """List (model, temperature in K, density in g/cm³, seed, split) of each frame.

    Every frame ends a run of its own from a box of its own, so no two are relatives and
    every fourth one can be kept for testing. Models take turns; temperatures and
    densities are spread evenly (Latin hypercube in blocks of 28), so that any beginning
    of the list is a fair sample.
    """
    rng = np.random.default_rng(SEED)
    models, block = sorted(water.MODELS), 28
    spread = [
        (rng.permutation(block) + rng.uniform(size=block)) / block
        for _ in range(2 * FRAMES // block)
    ]
    low, high = np.array([TEMPERATURES, DENSITIES]).T
    tasks = []
    for k in range(FRAMES):
        u = [spread[2 * (k // block) + i][k % block] for i in (0, 1)]
        temperature, density = np.round(low + u * (high - low), 3)
        split = "test" if k % 4 == 3 else "pool"
        model = models[(k + k // block) % len(models)]
        tasks.append((model, float(temperature), float(density), SEED + k, split))
    return tasks + [(*task[:4], "noise") for task in tasks[:NOISE]]


def scan_tasks() -> list[tuple[str, float]]:
    """List (what is scanned, value) of each structure of `water-scans`.

    The monomer that is scanned is in three of them, and listed once, under "both".
    """
    scans = dict(one=STRETCHES, both=STRETCHES, angle=ANGLES, dimer=SEPARATIONS)
    tasks = [(scan, value) for scan, values in scans.items() for value in values]
    return [t for t in tasks if t not in (("one", BOND), ("angle", ANGLE))]


def equilibrated(
    model: str, n: int, density: float, seed: int, *stages, platform="Reference"
) -> tuple[Atoms, openmm.System]:
    """Run a box of n molecules through `stages` of (steps of 1 fs, K)."""
    atoms = water.water_box(n, density=density, seed=seed)
    system = water.water_system(water.MODELS[model], atoms)
    how = dict(timestep=1.0, friction=0.02, seed=seed, platform=platform)
    for steps, kelvin in stages:
        how |= dict(steps=steps, every=steps, temperature=kelvin)
        atoms = dynamics.simulate(atoms, system, **how)[-1]
    return atoms, system


def sample_water(model: str, temperature: float, density: float, seed: int) -> Atoms:
    """Take the last frame of a run: 2 ps at 500 K, then 5 ps at `temperature`."""
    stages = (2000, TEMPERATURES[1]), (5000, temperature)
    atoms, _ = equilibrated(model, MOLECULES, density, seed, *stages)
    del atoms.arrays["momenta"]
    return atoms


def scan_structure(scan: str, value: float) -> Atoms:
    """Build an open monomer or a dimer with a straight hydrogen bond in a wide cell."""
    split = "dimer" if scan == "dimer" else "monomer"
    first = value if scan in ("one", "both") else BOND
    second = value if scan == "both" else BOND
    angle = np.radians(value if scan == "angle" else ANGLE)
    side = [second * np.cos(angle), second * np.sin(angle), 0]
    positions = [[0, 0, 0], [first, 0, 0], side]
    if split == "dimer":  # Cs: the acceptor's bisector 57 degrees off the O-O axis
        tilt, half = np.radians(57), np.radians(ANGLE / 2)
        away = np.cos(half) * np.array([np.cos(tilt), -np.sin(tilt), 0])
        side = np.array([0, 0, np.sin(half)])
        acceptor = BOND * np.array([0 * away, away + side, away - side])
        positions = np.vstack([positions, acceptor + [value, 0, 0]])
    atoms = Atoms("OHH" * (len(positions) // 3), positions, cell=[WIDTH[split]] * 3)
    atoms.center()
    atoms.info = dict(scan=scan, value=value, split=split)
    return atoms


def parts(name: str) -> dict[str, Part]:
    """List the parts of a set."""
    level = cp2k.BASIS, cp2k.CUTOFF, cp2k.GUESS, cp2k.FINAL, cp2k.CONVERGED, cp2k.INPUT
    if name == "water-scans":
        tasks, more = scan_tasks(), (BOND, ANGLE, WIDTH)
    else:
        tasks = water_tasks()
        more = water.MODELS, water.CUTOFF, MOLECULES, TEMPERATURES
    return grouped(name, tasks, EACH[name], level, more)


def compute(name: str, tasks: Sequence[tuple]) -> list[Atoms]:
    """Label the structures of a part."""
    label = label_water if name == "water-dft" else label_scan
    return [label(*task) for task in tasks]


def label_water(
    model: str, temperature: float, density: float, seed: int, split: str
) -> Atoms:
    """Sample one box and label it with energy, forces and stress.

    Of the split "noise" are boxes sampled before, labelled with tight settings.
    """
    atoms = sample_water(model, temperature, density, seed)
    labelled = cp2k.label_cp2k(atoms, converged=split == "noise")
    labelled.info = dict(
        model=model, temperature=temperature, density=density, seed=seed, split=split
    )
    return labelled


def label_scan(scan: str, value: float) -> Atoms:
    """Label a structure of a scan."""
    return cp2k.label_cp2k(scan_structure(scan, value))


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Write a set and its card; of boxes with the noise and the energy of a monomer."""
    rows = {}
    if name == "water-dft":
        frames = {p: ase.io.read(p, format="extxyz") for p in results}
        results = [p for p, a in frames.items() if a.info["split"] != "noise"]
        rows = {
            "noise_meV_per_A": noise([*frames.values()]),
            "monomer_energy_eV": label_scan("both", BOND).get_potential_energy(),
            "monomer": f"open, O-H {BOND} Å, H-O-H {ANGLE} degrees",
        }
    write_set(name, results, folder, cp2k.version(), cp2k.atom_energies(), **rows)


def noise(frames: Sequence[Atoms]) -> list[float]:
    """Measure the forces (meV/Å) of frames against those of their tight labels."""
    F = {(a.info["seed"], a.info["split"]): a.calc.results["forces"] for a in frames}
    tight = {seed: f for (seed, split), f in F.items() if split == "noise"}
    plain = {seed: f for (seed, split), f in F.items() if split != "noise"}
    gaps = [np.abs(plain[seed] - f).mean() for seed, f in tight.items()]
    return [round(1e3 * float(gap), 1) for gap in gaps]
