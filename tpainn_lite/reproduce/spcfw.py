"""Measure SPC/Fw at 298 K: does the engine give a classical model's known numbers?

A larger box than those of the learned potentials, since it costs so little: 216
molecules, first at 1 bar, then at the density found there. Killed, it goes on from its
last frame.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms

from .. import analysis, dynamics, water
from .cards import write_card
from .parts import WORK, Part, mark

MODEL = "spc-fw"
MOLECULES, KELVIN = 216, 298.15
LENGTHS = {"npt": (140, 20), "nvt": (130, 10)}  # ps, of them left out at the start
EVERY = {"npt": 100, "nvt": 50}  # fs between two frames
FIT = (2.0, 10.0)  # ps, of the mean square displacement
SHOWN = 12.0  # ps of it
FILES = {"spcfw-liquid": ["spcfw-liquid.json"]}


def parts(name: str) -> dict[str, Part]:
    """List one part: molecules and temperature, and what else decides the result."""
    how = water.MODELS[MODEL], water.CUTOFF, LENGTHS, EVERY, FIT, SHOWN
    return {"runs": Part((MOLECULES, KELVIN), (), how)}


def compute(name: str, task: tuple[int, float], path: Path) -> None:
    """Run at 1 bar, then at the mean density; write what they give as JSON."""
    n, kelvin = task
    box = water.water_box(n, density=0.997, seed=0)
    run = partial(
        dynamics.simulate,
        potential=water.water_system(water.MODELS[MODEL], box),
        timestep=1.0,
        platform="CPU",
    )
    box = run(box, steps=4000, every=4000, friction=0.05, temperature=400.0)[-1]
    npt = settled(run, "npt", box, temperature=kelvin, pressure=1.0)
    density = analysis.densities(npt)
    nvt = settled(run, "nvt", water.scaled(npt[-1], density.mean()), temperature=kelvin)
    path.write_text(json.dumps(describe(density, nvt)))


def settled(run: partial, how: str, start: Atoms, **state: float) -> list[Atoms]:
    """Record a run; return its frames after those that are left out."""
    steps, out = (1000 * ps // EVERY[how] for ps in LENGTHS[how])
    used = mark(water.MODELS[MODEL], water.CUTOFF, len(start), LENGTHS, EVERY, state)
    file = WORK / "spcfw-liquid" / f"{how}-{used}.traj"
    file.parent.mkdir(parents=True, exist_ok=True)
    recorded = dict(every=EVERY[how], steps=steps * EVERY[how], file=file)
    return run(start, friction=0.001, **recorded, **state)[out:]


def describe(density: np.ndarray, nvt: Sequence[Atoms]) -> dict:
    """Tell what runs give: density (g/cm³), diffusion (1e-9 m²/s), and its MSD."""
    edge = float(nvt[0].cell.lengths()[0])
    window = tuple(1000 * t for t in FIT)  # fs
    D = analysis.self_diffusion(nvt, EVERY["nvt"], fit_window=window)
    lags = np.flatnonzero(D.times <= 1000 * SHOWN)[::10]
    return {
        "density": analysis.mean_and_error(density),
        "diffusion": (D.value, D.error),
        "edge": edge,
        "temperature": float(dynamics.temperatures(nvt).mean()),
        "times": (D.times[lags] / 1000).round(3).tolist(),
        "msd": D.msd[lags].round(4).tolist(),
    }


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Write the card."""
    card = {
        "system": f"{MOLECULES} H2O, SPC/Fw, {KELVIN} K, 1 fs a step, friction 1/ps",
        "runs": "NPT at 1 bar, then NVT at the density found; (ps, of them left out) "
        f"{LENGTHS}; diffusion fitted from {FIT[0]} to {FIT[1]} ps, in this box",
        "units": "mean and error; density g/cm³, diffusion 1e-9 m²/s, edge Å, "
        "temperature K, times ps, msd Å²",
    } | json.loads(results[0].read_text())
    write_card(name, card, folder)
