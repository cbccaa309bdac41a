"""How `water-dft` is made: boxes from three classical models, labelled by CP2K."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from .. import dynamics, water
from .cards import COMMAND, About, write_set

MOLECULES = 32
FRAMES = 112
NOISE = 2  # frames that a converged calculation labels again
TEMPERATURES = (300.0, 500.0)  # K
DENSITIES = (0.90, 1.10)  # g/cm³
SEED = 2026


def water_tasks() -> list[tuple[str, float, float, int, str]]:
    """(model, temperature in K, density in g/cm³, seed, split) of each frame.

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
        temperature, density = np.round(low + u * (high - low), (3))
        split = "test" if k % 4 == 3 else "pool"
        model = models[(k + k // block) % len(models)]
        tasks.append((model, float(temperature), float(density), SEED + k, split))
    return tasks + [(*task[:4], "noise") for task in tasks[:NOISE]]


def sample_water(model: str, temperature: float, density: float, seed: int) -> Atoms:
    """The last frame of a run: 2 ps at 500 K, then 5 ps at `temperature` (NVT)."""
    atoms = water.water_box(MOLECULES, density=density, seed=seed)
    system = water.water_system(water.MODELS[model], atoms)
    for steps, kelvin in ((2000, TEMPERATURES[1]), (5000, temperature)):
        atoms = dynamics.simulate(
            atoms,
            system,
            steps=steps,
            every=steps,
            temperature=kelvin,
            timestep=1.0,
            friction=0.02,
            seed=seed,
        )[-1]
    del atoms.arrays["momenta"]
    return atoms


def label_water(task: tuple[str, float, float, int, str], path: Path) -> None:
    """Sample one box and label it with energy, forces and stress; write extxyz.

    Of the split "noise" are boxes sampled before, labelled with tight settings.
    """
    from . import cp2k

    model, temperature, density, seed, split = task
    atoms = sample_water(model, temperature, density, seed)
    labelled = cp2k.label_cp2k(atoms, converged=split == "noise")
    labelled.info = dict(
        model=model, temperature=temperature, density=density, seed=seed, split=split
    )
    ase.io.write(path, labelled, format="extxyz")


STRETCHES = (0.85, 0.9, 0.94, 0.97, 1.0, 1.04, 1.1, 1.2, 1.3)  # Å
ANGLES = (85.0, 92.0, 98.0, 104.5, 110.0, 118.0, 130.0)  # degrees
SEPARATIONS = (2.4, 2.55, 2.7, 2.8, 2.9, 3.0, 3.2, 3.5, 4.0, 5.0)  # Å, O to O
BOND, ANGLE = 0.97, 104.5  # Å, degrees: the monomer that is scanned
WIDTH = {"monomer": 10.0, "dimer": 16.0}  # Å: twice the molecules and their electrons


def scan_tasks() -> list[tuple[str, float]]:
    """(what is scanned, value) of each structure of `water-scans`.

    The monomer that is scanned is in three of them, and listed once, under "both".
    """
    scans = dict(one=STRETCHES, both=STRETCHES, angle=ANGLES, dimer=SEPARATIONS)
    tasks = [(scan, value) for scan, values in scans.items() for value in values]
    return [t for t in tasks if t not in (("one", BOND), ("angle", ANGLE))]


def monomer(r1: float = BOND, r2: float = BOND, angle: float = ANGLE) -> np.ndarray:
    """Positions (3, 3) Å of O, H, H with these bonds (Å) and this angle (degrees)."""
    a = np.radians(angle)
    return np.array([[0, 0, 0], [r1, 0, 0], [r2 * np.cos(a), r2 * np.sin(a), 0]])


def scan_structure(task: tuple[str, float]) -> Atoms:
    """An open monomer, or a dimer with a straight hydrogen bond, in a wide cell."""
    scan, value = task
    split = "dimer" if scan == "dimer" else "monomer"
    if split == "dimer":  # Cs: the acceptor's bisector 57 degrees off the O-O axis
        tilt, half = np.radians(57), np.radians(ANGLE / 2)
        away = np.cos(half) * np.array([np.cos(tilt), -np.sin(tilt), 0])
        side = np.array([0, 0, np.sin(half)])
        acceptor = BOND * np.array([0 * away, away + side, away - side])
        positions = np.vstack([monomer(), acceptor + [value, 0, 0]])
    else:
        stretched = dict(one=(value,), both=(value, value), angle=(BOND, BOND, value))
        positions = monomer(*stretched[scan])
    atoms = Atoms("OHH" * (len(positions) // 3), positions, cell=[WIDTH[split]] * 3)
    atoms.center()
    atoms.info = dict(scan=scan, value=value, split=split)
    return atoms


def label_scan(task: tuple[str, float], path: Path) -> None:
    """Label a structure of a scan; write extxyz."""
    from . import cp2k

    ase.io.write(path, cp2k.label_cp2k(scan_structure(task)), format="extxyz")


def write_water(name: str, results: Sequence[Path], shipped: Path) -> None:
    """Write the set, with the noise of its forces and the energy of a monomer."""
    from . import cp2k

    frames = {p: ase.io.read(p, format="extxyz") for p in results}
    labelled = [p for p, a in frames.items() if a.info["split"] != "noise"]
    one = cp2k.label_cp2k(scan_structure(("both", BOND)))
    rows = noise(list(frames.values())) | {
        "command": f"{COMMAND} {name}",  # with the frames that tell the noise
        "monomer_energy_eV": one.get_potential_energy(),
        "monomer": f"open, O-H {BOND} Å, H-O-H {ANGLE} degrees",
    }
    write_set(name, labelled, shipped, replace(ABOUT[name], more=lambda: rows))


def settings(name: str) -> tuple:
    """Return what decides the labels of a set, apart from its tasks."""
    from . import cp2k

    level = cp2k.BASIS, cp2k.CUTOFF, cp2k.GUESS, cp2k.FINAL, cp2k.CONVERGED, cp2k.INPUT
    if name == "water-dft":
        models = water.MODELS, water.CUTOFF
        return ABOUT[name].said, level, models, MOLECULES, TEMPERATURES
    return ABOUT[name].said, level, BOND, ANGLE, WIDTH


def noise(frames: Sequence[Atoms]) -> dict:
    """Force errors (meV/Å) of the frames with tight labels too, against those."""
    plain = {a.info["seed"]: a for a in frames if a.info["split"] != "noise"}
    gaps = [
        plain[a.info["seed"]].get_forces(apply_constraint=False)
        - a.get_forces(apply_constraint=False)
        for a in frames
        if a.info["split"] == "noise"
    ]
    return {"noise_meV_per_A": [round(1e3 * float(np.abs(g).mean()), 1) for g in gaps]}


def _program() -> str:
    from . import cp2k

    return cp2k.version()


def _free_atoms() -> dict[int, float]:
    from . import cp2k

    return cp2k.isolated_atom_energies()


LEVEL = (
    "revPBE-D3(0), GTH-PBE pseudopotentials, DZVP-MOLOPT-SR-GTH, GAPW, 400 Ry, "
    "REL_CUTOFF 30, EPS_DEFAULT 1e-9, EPS_SCF 3e-6"
)
ABOUT = {
    "water-dft": About(
        level=LEVEL,
        program=_program,
        geometries="32 H2O, NVT runs of 7 ps with q-TIP4P/F, SPC/Fw and flexible TIP3P "
        "(OpenMM), 300-500 K, 0.90-1.10 g/cm³; one frame a run",
        splits="by run (every frame has a run of its own), every fourth for testing",
        noise="forces against plain GPW at 1000 Ry with EPS_DEFAULT 1e-14 on two "
        "frames: see noise_meV_per_A",
        limits="liquid water near the structures of classical models; no ice, no "
        "surface, no dissociation; DZVP is a small basis",
        atomic_energies=_free_atoms,
        groups="seed",
    ),
    "water-scans": About(
        level=LEVEL,
        program=_program,
        geometries="one O-H bond, both, or the angle of a monomer scanned; a dimer "
        "with a straight hydrogen bond, O-O distance scanned; open, Martyna-Tuckerman",
        splits="monomer and dimer: for looking at, not for training",
        noise="see water-dft",
        limits="rigid scans, not relaxed",
        atomic_energies=_free_atoms,
        groups="scan",
    ),
}
