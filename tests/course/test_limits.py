"""The limits of Binder: a lesson within them ends well, one above them is killed."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

SCRIPT = Path(__file__).parents[1] / "limits.py"
WITHIN = """
import os
from tpainn_lite.course import lessons
assert len(os.sched_getaffinity(0)) == 1
assert lessons.PROFILE == "binder"
block = bytearray(300_000_000)
"""
ABOVE = "import time\nblock = bytearray(1_000_000_000)\ntime.sleep(60)"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs affinity")


def test_a_lesson_above_the_limit_is_killed(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name, source in (("00_within", WITHIN), ("01_above", ABOVE)):
        notebook = new_notebook(cells=[new_code_cell(source)])
        nbformat.write(notebook, tmp_path / f"notebooks/{name}.ipynb")

    def limits(*arguments):
        run = [sys.executable, SCRIPT, "--gigabytes", "1", *arguments]
        return subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)

    within, above = limits("00"), limits("01")
    assert within.returncode == 0, within.stdout + within.stderr
    peak = float(re.search(r"([\d.]+) GB at peak  ended well", within.stdout)[1])
    assert 0.3 < peak < 1
    assert above.returncode == 1
    assert "killed above 1 GB" in above.stdout
