"""The lock, the environments made from it, and what is installed."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from binder import listed

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CUDA = re.compile(r"nvidia|cuda|cudnn|cublas|triton|cupy", re.IGNORECASE)
TEST_TOOLS = {"pytest", "pytest-xdist", "ruff", "playwright", "kaleido", "pyscf"}
TEST_TOOLS |= {"jupyter-repo2docker", "black", "pre-commit", "nbconvert", "dask"}
PROVIDED = {"jupyterlab"}  # repo2docker's own image brings it


def lock() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pinned(python: str) -> dict[str, str]:
    """Name to version of the lock's lines that apply to a Linux with that Python."""
    where = {"python_version": python, "sys_platform": "linux"}
    chosen = [r for r in lock() if not r.marker or r.marker.evaluate(where)]
    return {r.name: str(r.specifier).removeprefix("==") for r in chosen}


def torch_pin() -> str:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return re.search(r"^TORCH := torch==(\S+)$", makefile, re.MULTILINE)[1]


def pip_lines(path: str) -> list[str]:
    """The pip section of a conda environment file."""
    dependencies = yaml.safe_load((ROOT / path).read_text("utf-8"))["dependencies"]
    return next(d["pip"] for d in dependencies if isinstance(d, dict))


def test_lock_pins_every_version_and_names_no_index():
    for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines():
        assert not line.startswith("-"), f"an option in the lock: {line}"
        assert "://" not in line, f"an address in the lock: {line}"
    for requirement in lock():
        assert [s.operator for s in requirement.specifier] == ["=="], requirement
        assert requirement.name == canonicalize_name(requirement.name)


def test_lock_holds_no_torch_and_no_cuda():
    names = {r.name for r in lock()}
    assert "torch" not in names  # the Makefile installs it, from the CPU index
    assert not [name for name in names if CUDA.search(name)]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_lock_satisfies_pyproject(python):
    have = pinned(python) | {"torch": torch_pin()}
    extras = PROJECT["optional-dependencies"]
    for text in PROJECT["dependencies"] + sum(extras.values(), []):
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"python_version": python}):
            continue
        name = canonicalize_name(needed.name)
        assert name in have, f"{name} is not in the lock"
        assert have[name] in needed.specifier, f"{name} {have[name]} is not {needed}"


def test_environment_here_is_the_lock():
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not (ROOT / ".venv/installed").exists() or sys.prefix != str(ROOT / ".venv"):
        pytest.skip("this environment was not made by make setup")
    for name, version in pinned(python).items():
        assert importlib.metadata.version(name) == version, name
    assert importlib.metadata.version("torch").split("+")[0] == torch_pin()


def test_no_cuda_package_is_installed():
    names = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    if "+cpu" not in importlib.metadata.version("torch"):
        pytest.skip("this torch is not a CPU build of ours")
    assert not [name for name in names if CUDA.search(name)]


def test_binder_takes_the_versions_of_the_lock():
    post_build = (ROOT / "binder/postBuild").read_text("utf-8")
    assert f" torch=={torch_pin()}+cpu\n" in post_build
    assert "$get -r binder/packages.txt -c requirements.lock\n" in post_build
    names = listed()
    assert names == sorted({canonicalize_name(name) for name in names})
    assert {*names} <= pinned("3.12").keys()


def test_binder_has_what_readers_need_and_no_test_tool():
    names = {*listed(), "torch"}
    direct = {canonicalize_name(Requirement(r).name) for r in PROJECT["dependencies"]}
    assert direct - PROVIDED <= names
    assert not names & TEST_TOOLS
    assert not [name for name in names if CUDA.search(name)]


def test_binder_scripts():
    post_build = (ROOT / "binder/postBuild").read_text("utf-8")
    start = (ROOT / "binder/start").read_text("utf-8")
    assert "set -euo pipefail" in post_build  # else repo2docker hides its errors
    assert 'get="pip install --no-deps --no-cache-dir' in post_build
    for name in ("OMP", "MKL", "OPENBLAS"):
        assert f"export {name}_NUM_THREADS=1" in start
    assert "export OPENMM_CPU_THREADS=1" in start
    assert "export TPAINN_PROFILE=binder" in start
    assert start.splitlines()[-1] == 'exec "$@"'
    for name in ("postBuild", "start"):
        assert os.access(ROOT / "binder" / name, os.X_OK), f"{name}: not executable"


