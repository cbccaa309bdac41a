"""Sample boxes of water from three classical models, label by CP2K."""

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
BOND, ANGLE = 0.97, 104.5  # Å, degrees: the molecule whose energy the card tells
FILES = {"water-dft": ["water-dft.extxyz", "water-dft.json"]}


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


def monomer(bond: float = BOND) -> Atoms:
    """Build an open molecule in a wide cell, one bond of it `bond` Å long."""
    angle = np.radians(ANGLE)
    side = [BOND * np.cos(angle), BOND * np.sin(angle), 0]
    positions = [[0, 0, 0], [bond, 0, 0], side]
    atoms = Atoms("OHH", positions, cell=[10.0] * 3)  # twice as wide as its electrons
    atoms.center()
    return atoms


def parts(name: str) -> dict[str, Part]:
    """List the parts of the set, a box each."""
    level = cp2k.BASIS, cp2k.CUTOFF, cp2k.GUESS, cp2k.FINAL, cp2k.CONVERGED, cp2k.INPUT
    more = water.MODELS, water.CUTOFF, MOLECULES, TEMPERATURES
    return grouped(name, water_tasks(), 1, level, more)


def compute(name: str, tasks: Sequence[tuple]) -> list[Atoms]:
    """Sample boxes and label them with energy, forces and stress.

    Of the split "noise" are boxes sampled before, labelled with tight settings.
    """
    keys, frames = ("model", "temperature", "density", "seed", "split"), []
    for task in tasks:
        tight = task[-1] == "noise"
        labelled = cp2k.label_cp2k(sample_water(*task[:-1]), converged=tight)
        labelled.info = dict(zip(keys, task, strict=True))
        frames.append(labelled)
    return frames


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Write the set and its card, with the noise and the energy of a monomer."""
    frames = {p: ase.io.read(p, format="extxyz") for p in results}
    results = [p for p, a in frames.items() if a.info["split"] != "noise"]
    rows = {
        "noise_meV_per_A": noise([*frames.values()]),
        "monomer_energy_eV": cp2k.label_cp2k(monomer()).get_potential_energy(),
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
