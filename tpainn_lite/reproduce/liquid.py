"""How the water potentials are pretrained: classical liquid on a ladder of states."""

from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np

from .. import dynamics, engine, water
from ..data import label

TEACHERS = {"water-qtip4pf": "q-tip4p-f", "water-spcfw": "spc-fw"}
MOLECULES = 64
RUNS, FRAMES = 100, 24  # of each run, 250 fs apart
TEMPERATURES = (260.0, 600.0)  # K
DENSITIES = (0.80, 1.20)  # g/cm³
SEED = 2026
Task = tuple[str, float, float, int]


def liquid_tasks(name: str) -> Sequence[Task]:
    """(model, temperature in K, density in g/cm³, seed) of each run; the last validate.

    Temperatures and densities are spread evenly and independently over the ladder.
    """
    rng = np.random.default_rng(SEED)
    u = (np.stack([rng.permutation(RUNS) for _ in range(2)]) + 0.5) / RUNS
    low, high = np.array([TEMPERATURES, DENSITIES]).T[..., None]
    kelvin, density = np.round(low + u * (high - low), 3)
    return [
        (TEACHERS[name], float(kelvin[k]), float(density[k]), SEED + k)
        for k in range(RUNS)
    ]


def settings(name: str) -> tuple:
    """Return what decides the runs of a teacher, apart from their tasks."""
    model = water.MODELS[TEACHERS[name]], water.CUTOFF
    return model, MOLECULES, FRAMES, TEMPERATURES


def sample_liquid(task: Task, path: Path) -> None:
    """A run of a teacher at one state, its frames labelled in double precision."""
    model, temperature, density, seed = task
    atoms = water.water_box(MOLECULES, density=density, seed=seed)
    system = water.water_system(water.MODELS[model], atoms)
    run = dict(timestep=1.0, friction=0.02, seed=seed, platform="CPU")
    for steps, kelvin in ((2000, TEMPERATURES[1]), (4000, temperature)):
        atoms = dynamics.simulate(
            atoms, system, steps=steps, every=steps, temperature=kelvin, **run
        )[-1]
    frames = dynamics.simulate(
        atoms, system, steps=250 * FRAMES, every=250, temperature=temperature, **run
    )
    labelled = label(frames, engine.system_energy_forces(system, atoms))
    for frame in labelled:
        del frame.arrays["momenta"]
        frame.info = dict(temperature=temperature, density=density, run=seed)
    ase.io.write(path, labelled, format="extxyz")
