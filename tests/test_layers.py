"""The shape of the library: imports go down, files and functions stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tpainn_lite"
FILES = sorted(PACKAGE.glob("*.py"))
ORDER = [  # a file imports only files of an earlier row
    {
        "__init__",
        "units",
        "cluster",
        "dpp",
        "bagging",
        "geometry",
        "arrows",
        "controls",
        "kernels",
    },
    {
        "data",
        "select",
        "analysis",
        "transport",
        "figures",
        "viewers",
        "checkpoints",
        "fitting",
        "tasks",
        "assets",
        "recording",
    },
    {
        "engine",
        "blowup",
        "quantum",
        "cp2k",
        "cards",
        "calculators",
        "graphs",
        "painn",
        "readouts",
        "water_models",
        "xtb",
        "formats",
        "active",
    },
    {"dynamics", "water", "public_sets", "trajectories", "intake"},
    {"molecules", "model", "public", "estimates"},
    {"compiled"},
    {
        "enumeration",
        "datasets",
        "errors",
        "blocks",
        "head",
        "delta",
        "advice",
        "comparison",
    },
    {"train"},
    {"tune"},
    {
        "lessons",
        "live",
        "doctor",
        "normalise",
        "editions",
        "points",
        "reproduce_models",
    },
    {"grids"},
    {
        "low_data",
        "parity",
        "properties",
        "refit",
        "rotation",
        "selection_map",
        "rounds",
        "running",
        "stated",
        "execution",
        "reproduce_water",
        "reproduce_liquid",
        "reproduce_data",
        "reproduce_grids",
        "reproduce_figures",
        "reproduce_spcfw",
        "selection_data",
    },
    {
        "pretraining",
        "reproduce_ethanol",
        "reproduce_tuned",
        "reproduce_runs",
        "reproduce_selection",
        "reproduce_ladder",
        "reproduce_ways",
    },
    {"reproduce_modes"},
    {"reproduce_assets"},
    {"explorers", "reproduce", "build", "site", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
EXPLORERS = {
    "low_data",
    "parity",
    "properties",
    "refit",
    "rotation",
    "rounds",
    "running",
    "selection_map",
}
OWNERS = {  # who may import a heavy package
    "torch": {
        "blocks",
        "head",
        "readouts",
        "checkpoints",
        "graphs",
        "painn",
        "model",
        "compiled",
        "train",
        "tune",
    },
    "numba": {"kernels"},
    "schnetpack": {"model"},
    "matscipy": {"graphs"},
    "rdkit": {"data", "molecules", "enumeration"},
    "openmm": {"engine", "dynamics", "recording", "running", "water_models"},
    "pyscf": {"quantum", "reproduce_data"},
    "tblite": {"xtb"},
    "plotly": {"controls", "figures", "live", "site", *EXPLORERS},
    "nglview": {"viewers"},
    "ipywidgets": {"viewers", "controls", "live", *EXPLORERS},
    "sklearn": {"bagging", "active", "select", "selection_data", "reproduce_selection"},
    "distributed": {"cluster"},
    "pooch": {"public"},
}
EXTRAS = {
    "pyscf",
    "tblite",
    "distributed",
}  # may be missing: imported when needed


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(node: ast.AST) -> set[tuple[str, str]]:
    """(kind, name) of what is imported below `node`: kind is "own" or "other"."""
    found = set()
    for statement in ast.walk(node):
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            module = "tpainn_lite" if statement.level else ""
            module = ".".join(filter(None, [module, statement.module]))
            names = [module]
            if module == "tpainn_lite":
                names = [f"{module}.{alias.name}" for alias in statement.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            own = parts[0] == "tpainn_lite" and len(parts) > 1
            found.add(("own", parts[1]) if own else ("other", parts[0]))
    return found


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree(path)) if isinstance(node, kinds)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_imports_only_lower_levels(path):
    assert path.stem in LEVEL, f"{path.name}: give it a level in ORDER"
    for kind, name in imports(tree(path)):
        if kind == "own" and name in LEVEL:
            lower = LEVEL[name] < LEVEL[path.stem]
            assert lower, f"{path.name} imports {name}, which is not below it"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_heavy_packages_have_owners(path):
    for kind, name in imports(tree(path)):
        if kind == "other" and name in OWNERS:
            assert path.stem in OWNERS[name], f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_heavy_packages_are_imported_at_the_top(path):
    for function in functions(path):
        hidden = {name for kind, name in imports(function) if kind == "other"}
        assert not hidden & (OWNERS.keys() - EXTRAS), f"{path.name}:{function.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_small(path):
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= 400, f"{path.name} has {lines} lines"
    for function in functions(path):
        length = function.end_lineno - function.lineno + 1
        assert length <= 40, f"{path.name}: {function.name} has {length} lines"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_no_bare_except(path):
    handlers = [n for n in ast.walk(tree(path)) if isinstance(n, ast.ExceptHandler)]
    assert all(handler.type is not None for handler in handlers)


@pytest.mark.parametrize("module", ["tpainn_lite", "tpainn_lite.doctor"])
def test_import_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*{{m.split('.')[0] for m in sys.modules}})"
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    heavy = OWNERS.keys() | {"numpy", "ase", "matplotlib", "scipy"}
    assert not heavy & set(loaded.split())


def test_lessons_load_no_torch():
    code = "import sys; from tpainn_lite import lessons; print('torch' in sys.modules)"
    run = [sys.executable, "-c", code]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


def test_the_level_test_can_fail():
    source = "from . import train\nfrom .model import Potential\nimport torch.nn"
    found = imports(ast.parse(source))
    assert found == {("own", "train"), ("own", "model"), ("other", "torch")}
