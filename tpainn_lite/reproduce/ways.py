"""Compute lesson 06: one student, one budget, every way to tune it.

"ethanol-dft": a student of MMFF94 learns DFT, with all labels. "ethanol-ccsdt": a
potential that knows DFT learns CCSD(T) from energies alone. "molecules-dft" and
"water-dft": the instant head, beside the gradient steps of the shipped grids.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from .. import datasets, dynamics, molecules, tune
from ..analysis import bonds
from ..model import Potential
from ..ridge_head import HeadConfig
from ..train import evaluate, moved
from .cards import write_card
from .parts import Part, gathered, slug, sources
from .points import SEEDS, Spec, free_atoms, train_point

# Rates and pulls did best on pool structures that were not trained on (one seed).
ALL = replace(tune.TUNED, lr=1e-3)
ALONE = dict(energy_weight=1.0, force_weight=0.0)
WAYS = {
    "scratch": tune.SCRATCH,
    "all weights": ALL,
    "discriminative": replace(ALL, lr=3e-3, lr_decay=0.5),
    "gradual unfreezing": replace(ALL, unfreeze=100),  # steps a block, five blocks
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
OTHERS = {"instant head": HeadConfig(), "all weights": tune.TUNED}
SIZES = {"ethanol-dft": (3, 10, 30, 100), "ethanol-ccsdt": (10, 30, 100, 300)}
HEADS = (3, 8, 30)
MMFF94 = "molecules-mmff94"
TEACHERS = {
    "ethanol-dft": MMFF94,
    "molecules-dft": MMFF94,
    "ethanol-ccsdt": "ethanol-dft-tuned",
    "water-dft": "water-qtip4pf",
}
HOT, HOT_PS, HOT_N = 1000.0, 5.0, 10  # K, of a run after tuning on ten structures
HOT_WAYS = ("scratch", "all weights", "replay", "instant head")
STRETCHED = 1.6  # times its first length: a bond that long is broken
NEW = ("zero-shot", "delta", "instant head")  # ways whose weights cannot be compared
FILES = {"ways": ["ways.json"]}


def points() -> list[tuple[str, str, int, int]]:
    """List (experiment, way, n, seed) of every training, in the order it ships."""
    found = [
        (name, way, n, seed)
        for name, ways in (("ethanol-dft", WAYS), ("ethanol-ccsdt", CCSDT_WAYS))
        for seed in SEEDS
        for n in SIZES[name]
        for way in ("zero-shot", *ways)
    ]
    found += [
        (name, "instant head", n, seed)
        for name in ("molecules-dft", "water-dft")
        for seed in SEEDS
        for n in HEADS
    ]
    return found + [("molecules-dft", "all weights", 8, seed) for seed in SEEDS]


def spec_of(name: str, way: str, n: int, seed: int) -> Spec:
    """Describe the training of a point."""
    arm = "scratch" if "scratch" in way else "tuned"
    arm = way if way in ("zero-shot", "replay", "delta") else arm
    teacher = MMFF94 if way == "from MMFF94" else TEACHERS[name]
    ways = {"ethanol-dft": WAYS, "ethanol-ccsdt": CCSDT_WAYS}.get(name, OTHERS)
    return Spec(name, teacher, arm, n, seed, ways.get(way))


def parts(name: str) -> dict[str, Part]:
    """List the rows: all sizes of an experiment, a way and a seed."""
    rows: dict[str, list] = {}
    for experiment, way, n, seed in points():
        spec = spec_of(experiment, way, n, seed)
        rows.setdefault(slug(experiment, way, seed), []).append((way, spec))
    found = {}
    for key, row in rows.items():
        way, spec = row[0]
        reads, settings = spec.reads, [free_atoms(spec.data)]
        if spec.data == "ethanol-dft" and way != "delta":
            reads += ("molecules-dft",)  # to see what is forgotten
        if spec.data == "ethanol-dft" and way in HOT_WAYS:
            settings += [HOT, HOT_PS, HOT_N, STRETCHED]
        found[key] = Part(row, reads, settings)
    return found


def compute(name: str, task: Sequence[tuple[str, Spec]], path: Path) -> None:
    """Train the points of a row; write JSON."""
    path.write_text(json.dumps([row(*point) for point in task]))


def row(way: str, spec: Spec) -> dict:
    """Train one point and tell its errors."""
    name, n, seed = spec.data, spec.n, spec.seed
    begin = time.process_time()
    before = datasets.checkpoint(spec.teacher)
    after, _ = train_point(spec, before)
    found = dict(experiment=name, way=way, n=n, seed=seed)
    found["cpu_s"] = round(time.process_time() - begin, 1)
    found |= asdict(evaluate(after, datasets.load(name)["test"]))
    if way not in NEW:
        scratch = spec.arm == "scratch"
        start = tune.untrained(before, seed=seed) if scratch else before
        found["moved"] = moved(start, after)
    if name == "ethanol-dft" and way != "delta":  # its classical part is ethanol's
        others = datasets.load("molecules-dft")["test"][::4]
        found["others_force_mae"] = evaluate(after, others).force_mae
    if name == "ethanol-dft" and n == HOT_N and way in HOT_WAYS:
        found["hot_ps"] = hot_run(after, seed)
    return found


def hot_run(potential: Potential | tune.DeltaPotential, seed: int) -> float:
    """Count how many of `HOT_PS` ps at `HOT` K ethanol survives in one piece."""
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


def whole(name: str) -> Part:
    """Tell what decides the table beside its rows."""
    sources = [*SIZES, "molecules-dft", "water-dft", "teachers-xtb"]
    sources += sorted(set(TEACHERS.values()))
    return Part(name, tuple(sources), (WAYS, CCSDT_WAYS))


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Gather the rows, with what they were computed from."""
    tables = {"ethanol-dft": WAYS, "ethanol-ccsdt": CCSDT_WAYS}
    found = {
        "from": sources(whole(name).reads),
        "configs": {
            experiment: {way: asdict(how) for way, how in ways.items()}
            for experiment, ways in tables.items()
        },
        "units": "force_mae, others_force_mae meV/Å; energy_mae meV/atom; cpu_s s; "
        "hot_ps ps; moved: |change| / |weights|, by block",
        "rows": gathered(results, ("experiment", "way", "n", "seed"), points()),
    }
    write_card(name, found, folder)
