"""Command line: ``python -m tpainn_lite lessons DIR``, ``… own FILE``, ``… doctor``."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from . import guards
from .course import doctor


def copy_lessons(folder: Path) -> list[Path]:
    """Copy the lessons and their pictures into `folder`; return the lessons.

    They come from the wheel, or in a checkout from ``notebooks/`` beside the package.
    Raises `ValueError` if a file would be overwritten; nothing is copied then.
    """
    files = sorted(file for file in doctor.lessons_folder().iterdir() if file.is_file())
    guards.folder(folder, "DIR")
    if there := [file.name for file in files if (folder / file.name).exists()]:
        raise ValueError(
            f"DIR: {folder} has {there[0]} already, and your work in it is not to be "
            "overwritten; name another folder, or move it away"
        )
    for file in files:
        guards.write(folder / file.name, file.read_bytes())
    return [folder / file.name for file in files if file.suffix == ".ipynb"]


def shown(path: Path) -> str:
    """Spell a path for any output, in a C locale too."""
    return os.fsencode(path).decode("utf-8", "replace")


def own(options: argparse.Namespace) -> None:
    """Tune a potential on a user's own files, and say what was written."""
    from .course import own_data  # imports torch and OpenMM

    guards.folder(options.folder, "--folder")  # before minutes of work are lost
    first, *more = options.unit or [None]
    unit = (first, *more) if more else first
    keys = {name: getattr(options, name) for name in ("energy_key", "forces_key")}
    found = own_data.read(options.files, unit, **keys, gradients=options.gradients)
    print(f"{len(found.frames)} structures", *found.notes, sep="\n- ")
    how = dict(atomic_energies=found.atomic_energies or None, trust=options.trust)
    tuned = own_data.tune(found.frames, seed=0, on_step=print, **how)
    print("a trial run, and structures to label next")
    trial = own_data.trial_run(tuned.potential, tuned.frames[0], seed=0)
    wanted = own_data.label_next(tuned, tuned.frames[0], seed=0)
    tuned = replace(tuned, notes=[*dict.fromkeys([*found.notes, *tuned.notes])])
    paths = own_data.keep(tuned, options.folder, wanted, trial)
    print(paths[-2].read_text("utf-8"), *map(shown, paths), sep="\n")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tpainn_lite")
    commands = parser.add_subparsers(dest="command", required=True)
    lessons = commands.add_parser("lessons", help="copy the lessons to a folder")
    lessons.add_argument("folder", metavar="DIR", type=Path)
    mine = commands.add_parser("own", help="tune a potential on labelled structures")
    mine.add_argument("files", metavar="FILE", nargs="+", help="file, pattern, folder")
    unit = "such as kcal/mol/Å; given twice: of the energies, then of the forces"
    mine.add_argument("--unit", action="append", help=unit)
    mine.add_argument("--energy-key", help="name of the energies in the file")
    mine.add_argument("--forces-key", help="name of the forces in the file")
    mine.add_argument("--gradients", action="store_true", help="forces with other sign")
    mine.add_argument("--trust", action="store_true", help="take doubtful labels")
    mine.add_argument("--folder", default="my_potential", type=Path)
    commands.add_parser("doctor", help="check this environment", add_help=False)
    options, others = parser.parse_known_args(arguments)
    if options.command == "doctor":
        sys.exit(doctor.main(others))
    if others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    try:
        if options.command == "own":
            own(options)
            return
        count = len(copy_lessons(options.folder))
    except (ValueError, OSError, FloatingPointError) as error:
        parser.error(str(error))
    print(
        f"{count} lessons are in {shown(options.folder)}. Open them:\n"
        f"  python -m jupyterlab {shown(options.folder)}"
    )


if __name__ == "__main__":
    main()
