"""Run one lesson in a fresh kernel, and what it took; called by ``build``.

Before each solution its stub in the student edition runs: in the lessons nothing but
solutions follows a solution, so that this runs the student editions as well.
"""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from . import editions

THREADS = ["OMP", "MKL", "OPENBLAS"]
SECONDS_A_CELL = 1800
MEASURE = """
import pathlib as _p, re as _r, resource as _u, sys as _s
_use = _u.getrusage(_u.RUSAGE_SELF)
_peak = _use.ru_maxrss / (1e6 if _s.platform == "darwin" else 1e3)
if (_status := _p.Path("/proc/self/status")).exists():  # ru_maxrss counts the parent's
    _peak = int(_r.search(r"VmHWM:\\s*(\\d+) kB", _status.read_text())[1]) / 1e3
print(f'{{"cpu_s": {_use.ru_utime + _use.ru_stime}, "peak_mb": {_peak}}}')
"""
CLAIMS = """
from tpainn_lite.course import claims as _claims
_claims.run({!r}, globals())
"""


def environment(lesson: str, claims: Path, static: bool) -> dict[str, str]:
    """The variables of a lesson's kernel: one thread, and where its claims go."""
    threads = {f"{name}_NUM_THREADS": "1" for name in THREADS}
    own = {"TPAINN_LESSON": lesson, "TPAINN_CLAIMS": str(claims)}
    own |= {"OPENMM_CPU_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    own |= {"TPAINN_STATIC": "1"} if static else {}
    return os.environ | threads | own


@dataclass
class Run:
    """A lesson that was run: what it took (s, MB), claims, and the error that ended it.

    `cost` has "cpu_s", "wall_s" and "peak_mb" of the kernel process.
    """

    notebook: nbformat.NotebookNode
    cost: dict[str, float | None] = field(default_factory=dict)
    claims: list[dict] = field(default_factory=list)
    error: str = ""


def execute(path: Path, env: dict[str, str], claims: Path | None = None) -> Run:
    """Run a notebook in its folder, in a fresh kernel, then its file of claims."""
    run, start = Run(nbformat.read(path, as_version=4)), time.monotonic()
    client = NotebookClient(
        run.notebook,
        timeout=SECONDS_A_CELL,
        kernel_name="python3",
        record_timing=False,
        interrupt_on_timeout=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    cost: dict[str, float] = {}
    with client.setup_kernel(env=env):
        try:
            for index, cell in enumerate(list(run.notebook.cells)):
                for stub in editions.stubs(cell):
                    _refuse(client, stub)
                client.execute_cell(cell, index)
            client.set_widgets_metadata()
        except STOPS as stopped:
            run.error = f"cell {index}: {type(stopped).__name__}: {stopped}"
        wall = time.monotonic() - start
        if "DeadKernel" not in run.error:
            cost = _printed(client, MEASURE) or {}
        if claims and claims.is_file() and not run.error:
            code = CLAIMS.format(str(claims.resolve()))
            run.claims = _printed(client, code)
            if run.claims is None:
                run.claims, run.error = [], f"{claims} could not be run"
    cost = {"cpu_s": cost.get("cpu_s"), "wall_s": wall, "peak_mb": cost.get("peak_mb")}
    run.cost = {k: v and round(v, 1) for k, v in cost.items()}
    return run


class StubError(Exception):
    """A stub of the student edition did not raise what it should."""


STOPS = CellExecutionError, DeadKernelError, TimeoutError, StubError


def _refuse(client: NotebookClient, stub: nbformat.NotebookNode) -> None:
    """Run a stub as a student would who skips the exercise; it may only refuse."""
    try:
        _aside(client, stub)
    except CellExecutionError as error:
        if error.ename == NotImplementedError.__name__:
            return
        raise
    raise StubError(f"nothing is raised by the stub {stub.source!r}")


def _aside(client: NotebookClient, cell: nbformat.NotebookNode):
    """Run a cell that is not kept."""
    client.nb.cells.append(cell)
    try:
        return client.execute_cell(cell, len(client.nb.cells) - 1)
    finally:
        client.nb.cells.pop()


def _printed(client: NotebookClient, code: str):
    """Run code that is not kept; the JSON in its last line, None if it failed."""
    try:
        cell = _aside(client, nbformat.v4.new_code_cell(code))
    except STOPS:
        return None
    text = "".join(o.text for o in cell.outputs if o.get("name") == "stdout")
    return json.loads(text.splitlines()[-1])
