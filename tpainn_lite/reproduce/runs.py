"""Run water: who survives (`water-stability`), and what runs give (`water-runs`).

A run is recorded as it goes; killed, it goes on from its last frame.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from ase import Atoms

from .. import analysis, datasets, dynamics, water
from .cards import write_card
from .parts import WORK, Part, mark, sources

MOLECULES, DENSITY = 64, 0.997  # g/cm³, at the start
TIMESTEP = 1.0  # fs
EVERY = 50  # fs between two frames
BROKEN = 1.5  # Å: an O-H bond that long is none
FRICTION = 0.001  # 1/fs; ten times as much would slow diffusion by a tenth
SETTLE, FIT = 5.0, (2.0, 7.0)  # ps, of the diffusion of a run that is judged
CLASSICAL = "q-tip4p-f"


@dataclass(frozen=True)
class Run:
    """A run of a shipped potential, or of the classical model, at one state."""

    model: str
    temperature: float  # K
    pressure: float | None  # bar; None: NVT
    length: float  # ps
    seed: int

    @property
    def name(self) -> str:
        """Name of its files."""
        how = "nvt" if self.pressure is None else "npt"
        return f"{self.model}-{how}-{self.temperature:.0f}K-{self.seed}"


def property_runs() -> list[Run]:
    """List the runs whose frames ship: NVT for motion, NPT for density."""
    models = [CLASSICAL, "water-tuned-8", "water-tuned-80", "water-scratch-8"]
    states = (None, 35.0), (1.0, 60.0)  # of each the first picoseconds settle
    return [Run(m, 300.0, bar, ps, 0) for bar, ps in states for m in models]


def stability_runs() -> list[Run]:
    """List the runs of which only the outcome ships, the shorter ones first.

    The classical model cannot break its molecules: it is asked for its diffusion alone.
    """
    learned = [f"water-{arm}-{n}" for n in (8, 1) for arm in ("tuned", "scratch")]
    learned = ["water-tuned-80", *learned]
    hot = [Run(m, 500.0, 1.0, 10.0, seed) for seed in range(5) for m in learned]
    models = [*learned, CLASSICAL]
    return hot + [Run(m, 300.0, None, 20.0, seed) for seed in range(5) for m in models]


RUNS = {"water-stability": stability_runs(), "water-runs": property_runs()}
FILES = {
    "water-stability": ["water-stability.json"],
    "water-runs": ["water-runs.json", *(f"{r.name}.npz" for r in property_runs())],
}


def learned(model: str) -> tuple[str, ...]:
    """Name the checkpoint of a run's model, if it has one."""
    return () if model == CLASSICAL else (model,)


def parts(name: str) -> dict[str, Part]:
    """List the runs."""
    start = water.MODELS[CLASSICAL], water.CUTOFF
    how = start, MOLECULES, DENSITY, TIMESTEP, EVERY, FRICTION
    last = (BROKEN, SETTLE, FIT) if name == "water-stability" else datasets.STEPS
    return {r.name: Part(r, learned(r.model), (how, last)) for r in RUNS[name]}


@cache
def start(temperature: float, seed: int) -> Atoms:
    """Make the box that all models start from; q-TIP4P/F has moved it for 7 ps."""
    atoms = water.water_box(MOLECULES, density=DENSITY, seed=seed)
    system = water.water_system(water.MODELS[CLASSICAL], atoms)
    how = dict(timestep=TIMESTEP, friction=0.02, seed=seed, platform="CPU")
    for steps, kelvin in ((2000, 500.0), (5000, temperature)):
        atoms = dynamics.simulate(
            atoms, system, steps=steps, every=steps, temperature=kelvin, **how
        )[-1]
    atoms.calc = None
    return atoms


def simulate(run: Run) -> tuple[list[Atoms], str]:
    """Give the frames of a run, and in words how it ended early, if it did."""
    atoms = start(run.temperature, run.seed)
    if run.model == CLASSICAL:
        potential = water.water_system(water.MODELS[CLASSICAL], atoms)
    else:
        potential = datasets.checkpoint(run.model).frozen()
    how = MOLECULES, DENSITY, TIMESTEP, EVERY, FRICTION, water.MODELS[CLASSICAL]
    used = mark(sources(learned(run.model)), how, water.CUTOFF)
    file = WORK / "water-runs" / f"{run.name}-{used}.traj"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        frames = dynamics.simulate(
            atoms,
            potential,
            steps=round(1000 * run.length / TIMESTEP),
            temperature=run.temperature,
            pressure=run.pressure,
            timestep=TIMESTEP,
            friction=FRICTION,
            every=round(EVERY / TIMESTEP),
            seed=run.seed,
            platform="CPU",
            file=file,
        )
    except dynamics.BlowUp as error:
        return error.frames, error.reason
    return frames, ""


