"""Run some tests as on a strange machine; `make checkout` does.

A clone with Windows' line ends, in a folder with spaces and umlauts, in a C locale
without UTF-8 mode, with a home that cannot be written to. It tries what is committed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = [
    *("test_data.py", "test_datasets.py", "test_guards.py", "test_model.py"),
    *("public/test_formats.py", "course/test_own_data.py"),
    "test_train.py::test_a_broken_run_goes_on_to_the_same_weights",
]


def main() -> int:
    """Clone, and run `TESTS` there."""
    with tempfile.TemporaryDirectory(prefix="Übung für alle ") as folder:
        clone, home = Path(folder, "T PaiNN", "café"), Path(folder, "home")
        home.write_bytes(b"a file: nobody can write below it, not even root")
        git = ["git", "clone", "--quiet", "--config", "core.autocrlf=true"]
        subprocess.run([*git, str(ROOT), str(clone)], check=True)
        gone = ("PYTHONIOENCODING", "XDG_CACHE_HOME", "MPLCONFIGDIR", "LC_CTYPE")
        env = {k: v for k, v in os.environ.items() if k not in gone}
        env |= dict(LC_ALL="C", LANG="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        env |= dict(HOME=str(home / "me"), TMPDIR=folder, PYTHONPATH=str(clone))
        where = "import tpainn_lite, os; print(os.fsencode(tpainn_lite.__file__))"
        said = subprocess.run(
            [sys.executable, "-c", where], cwd=clone, env=env, capture_output=True
        )
        assert os.fsencode(clone) in eval(said.stdout), said  # not what is installed
        pytest = [sys.executable, "-m", "pytest", "-q", "-m", "not slow"]
        # no C locale can spell the names of their files
        pytest += ["-k", "not leaves_the_old_file and not utf8_in_any_locale"]
        tests = [str(Path("tests", name)) for name in TESTS]
        return subprocess.run([*pytest, *tests], cwd=clone, env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
