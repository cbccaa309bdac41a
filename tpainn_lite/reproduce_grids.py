"""How the shipped learning-curve grids are computed; called by ``reproduce``.

A grid point is one training run: (arm, n, seed). All arms see the same n structures of
the pool, drawn with the seed, and are judged on the same test structures.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from . import datasets, figures, tune
from .data import split
from .errors import evaluate
from .model import Potential

NAME, TEACHER = "molecules-dft", "molecules-mmff94"
SIZES = (3, 10, 30, 100)
SEEDS = (0, 1, 2)
STEPS = tune.TUNED.steps
LONGER, LONGER_SIZES = 5, (10, 100)  # times the budget, for one more scratch arm
MARKS = (10, 30, 60, 100, 200, 300, 600, 1000, 1500, 2000, 3000)  # steps


def molecules_tasks() -> list[tuple[str, int, int, int, str]]:
    """(arm, n, seed, steps, digests of data and teacher) of every grid point.

    With the digests a point belongs to its data: other data, other tasks, run anew.
    """
    used = "-".join(datasets.card(name)["sha256"][:8] for name in (NAME, TEACHER))
    tasks = []
    for seed in SEEDS:
        for n in SIZES:
            tasks += [(arm, n, seed, STEPS, used) for arm in tune.ARMS]
        tasks += [("scratch", n, seed, LONGER * STEPS, used) for n in LONGER_SIZES]
    return tasks


def molecules_point(task: tuple[str, int, int, int, str], path: Path) -> None:
    """One grid point, with the test error along the way; writes a JSON row."""
    arm, n, seed, steps, _ = task
    sets = datasets.load(NAME)
    (frames,) = split(sets["pool"], n, seed=seed)
    marks, curve = list(MARKS), []

    def on_epoch(potential: Potential, rows: Sequence[dict]) -> None:
        if marks and rows[-1]["step"] >= marks[0]:
            marks[:] = [m for m in marks if m > rows[-1]["step"]]
            error = evaluate(potential, sets["test"][::2]).force_mae
            curve.append((rows[-1]["step"], error))

    start = time.process_time()
    potential = tune.train_arm(
        arm,
        datasets.checkpoint(TEACHER),
        frames,
        datasets.atomic_energies(NAME),
        replace(tune.CONFIGS.get(arm, tune.TUNED), steps=steps),
        seed=seed,
        on_epoch=on_epoch,
    )
    row = {"arm": arm, "n": n, "seed": seed, "steps": steps}
    row |= {"cpu_s": round(time.process_time() - start, 1), "curve": curve}
    row |= asdict(evaluate(potential, sets["test"]))
    path.write_text(json.dumps(row))


def write_grid(name: str, portions: Sequence[Path], shipped: Path) -> None:
    """Gather the rows into SHIPPED/name.json, with what they were computed from."""
    grid = {
        "name": name,
        "command": f"python -m tpainn_lite.reproduce grid {name}",
        "data": {"name": NAME, "sha256": datasets.card(NAME)["sha256"]},
        "teacher": {"name": TEACHER, "sha256": datasets.card(TEACHER)["sha256"]},
        "configs": {arm: asdict(c) for arm, c in tune.CONFIGS.items()},
        "units": "force_mae, force_rmse meV/Å; energy_mae, energy_rmse meV/atom; "
        "energy_mae_kcal kcal/mol per structure; curve: (step, force MAE on every "
        "second test structure)",
        "rows": [json.loads(p.read_text()) for p in portions],
    }
    part = shipped / f"{name}.json.part"
    part.write_text(json.dumps(grid, indent=None, separators=(",", ":")) + "\n")
    part.replace(shipped / f"{name}.json")


def write_headline(path: Path) -> None:
    """Draw the README's figure from the shipped grid; needs kaleido and a Chromium."""
    curves = datasets.learning_curves(datasets.card("molecules-grid"), "force_mae")
    figure = figures.learning_curve(curves, "force error", "meV/Å")
    figure.update_layout(title="Force error on molecules never seen")
    figure.write_image(path, width=760, height=440, scale=1.5)
