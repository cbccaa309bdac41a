"""The lock, the environments made from it, and what is installed."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from jupyter_server.extension.manager import ExtensionPackage
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from binder import listed
from tpainn_lite.course import reopened

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CUDA = re.compile(r"nvidia|cuda|cudnn|cublas|triton|cupy", re.IGNORECASE)
TEST_TOOLS = {"pytest", "pytest-xdist", "ruff", "playwright", "kaleido", "pyscf"}
TEST_TOOLS |= {"jupyter-repo2docker", "black", "pre-commit", "nbconvert", "dask"}
PROVIDED = {"jupyterlab"}  # repo2docker's own image brings it


def text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def lock() -> list[Requirement]:
    lines = text("requirements.lock").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pinned(python: str) -> dict[str, str]:
    """Name to version of the lock's lines that apply to a Linux with that Python."""
    where = {"python_version": python, "sys_platform": "linux"}
    chosen = [r for r in lock() if not r.marker or r.marker.evaluate(where)]
    return {r.name: str(r.specifier).removeprefix("==") for r in chosen}


TORCH = re.search(r"^TORCH := torch==(\S+)$", text("Makefile"), re.MULTILINE)[1]


def test_lock_pins_every_version_and_names_no_index_no_torch_and_no_cuda():
    for line in text("requirements.lock").splitlines():
        assert not line.startswith("-"), f"an option in the lock: {line}"
        assert "://" not in line, f"an address in the lock: {line}"
    for requirement in lock():
        assert [s.operator for s in requirement.specifier] == ["=="], requirement
        assert requirement.name == canonicalize_name(requirement.name)
        # the Makefile installs torch, from the CPU index
        assert requirement.name != "torch"
        assert not CUDA.search(requirement.name)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_lock_satisfies_pyproject(python):
    have = pinned(python) | {"torch": TORCH}
    extras = dict(PROJECT["optional-dependencies"])
    assert extras.pop("qm9") == ["qm9pack"]  # 104 MB of data: whoever wants it asks
    for line in PROJECT["dependencies"] + sum(extras.values(), []):
        needed = Requirement(line)
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
    assert importlib.metadata.version("torch").split("+")[0] == TORCH
    names = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    assert not [name for name in names if CUDA.search(name)]


def test_binder_takes_what_readers_need_from_the_lock_and_no_test_tool():
    post_build, names = text("binder/postBuild"), listed()
    assert f" torch=={TORCH}+cpu\n" in post_build
    assert "$get -r binder/packages.txt -c requirements.lock\n" in post_build
    assert names == sorted({canonicalize_name(name) for name in names})
    assert {*names} <= pinned("3.12").keys()
    direct = {canonicalize_name(Requirement(r).name) for r in PROJECT["dependencies"]}
    assert direct - PROVIDED <= {*names, "torch"}
    assert not {*names} & TEST_TOOLS
    assert not [name for name in names if CUDA.search(name)]


def test_binder_scripts():
    assert "set -euo pipefail" in text("binder/postBuild")  # else errors are hidden
    for name in ("postBuild", "start"):
        assert os.access(ROOT / "binder" / name, os.X_OK), f"{name}: not executable"
    names = "OMP_NUM_THREADS", "OPENMM_CPU_THREADS", "TPAINN_PROFILE"
    show = f"import os; print(*[os.environ[n] for n in {names}])"
    run = [ROOT / "binder/start", sys.executable, "-c", show]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert out.split() == ["1", "1", "binder"]


def test_conda_takes_the_lock_and_an_activated_environment_is_used_as_it_is():
    environment = yaml.safe_load(text("environment.yml"))
    lines = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert {f"torch=={TORCH}", "-r requirements.lock"} <= {*lines}
    assert environment["variables"]["OMP_NUM_THREADS"] == "1"
    assert not [line for line in lines if CUDA.search(line)]
    asked = ["make", "-n", "--no-print-directory", "lab", "CONDA_PREFIX=/opt/env"]
    for name, where in (("tpainn-lite", "/opt/env"), ("base", ".venv")):
        make = [*asked, f"CONDA_DEFAULT_ENV={name}"]
        done = subprocess.run(make, capture_output=True, text=True, cwd=ROOT)
        *before, last = done.stdout.replace("\\\n", "").splitlines()
        assert f" {where}/bin/jupyter lab notebooks " in last
        assert name == "base" or not before  # nothing is installed again


