"""The shape of the library: imports go down, files and functions stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "tpainn_lite").rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
EXTRAS = {"pyscf", "tblite", "distributed"}  # may be missing: imported when needed


def imported(node: ast.AST) -> set[str]:
    """Collect the top-level packages that are imported below `node`."""
    found = set()
    for statement in ast.walk(node):
        if isinstance(statement, ast.Import):
            found |= {alias.name.split(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            found.add(statement.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_short(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 40, node.name
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_extras_are_imported_when_needed(path):
    top = ast.Module(
        [n for n in ast.parse(path.read_text("utf-8")).body if "Import" in repr(n)], []
    )
    assert not imported(top) & EXTRAS


@pytest.mark.parametrize("module", ["tpainn_lite", "tpainn_lite.course.doctor"])
def test_import_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*{{m.split('.')[0] for m in sys.modules}})"
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    heavy = {"torch", "schnetpack", "numpy", "ase", "rdkit", "openmm", "scipy"}
    assert not (heavy | EXTRAS | {"matplotlib", "plotly"}) & set(loaded.split())


def test_lessons_load_no_torch():
    code = (
        "import sys; from tpainn_lite.course import lessons; "
        "print('torch' in sys.modules)"
    )
    run = [sys.executable, "-c", code]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
