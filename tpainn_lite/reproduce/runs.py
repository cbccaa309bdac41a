"""Run water: who survives, what runs give, and whether the engine gives known numbers.

`water-stability`: how far runs of shipped potentials come. `water-runs`: frames of
them. `water-densities`: density, diffusion and g(r) of the runs at 1 bar, also of those
whose frames are too large to ship; another run is one more line in `RUNS`.
`water-diffusion`: runs of fixed volume, each at the density of its potential.
`water-step`: NVE with two time steps. `spcfw-liquid`: density and diffusion of SPC/Fw,
known from elsewhere. A run is recorded as it goes; killed, it goes on where it was.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms

from .. import analysis, datasets, dynamics, guards, water
from . import pretraining
from .cards import words
from .parts import WORK, Part, mark, rows_of, sources, switched_on
from .rivals import BOXES
from .water_labels import equilibrated

MOLECULES, LARGER, DENSITY = 64, 216, 0.997  # g/cm³, at the start
EVERY = 50  # fs between two frames
FRICTION = 0.001  # 1/fs; ten times as much would slow diffusion by a tenth
SETTLE, FIT = 5.0, (2.0, 7.0)  # ps, of the diffusion of a run that is judged
DENSE, BLOCK = 20.0, 2.0  # ps: left out of a mean density; of one value of a series
G_OO = dict(r_max=5.9, bins=59)  # Å, of the g(r) of oxygens in water-densities
FREE = 5.0  # ps of NVE
CLASSICAL = "q-tip4p-f"
CALIBRATED = {f"{CLASSICAL}-calibrated-{seed}": seed for seed in range(3)}  # draws
SPC_FW = dict(  # at 1 bar, then at the density found there
    molecules=216,
    kelvin=298.15,
    lengths={"npt": (140, 20), "nvt": (130, 10)},  # ps, of them left out at the start
    every={"npt": 100, "nvt": 50},  # fs between two frames
    fit=(2.0, 10.0),  # ps, of the mean square displacement
    shown=12.0,  # ps of it
)


@dataclass(frozen=True)
class Run:
    """A run of a shipped potential, or of the classical model, at one state."""

    model: str
    temperature: float  # K
    pressure: float | None  # bar; None: NVT
    length: float  # ps
    seed: int
    timestep: float = 1.0  # fs
    molecules: int | None = None  # None: MOLECULES
    held: float | None = None  # g/cm³ in NVT; None: DENSITY

    @property
    def name(self) -> str:
        """Name of its files."""
        how = "nvt" if self.pressure is None else "npt"
        how += f"-{self.timestep}fs" * (self.timestep != 1.0)
        how += "".join(f"-{it}" for it in (self.molecules, self.held) if it)
        return f"{self.model}-{how}-{self.temperature:.0f}K-{self.seed}"

    @property
    def reads(self) -> tuple[str, ...]:
        """Name its checkpoint, or the labels that it is calibrated on, if any."""
        if self.model in CALIBRATED:
            return ("water-dft",)
        return () if self.model == CLASSICAL else (self.model,)

    def lasting(self, length: float) -> dict:
        """Tell `dynamics.simulate` to run for `length` ps, as this run has it."""
        how = dict(timestep=self.timestep, seed=self.seed, platform="CPU")
        steps = round(1000 * length / self.timestep)
        return how | dict(steps=steps, every=round(EVERY / self.timestep))

    def potential(self, atoms: Atoms):
        """Load what moves the atoms."""
        model = water.MODELS[CLASSICAL]
        if self.model in CALIBRATED:
            draw = CALIBRATED[self.model]
            model = pretraining.calibrated(CLASSICAL, "water-dft", draw, BOXES)
        elif self.model != CLASSICAL:
            return datasets.checkpoint(self.model).frozen()
        return water.water_system(model, atoms)


def at_one_bar(models: Iterable[str], seeds=(0,), length=100.0, **how) -> list[Run]:
    """List the runs that tell densities, of `length` ps."""
    return [Run(m, 300.0, 1.0, length, s, **how) for s, m in product(seeds, models)]


FRAMED = (CLASSICAL, "water-tuned-8", "water-tuned-80", "water-scratch-8")
DRAWN = [f"water-scratch-8-{seed}" for seed in (1, 2)]
STRESSED = [f"water-tuned-{n}" for n in ("80-stress", "8-stress")]
STRESSED += [f"water-tuned-8-stress-{seed}" for seed in (1, 2)]
LEARNED = [
    f"water-{name}"
    for name in ("tuned-80", "tuned-8", "scratch-8", "tuned-1", "scratch-1")
]
# the density (g/cm³) that a potential has at 1 bar, and how many runs at it
OWN = {CLASSICAL: (1.0, 5), STRESSED[0]: (0.93, 5), "water-scratch-80": (0.92, 5)}
OWN |= {m: (d, 2) for m, d in zip(CALIBRATED, (1.03, 1.02, 1.01), strict=True)}
OWN |= {m: (d, 2) for m, d in zip(STRESSED[1:], (0.94, 0.95, 0.94), strict=True)}
RUNS = {
    # only the outcome ships, of shorter ones first; the classical model cannot break
    # its molecules: it is asked for its diffusion alone
    "water-stability": [
        Run(model, kelvin, bar, ps, seed)
        for kelvin, bar, ps in ((500.0, 1.0, 10.0), (300.0, None, 20.0))
        for seed in range(5)
        for model in (LEARNED if bar else [*LEARNED, CLASSICAL])
    ],
    # the frames ship: NVT for motion, NPT for density; the first picoseconds settle
    "water-runs": [
        *(Run(model, 300.0, None, 35.0, 0) for model in FRAMED),
        *at_one_bar(FRAMED, length=60.0),
    ],
    "water-densities": [
        *at_one_bar((*FRAMED, *CALIBRATED, "water-scratch-80", *DRAWN, *STRESSED)),
        *at_one_bar((CLASSICAL, "water-scratch-80", STRESSED[0]), (1, 2)),
        *at_one_bar(STRESSED[1:], (1,)),
        *at_one_bar(STRESSED[:1], length=60.0, timestep=0.5),
        *at_one_bar(STRESSED[:1], length=60.0, molecules=LARGER),
    ],
    "water-diffusion": [
        Run(model, 300.0, None, 35.0, seed, held=held)
        for model, (held, count) in OWN.items()
        for seed in range(count)
    ],
    "water-step": [
        Run(f"water-tuned-{n}", 300.0, None, 2.0, 0, timestep)
        for n, timestep in product((8, 80), (1.0, 0.5))
    ],
}
FILES = {name: [f"{name}.json"] for name in (*RUNS, "spcfw-liquid")}
FILES["water-runs"] += [f"{r.name}.npz" for r in RUNS["water-runs"]]


def parts(name: str) -> dict[str, Part]:
    """List the runs; those of SPC/Fw, one after the other, are one part."""
    if name == "spcfw-liquid":
        how = water.SPC_FW, water.CUTOFF, DENSITY, FRICTION
        return {"runs": Part(SPC_FW, (), how)}
    last = {
        "water-stability": (analysis.BROKEN, SETTLE, FIT),
        "water-diffusion": (analysis.BROKEN, SETTLE, FIT),
        "water-densities": (DENSE, BLOCK, SETTLE, FIT, G_OO),
        "water-step": FREE,
        "water-runs": datasets.STEPS,
    }
    return {r.name: Part(r, r.reads, (shared(), last[name])) for r in RUNS[name]}


def shared() -> tuple:
    """List the settings that all runs share."""
    begun = water.MODELS[CLASSICAL], water.CUTOFF
    return (*begun, MOLECULES, DENSITY, EVERY, FRICTION, BOXES)


def recorded(folder: str, name: str, decided: object, start: Atoms, potential, **how):
    """Run a potential in a file of its own, named by what decides the run."""
    file = WORK / folder / f"{name}-{mark(decided)}.traj"
    run = dict(timestep=1.0, friction=FRICTION, platform="CPU", seed=0, file=file)
    return dynamics.simulate(start, potential, **run | how)


@cache
def start(temperature: float, seed: int, molecules: int | None = None) -> Atoms:
    """Make the box that all models start from; q-TIP4P/F has moved it for 7 ps."""
    stages, size = ((2000, 500.0), (5000, temperature)), molecules or MOLECULES
    atoms, _ = equilibrated(CLASSICAL, size, DENSITY, seed, *stages, platform="CPU")
    atoms.calc = None
    return atoms


def simulate(run: Run) -> tuple[list[Atoms], str]:
    """Give the frames of a run, and in words how it ended early, if it did."""
    atoms = start(run.temperature, run.seed, run.molecules)
    atoms = water.scaled(atoms, run.held) if run.held else atoms
    decided, potential = (sources(run.reads), shared()), run.potential(atoms)
    how = dict(temperature=run.temperature, pressure=run.pressure)
    how |= run.lasting(run.length)
    try:
        frames = recorded("water-runs", run.name, decided, atoms, potential, **how)
    except dynamics.BlowUp as error:
        return error.frames, error.reason
    return frames, ""


def compute(name: str, task: Run | dict) -> bytes | list[dict] | dict:
    """Run; pack the frames, or tell how far they came or what they give."""
    if name == "spcfw-liquid":
        return spcfw(**task)
    frames, ended = simulate(task)
    if name in ("water-stability", "water-diffusion"):
        return [judge(task, frames, ended)]
    if ended:
        raise ValueError(f"{task.name}: blew up after {len(frames)} frames: {ended}")
    if name == "water-step":
        return [drifting(task, frames[-1])]
    if task.pressure is not None:
        frames = frames[1::2]  # the density moves slowly
    return packed(frames) if name == "water-runs" else [dense(task, frames)]


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


def dense(run: Run, frames: Sequence[Atoms]) -> dict:
    """Tell density, also of blocks in time, diffusion and g(r) of a run at 1 bar.

    Molecules move in the mean box: a change of volume is no motion of theirs.
    """
    density, dt = analysis.densities(frames), analysis.frame_interval(frames, None)
    settled = density[round(1000 * DENSE / dt) :]
    size = round(1000 * BLOCK / dt)
    blocks = density[: len(density) // size * size].reshape(-1, size).mean(axis=1)
    found = dict(density=analysis.mean_and_error(settled), blocks=blocks.tolist())
    frames = frames[round(1000 * SETTLE / dt) :]
    mean = density[-len(frames) :].mean()
    D = diffusion([water.scaled(a, mean) for a in frames], dt, FIT)
    g = analysis.rdf(frames, 8, 8, **G_OO)[1].round(3).tolist()
    found |= dict(diffusion=(D.value, D.error), g=g)
    return asdict(run, dict_factory=switched_on) | found


def drifting(run: Run, atoms: Atoms) -> dict:
    """Run on for `FREE` ps of NVE; tell the slope of the energy, meV/atom/ps."""
    how = run.lasting(FREE) | dict(temperature=None)
    frames = dynamics.simulate(atoms, run.potential(atoms), **how)
    energy = [a.get_potential_energy() + a.info["kinetic_energy"] for a in frames]
    ps = np.arange(len(frames)) * EVERY / 1000
    (slope, _), covariance = np.polyfit(ps, energy, 1, cov=True)
    drift = 1000 * np.array([slope, covariance[0, 0] ** 0.5]) / len(atoms)
    return asdict(run, dict_factory=switched_on) | dict(drift=drift.tolist())


def judge(run: Run, frames: Sequence[Atoms], ended: str) -> dict:
    """Tell how far a run came, and in one piece, and how fast it diffused."""
    row = asdict(run, dict_factory=switched_on)
    row |= {"survived": len(frames) * EVERY / 1000, "ended": ended}
    whole = [longest_bond(a) < analysis.BROKEN for a in frames] + [False]
    row["intact"] = whole.index(False) * EVERY / 1000
    if run.pressure is None and row["survived"] >= SETTLE + 2 * FIT[1]:
        D = diffusion(frames[round(1000 * SETTLE / EVERY) :], EVERY, FIT)
        row["diffusion"] = D.value, D.error
    return row


def diffusion(frames: Sequence[Atoms], every: float, fit) -> analysis.Diffusion:
    """Measure self-diffusion from frames `every` fs, in a window `fit` of ps."""
    window = (1000 * fit[0], 1000 * fit[1])
    return analysis.self_diffusion(frames, every, fit_window=window)


def longest_bond(atoms: Atoms) -> float:
    """Measure the longest distance (Å) of an oxygen and a hydrogen of its molecule."""
    return float(np.linalg.norm(analysis.bond_vectors(atoms), axis=1).max())


def spcfw(molecules, kelvin, lengths, every, fit, shown) -> dict:
    """Run SPC/Fw at 1 bar, then at the mean density; tell what the runs give.

    Density (g/cm³), diffusion (1e-9 m²/s), and its mean square displacement (Å²).
    """
    box = water.water_box(molecules, density=DENSITY, seed=0)
    potential = water.water_system(water.SPC_FW, box)
    melt = dict(steps=4000, every=4000, friction=0.05, temperature=400.0, seed=0)
    box = dynamics.simulate(box, potential, timestep=1.0, platform="CPU", **melt)[-1]

    def settled(how: str, start: Atoms, **state: float) -> list[Atoms]:
        steps, out = (1000 * ps // every[how] for ps in lengths[how])
        state |= dict(temperature=kelvin, every=every[how], steps=steps * every[how])
        decided = water.SPC_FW, water.CUTOFF, molecules, lengths, every, state
        return recorded("spcfw-liquid", how, decided, start, potential, **state)[out:]

    npt = settled("npt", box, pressure=1.0)
    density = analysis.densities(npt)
    nvt = settled("nvt", water.scaled(npt[-1], density.mean()))
    D = diffusion(nvt, every["nvt"], fit)
    lags = np.flatnonzero(D.times <= 1000 * shown)[::10]
    return {
        "density": analysis.mean_and_error(density),
        "diffusion": (D.value, D.error),
        "edge": float(nvt[0].cell.lengths()[0]),
        "temperature": float(dynamics.temperatures(nvt).mean()),
        "times": (D.times[lags] / 1000).round(3).tolist(),
        "msd": D.msd[lags].round(4).tolist(),
    }


def whole(name: str) -> Part:
    """Tell what decides the card beside its runs."""
    models = {model for r in RUNS.get(name, ()) for model in r.reads}
    return Part(name, tuple(sorted(models)))


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> dict:
    """Gather the runs: their outcomes, or their frames and a list of them."""
    if name == "spcfw-liquid":
        return words(name, **SPC_FW) | json.loads(results[0].read_bytes())
    if name != "water-runs":
        rows = rows_of(results)
    else:
        rows = []
        for run, result in zip(RUNS[name], results, strict=False):
            content, file = result.read_bytes(), f"{run.name}.npz"
            guards.write(folder / file, content)
            sha256 = hashlib.sha256(content).hexdigest()
            about = asdict(run, dict_factory=switched_on)
            rows.append(about | {"file": file, "sha256": sha256})
    how = dict(n=MOLECULES, every=EVERY, broken=analysis.BROKEN, settle=SETTLE, fit=FIT)
    how |= dict(dense=DENSE, block=BLOCK, free=FREE, **G_OO)
    about = {"from": sources(whole(name).reads), **words("runs", **how)}
    return about | {"rows": rows}
