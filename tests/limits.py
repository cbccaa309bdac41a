"""The lessons within the limits of mybinder.org, one core and 2 GB: ``make limits``.

The core is held by affinity. Memory is watched, ten times a second, over this process
(it stands for the server) and all that it starts; above the limit those are killed, as
they are there. The exit status is 1 if a lesson did not end well or if all of them take
more than 30 CPU-minutes together. It needs Linux.
"""

import argparse
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

from tpainn_lite.course import build

CPU_S = 30 * 60
EVERY = 0.1  # s


@contextlib.contextmanager
def limited(gigabytes: float, pid: int | None = None) -> Iterator[list[float]]:
    """Kill what a process started when all of it holds more; yields [peak in GB].

    The process is this one, or that of `pid`; its own memory counts as well.
    """
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        me = psutil.Process(pid)
        while not done.wait(EVERY):
            started = me.children(recursive=True)
            peak[0] = max(peak[0], held([me, *started]))
            if peak[0] > gigabytes:
                for process in started:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def held(processes: list[psutil.Process]) -> float:
    """Gigabytes of memory in use; pages that two processes share count twice."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 1e9


def run(path: Path, gigabytes: float) -> tuple[float, str]:
    """CPU seconds of a lesson in the binder profile, and what went wrong, if so."""
    env = build.environment() | {"TPAINN_PROFILE": "binder"}
    with limited(gigabytes) as peak:
        done = build.execute(path, env)
    cost, error = done.cost, done.error
    killed = peak[0] > gigabytes
    error = f"killed above {gigabytes:g} GB" if killed else error
    seconds = cost["cpu_s"] or 0.0
    said = f"{seconds:6.0f} CPU-s, {cost['wall_s']:6.0f} s, {peak[0]:5.2f} GB at peak"
    print(f"{path.stem:28s}{said}  {error or 'ended well'}", flush=True)
    return seconds, error


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lesson", nargs="*", help="e.g. 00 or 03_autotuning; else all")
    parser.add_argument("--gigabytes", type=float, default=2.0)
    options = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    print(
        f"One core (affinity to number {core}); {options.gigabytes:g} GB (watched "
        f"every {EVERY} s, this process and all it starts); profile binder"
    )
    lessons = build.select(Path("notebooks"), options.lesson)
    runs = [run(path, options.gigabytes) for path in lessons]
    total = sum(seconds for seconds, _ in runs)
    print(f"In all {total / 60:.1f} CPU-minutes, of {CPU_S / 60:.0f} allowed")
    return 1 if total > CPU_S or any(error for _, error in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
