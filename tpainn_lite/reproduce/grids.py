"""Compute the grids of learning curves that ship.

A part is a row: one arm, one teacher and one seed at all sizes.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path

from .. import datasets, tune
from ..model import Potential
from ..train import FitConfig, evaluate
from .cards import write_card
from .parts import Part, gathered, mark, slug, sources
from .points import LONGER, SEEDS, WATER, Spec, free_atoms, train_point
from .pretraining import STUDENTS

MARKS = (10, 30, 60, 100, 200, 300, 600, 1000, 1500, 2000, 3000)  # steps
TAUGHT = ("zero-shot", "tuned")  # arms that begin with a teacher's student


@dataclass(frozen=True)
class Grid:
    """A race on one data set.

    `teachers` are checkpoints by what an arm's name says of them: nothing, of the
    first. `longer` has, by arm, the sizes at which it also runs five times the budget;
    there up to `watch` other structures of the pool, as many as it has left, say which
    weights were best. Every `stride`-th of the test is seen along the way.
    """

    data: str
    teachers: dict[str, str]
    sizes: tuple[int, ...]
    longer: dict[str, tuple[int, ...]] = field(default_factory=dict)
    arms: tuple[str, ...] = tune.ARMS
    configs: dict[str, FitConfig] = field(default_factory=lambda: tune.CONFIGS)
    watch: int = 0
    stride: int = 2


EIGHT = Grid(  # for what, with these boxes, moves the error
    data="water-pbe0ts",
    teachers={"": "water-qtip4pf"},
    sizes=(8,),
    arms=("tuned",),
    configs=WATER,
    stride=6,
)
WATER_TEACHERS = {"": "water-qtip4pf", "SPC/Fw": "water-spcfw"}
GRIDS = {
    "molecules-grid": Grid(
        data="molecules-dft",
        teachers={"": "molecules-mmff94"},
        sizes=(3, 10, 30, 100, 300),
        longer={"scratch": (10, 100, 300), "tuned": (300,)},
        stride=4,
    ),
    "water-dft-grid": Grid(
        data="water-dft",
        teachers=WATER_TEACHERS,
        sizes=(1, 3, 8, 30, 80),
        longer={"scratch": (1, 3, 8, 30, 80)},
        configs=WATER,
        watch=16,
        stride=4,
    ),
    "water-pbe0ts-grid": Grid(
        data="water-pbe0ts",
        teachers=WATER_TEACHERS | {"revPBE-D3": "water-tuned-80"},
        sizes=(1, 3, 8, 30, 80, 300),
        longer={"scratch": (1, 3, 8, 30, 80, 300), "tuned": (3, 8, 300)},
        configs=WATER,
        watch=8,
        stride=6,
    ),
    "water-students-grid": replace(
        EIGHT,
        teachers=EIGHT.teachers | {n: f"water-qtip4pf-{n}" for n in STUDENTS},
        arms=("zero-shot", "tuned"),
    ),
    "water-pull-grid": replace(
        EIGHT, configs={"tuned": replace(WATER["tuned"], l2_sp=0.03)}
    ),
    "water-patient-grid": replace(
        EIGHT,
        teachers={"": "water-qtip4pf-longer"},
        sizes=(),
        longer={"tuned": (3, 8), "scratch": (8,)},
        configs={arm: replace(c, lr=c.lr / 3) for arm, c in WATER.items()},
        watch=8,
    ),
}
FILES = {name: [f"{name}.json"] for name in GRIDS}


def points(name: str) -> list[tuple[str, int, Spec]]:
    """List (label, steps, training) of every point of a grid, in the order it ships."""
    grid, found = GRIDS[name], []
    steps = grid.configs["tuned"].steps
    for seed, n, arm in product(SEEDS, grid.sizes, grid.arms):
        for named in grid.teachers if arm in TAUGHT else [""]:
            how = grid.configs.get(arm)
            spec = Spec(grid.data, grid.teachers[named], arm, n, seed, how)
            found.append((f"{arm}, {named}" if named else arm, steps, spec))
    for seed, (arm, sizes) in product(SEEDS, grid.longer.items()):
        how = replace(grid.configs[arm], steps=LONGER * steps)
        for n in sizes:
            spec = Spec(grid.data, grid.teachers[""], arm, n, seed, how, grid.watch)
            found.append((arm, how.steps, spec))
    return found


def parts(name: str) -> dict[str, Part]:
    """List the rows of a grid: the sizes of an arm, a teacher, a seed and a budget."""
    grid, rows = GRIDS[name], {}
    for label, steps, spec in points(name):
        key = slug(label, spec.seed, steps)
        rows.setdefault(key, []).append((label, steps, spec))
    settings = MARKS, grid.stride, free_atoms(grid.data)
    if grid.data == "water-pbe0ts":
        from ..public.formats import water_split

        settings += (mark(water_split()),)
    return {key: Part(row, row[0][2].reads, settings) for key, row in rows.items()}


def compute(name: str, task: Sequence[tuple[str, int, Spec]], path: Path) -> None:
    """Train the points of a row; write JSON."""
    path.write_text(json.dumps([row(name, *point) for point in task]))


def row(name: str, label: str, steps: int, spec: Spec) -> dict:
    """Train one point, with the test error along the way."""
    test = datasets.load(spec.data)["test"]
    marks, curve = list(MARKS), []

    def on_epoch(potential: Potential, rows: Sequence[dict]) -> None:
        if marks and rows[-1]["step"] >= marks[0]:
            marks[:] = [m for m in marks if m > rows[-1]["step"]]
            error = evaluate(potential, test[:: GRIDS[name].stride]).force_mae
            curve.append((rows[-1]["step"], error))

    start = time.process_time()
    potential, _ = train_point(spec, on_epoch=on_epoch)
    about = {"arm": label, "n": spec.n, "seed": spec.seed, "steps": steps}
    about["cpu_s"] = round(time.process_time() - start, 1)
    return about | {"curve": curve} | asdict(evaluate(potential, test))


def whole(name: str) -> Part:
    """Tell what decides the grid beside its rows."""
    grid = GRIDS[name]
    return Part(name, (grid.data, *grid.teachers.values()), grid)


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Gather the rows, with what they were computed from."""
    how = GRIDS[name]
    data, *teachers = sources([how.data, *how.teachers.values()])
    order = [(label, s.n, s.seed, steps) for label, steps, s in points(name)]
    grid = {
        "data": data,
        "teachers": teachers,
        "configs": {arm: asdict(c) for arm, c in how.configs.items()},
        "watched": how.watch,
        "units": "force_mae, force_rmse meV/Å; energy_mae, energy_rmse meV/atom; "
        "energy_mae_kcal kcal/mol per structure; curve: (step, force MAE on test "
        f"structures 0, {how.stride}, {2 * how.stride}, ...)",
        "rows": gathered(results, ("arm", "n", "seed", "steps"), order),
    }
    write_card(name, grid, folder)