def test_the_readmes_doors_are_tried_in_a_workflow():
    readme, workflow = text("README.md"), text(".github/workflows/ci.yml")
    pip = "-m pip install -c requirements.lock"
    windows = rf".venv\Scripts\python {pip} torch=={TORCH}"
    assert windows in readme
    assert windows in workflow
    assert "conda activate tpainn-lite && make lab" in readme
    assert "conda env create -f environment.yml" in workflow


def test_lessons_are_copied_and_never_overwritten(tmp_path):
    def copy(to):
        run = [sys.executable, "-m", "tpainn_lite", "lessons", str(to)]
        return subprocess.run(run, capture_output=True, text=True)

    folder, here = tmp_path / "new/lessons", ROOT / "notebooks"
    done = copy(folder)
    assert done.returncode == 0, done.stderr
    count = len([*here.glob("*.ipynb")])
    assert f"{count} lessons are in {folder}. Open them:" in done.stdout
    files = {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files
    mine = folder / "03_autotuning.ipynb"
    mine.write_text("my answers")
    (folder / "00_start_here.ipynb").unlink()
    again, file = copy(folder), copy(mine)
    assert again.returncode == file.returncode == 2
    assert "already, and your work in it is not to be overwritten" in again.stderr
    assert "needs a folder, got the file" in file.stderr
    assert len([*folder.iterdir()]) == len(files) - 1
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
    allowed |= {".github/workflows/weekly.yml", "tests/test_packaging.py"}
    asked = ["git", "-C", str(ROOT), "grep", "-lE", r"download\.pytorch\.org"]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert set(done.stdout.split()) <= allowed


def test_without_a_browser_its_tests_are_skipped():
    run = [sys.executable, "-m", "pytest", "-m", "browser", "-q", "-rs", "-p"]
    run += ["no:cacheprovider", "-p", "no:xdist", str(ROOT / "tests")]
    bare = {k: v for k, v in os.environ.items() if k != "CHROMIUM"} | {"PATH": ""}
    done = subprocess.run(run, capture_output=True, text=True, env=bare, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]
    summary = done.stdout.splitlines()[-1]
    assert re.match(r"[1-9]\d* skipped, \d+ deselected in", summary), summary
    assert "needs a Chromium on the PATH" in done.stdout


def opens_text_in_the_locales_encoding(node: ast.AST) -> bool:
    """Tell whether code reads or writes text and does not name an encoding."""
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    values = [*node.args, *(k.value for k in node.keywords)]
    words = [str(v.value).lower() for v in values if isinstance(v, ast.Constant)]
    named = any("utf-8" in w for w in words)
    named |= "encoding" in {k.arg for k in node.keywords}
    if name in ("read_text", "write_text"):
        return not named
    mode = any(re.fullmatch("[rwax]+t?[+]?", w) for w in words)
    plain = isinstance(node.func, ast.Name) or not values or mode  # not Image.open(x)
    return name == "open" and plain and not named and "b" not in "".join(words[-1:])


def test_jupyter_is_told_to_keep_pictures_of_widgets():
    wheel = tomllib.loads(text("pyproject.toml"))["tool"]["hatch"]["build"]["targets"]
    ((file, place),) = wheel["wheel"]["shared-data"].items()
    assert place == "etc/jupyter/jupyter_server_config.d/tpainn_lite.json"
    (name,) = json.loads(text(file))["ServerApp"]["jpserver_extensions"]
    extension = ExtensionPackage(name=name, enabled=True)
    assert extension.validate()
    manager = AsyncLargeFileManager()
    app = SimpleNamespace(contents_manager=manager, web_app=None)
    (point,) = extension.extension_points.values()
    point.module._load_jupyter_server_extension(app)
    assert reopened.keep in manager._pre_save_hooks


def test_text_is_utf8_in_every_locale():
    for path in sorted((ROOT / "tpainn_lite").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            found = opens_text_in_the_locales_encoding(node)
            assert not found, f"{path}, line {node.lineno}: name the encoding"


def test_a_wheel_holds_the_lessons_and_nothing_that_they_wrote(tmp_path):
    written = ("my_potential/report.md", "mine/a.xyz", ".ipynb_checkpoints/00.ipynb")
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tpainn_lite").mkdir()
    (tmp_path / "tpainn_lite/__init__.py").write_text('__version__ = "1"\n')
    lessons = {p.name for p in (ROOT / "notebooks").iterdir() if p.is_file()}
    for name in (*lessons, *written):
        (tmp_path / "notebooks" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "notebooks" / name).touch()
    wheel = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(tmp_path))
    found = {file.distribution_path for file in wheel.recurse_included_files()}
    expected = {f"tpainn_lite/notebooks/{name}" for name in lessons}
    assert found == expected | {"tpainn_lite/__init__.py"}