def test_start_runs_the_command_it_is_given():
    show = "import os; print(os.environ['OMP_NUM_THREADS'])"
    run = [ROOT / "binder/start", sys.executable, "-c", show]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "1"


def test_conda_environment_takes_the_lock():
    lines = pip_lines("environment.yml")
    assert f"torch=={torch_pin()}" in lines
    assert "-r requirements.lock" in lines
    text = (ROOT / "environment.yml").read_text("utf-8")
    assert yaml.safe_load(text)["variables"]["OMP_NUM_THREADS"] == "1"
    assert not [line for line in lines if CUDA.search(line)]


def test_an_activated_conda_environment_is_used_as_it_is():
    asked = ["make", "-n", "--no-print-directory", "lab", "CONDA_PREFIX=/opt/env"]
    for name, line in (
        ("tpainn-lite", "/opt/env/bin/jupyter lab notebooks"),
        ("base", ".venv/bin/jupyter lab notebooks"),
    ):
        make = [*asked, f"CONDA_DEFAULT_ENV={name}"]
        done = subprocess.run(make, capture_output=True, text=True, cwd=ROOT)
        *before, last = done.stdout.replace("\\\n", "").splitlines()
        assert last.endswith(line)
        assert name == "base" or not before  # nothing is installed again


def test_the_readmes_doors_are_tried_in_a_workflow():
    readme = (ROOT / "README.md").read_text("utf-8")
    workflow = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    windows = r".venv\Scripts\python -m pip install -c requirements.lock"
    assert f"{windows} torch=={torch_pin()} -e ." in readme
    for text in (readme, (ROOT / "environment.yml").read_text("utf-8")):
        assert "conda activate tpainn-lite && make lab" in text
    assert f"{windows} torch=={torch_pin()} -e ." in workflow
    assert "conda env create -f environment.yml" in workflow


def copy_lessons(folder: Path) -> subprocess.CompletedProcess:
    run = [sys.executable, "-m", "tpainn_lite", "lessons", str(folder)]
    return subprocess.run(run, capture_output=True, text=True)


def test_lessons_are_copied_and_never_overwritten(tmp_path):
    folder, here = tmp_path / "new/lessons", ROOT / "notebooks"
    done = copy_lessons(folder)
    assert done.returncode == 0, done.stderr
    assert f"9 lessons are in {folder}. Open them:" in done.stdout
    assert f"python -m jupyterlab {folder}" in done.stdout
    files = {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files
    mine = folder / "03_autotuning.ipynb"
    for path in folder.iterdir():
        if path != mine:
            path.unlink()
    mine.write_text("my answers")
    again, file = copy_lessons(folder), copy_lessons(mine)
    assert again.returncode == file.returncode == 2
    assert "has 03_autotuning.ipynb already" in again.stderr
    assert "needs a folder, got the file" in file.stderr
    assert [p.name for p in folder.iterdir()] == [mine.name]
    assert mine.read_text() == "my answers"


def test_repo2docker_accepts_the_repository():
    tool = shutil.which("repo2docker", path=Path(sys.executable).parent)
    if tool is None:
        pytest.skip("jupyter-repo2docker is not installed")
    run = [tool, "--no-build", "--debug", str(ROOT)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    dockerfile = done.stdout + done.stderr
    assert "binder/environment.yml" in dockerfile  # it found ours, and wrote a recipe
    assert "postBuild" in dockerfile


def test_no_file_names_another_index():
    """The one address of an index stands where it is used, and nowhere else."""
    allowed = {"Makefile", "environment.yml", "binder/postBuild"}
    allowed |= {".github/workflows/weekly.yml"}
    listed = ["git", "-C", str(ROOT), "grep", "-lE", r"download\.pytorch\.org"]
    done = subprocess.run(listed, capture_output=True, text=True)
    assert set(done.stdout.split()) - {"tests/test_packaging.py"} <= allowed


def test_without_a_browser_its_tests_are_skipped():
    run = [sys.executable, "-m", "pytest", "-m", "browser", "-q", "-rs", "-p"]
    run += ["no:cacheprovider", "-p", "no:xdist", str(ROOT / "tests")]
    bare = {k: v for k, v in os.environ.items() if k != "CHROMIUM"} | {"PATH": ""}
    done = subprocess.run(run, capture_output=True, text=True, env=bare, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]
    summary = done.stdout.splitlines()[-1]
    assert re.match(r"[1-9]\d* skipped, \d+ deselected in", summary), summary
    assert "needs a Chromium on the PATH" in done.stdout
