"""Is this environment able to run the lessons? ``python -m tpainn_lite.course.doctor``.

One line a check, OK or FAIL, and what to do about a FAIL. Sizes in GB (1e9 bytes).
With ``--build`` it also imports what the lessons import, so that their first cells find
compiled bytecode (Binder's postBuild does that).
"""

import ast
import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ["numpy", "scipy", "ase", "matscipy", "torch", "schnetpack", "openmm"]
PACKAGES += ["rdkit", "scikit-learn", "matplotlib", "plotly", "pooch", "tqdm"]
NEEDED_GB = 1.2  # the hungriest lesson peaks at 1.0, and mybinder.org allows 2
NO_LIMIT = 2**60  # bytes; cgroup v1 writes a number near 2^63 for "no limit"


@dataclass(frozen=True)
class Check:
    """What was looked at, whether it is fine, what was found (or what to do)."""

    name: str
    ok: bool
    found: str

    def __str__(self) -> str:
        """The check as one line."""
        return f"{'OK  ' if self.ok else 'FAIL'} {self.name}: {self.found}"


def version(package: str) -> str | None:
    """The installed version of a package, ``None`` where it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_versions() -> list[Check]:
    """Python between 3.11 and 3.13, and every package there."""
    python = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    missing = [name for name in PACKAGES if version(name) is None]
    found = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        Check("Python", supported, python if supported else f"{python}; use 3.11-3.13"),
        Check(
            "packages",
            not missing,
            f"missing {', '.join(missing)}; run make setup" if missing else found,
        ),
    ]


def check_widgets() -> list[Check]:
    """Ipywidgets 8, anywidget (FigureWidget needs it), and nglview's two halves."""
    widgets, anywidget = version("ipywidgets"), version("anywidget")
    good = widgets is not None and int(widgets.split(".")[0]) == 8
    advice = "" if good else "; version 8 is needed: pip install 'ipywidgets>=8,<9'"
    hint = "missing, and plotly's FigureWidget needs it: pip install anywidget"
    return [
        Check("ipywidgets", good, f"{widgets}{advice}"),
        Check("anywidget", anywidget is not None, anywidget or hint),
        check_nglview(*nglview_halves()),
    ]


def nglview_halves() -> tuple[str | None, str | None]:
    """The front end that nglview's Python side asks for, and the one installed."""
    spec = importlib.util.find_spec("nglview")
    if spec is None or spec.origin is None:
        return None, None
    source = (Path(spec.origin).parent / "_frontend.py").read_text(encoding="utf-8")
    asked = re.search(r"__frontend_version__ = ['\"](.+?)['\"]", source)
    folder = Path(sys.prefix) / "share/jupyter/labextensions/nglview-js-widgets"
    package = folder / "package.json"
    installed = json.loads(package.read_text("utf-8")) if package.is_file() else {}
    return asked and asked[1], installed.get("version")


def check_nglview(asked: str | None, installed: str | None) -> Check:
    """Whether JupyterLab can draw nglview: same major version, not an older minor."""
    cure = "pip install nglview==3.1.4 'setuptools<81', then restart JupyterLab"
    if not asked or not installed:
        missing = "the Python package" if not asked else "its JupyterLab extension"
        return Check("nglview", False, f"{missing} is missing: {cure}")
    want, have = ([int(n) for n in v.split(".")[:2]] for v in (asked, installed))
    match = want[0] == have[0] and want[1] <= have[1]
    found = f"asks for front end {asked}, JupyterLab has {installed}"
    return Check("nglview", match, found if match else f"{found}: {cure}")


