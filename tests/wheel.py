"""The wheel in a bare environment, without the repository: ``make wheel``.

Builds the wheel, makes a venv of nothing but it and what it depends on (the versions of
the lock), and does there what a reader does: the doctor, a copy of the lessons, one of
them in JupyterLab's server, and lesson 00 from its first cell to its last. The
arguments are pip's for torch, as the Makefile gives them.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
import venv
from collections.abc import Iterable
from pathlib import Path

import browser
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LESSON = "00_start_here.ipynb"
THREADS = ("OMP", "MKL", "OPENBLAS")


def needed(requirements: Iterable[str]) -> set[str]:
    """Names of what these need, and what that needs, as far as it is installed here."""
    todo, seen = [(Requirement(text), "") for text in requirements], set()
    while todo:
        requirement, extra = todo.pop()
        name, marker = canonicalize_name(requirement.name), requirement.marker
        if marker and not marker.evaluate({"extra": extra}):
            continue
        for own in {"", *requirement.extras}:
            if (name, own) not in seen:
                seen.add((name, own))
                todo += [(Requirement(text), own) for text in dependencies(name)]
    return {name for name, _ in seen}


def dependencies(name: str) -> list[str]:
    """What an installed package asks for; nothing if it is not there."""
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []  # SchNetPack asks for tools that the lock leaves out


def pins(names: set[str]) -> list[str]:
    """The lines of the lock for these packages."""
    text = (ROOT / "requirements.lock").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    return [line for line in lines if Requirement(line).name in names]


def bare(folder: Path, torch: list[str]) -> Path:
    """A venv with the wheel and its dependencies in `folder`; its Python."""
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    run(sys.executable, "-m", "pip", *build)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    chosen = pins(needed(project["dependencies"]))
    (folder / "pins.txt").write_text("\n".join(chosen), "utf-8")
    for what in (torch, ["-r", folder / "pins.txt"], [wheel]):
        # compiling what nothing imports would take half of the time
        run(python, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", *what)
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
        run(python, "-m", "tpainn_lite.doctor", cwd=folder)
        run(python, "-m", "tpainn_lite", "lessons", lessons, cwd=folder)
        with browser.server(lessons, python) as url:
            with urllib.request.urlopen(f"{url}/api/contents/{LESSON}") as answer:
                cells = json.load(answer)["content"]["cells"]
            print(f"JupyterLab opens {LESSON}: {len(cells)} cells")
        execute = python.with_name("jupyter-execute")
        run(execute, "--timeout=900", LESSON, cwd=lessons)


if __name__ == "__main__":
    main()
