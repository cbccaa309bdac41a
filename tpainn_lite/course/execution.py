"""Run one lesson in a fresh kernel, and what it took; called by ``build``.

Before each solution its stub in the student edition runs: in the lessons nothing but
solutions follows a solution, so that this runs the student editions as well.
"""

import json
import os
import time
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


def environment(lesson: str, claims: Path, static: bool) -> dict[str, str]:
    """The variables of a lesson's kernel: one thread, and where its claims go."""
    threads = {f"{name}_NUM_THREADS": "1" for name in THREADS}
    own = {"TPAINN_LESSON": lesson, "TPAINN_CLAIMS": str(claims)}
    own |= {"OPENMM_CPU_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    own |= {"TPAINN_STATIC": "1"} if static else {}
    return os.environ | threads | own


def execute(path: Path, env: dict[str, str]) -> tuple[nbformat.NotebookNode, dict, str]:
    """Run a notebook in its folder, in a fresh kernel of this Python.

    Returns the executed notebook, ``{"cpu_s", "wall_s", "peak_mb"}`` of the kernel
    process, and the error that stopped it ("" if none).
    """
    notebook, error, start = nbformat.read(path, as_version=4), "", time.monotonic()
    client = NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        kernel_name="python3",
        record_timing=False,
        interrupt_on_timeout=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    cost = {}
    with client.setup_kernel(env=env):
        try:
            for index, cell in enumerate(list(notebook.cells)):
                for stub in editions.stubs(cell):
                    _refuse(client, stub)
                client.execute_cell(cell, index)
            client.set_widgets_metadata()
        except STOPS as stopped:
            error = f"cell {index}: {type(stopped).__name__}: {stopped}"
        wall = time.monotonic() - start
        if not error.count("DeadKernel"):
            cost = _measure(client)
    cost = {"cpu_s": cost.get("cpu_s"), "wall_s": wall, "peak_mb": cost.get("peak_mb")}
    return notebook, {k: v and round(v, 1) for k, v in cost.items()}, error


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


def _measure(client: NotebookClient) -> dict[str, float]:
    """CPU seconds and peak memory of the kernel."""
    try:
        cell = _aside(client, nbformat.v4.new_code_cell(MEASURE))
        printed = "".join(o.get("text", "") for o in cell.outputs)
        return json.loads(printed.splitlines()[-1])
    except STOPS:
        return {}
