"""How the shipped learning-curve grids are computed; called by ``reproduce``.

A grid point is one training run: (arm, n, seed). All arms see the same n structures of
the pool, drawn with the seed, and are judged on the same test structures.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

from ase import Atoms

from .. import datasets, tune
from ..data import split
from ..model import Potential
from ..public import formats
from ..public.download import SETS
from ..train import FitConfig, evaluate
from .grids import GRIDS, LONGER, SEEDS, TAUGHT, Grid
from .tasks import belongs, write_card

MARKS = (10, 30, 60, 100, 200, 300, 600, 1000, 1500, 2000, 3000)  # steps
Task = tuple[str, str, int, int, int, str]


def tasks(name: str) -> list[Task]:
    """(arm, teacher, n, seed, steps, digest) of every point of the grid `name`.

    By the digest a point belongs to its data, teacher and configuration.
    """
    grid, points = GRIDS[name], []
    steps = grid.configs["tuned"].steps
    for seed, n, arm in product(SEEDS, grid.sizes, grid.arms):
        teachers = grid.teachers if arm in TAUGHT else [""]
        points += [(arm, teacher, n, seed, steps) for teacher in teachers]
    for seed, (arm, sizes) in product(SEEDS, grid.longer.items()):
        points += [(arm, "", n, seed, LONGER * steps) for n in sizes]
    return [(*point, _belongs(grid, *point[:2])) for point in points]


def _belongs(grid: Grid, arm: str, teacher: str) -> str:
    """Digest of what the points of an arm are made from."""
    used = [grid.data, *([grid.teachers[teacher]] if arm in TAUGHT else [])]
    how = grid.configs.get(arm), grid.watch, grid.stride, MARKS
    split = formats.water_split() if grid.data == "water-pbe0ts" else ""
    return belongs(datasets.sources(used), split, free_atoms(grid.data), how)


def point(name: str, task: Task, path: Path) -> None:
    """One grid point, with the test error along the way; writes a JSON row."""
    arm, named, n, seed, steps, _ = task
    grid, sets = GRIDS[name], datasets.load(GRIDS[name].data)
    longer = steps > grid.configs["tuned"].steps
    frames, valid = draw(sets["pool"], n, grid.watch if longer else 0, seed)
    config = replace(grid.configs.get(arm, grid.configs["tuned"]), steps=steps)
    config = watched(config, n) if valid else config
    marks, curve = list(MARKS), []

    def on_epoch(potential: Potential, rows: Sequence[dict]) -> None:
        if marks and rows[-1]["step"] >= marks[0]:
            marks[:] = [m for m in marks if m > rows[-1]["step"]]
            error = evaluate(potential, sets["test"][:: grid.stride]).force_mae
            curve.append((rows[-1]["step"], error))

    start = time.process_time()
    potential, _ = tune.train_arm(
        arm,
        datasets.checkpoint(grid.teachers[named]),
        frames,
        free_atoms(grid.data),
        config,
        seed=seed,
        valid=valid,
        on_epoch=on_epoch,
    )
    row = {"arm": f"{arm}, {named}" if named else arm, "n": n, "seed": seed}
    row |= {"steps": steps, "cpu_s": round(time.process_time() - start, 1)}
    row |= {"curve": curve} | asdict(evaluate(potential, sets["test"]))
    path.write_text(json.dumps(row))


def watched(config: FitConfig, n: int) -> FitConfig:
    """`config` with a validation about every fiftieth step on `n` structures."""
    each = -(-n // config.batch_size)
    return replace(config, validate_every=max(1, 50 // each))


def draw(
    pool: Sequence[Atoms], n: int, watch: int, seed: int
) -> tuple[list[Atoms], list[Atoms] | None]:
    """`n` structures to learn from, and up to `watch` others, or None, to stop by."""
    left = min(watch, len(pool) - n)
    parts = split(pool, *([n, left] if left else [n]), seed=seed)
    return parts[0], parts[1] if left else None


def free_atoms(name: str) -> dict[int, float] | None:
    """Return the free atoms (eV) of a shipped set; public sets come without them."""
    return None if name in SETS else datasets.atomic_energies(name)


def write_grid(name: str, portions: Sequence[Path], shipped: Path) -> None:
    """Gather the rows into SHIPPED/name.json, with what they were computed from."""
    how = GRIDS[name]
    data, *teachers = datasets.sources([how.data, *how.teachers.values()])
    grid = {
        "data": data,
        "teachers": teachers,
        "configs": {arm: asdict(c) for arm, c in how.configs.items()},
        "watched": how.watch,
        "units": "force_mae, force_rmse meV/Å; energy_mae, energy_rmse meV/atom; "
        "energy_mae_kcal kcal/mol per structure; curve: (step, force MAE on test "
        f"structures 0, {how.stride}, {2 * how.stride}, ...)",
        "rows": [json.loads(p.read_text()) for p in portions],
    }
    write_card(f"grid {name}", grid, shipped)
