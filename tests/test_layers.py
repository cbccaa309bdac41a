"""The shape of the library: small, and light to import; `make lint` checks layers."""

import json
import re
import subprocess
import sys

import pytest
from lengths import CAPS, LIBRARY, ROOT, measure

EXTRAS = {"pyscf", "tblite", "snakemake"}  # may be missing: imported when needed
HEAVY = {"torch", "schnetpack", "openmm", "rdkit", "sklearn", "matplotlib", "plotly"}
LIGHT = ["data", "analysis", "datasets", "public.download", "course.lessons"]


@pytest.fixture(scope="module")
def lengths():
    return measure()


@pytest.mark.parametrize("name", CAPS)
def test_nothing_is_longer_than_it_may_be(lengths, name):
    found, which = lengths
    assert found[name] <= CAPS[name], which.get(name)


def test_only_reproduce_needs_extras():
    for path in LIBRARY.rglob("*.py"):
        text = path.read_text("utf-8")
        if path.parent.name != "reproduce":
            found = {*re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE)}
            asked = {"tblite"} if path.name == "starts.py" else set()  # if it is there
            assert found & EXTRAS == asked, path


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("", HEAVY | {"numpy", "scipy", "ase"}), ("course.doctor", HEAVY | {"numpy"})]
    + [(name, HEAVY) for name in LIGHT]
    + [("model", EXTRAS)],  # SchNetPack would set up logging
)
def test_import_loads_nothing_heavy_and_sets_nothing_global(module, heavy):
    name = f"tpainn_lite.{module}".rstrip(".")
    code = f"""
import json, logging, os, sys
def now():
    words = {{k: v for k, v in os.environ.items() if "LOG" in k or "THREADS" in k}}
    return words, logging.root.level, logging.root.handlers[:]
before, every = now(), dict(os.environ)
import {name}
same = before == now() and (every == dict(os.environ) or "torch" in sys.modules)
print(json.dumps([sorted(sys.modules), same]))
"""
    run = [sys.executable, "-W", "ignore", "-c", code]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    modules, same = json.loads(out)
    assert not (heavy | EXTRAS) & {m.split(".")[0] for m in modules}
    assert same


def test_no_lesson_imports_what_made_its_data():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        cells = [c["source"] for c in cells if c["cell_type"] == "code"]
        code = "\n".join(map("".join, cells))
        assert not re.search(r"import.*\breproduce\b|reproduce.* import", code), path


def test_contributors_find_what_they_look_for():
    """Each row of CONTRIBUTING's table names a file and something that is in it."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| [^|]+ \| `([^`|]+)` \| `([^`|]+)` \|$", text, re.MULTILINE)
    assert len(rows) >= 20
    for file, name in rows:
        assert name in (ROOT / file).read_text("utf-8"), f"{file} has no {name}"
