"""Run the lessons: ``python -m tpainn_lite.course.build tutorial|notebooks|claims``.

``tutorial`` (readers, tests) runs ``notebooks/*.ipynb`` in order and writes to
``build/`` the executed copies, ``claims.json`` and ``timings.json``. ``notebooks``
(authors) also writes text and PNG outputs back into ``notebooks/``, normalised, and
what they took into their first cells and the README. ``claims`` runs nothing: it lists
sentences with a number that no claim covers. Before each solution its stub in
the student edition runs. The exit status is 1 if a cell raised, a stub did anything but
raise its `NotImplementedError`, or a claim does not hold.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import nbformat

from . import claims, normalise, stated
from .execution import environment, execute
from .lessons import PROFILE


def read_claims(path: Path) -> list[dict]:
    """The records of a file that `lessons.claim` appended to."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def build(notebooks: list[Path], out: Path, write_back: bool) -> list[str]:
    """Run `notebooks`, write ``out/``; a list of what went wrong, in words.

    With `write_back` a notebook that ran well also gets its outputs, normalised.
    """
    (out / "notebooks").mkdir(parents=True, exist_ok=True)
    stated_claims, timings, problems = [], {}, []
    for path in notebooks:
        lesson, record = path.stem, out / "claims.part"
        record.unlink(missing_ok=True)
        print(f"{lesson} ...", flush=True)
        env = environment(lesson, record.resolve(), write_back)
        run = execute(path, env, claims.FOLDER / f"{lesson[:2]}.py")
        notebook, timings[lesson] = run.notebook, run.cost
        nbformat.write(notebook, out / "notebooks" / path.name)
        for picture in path.parent.glob("*.svg"):  # lessons show them
            shutil.copy(picture, out / "notebooks")
        found = read_claims(record)
        false = [c for c in found if not c["holds"]]
        wrong = [f"{lesson}: claim does not hold: {c['name']}" for c in false]
        wrong += [f"{lesson}: {p}" for p in claims.problems(notebook, run.claims)]
        wrong += [f"{lesson}, {run.error}"] if run.error else []
        keys = "text", "holds"
        found += [{"lesson": lesson} | {k: c[k] for k in keys} for c in run.claims]
        if write_back and not wrong:
            notebook = stated.restated(notebook, PROFILE, timings[lesson])
            wrong = [f"{lesson}: {p}" for p in normalise.write_back(notebook, path)]
            _update_table(Path("README.md"), path)
        cost = ", ".join(f"{k} {v}" for k, v in timings[lesson].items())
        print(f"{lesson}: {cost}, {len(found)} claims, {len(wrong)} problems")
        stated_claims, problems = stated_claims + found, problems + wrong
    record.unlink(missing_ok=True)
    _merge(out, [path.stem for path in notebooks], stated_claims, timings)
    return problems


def _update_table(readme: Path, path: Path) -> None:
    """Let the README say of a lesson what its first cell says."""
    if readme.is_file():
        text = readme.read_text("utf-8")
        readme.write_text(stated.table(text, path), "utf-8")


def _merge(out: Path, ran: list[str], claims: list[dict], timings: dict) -> None:
    """Replace the results of the lessons that ran; keep those of the others."""
    for name, new in (("claims", claims), ("timings", timings)):
        file = out / f"{name}.json"
        old = json.loads(file.read_text("utf-8")) if file.exists() else type(new)()
        if isinstance(new, list):
            kept = [c for c in old if c["lesson"] not in ran]
            new = sorted(kept + new, key=lambda c: c["lesson"])
        else:
            new = dict(sorted({**old, **new}.items()))
        file.write_text(json.dumps(new, indent=1, allow_nan=False) + "\n", "utf-8")


def select(folder: Path, lessons: list[str]) -> list[Path]:
    """The notebooks of a folder in order; only those whose name begins so, if given.

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


def list_claims(notebooks: list[Path]) -> int:
    """Print what no claim covers, and how much that is; return the exit status."""
    count = 0
    for path in notebooks:
        found = claims.uncovered(path)
        print(*(f"{path.stem}: {words}" for words in found), sep="\n")
        count += len(found)
    print(f"{count} sentences or claims of {len(notebooks)} lessons to look at")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tpainn_lite.course.build")
    parser.add_argument("mode", choices=["tutorial", "notebooks", "claims"])
    parser.add_argument("lesson", nargs="*", help="e.g. 00 or 03_autotuning; else all")
    options = parser.parse_args(arguments)
    try:
        notebooks = select(Path("notebooks"), options.lesson)
    except ValueError as error:
        parser.error(str(error))
    if options.mode == "claims":
        return list_claims(notebooks)
    out = Path("build")
    if not options.lesson:  # a full run leaves nothing of an older one
        for name in ("claims.json", "timings.json"):
            (out / name).unlink(missing_ok=True)
    problems = build(notebooks, out, options.mode == "notebooks")
    print("\n".join(problems) or f"All {len(notebooks)} lessons ran; see {out}/")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