def cpus(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Processor cores this process may use: its affinity, and the cgroup's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota_file, period = root / "cpu.max", root / "cpu/cpu.cfs_period_us"
    if quota_file.is_file():
        quota, length = quota_file.read_text().split()
    elif period.is_file():
        quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
        length = period.read_text()
    else:
        return cores
    if quota in ("max", "-1"):
        return cores
    return max(1, min(cores, round(int(quota) / int(length))))


def memory_limit(root: Path = Path("/sys/fs/cgroup"), group: str = "") -> int | None:
    """The memory (bytes) that the cgroup allows, ``None`` where it sets no limit.

    psutil would report the whole machine, of which a container gets a part. A limit of
    a parent group (version 2) binds too, so the smallest on the way up counts.
    """
    inner = root / group.strip("/")
    files = [
        p / "memory.max" for p in (inner, *inner.parents) if p.is_relative_to(root)
    ]
    for folder in (root / "memory" / group.strip("/"), root / "memory"):
        files.append(folder / "memory.limit_in_bytes")
    texts = [file.read_text().strip() for file in files if file.is_file()]
    limits = [int(text) for text in texts if text != "max" and int(text) < NO_LIMIT]
    return min(limits, default=None)


def own_group(file: Path = Path("/proc/self/cgroup")) -> str:
    """The path of this process' memory group below the cgroup root."""
    lines = file.read_text().splitlines() if file.is_file() else []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            return group
    return ""


def check_memory(limit: int | None) -> Check:
    """Whether the memory allowed (bytes, ``None``: no limit) is enough for a lesson."""
    if limit is None:
        return Check("memory", True, "no limit set for this container or session")
    found = f"{limit / 1e9:.1f} GB allowed"
    if limit >= NEEDED_GB * 1e9:
        return Check("memory", True, found)
    return Check("memory", False, f"{found}, {NEEDED_GB} GB needed; ask for more")


def check_torch() -> list[Check]:
    """Torch's threads against the cores allowed, and the device."""
    if version("torch") is None:
        return [Check("device", False, "torch is missing; run make setup")]
    torch = importlib.import_module("torch")
    threads, cores = torch.get_num_threads(), cpus()
    found = f"torch uses {threads}, {cores} core(s) allowed"
    if threads > cores:
        found += "; set OMP_NUM_THREADS=1 and restart, or it runs many times slower"
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else "CPU (enough for every lesson)"
    return [Check("threads", threads <= cores, found), Check("device", True, device)]


def report() -> bool:
    """Print every check, one a line; whether all are OK."""
    memory = check_memory(memory_limit(group=own_group()))
    checks = [*check_versions(), *check_widgets(), *check_torch(), memory]
    for check in checks:
        print(check)
    return all(check.ok for check in checks)


def lessons_folder() -> Path:
    """Find the lessons: beside the package in a clone, inside it in a wheel."""
    package = Path(__file__).parents[1]
    beside = package.parent / "notebooks"
    return beside if beside.is_dir() else package / "notebooks"


def lesson_imports(folder: Path) -> dict[str, str]:
    """Collect the imports of the lessons' code cells: statement to first lesson.

    An import below ``try`` or ``if`` is left out: the lesson does without it.
    """
    transform = importlib.import_module("IPython.core.inputtransformer2")
    python = transform.TransformerManager().transform_cell  # "%" and "!" lines
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        nodes = [node for source in sources for node in ast.parse(python(source)).body]
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.setdefault(ast.unparse(node), path.stem)
            elif not isinstance(node, ast.Try | ast.If):
                nodes += ast.iter_child_nodes(node)  # the loop goes on with them
    return found


def import_lessons(folder: Path) -> bool:
    """Import what the lessons in a folder import; print and return whether all came."""
    statements = lesson_imports(folder)
    failed = {}
    for statement, lesson in statements.items():
        try:
            exec(statement, {})
        except Exception as error:  # a library may lack a file or a name of another
            failed[statement] = f"{lesson} needs it: {type(error).__name__}: {error}"
    for statement, error in failed.items():
        print(Check(statement, False, error))
    if not statements:
        print(Check("lessons", False, f"no imports found in {folder}"))
    elif not failed:
        print(Check("lessons", True, f"{len(statements)} import statements work"))
    return bool(statements) and not failed


if __name__ == "__main__":
    fine = report()
    if "--build" in sys.argv[1:]:
        fine = import_lessons(lessons_folder()) and fine
    sys.exit(0 if fine else 1)
