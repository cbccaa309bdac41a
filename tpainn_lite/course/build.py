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
import os
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from .. import guards
from . import claims, normalise, solutions
from .lessons import PROFILE, WIDGET

OUT = Path("build")
SLOWER, FASTER = 2.0, 4.0  # times of what is stated; fast machines harm no reader
TIME = r"^\| \*\*Running\*\* \|.*\b{} ([\d.]+) s\b"  # in a first cell, by profile

STOPS = CellExecutionError, DeadKernelError, TimeoutError
SECONDS_A_CELL = 1800
MEASURE = """
import pathlib as _p, re as _r, resource as _u, sys as _s
_use = _u.getrusage(_u.RUSAGE_SELF)
_peak = _use.ru_maxrss / (1e6 if _s.platform == "darwin" else 1e3)
if (_status := _p.Path("/proc/self/status")).exists():  # ru_maxrss counts the parent's
    _peak = int(_r.search(r"VmHWM:\\s*(\\d+) kB", _status.read_text("utf-8"))[1]) / 1e3
print(f'{{"cpu_s": {_use.ru_utime + _use.ru_stime}, "peak_mb": {_peak}}}')
"""
PAGE = "application/vnd.tpainn.page+json"  # a widget as a web page draws it
ALIVE = "from tpainn_lite.course import alive as _a; _a.run({!r})"
CHECK = "from tpainn_lite.course import claims as _c; _c.run({!r}, globals())"


def build(notebooks: list[Path], write_back: bool) -> list[str]:
    """Run `notebooks`, write ``build/``; a list of what went wrong, in words.

    With `write_back` a notebook that ran well also gets its outputs, normalised.
    """
    results, timings, problems = [], {}, []
    for path in notebooks:
        lesson = path.stem
        print(f"{lesson} ...", flush=True)
        file = claims.FOLDER / f"{lesson[:2]}.py"
        run = execute(path, environment(write_back), file)
        normalise.save(run.notebook, OUT / "notebooks" / path.name)
        copy_companions(path.parent, OUT / "notebooks")
        wrong = claims.problems(run.notebook, run.claims)
        wrong += [run.error] if run.error else []
        if write_back and not wrong:
            page = solutions.page(path)
            edition, text = solutions.split(run.notebook, page.name)
            normalise.write_back(edition, path)
            if text:
                guards.write(page, text)
        cost = ", ".join(f"{k} {v}" for k, v in run.cost.items())
        print(f"{lesson}: {cost}, {len(run.claims)} claims, {len(wrong)} problems")
        problems += [f"{lesson}: {words}" for words in wrong]
        timings[lesson] = run.cost
        for claim in run.claims:
            some = {key: claim[key] for key in ("text", "holds")}
            results.append({"lesson": lesson} | some)
    _merge(results, timings)
    return problems


def copy_companions(folder: Path, into: Path) -> None:
    """Copy what lessons show or link to: pictures and the glossary."""
    for path in folder.iterdir():
        if path.suffix in (".svg", ".png", ".gif", ".md"):
            guards.write(into / path.name, path.read_bytes())


def environment(static: bool = False) -> dict[str, str]:
    """Set a lesson kernel's variables: one thread, and whether it makes twins."""
    own = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    own |= {"OPENMM_CPU_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    return os.environ | own | ({"TPAINN_STATIC": "1"} if static else {})


@dataclass
class Run:
    """A lesson that was run: what it took, its claims, and the error that ended it.

    `cost` has "cpu_s", "wall_s" (s) and "peak_mb" (MB) of the kernel process.
    """

    notebook: nbformat.NotebookNode
    cost: dict[str, float | None] = field(default_factory=dict)
    claims: list[dict] = field(default_factory=list)
    error: str = ""


def execute(path: Path, env: dict[str, str], file: Path | None = None) -> Run:
    """Run a notebook in ``build/``, in a fresh kernel, then a file of claims."""
    folder = OUT / "notebooks"  # for what a lesson writes
    folder.mkdir(parents=True, exist_ok=True)
    run, start = Run(solutions.whole(path)), time.monotonic()
    how = dict(timeout=SECONDS_A_CELL, interrupt_on_timeout=True, record_timing=False)
    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(run.notebook, kernel_name="python3", resources=where, **how)
    with client.setup_kernel(env=env):
        try:
            for index, cell in enumerate(run.notebook.cells):
                client.execute_cell(cell, index)
            client.set_widgets_metadata()
        except STOPS as stopped:
            run.error = f"cell {index}: {type(stopped).__name__}: {stopped}"
        wall = time.monotonic() - start
        cost = {} if "DeadKernel" in run.error else _printed(client, MEASURE) or {}
        if not run.error:
            _keep_alive(client)
        if file and file.is_file() and not run.error:
            found = _printed(client, CHECK.format(str(file.resolve())))
            run.claims = found or []
            run.error = f"{file} could not be run" if found is None else ""
    cost = {"cpu_s": cost.get("cpu_s"), "wall_s": wall, "peak_mb": cost.get("peak_mb")}
    run.cost = {k: v and round(v, 1) for k, v in cost.items()}
    return run


def _keep_alive(client: NotebookClient) -> None:
    """Put beside each widget what a web page draws of it, if that can be told."""
    outputs = [o for c in client.nb.cells for o in c.get("outputs", []) if "data" in o]
    shown = {o.data[WIDGET]["model_id"]: o for o in outputs if WIDGET in o.data}
    found = _printed(client, ALIVE.format([*shown])) if shown else {}
    if found is None:
        print("All widgets stay still on web pages: what they show could not be read.")
    for key, page in (found or {}).items():
        if isinstance(page, str):
            print(f"A widget stays still on web pages. {page}")
        elif page:
            shown[key].data[PAGE] = page


def _printed(client: NotebookClient, code: str):
    """Run code that is not kept; the JSON in its last line, None if it failed."""
    cell = nbformat.v4.new_code_cell(code)
    client.nb.cells.append(cell)
    try:
        client.execute_cell(cell, len(client.nb.cells) - 1)
    except STOPS:
        return None
    finally:
        client.nb.cells.pop()
    text = "".join(o.text for o in cell.outputs if o.get("name") == "stdout")
    return json.loads(text.splitlines()[-1])


def _merge(results: list[dict], timings: dict) -> None:
    """Write what the lessons gave; keep what those gave that did not run now."""
    old = {name: _read(name) for name in ("claims", "timings")}
    kept = [c for c in old["claims"] or [] if c["lesson"] not in timings]
    claims = sorted(kept + results, key=lambda c: c["lesson"])
    timings = dict(sorted(((old["timings"] or {}) | timings).items()))
    for name, new in (("claims", claims), ("timings", timings)):
        text = json.dumps(new, indent=1, allow_nan=False) + "\n"
        guards.write(OUT / f"{name}.json", text)


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
        if measured and stated and not 1 / FASTER <= measured / stated <= SLOWER:
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
    sys.stdout.reconfigure(errors="backslashreplace")  # a C locale has no Å
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
    try:
        with guards.locked(OUT / "timings.json"):  # two builds would mix their results
            problems = build(notebooks, options.mode == "notebooks")
    except ValueError as error:
        parser.error(str(error))
    print("\n".join(problems) or f"All {len(notebooks)} lessons ran; see {OUT}/")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
