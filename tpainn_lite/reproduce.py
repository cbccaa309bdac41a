"""Rebuild every shipped asset from nothing: ``python -m tpainn_lite.reproduce --help``.

Each asset is a list of independent tasks. A task's result is one file under
``build/reproduce/<asset>/``, written in one step, so a killed run loses at most the
tasks that were running; start it again and it goes on.
"""

import argparse
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from . import reproduce_data

WORK = Path("build/reproduce")
SHIPPED = Path(__file__).parent / "shipped"


def run_tasks(
    folder: Path, tasks: Sequence, compute: Callable, jobs: int, limit: int | None
) -> list[Path]:
    """Run ``compute(task, path)`` for the tasks without a result; return all results.

    `compute` must write `path` as its last act; it gets a temporary name that is then
    renamed, so that a result is either whole or absent.
    """
    if jobs < 1 or (limit is not None and limit < 1):
        raise ValueError(
            f"jobs, limit: need positive numbers, got jobs={jobs}, limit={limit}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / _name(i, task) for i, task in enumerate(tasks)][:limit]
    todo = [(t, p) for t, p in zip(tasks, paths, strict=False) if not p.exists()]
    bar = tqdm(total=len(paths), initial=len(paths) - len(todo), desc=folder.name)
    if jobs == 1:
        for task, path in todo:
            _run_one(compute, task, path)
            bar.update()
        return paths
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_run_one, compute, t, p) for t, p in todo]
        try:
            for done in as_completed(waiting):
                done.result()
                bar.update()
        except BaseException:  # else `with` would first run every task that waits
            pool.shutdown(cancel_futures=True)
            raise
    return paths


def _name(i: int, task) -> str:
    """Number and digest: a task that changed is another file, and is run anew."""
    return f"{i:05d}-{hashlib.sha256(repr(task).encode()).hexdigest()[:8]}.out"


def _run_one(compute: Callable, task, path: Path) -> None:
    part = path.with_suffix(f".part{os.getpid()}")
    try:
        compute(task, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def data(name: str, jobs: int, limit: int | None) -> list[Path]:
    """The files of the labelled structures of a set, made where missing."""
    tasks, compute = {
        "molecules-dft": (
            reproduce_data.molecules_tasks,
            reproduce_data.label_molecule,
        ),
        "methanol-scan": (lambda: reproduce_data.SCAN, reproduce_data.label_scan),
        "molecules-mmff94": (
            reproduce_data.classical_tasks,
            reproduce_data.sample_classical,
        ),
    }[name]
    portions = run_tasks(WORK / name, tasks(), compute, jobs, limit)
    if name in reproduce_data.ABOUT:
        reproduce_data.write_set(name, portions, SHIPPED)
    return portions


def checkpoint(name: str, jobs: int, limit: int | None) -> None:
    """Train a shipped checkpoint."""
    from . import reproduce_models  # torch only where it is needed

    portions = data(name, jobs, limit)
    path = SHIPPED / name
    reproduce_models.pretrain(portions, path, WORK / name)


def grid(name: str, jobs: int, limit: int | None) -> None:
    """Compute a shipped grid of learning curves."""
    from . import reproduce_grids

    tasks, compute = reproduce_grids.molecules_tasks(), reproduce_grids.molecules_point
    rows = run_tasks(WORK / name, tasks, compute, jobs, limit)
    reproduce_grids.write_grid(name, rows, SHIPPED)


def figure(name: str, jobs: int, limit: int | None) -> None:
    """Draw a figure of the README."""
    from . import reproduce_grids

    reproduce_grids.write_headline(Path("notebooks") / f"{name}.png")


ASSETS = {
    ("figure", "headline"): figure,
    ("data", "molecules-dft"): data,
    ("data", "methanol-scan"): data,
    ("data", "molecules-mmff94"): data,
    ("checkpoint", "molecules-mmff94"): checkpoint,
    ("grid", "molecules-grid"): grid,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tpainn_lite.reproduce", description=__doc__)
    parser.add_argument("kind", choices=sorted({kind for kind, _ in ASSETS}))
    parser.add_argument("name", choices=sorted({name for _, name in ASSETS}))
    parser.add_argument("--jobs", type=int, default=1, help="processes, one core each")
    parser.add_argument("--limit", type=int, help="only the first tasks")
    options = parser.parse_args(arguments)
    make = ASSETS.get((options.kind, options.name))
    if make is None:
        parser.error(f"there is no {options.kind} called {options.name}")
    make(options.name, options.jobs, options.limit)


if __name__ == "__main__":
    main()
