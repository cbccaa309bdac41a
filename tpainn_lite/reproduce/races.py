"""Compute the tables of trainings that ship: learning curves, and ways to tune.

A grid races arms on one data set. `ways` tunes with one budget in every way.
"ethanol-dft": a student of MMFF94 learns DFT, with all labels. "ethanol-ccsdt" and
"methylamine-ccsdt": a potential that knows DFT learns CCSD(T) from energies, alone or
with forces. "molecules-dft" and "water-dft": the instant head, beside the gradient
steps of the grids.

A part is a row: one arm or way, one teacher and one seed at all sizes.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms

from .. import datasets, dynamics, molecules, tune
from ..analysis import bonds
from ..data import labels
from ..model import Potential
from ..public.formats import water_split
from ..ridge_head import HeadConfig
from ..train import FitConfig, OnEpoch, evaluate
from ..units import KCAL_MOL
from . import rivals
from .cards import words
from .molecule_labels import MP2
from .parts import Part, mark, rows_of, slug, sources
from .trainings import LONGER, SEEDS, WATER, Spec, delta_for, free_atoms, train_point

MARKS = (10, 30, 60, 100, 200, 300, 600, 1000, 1500, 2000, 3000)  # steps
STEADY = 3e-3  # a rate; with 1e-2 one of twelve diverged that took five times the steps
FOR_ENERGIES = ("scratch for energies", "tuned for energies")
TAUGHT = ("zero-shot", "tuned")  # arms that begin with a teacher's student
Point = tuple[dict, Spec]  # what names a row of a table, and its training


@dataclass(frozen=True)
class Grid:
    """A race on one data set.

    `teachers` are checkpoints by what an arm's name says of them: nothing, of the
    first. Those of `later`, which may say {seed}, of the draw, run at their own sizes,
    `closed` arms at the sizes `FEW`. `longer` has, by arm, the sizes at which it also
    runs five times the budget; there up to `watch` other structures of the pool, as
    many as it has left, say which weights were best. Every `stride`-th of the test is
    seen along the way.
    """

    data: str
    teachers: dict[str, str]
    sizes: tuple[int, ...]
    later: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    closed: tuple[str, ...] = ()
    longer: dict[str, tuple[int, ...]] = field(default_factory=dict)
    arms: tuple[str, ...] = tune.ARMS
    configs: dict[str, FitConfig] = field(default_factory=lambda: tune.CONFIGS)
    watch: int = 0
    stride: int = 4
    kind: str | None = None  # of `tune.config_for`, in place of `configs`

    def how(self, arm: str, n: int) -> tune.Strategy | None:
        """Choose the settings of an arm; "for energies" picks by energies."""
        base, _, aim = arm.partition(" for ")
        if arm == "delta":
            return delta_for(n)
        if self.kind is None or base not in self.configs:
            return self.configs.get(base)
        return tune.config_for(n, self.kind, base, aim or "forces")


WATERS = {"": "water-qtip4pf", "SPC/Fw": "water-spcfw"}
FEW = (1, 3, 8)  # boxes
LONGER_START = {"pretrained longer": ("water-qtip4pf-longer", FEW)}
GRIDS = {
    "molecules-grid": Grid(
        data="molecules-dft",
        teachers={"": "molecules-mmff94"},
        sizes=(3, 10, 30, 100, 300),
        longer={
            **dict.fromkeys(("scratch", "scratch for energies"), (3, 10, 30, 100, 300)),
            **dict.fromkeys(("tuned", "tuned for energies"), (300,)),
        },
        arms=(*tune.ARMS, *FOR_ENERGIES, "delta", *rivals.MOLECULES),
        kind="molecules",
    ),
    "water-dft-grid": Grid(
        data="water-dft",
        teachers=WATERS,
        later=LONGER_START
        | {"calibrated": ("water-dft-calibrated-{seed}", (*FEW, 30, 80))},
        closed=rivals.LIQUIDS,
        sizes=(1, 3, 8, 30, 80),
        longer={"scratch": (1, 3, 8, 30, 80)},
        configs=WATER,
        watch=16,
    ),
    "water-pbe0ts-grid": Grid(
        data="water-pbe0ts",
        teachers=WATERS | {"revPBE-D3": "water-tuned-80"},
        later=LONGER_START
        | {"calibrated": ("water-pbe0ts-calibrated-{seed}", (*FEW, 30, 80, 300))},
        closed=rivals.LIQUIDS,
        sizes=(1, 3, 8, 30, 80, 300),
        longer={
            "scratch": (1, 3, 8, 30, 80, 300),
            "tuned": (3, 8, 300),
            "tuned, calibrated": (300,),
        },
        configs=WATER,
        watch=8,
        stride=6,
    ),
}

# Rates and pulls did best on pool structures that were not trained on (one seed).
ALL = replace(tune.TUNED, lr=1e-3)
ALONE = dict(energy_weight=1.0, force_weight=0.0)
SCRATCH_ALONE = replace(tune.SCRATCH, **ALONE)
GENTLE = replace(tune.TUNED, l2_sp=0.0, **ALONE)
MIXED = replace(ALL, energy_weight=0.1)
WAYS = {  # data -> way -> how
    "ethanol-dft": {
        "scratch": tune.SCRATCH,
        "all weights": ALL,
        "discriminative": replace(ALL, lr=3e-3, lr_decay=0.5),
        "gradual unfreezing": replace(ALL, unfreeze=100),  # steps a block, five blocks
        "replay": ALL,
        "instant head": HeadConfig(),
        "delta": tune.SCRATCH,
        "energies alone": replace(tune.TUNED, **ALONE),
        "energies alone, scratch": SCRATCH_ALONE,
    },
}
COUPLED = {  # from DFT unless the name says otherwise
    "scratch": SCRATCH_ALONE,
    "from MMFF94": GENTLE,
    "energies alone": GENTLE,
    "discriminative": replace(GENTLE, lr=1e-3, lr_decay=0.3),
    "delta": SCRATCH_ALONE,
    "MP2 forces": MIXED,
    "MP2 forces, from MMFF94": MIXED,
    "DFT forces, from MMFF94": MIXED,
}
FORCES = {  # way -> the set of the molecule that they come from
    "MP2 forces": "mp2",
    "MP2 forces, from MMFF94": "mp2",
    "DFT forces, from MMFF94": "dft",
}
WAYS["ethanol-ccsdt"] = COUPLED
WAYS["methylamine-ccsdt"] = COUPLED | {"CCSD(T) forces": MIXED}
OTHERS = {"instant head": HeadConfig(), "all weights": tune.TUNED}
SIZES = {
    "ethanol-dft": (3, 10, 30, 100),
    "ethanol-ccsdt": (10, 30, 100, 300),
    "methylamine-ccsdt": (10, 30, 100, 200),
}
HEADS = (3, 8, 30)
MMFF94 = "molecules-mmff94"
TEACHERS = {
    "ethanol-dft": MMFF94,
    "molecules-dft": MMFF94,
    "ethanol-ccsdt": "ethanol-dft-tuned",
    "methylamine-ccsdt": "methylamine-dft-tuned",
    "water-dft": "water-qtip4pf",
}
HOT, HOT_PS, HOT_N = 1000.0, 5.0, 10  # K, of a run after tuning on ten structures
HOT_WAYS = ("scratch", "all weights", "replay", "instant head")
STRETCHED = 1.6  # times its first length: a bond that long is broken
FILES = {name: [f"{name}.json"] for name in (*GRIDS, "ways")}


def points(name: str) -> list[Point]:
    """List every training of a table, in the order it ships."""
    if name not in GRIDS:
        return way_points() if name == "ways" else []
    grid, found = GRIDS[name], []
    steps = grid.configs["tuned"].steps
    for seed, n, arm in product(SEEDS, grid.sizes, grid.arms):
        for named in grid.teachers if arm in TAUGHT else [""]:
            base = arm.partition(" for ")[0]
            spec = Spec(
                grid.data, grid.teachers[named], base, n, seed, grid.how(arm, n)
            )
            found.append((f"{arm}, {named}" if named else arm, steps, spec))
    for seed, (named, (teacher, sizes)) in product(SEEDS, grid.later.items()):
        one = grid.data, teacher.format(seed=seed)
        for n, arm in product(sizes, TAUGHT):
            spec = Spec(*one, arm, n, seed, grid.how(arm, n))
            found.append((f"{arm}, {named}", steps, spec))
    for seed, n, arm in product(SEEDS, FEW, grid.closed):
        found.append((arm, steps, Spec(grid.data, grid.teachers[""], arm, n, seed)))
    for seed, (label, sizes) in product(SEEDS, grid.longer.items()):
        arm, _, named = label.partition(", ")
        teacher = grid.later[named][0] if named else grid.teachers[""]
        for n in sizes:
            how = replace(grid.how(arm, n), steps=LONGER * steps)
            if grid.kind:
                how = replace(how, lr=min(how.lr, STEADY))
            one = teacher.format(seed=seed), arm.partition(" for ")[0]
            spec = Spec(grid.data, *one, n, seed, how, grid.watch)
            found.append((label, how.steps, spec))
    return [
        ({"arm": label, "n": spec.n, "seed": spec.seed, "steps": steps}, spec)
        for label, steps, spec in found
    ]


def way_points() -> list[Point]:
    """List every training of `ways`."""
    found = [
        (data, way, n, seed)
        for data, ways in WAYS.items()
        for seed, n, way in product(SEEDS, SIZES[data], ("zero-shot", *ways))
        if n <= MP2 or "forces" not in way
    ]
    heads = product(("molecules-dft", "water-dft"), SEEDS, HEADS)
    found += [(data, "instant head", n, seed) for data, seed, n in heads]
    found += [("molecules-dft", "all weights", 8, seed) for seed in SEEDS]
    return [way_point(*one) for one in found]


def way_point(data: str, way: str, n: int, seed: int) -> Point:
    """Describe the training of a point of `ways`."""
    arm = "scratch" if "scratch" in way else "tuned"
    arm = way if way in ("zero-shot", "replay", "delta") else arm
    teacher = MMFF94 if way.endswith("from MMFF94") else TEACHERS[data]
    forces, among, (molecule, _, level) = "", 0, data.partition("-")
    if level == "ccsdt":
        among = MP2 if n <= MP2 else 0  # all of these are drawn alike
        forces = f"{molecule}-{FORCES[way]}" if way in FORCES else ""
    how = WAYS.get(data, OTHERS).get(way)
    spec = Spec(data, teacher, arm, n, seed, how, forces=forces, among=among)
    return {"experiment": data, "way": way, "n": n, "seed": seed}, spec


def parts(name: str) -> dict[str, Part]:
    """List the rows of a table: all sizes of what else names a training."""
    rows: dict[str, list[Point]] = {}
    for about, spec in points(name):
        key = slug(*(value for key, value in about.items() if key != "n"))
        rows.setdefault(key, []).append((about, spec))
    found = {}
    for key, row in rows.items():
        data, reads = row[0][1].data, row[0][1].reads
        how = [MARKS, GRIDS[name].stride] if name in GRIDS else []
        if data == "ethanol-dft":
            reads += ("molecules-dft",)  # to see what is forgotten
            how = [HOT, HOT_PS, HOT_N, STRETCHED, HOT_WAYS]
        if data == "water-pbe0ts":
            how.append(mark(water_split()))
        found[key] = Part(row, reads, (how, free_atoms(data)))
    return found


def compute(name: str, task: Sequence[Point]) -> list[dict]:
    """Train the points of a row."""
    return [row(name, *point) for point in task]


def row(name: str, about: dict, spec: Spec) -> dict:
    """Train one point and tell its errors, of a grid also along the way."""
    test, curve = datasets.load(spec.data)["test"], []
    grid, begin = GRIDS.get(name), time.process_time()
    before = datasets.checkpoint(spec.teacher)
    seen = along(test[:: grid.stride], curve) if grid else None
    after, _ = train_point(spec, before, seen)
    found = about | {"cpu_s": round(time.process_time() - begin, 1)}
    if grid:
        found |= {"curve": curve} | asdict(evaluate(after, test))
        del found["stress_mae"]  # the labels of a grid are energies and forces
        if grid.kind is None:
            return found
        config = {} if spec.how is None else {"config": asdict(spec.how)}
        return found | energy_parts(after, test) | config
    found |= asdict(evaluate(after, test))
    return found | beside(about["way"], spec, after)


def energy_parts(potential, frames: Sequence[Atoms]) -> dict[str, float]:
    """Split the energy error (kcal/mol) into between and within molecules.

    Between: the mean over a molecule's structures, as an absolute value; within: what
    is left of each structure after that mean. Both are averaged over the molecules.
    """
    predicted, _ = potential.predict(frames, forces=False)
    gaps: dict[str, list[float]] = {}
    for atoms, energy in zip(frames, predicted, strict=True):
        gap = (energy - labels(atoms)[0]) / KCAL_MOL
        gaps.setdefault(atoms.info["smiles"], []).append(gap)
    means = {name: np.mean(found) for name, found in gaps.items()}
    within = [np.abs(found - means[name]).mean() for name, found in gaps.items()]
    between = float(np.mean(np.abs([*means.values()])))
    return {
        "energy_between_kcal": between,
        "energy_within_kcal": float(np.mean(within)),
    }


def along(test: Sequence[Atoms], curve: list[tuple[int, float]]) -> OnEpoch:
    """Make what adds (step, force MAE) to `curve` at the first epoch past a mark."""
    marks = list(MARKS)

    def on_epoch(potential: Potential, rows: Sequence[dict]) -> None:
        if marks and rows[-1]["step"] >= marks[0]:
            marks[:] = [m for m in marks if m > rows[-1]["step"]]
            curve.append((rows[-1]["step"], evaluate(potential, test).force_mae))

    return on_epoch


def beside(way: str, spec: Spec, after) -> dict:
    """Tell of a potential of ethanol what is forgotten, and of some a hot run."""
    found = {}
    if spec.data == "ethanol-dft" and way != "delta":  # its classical part is ethanol's
        others = datasets.load("molecules-dft")["test"][::4]
        found["others_force_mae"] = evaluate(after, others).force_mae
    if spec.data == "ethanol-dft" and spec.n == HOT_N and way in HOT_WAYS:
        found["hot_ps"] = hot_run(after, spec.seed)
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
    frames = run(atoms, potential.energy_forces, **how, on_frame=broken)
    return sum(not broken(a) for a in frames) * every / 2000


def run(atoms: Atoms, potential, **how) -> list[Atoms]:
    """Simulate; return the frames, of a run that blows up those before."""
    try:
        return dynamics.simulate(atoms, potential, **how)
    except dynamics.BlowUp as error:
        return error.frames


def whole(name: str) -> Part:
    """Tell what decides a table beside its rows."""
    if name == "ways":
        used = [*SIZES, "molecules-dft", "water-dft", "teachers-xtb"]
        used += ["ethanol-mp2", "methylamine-dft", "methylamine-mp2"]
        return Part(name, (*used, *sorted(set(TEACHERS.values()))), WAYS)
    grid = GRIDS[name]
    later = [t.format(seed=s) for t, _ in grid.later.values() for s in SEEDS]
    teachers = *grid.teachers.values(), *dict.fromkeys(later)
    return Part(name, (grid.data, *teachers), grid)


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> dict:
    """Gather the rows, with what they were computed from."""
    known = [about for about, _ in points(name)]
    rank = {tuple(about.values()): k for k, about in enumerate(known)}
    rows = sorted(rows_of(results), key=lambda r: rank[tuple(r[k] for k in known[0])])
    made_from = sources(whole(name).reads)
    if name == "ways":
        how = {d: {w: asdict(c) for w, c in ways.items()} for d, ways in WAYS.items()}
        return {"from": made_from, "configs": how, **words("ways"), "rows": rows}
    grid, stride = GRIDS[name], GRIDS[name].stride
    return {
        "data": made_from[0],
        "teachers": made_from[1:],
        "configs": {} if grid.kind else {a: asdict(c) for a, c in grid.configs.items()},
        "watched": grid.watch,
        **words("grids", stride=stride, twice=2 * stride),
        "rows": rows,
    }
