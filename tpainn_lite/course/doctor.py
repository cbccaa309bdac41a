"""Check that the lessons can run here: ``python -m tpainn_lite.course.doctor``.

One line a check, OK or FAIL, and what to do about a FAIL. With ``--build`` it also
imports what the lessons import, so that their first cells find compiled bytecode
(Binder's postBuild does that).
"""

import ast
import importlib
import json
import os
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = ["numpy", "scipy", "ase", "matscipy", "torch", "schnetpack", "openmm"]
PACKAGES += ["rdkit", "scikit-learn", "matplotlib", "plotly", "pooch", "tqdm"]
NEEDED_GB = 1.2  # the hungriest lesson peaks at 1.0, and mybinder.org allows 2
CGROUP = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")
LAB = Path(sys.prefix) / "share/jupyter/labextensions/nglview-js-widgets/package.json"
Check = tuple[bool, str, str]  # fine or not, of what, what was found or what to do


def version(package: str) -> str | None:
    """Return the installed version of a package, None where it is missing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions() -> list[Check]:
    """Check Python, the packages, and what draws widgets in JupyterLab."""
    python, found = sys.version.split()[0], {name: version(name) for name in PACKAGES}
    missing = [name for name, v in found.items() if v is None]
    packages = ", ".join(f"{name} {v}" for name, v in found.items())
    packages = f"missing {missing}; make setup" if missing else packages
    widgets, anywidget = version("ipywidgets"), version("anywidget")
    old = not (widgets or "").startswith("8.")
    fixed = "; pip install 'ipywidgets>=8,<9'" * old
    half = not (LAB.is_file() and version("nglview"))
    cure = "; it or its half in JupyterLab is missing: make setup" * half
    return [
        ((3, 11) <= sys.version_info[:2] <= (3, 13), "Python", f"{python}; 3.11-3.13"),
        (not missing, "packages", packages),
        (not old, "ipywidgets", f"{widgets}{fixed}"),
        (bool(anywidget), "anywidget", anywidget or "missing: pip install anywidget"),
        (not half, "nglview", f"{version('nglview')}{cure}"),
    ]


def threads() -> Check:
    """Check torch's threads against the cores that affinity and cgroup allow."""
    cores = len(getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count()))(0))
    quotas = [quota.split() for quota in _limits("cpu.max")]
    shares = [int(q) / int(period) for q, period in quotas if q != "max"]
    cores = min([cores, *(max(1, round(share)) for share in shares)])
    used = importlib.import_module("torch").get_num_threads()
    found = f"torch uses {used}, {cores} core(s) allowed"
    cure = "; set OMP_NUM_THREADS=1 and restart, or it runs many times slower"
    return used <= cores, "threads", found + cure * (used > cores)


def memory() -> Check:
    """Check the memory that the container allows; psutil would report the machine's."""
    limits = [int(text) for text in _limits("memory.max") if text != "max"]
    if not limits:
        return True, "memory", "no limit set for this container or session"
    allowed = min(limits) / 1e9
    found = f"{allowed:.1f} GB allowed, {NEEDED_GB} GB needed"
    return allowed >= NEEDED_GB, "memory", found


def _limits(name: str) -> list[str]:
    """Read a file of this process' control group (version 2), and of those around it.

    A container sees its own group as the root. Slurm and systemd set limits below.
    """
    own = OWN_GROUP.read_text("utf-8").strip() if OWN_GROUP.is_file() else ""
    inner = CGROUP / own.removeprefix("0::").strip("/")
    files = [p / name for p in (inner, *inner.parents) if p.is_relative_to(CGROUP)]
    return [file.read_text("utf-8").strip() for file in files if file.is_file()]


def lessons_folder() -> Path:
    """Find the lessons: beside the package in a clone, inside it in a wheel."""
    package = Path(__file__).parents[1]
    beside = package.parent / "notebooks"
    return beside if beside.is_dir() else package / "notebooks"


def lesson_imports(folder: Path) -> set[str]:
    """Collect the import statements of the lessons' cells, none below try or if."""
    transform = importlib.import_module("IPython.core.inputtransformer2")
    python = transform.TransformerManager().transform_cell  # "%" and "!" lines
    lessons = [json.loads(p.read_text("utf-8")) for p in folder.glob("*.ipynb")]
    cells = [c for lesson in lessons for c in lesson["cells"]]
    sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    nodes, found = [n for s in sources for n in ast.parse(python(s)).body], set()
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.add(ast.unparse(node))
        elif not isinstance(node, ast.Try | ast.If):
            nodes += ast.iter_child_nodes(node)  # the loop goes on with them
    return found


def imports(folder: Path) -> list[Check]:
    """Import what the lessons in a folder import."""
    statements = sorted(lesson_imports(folder))
    checks = [(bool(statements), "lessons", f"{len(statements)} imports in {folder}")]
    for statement in statements:
        try:
            exec(statement, {})
        except Exception as error:  # a library may lack a file or a name of another
            checks.append((False, statement, f"{type(error).__name__}: {error}"))
    return checks


def report(build: bool = False) -> bool:
    """Print every check, one a line; return whether all are fine."""
    checks = [*versions(), memory()]
    checks += [threads()] if version("torch") else []
    checks += imports(lessons_folder()) if build else []
    for fine, name, found in checks:
        print(f"{'OK  ' if fine else 'FAIL'} {name}: {found}")
    return all(fine for fine, *_ in checks)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return 0 if report("--build" in arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
