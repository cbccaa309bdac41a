"""Independent tasks, one result file each: here, in processes, or on a Dask cluster.

Wherever a task runs, it computes into a temporary file there; its bytes come back, and
this process writes them in one step. So a result is either whole or absent, a killed
run goes on where it was, and workers need not see the folder.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from .cluster import in_words, on_cluster

REPORTED = 10  # failures named one by one
Outcomes = Iterator[tuple[int, bytes | str]]  # number, result; or in words what failed


class TasksFailed(RuntimeError):
    """Some tasks have no result; all others do."""


def run_tasks(
    folder: Path,
    tasks: Sequence,
    compute: Callable,
    jobs: int = 1,
    limit: int | None = None,
    scheduler: str | None = None,
    settings: str = "",
) -> list[Path]:
    """Run ``compute(task, path)`` for the tasks without a result; return all results.

    Args:
        folder: where the results are kept; those it has are not computed again.
        tasks: what `compute` takes; a task is known by its number and its ``repr``.
        compute: writes the result of a task to a path; for processes and clusters it
            must be a function of an importable module.
        jobs: processes on this machine.
        limit: take only the first tasks.
        scheduler: address of a Dask scheduler, in place of `jobs`.
        settings: a digest of what else decides the results, see `belongs`.

    Raises:
        TasksFailed: after all other tasks are done, if some failed.
    """
    if jobs < 1 or (limit is not None and limit < 1):
        raise ValueError(f"jobs, limit: need positive numbers, got {jobs}, {limit}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / result_name(i, t, settings) for i, t in enumerate(tasks[:limit])]
    todo = [(t, p) for t, p in zip(tasks, paths, strict=False) if not p.exists()]
    outcomes = _outcomes(compute, [task for task, _ in todo], jobs, scheduler)
    done = len(paths) - len(todo)
    # smoothing=0: the time left comes from the mean speed of this run
    bar = tqdm(total=len(paths), initial=done, desc=folder.name, smoothing=0)
    with bar, closing(outcomes):
        failed = _write_all(todo, outcomes, bar)
    if failed:
        raise TasksFailed(_report(failed, len(paths)))
    return paths


def result_name(i: int, task, settings: str = "") -> str:
    """Number and digest: a task that changed is another file, and is run anew."""
    digest = hashlib.sha256((repr(task) + settings).encode()).hexdigest()[:8]
    return f"{i:05d}-{digest}.out"


def belongs(*made_from) -> str:
    """Hash what decides a result: configurations, digests of sources, sizes.

    A part of a task or of a file name: where any of it changes, the old result is not
    found. Each must have a `repr` that tells its value, the same in every process.
    """
    text = repr(made_from)
    if " at 0x" in text:
        raise ValueError(f"made_from: needs values whose repr tells them, got {text}")
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _write_all(todo: Sequence[tuple], outcomes: Outcomes, bar: tqdm) -> list[str]:
    """Write what comes; returns what failed."""
    failed = []
    for k, outcome in outcomes:
        task, path = todo[k]
        if isinstance(outcome, bytes):
            write_whole(path, outcome)
            bar.update()
        else:
            if len(failed) < REPORTED:
                bar.write(f"{path.name}, task {task!r}: {outcome}")
            failed.append(f"{path.name}, task {task!r}: {outcome.splitlines()[0]}")
    return failed


def write_whole(path: Path, result: bytes) -> None:
    """Write a file in one step: it is whole or absent."""
    part = path.with_suffix(f".part{os.getpid()}")
    try:
        part.write_bytes(result)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_card(label: str, content: dict, shipped: Path, spaced: bool = False) -> None:
    """Write SHIPPED/name.json of the asset `label` ("grid molecules-grid"), whole."""
    name = label.split()[1]
    made = {"name": name, "command": f"python -m tpainn_lite.reproduce {label}"}
    style = dict(indent=1) if spaced else dict(separators=(",", ":"))
    text = json.dumps(made | content, **style) + "\n"
    write_whole(shipped / f"{name}.json", text.encode())


def _report(failed: Sequence[str], total: int) -> str:
    more = len(failed) - REPORTED
    lines = [f"{len(failed)} of {total} tasks failed; the others have their results"]
    lines += failed[:REPORTED] + ([f"and {more} more"] if more > 0 else [])
    return "\n  ".join(lines)


def _result(compute: Callable, task) -> bytes:
    with TemporaryDirectory(prefix="tpainn-") as folder:
        path = Path(folder) / "result"
        compute(task, path)
        return path.read_bytes()


def _attempt(compute: Callable, task) -> bytes | str:
    try:
        return _result(compute, task)
    except Exception as error:  # as text: not every exception survives the way here
        return in_words(error)


def _outcomes(
    compute: Callable, todo: Sequence, jobs: int, scheduler: str | None
) -> Outcomes:
    if scheduler is not None and todo:
        yield from on_cluster(partial(_result, compute), todo, scheduler)
    elif jobs == 1:
        yield from ((k, _attempt(compute, task)) for k, task in enumerate(todo))
    else:
        yield from _in_processes(compute, todo, jobs)


def _in_processes(compute: Callable, todo: Sequence, jobs: int) -> Outcomes:
    """A process that dies takes its pool along: the first tasks lost run again alone.

    One of them is to blame, for tasks start in order.
    """
    left = list(enumerate(todo))
    while left:
        lost = yield from _in_pool(compute, left, jobs)
        left = lost[jobs:]
        for one in lost[:jobs]:
            if (yield from _in_pool(compute, [one], 1)):
                yield one[0], "its process died (was memory short?)"


def _in_pool(
    compute: Callable, numbered: Sequence[tuple], jobs: int
) -> Iterator[tuple[int, bytes | str]]:
    """The outcomes from one pool; returns the tasks that were lost when it broke."""
    lost = []
    others = set(multiprocessing.active_children())
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, initializer=_follow_parent) as pool:
        waiting = {pool.submit(_attempt, compute, one[1]): one for one in numbered}
        try:
            for future in as_completed(waiting):
                one = waiting.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    lost.append(one)
                else:
                    yield one[0], outcome
        except BaseException:  # stopped: else `with` would wait for what is running
            for child in set(multiprocessing.active_children()) - others:
                child.kill()
            raise
    return sorted(lost, key=lambda one: one[0])


def _follow_parent() -> None:
    """End with the parent, however it ends; leave Ctrl-C to it."""

    def follow() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=follow, daemon=True).start()
