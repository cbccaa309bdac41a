"""How `water-dft` is made: boxes from three classical models, labelled by CP2K."""

from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from . import dynamics, water

MOLECULES = 32
FRAMES = 112
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
    return tasks


def sample_water(model: str, temperature: float, density: float, seed: int) -> Atoms:
    """The last frame of a run: 2 ps at 500 K, then 5 ps at `temperature` (NVT)."""
    atoms = water.water_box(MOLECULES, density=density, seed=seed)
    system = water.water_system(water.MODELS[model], atoms)
    for steps, kelvin in ((2000, TEMPERATURES[1]), (5000, temperature)):
        atoms = dynamics.simulate(
            system,
            atoms,
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
    """Sample one box and label it with energy, forces and stress; write extxyz."""
    from . import cp2k  # a program that only who makes labels needs

    model, temperature, density, seed, split = task
    atoms = sample_water(model, temperature, density, seed)
    labelled = cp2k.label_cp2k(atoms)
    labelled.info = dict(
        model=model, temperature=temperature, density=density, seed=seed, split=split
    )
    ase.io.write(path, labelled, format="extxyz")