def compute(name: str, run: Run, path: Path) -> None:
    """Run; pack the frames, or write how far it came."""
    frames, ended = simulate(run)
    if name == "water-stability":
        path.write_text(json.dumps([judge(run, frames, ended)]))
        return
    if ended:
        raise ValueError(f"{run.name}: blew up after {len(frames)} frames: {ended}")
    step = 1 if run.pressure is None else 2  # the density moves slowly
    path.write_bytes(packed(frames[step - 1 :: step]))


def packed(frames: Sequence[Atoms]) -> bytes:
    """Pack a run of a periodic box, positions as fractions: see `datasets.unpacked`."""
    fractions = np.array([a.get_scaled_positions(wrap=True) for a in frames])
    fractions = np.rint(fractions * datasets.STEPS) % datasets.STEPS
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        numbers=frames[0].numbers.astype(np.uint8),
        cells=np.array([a.cell.array for a in frames]),  # (T, 3, 3) Å
        fractions=fractions.astype(np.uint16),  # (T, N, 3)
        time_fs=np.array([a.info["time_fs"] for a in frames]),
        kinetic=np.array([a.info["kinetic_energy"] for a in frames]),  # eV
        potential=np.array([a.get_potential_energy() for a in frames]),  # eV
    )
    return buffer.getvalue()


def judge(run: Run, frames: Sequence[Atoms], ended: str) -> dict:
    """Tell how far a run came and what its last frame is like."""
    row = asdict(run) | {"survived": len(frames) * EVERY / 1000, "ended": ended}
    whole = [longest_bond(a) < BROKEN for a in frames] + [False]
    row["intact"] = whole.index(False) * EVERY / 1000
    if frames:
        row |= look(frames[-1])
        row["temperature_max"] = float(dynamics.temperatures(frames).max())
    if run.pressure is None and row["survived"] >= SETTLE + 2 * FIT[1]:
        settled = frames[round(1000 * SETTLE / EVERY) :]
        window = tuple(1000 * t for t in FIT)  # fs
        D = analysis.self_diffusion(settled, EVERY, fit_window=window)
        row["diffusion"] = D.value, D.error
    return row


def look(atoms: Atoms) -> dict[str, float]:
    """Measure what tells water from something else: density, bonds, hydrogen bonds."""
    seen = {
        "density": float(analysis.densities([atoms])[0]),  # g/cm³
        "longest_bond": longest_bond(atoms),  # Å
    }
    if seen["longest_bond"] < analysis.LONG * analysis.O_H:  # else no molecules
        bonds = 6 * analysis.hydrogen_bonds(atoms) / len(atoms)
        seen["hydrogen_bonds"] = bonds  # per molecule
    return seen


def longest_bond(atoms: Atoms) -> float:
    """Measure the longest distance (Å) of an oxygen and a hydrogen of its molecule."""
    return float(np.linalg.norm(analysis.bond_vectors(atoms), axis=1).max())


def whole(name: str) -> Part:
    """Tell what decides the card beside its runs."""
    models = sorted({r.model for r in RUNS[name]} - {CLASSICAL})
    return Part(name, tuple(models))


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Gather the runs: their outcomes, or their frames and a list of them."""
    rows = []
    for run, result in zip(RUNS[name], results, strict=False):
        if name == "water-stability":
            rows += json.loads(result.read_text())
            continue
        content = result.read_bytes()
        (folder / f"{run.name}.npz").write_bytes(content)
        known = hashlib.sha256(content).hexdigest()
        rows.append(asdict(run) | {"file": f"{run.name}.npz", "sha256": known})
    card = {
        "from": sources(whole(name).reads),
        "system": f"{MOLECULES} H2O, {TIMESTEP} fs a step, a frame every {EVERY} fs",
        "units": "K, bar, ps; survived, intact (until an O-H is longer than "
        f"{BROKEN} Å) ps; density g/cm³; longest_bond Å; hydrogen_bonds per molecule; "
        f"diffusion 1e-9 m²/s in the box, after {SETTLE} ps, fitted over {FIT} ps, and "
        "its error over molecules",
        "rows": rows,
    }
    write_card(name, card, folder, spaced=True)
