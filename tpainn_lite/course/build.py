"""Run the lessons: ``python -m tpainn_lite.course.build MODE [LESSON ...]``.

``tutorial`` (readers, tests) runs ``notebooks/*.ipynb`` in order and writes to
``build/`` the executed copies, ``claims.json`` and ``timings.json``; ``notebooks``
(authors) also writes text and PNG outputs back into ``notebooks/``, normalised. The
exit status is 1 if a cell raised or a claim is not true. Two modes run nothing:
``claims`` lists sentences with a number that no claim covers, ``times`` compares the
times that first cells state with those of the last run.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

import nbformat

from . import claims, normalise
from .execution import environment, execute
from .lessons import PROFILE

OUT = Path("build")
FACTOR = 2.0  # a stated time may be wrong by so much
TIME = r"^\| \*\*Running\*\* \|.*\b{} ([\d.]+) s\b"  # in a first cell, by profile


def build(notebooks: list[Path], write_back: bool) -> list[str]:
    """Run `notebooks`, write ``build/``; a list of what went wrong, in words.

    With `write_back` a notebook that ran well also gets its outputs, normalised.
    """
    (OUT / "notebooks").mkdir(parents=True, exist_ok=True)
    results, timings, problems = [], {}, []
    for path in notebooks:
        lesson = path.stem
        print(f"{lesson} ...", flush=True)
        file = claims.FOLDER / f"{lesson[:2]}.py"
        run = execute(path, environment(write_back), file)
        nbformat.write(run.notebook, OUT / "notebooks" / path.name)
        for picture in path.parent.glob("*.svg"):  # lessons show them
            shutil.copy(picture, OUT / "notebooks")
        wrong = claims.problems(run.notebook, run.claims)
        wrong += [run.error] if run.error else []
        if write_back and not wrong:
            normalise.write_back(run.notebook, path)
        cost = ", ".join(f"{k} {v}" for k, v in run.cost.items())
        print(f"{lesson}: {cost}, {len(run.claims)} claims, {len(wrong)} problems")
        problems += [f"{lesson}: {words}" for words in wrong]
        timings[lesson] = run.cost
        for claim in run.claims:
            some = {key: claim[key] for key in ("text", "holds")}
            results.append({"lesson": lesson} | some)
    _merge(results, timings)
    return problems


def _merge(results: list[dict], timings: dict) -> None:
    """Write what the lessons gave; keep what those gave that did not run now."""
    old = {name: _read(name) for name in ("claims", "timings")}
    kept = [c for c in old["claims"] or [] if c["lesson"] not in timings]
    claims = sorted(kept + results, key=lambda c: c["lesson"])
    timings = dict(sorted(((old["timings"] or {}) | timings).items()))
    for name, new in (("claims", claims), ("timings", timings)):
        text = json.dumps(new, indent=1, allow_nan=False) + "\n"
        (OUT / f"{name}.json").write_text(text, "utf-8")


def _read(name: str):
    file = OUT / f"{name}.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def select(folder: Path, lessons: list[str]) -> list[Path]:
    """List the notebooks of a folder in order, or those whose names begin so.

    Raises:
        ValueError: if there is none, or none that begins as asked.
    """
    every = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not every:
        raise ValueError(f"{folder}: holds no lesson; run this in the repository")
    for name in lessons:
        if not any(path.stem.startswith(name) for path in every):
            known = ", ".join(path.stem for path in every)
            raise ValueError(f"lesson: needs one of {known}, got {name!r}")
    chosen = tuple(lessons) or ("",)
    return [path for path in every if path.stem.startswith(chosen)]


def seconds(path: Path, profile: str) -> float | None:
    """Read the time that a lesson's first cell states for a profile, if it does."""
    first = nbformat.read(path, as_version=4).cells[0].source
    found = re.search(TIME.format(profile), first, re.M)
    return float(found[1]) if found else None


def doubts(notebooks: list[Path]) -> list[str]:
    """Say which stated times the last run, of this profile, does not bear out."""
    timings, found = _read("timings"), []
    if timings is None:
        raise SystemExit(f"{OUT}/timings.json: is missing; run make tutorial first")
    for path in notebooks:
        measured = timings.get(path.stem, {}).get("cpu_s")
        stated = seconds(path, PROFILE)
        if measured and stated and not 1 / FACTOR <= measured / stated <= FACTOR:
            found.append(
                f"{path.stem}: states {stated:g} s for {PROFILE}, took {measured:.0f} "
                "s of one core; state that in its first cell and in the README"
            )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tpainn_lite.course.build")
    parser.add_argument("mode", choices=["tutorial", "notebooks", "claims", "times"])
    parser.add_argument("lesson", nargs="*", help="e.g. 00 or 03_autotuning; else all")
    options = parser.parse_args(arguments)
    try:
        notebooks = select(Path("notebooks"), options.lesson)
    except ValueError as error:
        parser.error(str(error))
    if options.mode == "claims":
        found = [f"{p.stem}: {s}" for p in notebooks for s in claims.uncovered(p)]
        print(*found, f"{len(found)} sentences or claims to look at", sep="\n")
        return 0
    if options.mode == "times":
        found = doubts(notebooks)
        print("\n".join(found) or "The times of the lessons are as stated.")
        return bool(found)
    if not options.lesson:  # a full run leaves nothing of an older one
        for name in ("claims.json", "timings.json"):
            (OUT / name).unlink(missing_ok=True)
    problems = build(notebooks, options.mode == "notebooks")
    print("\n".join(problems) or f"All {len(notebooks)} lessons ran; see {OUT}/")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
