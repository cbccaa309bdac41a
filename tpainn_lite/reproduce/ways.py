"""The experiments of lesson 06: one student, one budget, every way to tune it.

"ethanol-dft": a student of MMFF94 learns DFT, with all labels. "ethanol-ccsdt": a
potential that knows DFT learns CCSD(T) from energies alone. "molecules-dft" and
"water-dft": the instant head, beside the gradient steps of the shipped grids. In all,
the structures are drawn as in `grid_rows`, and the seed names the draw.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
from ase import Atoms

from .. import datasets, dynamics, molecules, tune
from ..analysis import bonds
from ..data import label, split
from ..model import Potential
from ..ridge_head import HeadConfig
from ..train import FitConfig, evaluate, moved
from ..tune import DeltaPotential
from .grid_rows import free_atoms
from .grids import GRIDS, SEEDS
from .tasks import belongs, write_card

# Rates and pulls did best on pool structures that were not trained on (one seed).
ALL = replace(tune.TUNED, lr=1e-3)
ALONE = dict(energy_weight=1.0, force_weight=0.0)
DISCRIMINATIVE = replace(ALL, lr=3e-3, lr_decay=0.5)
GRADUAL = replace(ALL, unfreeze=100)  # steps a block, five blocks
WAYS = {
    "scratch": tune.SCRATCH,
    "all weights": ALL,
    "discriminative": DISCRIMINATIVE,
    "gradual unfreezing": GRADUAL,
    "replay": ALL,
    "instant head": HeadConfig(),
    "delta": tune.SCRATCH,
    "energies alone": replace(tune.TUNED, **ALONE),
    "energies alone, scratch": replace(tune.SCRATCH, **ALONE),
}
GENTLE = replace(tune.TUNED, l2_sp=0.0, **ALONE)
CCSDT_WAYS = {
    "scratch": replace(tune.SCRATCH, **ALONE),
    "from MMFF94": GENTLE,
    "all weights": GENTLE,
    "discriminative": replace(GENTLE, lr=1e-3, lr_decay=0.3),
    "delta": replace(tune.SCRATCH, **ALONE),
}
SIZES = {"ethanol-dft": (3, 10, 30, 100), "ethanol-ccsdt": (10, 30, 100, 300)}
HEADS = (3, 8, 30)
DFT_POTENTIAL, MMFF94 = "ethanol-dft-tuned", "molecules-mmff94"
HOT, HOT_PS, HOT_N = 1000.0, 5.0, 10  # K, of a run after tuning on ten structures
HOT_WAYS = ("scratch", "all weights", "replay", "instant head")
STRETCHED = 1.6  # times its first length: a bond that long is broken
Task = tuple[str, str, int, int, str]  # experiment, way, n, seed, digests


def tasks() -> list[Task]:
    """Every training, cheap comparisons first."""
    points = [
        (name, way, n, seed)
        for name, ways in (("ethanol-dft", WAYS), ("ethanol-ccsdt", CCSDT_WAYS))
        for seed in SEEDS
        for n in SIZES[name]
        for way in ("zero-shot", *ways)
    ]
    points += [
        (name, "instant head", n, seed)
        for name in ("molecules-dft", "water-dft")
        for seed in SEEDS
        for n in HEADS
    ]
    points += [("molecules-dft", "all weights", 8, seed) for seed in SEEDS]
    return [(*p, used(*p[:3])) for p in points]


def used(name: str, way: str, n: int) -> str:
    """Digest of what a row depends on: labels, potentials, how it is tuned and run."""
    sources, how = [name, teacher_of(name)], []
    if name == "ethanol-dft" and way != "delta":
        sources += ["molecules-dft"]  # to see what is forgotten
    if name == "ethanol-dft" and n == HOT_N and way in HOT_WAYS:
        how += [HOT, HOT_PS, STRETCHED]
    sources += {"replay": ["teachers-xtb"], "from MMFF94": [MMFF94]}.get(way, [])
    if way != "zero-shot":
        how += [config_of(name, way)]
    return belongs(datasets.sources(sources), free_atoms(name), how)


def teacher_of(name: str) -> str:
    """The checkpoint that is tuned."""
    if name == "ethanol-ccsdt":
        return DFT_POTENTIAL
    return "water-qtip4pf" if name == "water-dft" else MMFF94


def config_of(name: str, way: str) -> FitConfig | HeadConfig:
    """How a way tunes."""
    if name not in SIZES:
        gradient = GRIDS["molecules-grid"].configs["tuned"]
        return gradient if way == "all weights" else HeadConfig()
    return (WAYS if name == "ethanol-dft" else CCSDT_WAYS)[way]


@cache
def classical_frames() -> list[Atoms]:
    """A hundred MMFF94 structures to replay: five of twenty molecules, in turns."""
    groups: dict[str, list[Atoms]] = {}
    for atoms in datasets.load("teachers-xtb")["pool"]:
        groups.setdefault(atoms.info["smiles"], []).append(atoms)
    chosen = [*groups.items()][:20]
    return [
        label([part[turn]], molecules.mmff94(smiles))[0]
        for turn in range(5)
        for smiles, part in chosen
    ]


def start_and_strategy(name: str, way: str, n: int, seed: int) -> tuple:
    """The potential that is tuned, and the `tune.Strategy`."""
    teacher, how = datasets.checkpoint(teacher_of(name)), config_of(name, way)
    if way == "from MMFF94":
        teacher = datasets.checkpoint(MMFF94)
    if "scratch" in way:
        teacher = tune.untrained(teacher, seed=seed)
    if way == "replay":
        return teacher, tune.Replay(classical_frames()[:n], how)
    if way == "delta":
        if name == "ethanol-dft":
            return teacher, tune.Delta(molecules.mmff94("CCO"), how)
        atoms = teacher.reference_energies
        return teacher, tune.Delta(teacher.energy_forces, how, atoms)
    return teacher, how


def train(
    name: str, way: str, n: int, seed: int
) -> tuple[Potential, Potential | DeltaPotential]:
    """The potential before and after."""
    (frames,) = split(datasets.load(name)["pool"], n, seed=seed)
    if way == "zero-shot":
        teacher = datasets.checkpoint(teacher_of(name))
        return teacher, tune.with_references(teacher, frames, free_atoms(name))
    start, strategy = start_and_strategy(name, way, n, seed)
    tuned, _ = tune.autotune(start, frames, free_atoms(name), strategy, seed=seed)
    return start, tuned


def compute(task: Task, path: Path) -> None:
    """One training and its errors; writes a JSON row."""
    name, way, n, seed, _ = task
    begin = time.process_time()
    before, after = train(name, way, n, seed)
    row = dict(experiment=name, way=way, n=n, seed=seed)
    row["cpu_s"] = round(time.process_time() - begin, 1)
    row |= asdict(evaluate(after, datasets.load(name)["test"]))
    if way not in ("zero-shot", "delta", "instant head"):
        row["moved"] = moved(before, after)
    if name == "ethanol-dft" and way != "delta":  # its classical part is ethanol's
        others = datasets.load("molecules-dft")["test"][::4]
        row["others_force_mae"] = evaluate(after, others).force_mae
    if name == "ethanol-dft" and n == HOT_N and way in HOT_WAYS:
        row["hot_ps"] = hot_run(after, seed)
    path.write_text(json.dumps(row))


def hot_run(potential: Potential | DeltaPotential, seed: int) -> float:
    """How many of `HOT_PS` picoseconds at `HOT` K ethanol survives in one piece."""
    atoms = molecules.conformers("CCO", seed=seed)[0]
    first, second, vectors = bonds(atoms)
    longest = STRETCHED * np.linalg.norm(vectors, axis=1)
    every = 100  # steps of 0.5 fs

    def broken(frame: Atoms) -> bool:
        gaps = frame.positions[second] - frame.positions[first]
        return bool((np.linalg.norm(gaps, axis=1) > longest).any())

    how = dict(steps=round(HOT_PS * 2000), temperature=HOT, every=every, seed=seed)
    try:
        frames = dynamics.simulate(
            atoms, potential.energy_forces, **how, on_frame=broken
        )
    except dynamics.BlowUp as error:
        frames = error.frames
    whole = [a for a in frames if not broken(a)]
    return len(whole) * every / 2000


def write(name: str, results: Sequence[Path], shipped: Path) -> None:
    """Gather the rows, with what they were computed from."""
    sources = [*SIZES, "molecules-dft", "water-dft", "teachers-xtb"]
    sources += sorted({teacher_of(n) for n in sources})
    found = {
        "from": datasets.sources(sources),
        "configs": {
            "ethanol-dft": {way: asdict(how) for way, how in WAYS.items()},
            "ethanol-ccsdt": {way: asdict(how) for way, how in CCSDT_WAYS.items()},
        },
        "units": "force_mae, others_force_mae meV/Å; energy_mae meV/atom; cpu_s s; "
        "hot_ps ps; moved: |change| / |weights|, by block",
        "rows": [json.loads(p.read_text()) for p in results],
    }
    write_card(f"grid {name}", found, shipped)
