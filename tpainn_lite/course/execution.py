"""Run one lesson in a fresh kernel, then its claims, and measure what it took."""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

STOPS = CellExecutionError, DeadKernelError, TimeoutError
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


def execute(path: Path, env: dict[str, str], claims: Path | None = None) -> Run:
    """Run a notebook in its folder, in a fresh kernel, then a file of claims."""
    run, start = Run(nbformat.read(path, as_version=4)), time.monotonic()
    how = dict(timeout=SECONDS_A_CELL, interrupt_on_timeout=True, record_timing=False)
    where = {"metadata": {"path": str(path.parent)}}
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
        if claims and claims.is_file() and not run.error:
            found = _printed(client, CLAIMS.format(str(claims.resolve())))
            run.claims = found or []
            run.error = f"{claims} could not be run" if found is None else ""
    cost = {"cpu_s": cost.get("cpu_s"), "wall_s": wall, "peak_mb": cost.get("peak_mb")}
    run.cost = {k: v and round(v, 1) for k, v in cost.items()}
    return run


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
