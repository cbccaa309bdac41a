"""The wheel in a bare environment, without the repository: ``make wheel``.

Builds the wheel, lets pip install it and what it depends on (in the versions of the
lock) into a venv, and does there what a reader does: the doctor, a copy of the lessons,
one of them in JupyterLab's server, and lesson 00 from its first cell to its last. The
arguments are pip's for torch, as the Makefile gives them.
"""

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import browser

ROOT = Path(__file__).parents[1]
LESSON = "00_start_here.ipynb"
THREADS = ("OMP", "MKL", "OPENBLAS")


def bare(folder: Path, torch: list[str]) -> Path:
    """Install the wheel into a venv in `folder`, as pip resolves it; its Python."""
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    run(sys.executable, "-m", "pip", *build)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    # compiling what nothing imports would take half of the time
    install = [python, "-m", "pip", "install", "-q", "--no-compile"]
    run(*install, "--no-deps", *torch)
    run(*install, "-c", ROOT / "requirements.lock", wheel)
    return python


def run(*command: object, cwd: Path | None = None) -> None:
    """Run a command; say how long it took, and stop if it fails."""
    start = time.monotonic()
    subprocess.run([str(part) for part in command], check=True, cwd=cwd)
    seconds = time.monotonic() - start
    print(f"{seconds:4.0f} s: {' '.join(map(str, command[1:]))}", flush=True)


def main() -> None:
    """The command line."""
    os.environ.pop("PYTHONPATH", None)  # nothing of the repository
    os.environ |= {f"{name}_NUM_THREADS": "1" for name in THREADS}
    os.environ |= {"TPAINN_PROFILE": "ci", "JUPYTER_PREFER_ENV_PATH": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python, lessons = bare(folder, sys.argv[1:]), folder / "lessons"
        run(python, "-m", "tpainn_lite.course.doctor", cwd=folder)
        run(python, "-m", "tpainn_lite", "lessons", lessons, cwd=folder)
        with browser.server(lessons, python) as server:
            opened = server.ask("GET", f"/api/contents/{LESSON}").json()
            cells = len(opened["content"]["cells"])
            print(f"JupyterLab opens {LESSON}: {cells} cells")
        execute = python.with_name("jupyter-execute")
        run(execute, "--timeout=900", LESSON, cwd=lessons)


if __name__ == "__main__":
    main()
