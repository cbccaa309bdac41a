"""The image of mybinder.org, built and used without Docker: ``make binder``.

A fresh venv gets JupyterLab in the versions that repo2docker's lock names. A copy of
the repository stands for the home of the reader; ``binder/postBuild`` runs in it and
installs the rest, then ``binder/start jupyter lab``, on one core. Lessons are executed
through that server, as a browser would do it. The memory of the server and of all that
it starts is watched, and the kernel killed above 2 GB.

The Python is 3.12, as in the image, where torch has a CPU build for it here, else the
Python that runs this script. The system's own packages and Node.js are left out. The
exit status is 1 if anything fails, or if site-packages hold 2 GB or more. It needs
Linux.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from lab import Server
from limits import limited

ROOT = Path(__file__).parents[1]
SIZE_GB = 2.0
BUILD_S = 5 * 60
PYPI = {  # conda-forge's name: PyPI's, where they differ
    "brotli-python": "brotli",
    "jupyterhub-base": "jupyterhub",
    "nbconvert-core": "nbconvert",
    "python-fastjsonschema": "fastjsonschema",
}


def listed() -> list[str]:
    """The names of the packages that postBuild installs, torch aside."""
    lines = (ROOT / "binder/packages.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line[0] != "#"]


def brought(python: str) -> list[str]:
    """The Python packages that repo2docker brings to a Python such as "3.12"."""
    [package] = importlib.util.find_spec("repo2docker").submodule_search_locations
    folder = Path(package) / "buildpacks/conda"
    lock = (folder / f"environment.py-{python}-linux-64.lock").read_text("utf-8")
    found = re.findall(r"/([^/]+)-([^-/]+)-py[^-/]*_\d+\.(?:conda|tar\.bz2)", lock)
    return [f"{PYPI.get(n, n)}=={v}" for n, v in found if n != "cpython"]


def clean_environment(**more: str) -> dict[str, str]:
    """This process' variables without those that would reach into the image."""
    foreign = re.compile(r"PYTHON|VIRTUAL_ENV|JUPYTER|TPAINN|.*_NUM_THREADS|OPENMM_CPU")
    kept = {k: v for k, v in os.environ.items() if not foreign.match(k)}
    return kept | {"PIP_RETRIES": "2"} | more  # an index may be out of reach


def command(*arguments: str | Path, **options) -> None:
    """Run a command in silence; print all that it said, and stop, when it fails."""
    options = {"env": clean_environment()} | options
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(arguments, **both, **options)
    if done.returncode:
        print(done.stdout, flush=True)
        raise SystemExit(f"FAIL {Path(arguments[0]).name}: exit {done.returncode}")


def pythons() -> Iterator[str]:
    """The Python of the image where it runs, then the one that runs this."""
    image = shutil.which("python3.12")
    if image and not subprocess.run([image, "-V"], capture_output=True).returncode:
        yield image
    yield sys.executable


def install(folder: Path) -> None:
    """A venv of a Python that torch has a CPU build for, and repo2docker's packages."""
    post_build = (ROOT / "binder/postBuild").read_text("utf-8")
    torch = re.search(r"--extra-index-url \S+ torch==\S+", post_build)[0].split()
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet"]
    for python in pythons():
        command(python, "-m", "venv", "--clear", folder)
        tried = [*pip, "--no-deps", "--dry-run", *torch]
        done = subprocess.run(tried, env=clean_environment(), capture_output=True)
        if not done.returncode:
            break
        print(f"No {torch[-1]} for {python} here", flush=True)
    else:
        raise SystemExit(done.stderr.decode())
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    run = [folder / "bin/python", "-c", show]
    version = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    print(f"Python {version.strip()}, {torch[-1]}", flush=True)
    command(*pip, "--no-deps", *brought(version.strip()))


def copy(home: Path) -> None:
    """What git would clone, uncommitted changes included."""
    git = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others"]
    git += ["--exclude-standard"]
    listed = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # not one deleted and not yet committed
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, home / name)


def size(folder: Path) -> float:
    """Gigabytes of the files below a folder."""
    files = [path for path in folder.rglob("*") if not path.is_symlink()]
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e9


def cpu(pid: int | None = None) -> float:
    """CPU seconds of a process and of those it started that have ended."""
    return sum(psutil.Process(pid).cpu_times()[:4])


def build(folder: Path) -> bool:
    """Make the image in `folder`; whether it is small enough."""
    start, venv, home = time.monotonic(), folder / "env", folder / "home"
    install(venv)
    installed = time.monotonic()
    copy(home)
    command(home / "binder/postBuild", cwd=home, env=environment(folder))
    built = time.monotonic()
    [packages] = venv.glob("lib/python3.*/site-packages")
    parts = sorted(((size(p), p.name) for p in packages.iterdir()), reverse=True)
    total, seconds = size(packages), built - start
    print(f"size: {total:.2f} GB in site-packages, of {SIZE_GB:g} GB allowed")
    print("      " + ", ".join(f"{name} {gb:.2f}" for gb, name in parts[:6]))
    print(
        f"build: {installed - start:.0f} s for JupyterLab, "
        f"{built - installed:.0f} s for postBuild; {seconds:.0f} s "
        f"of {BUILD_S} s wanted ({cpu():.0f} CPU-s)"
        f"{'' if seconds < BUILD_S else ': MISSED'}",
        flush=True,
    )
    return total < SIZE_GB


def environment(folder: Path) -> dict[str, str]:
    """The variables in the image: its own programs first, a home of its own."""
    path = f"{folder / 'env/bin'}{os.pathsep}{os.environ['PATH']}"
    return clean_environment(PATH=path, HOME=str(folder / "home"))


def use(folder: Path, lessons: list[str], gigabytes: float) -> bool:
    """Execute lessons in the image; whether all ended well."""
    home, core = folder / "home", min(os.sched_getaffinity(0))
    lab, fine = [home / "binder/start", "jupyter", "lab"], True
    os.sched_setaffinity(0, {core})  # what starts from here on has it, too
    with Server(home, lab, environment(folder)) as server:
        server.wait("/lab")
        for lesson in lessons:
            [path] = (home / "notebooks").glob(f"{lesson}*.ipynb")
            start, spent = time.monotonic(), cpu(server.process.pid)
            with limited(gigabytes, server.process.pid) as peak:
                errors = server.execute(f"notebooks/{path.name}")
            if peak[0] > gigabytes:
                errors.append(f"killed above {gigabytes:g} GB")
            spent = cpu(server.process.pid) - spent
            figures = f"{spent:6.0f} CPU-s, {time.monotonic() - start:6.0f} s"
            figures += f", {peak[0]:5.2f} GB at peak"
            print(f"{path.stem:28s}{figures}  {'FAIL' if errors else 'ended well'}")
            print(*errors, sep="\n", end="\n" if errors else "", flush=True)
            fine = fine and not errors
    return fine


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lesson", nargs="*", default=["00", "03"], help="e.g. 00")
    parser.add_argument("--gigabytes", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="binder-") as folder:
        small = build(Path(folder))
        fine = use(Path(folder), options.lesson, options.gigabytes)
    return 0 if small and fine else 1


if __name__ == "__main__":
    sys.exit(main())
