"""What lessons state of their time and memory: ``python -m tpainn_lite.course.stated``.

The command compares the first cells with ``build/timings.json``, as the last run of
this profile left it; the exit status is 1 if a time is wrong by more than a factor of
two. ``python -m tpainn_lite.course.build notebooks`` writes what it measured.
"""

import copy
import json
import re
import sys
from pathlib import Path

import nbformat

from . import lessons

FACTOR = 2.0  # a stated time may be wrong by so much
NEAR = 1.25  # and is kept when it is as near as this: no diff from a run's noise
TIME = r"(^\| \*\*Running\*\* \|.*\b{} )([\d.]+)( s\b)"
MEMORY = re.compile(r"(^\| \*\*Memory\*\* \| )[\d.]+( GB)", re.M)


def seconds(first: str, profile: str) -> float | None:
    """The time that a first cell states for a profile; ``None`` if it states none."""
    found = re.search(TIME.format(profile), first, re.M)
    return float(found[2]) if found else None


def near(stated: float, measured: float, factor: float) -> bool:
    """Whether neither is more than `factor` times the other."""
    return max(stated, measured) <= factor * min(stated, measured)


def restated(
    notebook: nbformat.NotebookNode, profile: str, cost: dict[str, float]
) -> nbformat.NotebookNode:
    """A copy whose first cell states what a run of `profile` cost.

    A lesson that never calls `lessons.pick` takes the same time in all profiles.
    """
    new = copy.deepcopy(notebook)
    picks = any("pick(" in c.source for c in new.cells if c.cell_type == "code")
    first, measured = new.cells[0].source, cost["cpu_s"]
    for name in (profile,) if picks else lessons.PROFILES:
        stated = seconds(first, name)
        if stated is None or near(stated, measured, NEAR):
            continue
        words = rf"\g<1>{rounded(measured)}\g<3>"
        first = re.sub(TIME.format(name), words, first, flags=re.M)
    peak = max(0.1, cost["peak_mb"] / 1e3)
    new.cells[0].source = MEMORY.sub(rf"\g<1>{peak:.1f}\g<2>", first)
    return new


def rounded(measured: float) -> int:
    """Seconds as one states them: to 5 s, from 100 s on to 10 s."""
    step = 5 if measured < 100 else 10
    return max(step, step * round(measured / step))


def table(readme: str, path: Path) -> str:
    """`readme` with the time of the lesson at `path`, as its first cell states it."""
    stated = seconds(nbformat.read(path, as_version=4).cells[0].source, "binder")
    row = rf"(^\| \[.*\(notebooks/{re.escape(path.name)}\).*\| )[\d.]+( s \|$)"
    if stated is None:
        return readme
    return re.sub(row, rf"\g<1>{stated:g}\g<2>", readme, flags=re.M)


def doubts(notebooks: Path, timings: dict[str, dict], profile: str) -> list[str]:
    """Which stated times a run does not bear out, in words."""
    found = []
    for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        measured = (timings.get(path.stem) or {}).get("cpu_s")
        stated = seconds(nbformat.read(path, as_version=4).cells[0].source, profile)
        if measured and stated and not near(stated, measured, FACTOR):
            found.append(
                f"{path.stem}: states {stated:g} s for {profile}, took {measured:.0f} "
                "s of one core; run make notebooks on quiet cores"
            )
    return found


def main() -> int:
    """The command line; returns the exit status."""
    file = Path("build/timings.json")
    if not file.is_file():
        raise SystemExit("build/timings.json: is missing; run make tutorial first")
    timings = json.loads(file.read_text("utf-8"))
    found = doubts(Path("notebooks"), timings, lessons.PROFILE)
    print("\n".join(found) or f"The times of {len(timings)} lessons are as stated.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
