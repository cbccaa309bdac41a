"""Rebuild every shipped asset from nothing.

``python -m tpainn_lite.reproduce list`` shows what there is; ``all`` makes all of it.
An asset is made of independent tasks. A task's result is one file under
``build/reproduce/<name>/``, written in one step, so a killed run loses at most the
tasks that were running; start it again and it goes on. A profile other than ``full``
takes the first tasks only, and fewer training steps; it writes what it makes under
``build/reproduce/<profile>/shipped``, and grids and figures are then still made from
what the package ships.
"""

import argparse
import math
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .table import ASSETS, Asset
from .tasks import TasksFailed, belongs, run_tasks

WORK = Path("build/reproduce")
SHIPPED = Path(__file__).parents[1] / "shipped"
PROFILES = {"ci": 0.02, "binder": 0.1, "laptop": 0.3, "full": 1.0}  # share of the work
SUFFIX = {
    "data": ".json",
    "order": ".txt",
    "checkpoint": ".pt",
    "grid": ".json",
    "properties": ".json",
    "figure": ".png",
}


def make(asset: Asset, options: argparse.Namespace) -> None:
    """Run the tasks that have no result yet, and write the file from the results."""
    share = PROFILES[options.profile]
    limit = options.limit
    if limit is None and share < 1:  # two at least: the last one validates
        limit = max(2, math.ceil(share * asset.count))
    results: list[Path] = []
    if asset.compute:
        work, how = results_of(asset), (options.jobs, limit, options.scheduler)
        settings = belongs(asset.settings()) if asset.settings else ""
        results = run_tasks(work, asset.tasks(), asset.compute, *how, settings)
    folder = folder_of(asset, options.profile)
    folder.mkdir(parents=True, exist_ok=True)
    if asset.write:
        asset.write(asset.name, results, folder)
    if asset.train:
        work = WORK if share == 1 else WORK / options.profile
        (work / asset.name).mkdir(parents=True, exist_ok=True)
        asset.train(results, folder / asset.name, work / asset.name, share)


def make_all(assets: Sequence[Asset], options: argparse.Namespace) -> dict[str, str]:
    """Make each, but not what needs one that failed; returns what failed, in words."""
    failed: dict[str, str] = {}
    for asset in assets:
        if missing := [need for need in asset.needs if need in failed]:
            failed[asset.label] = f"not made: it needs {', '.join(missing)}"
            continue
        try:
            make(asset, options)
        except TasksFailed as error:
            failed[asset.label] = f"not made: {error}"
    return failed


def results_of(asset: Asset) -> Path:
    """Where the results of its tasks are kept."""
    return WORK / (asset.shares or asset.name)


def folder_of(asset: Asset, profile: str) -> Path:
    """Where the file goes; only all of the work makes what is shipped."""
    if profile != "full":
        return WORK / profile / "shipped"
    return Path("notebooks") if asset.kind == "figure" else SHIPPED


def table(profile: str) -> str:
    """Every asset: tasks done, and whether its file is there."""
    row = "{:12}{:28}{:>4}{:>7}  {}".format
    lines = [row("kind", "name", "done", "tasks", "file")]
    for asset in ASSETS:
        results = results_of(asset).glob("[0-9]" * 5 + "-*.out")
        done = len({r.name[:5] for r in results if int(r.name[:5]) < asset.count})
        file = "none is shipped"
        if asset.write or asset.train:
            path = folder_of(asset, profile) / (asset.name + SUFFIX[asset.kind])
            file = f"{path.name}, {'there' if path.is_file() else 'missing'}"
        lines.append(row(asset.kind, asset.name, done, asset.count, file))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.kind == "list":
        print(table(options.profile))
        return
    chosen = [a for a in ASSETS if options.kind in ("all", a.kind)]
    if options.kind != "all":
        known = [a.name for a in chosen]
        chosen = [a for a in chosen if a.name == options.name]
        if not known:
            parser.error(f"there is no asset of the kind {options.kind} yet")
        if not chosen:
            parser.error(f"{options.kind}: needs a name of {known}, got {options.name}")
    # not KeyboardInterrupt: training would take that for "enough", and be saved
    before = signal.signal(signal.SIGINT, lambda number, _: sys.exit(128 + number))
    try:
        failed = make_all(chosen, options)
    finally:
        signal.signal(signal.SIGINT, before)
    if failed:
        sys.exit("\n".join(f"{label}: {words}" for label, words in failed.items()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tpainn_lite.reproduce", description=__doc__)
    add = parser.add_argument
    add("kind", choices=["list", *SUFFIX, "all"], help="what to make")
    add("name", nargs="?", help="which one; `list` names them")
    add("--jobs", type=int, default=1, help="processes, one core each")
    add("--scheduler", help="address of a Dask cluster that runs the tasks instead")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--limit", type=int, help="ship what the first tasks give")
    amount.add_argument(
        "--profile",
        choices=PROFILES,
        default="full",
        help="the first 2 %% (ci), 10 %% (binder) or 30 %% (laptop) of the work, "
        "shipping nothing; full, the default, ships",
    )
    return parser


if __name__ == "__main__":
    main()
