"""Run one job of the workflow; Snakemake calls it.

``python -m tpainn_lite.reproduce.job part FAMILY NAME PART FILE`` computes a part,
``whole FAMILY NAME SHARE FOLDER PART...`` writes the files of an asset, and
``ship FILE...`` copies them to where they ship, ``molecules FILE`` lists the molecules
that MMFF94 labels.
"""

import os
import shutil
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

from .. import guards
from . import cards
from .parts import ENUMERATED, place


def part(family: str, name: str, part: str, file: str) -> None:
    """Compute one part; the file is whole or absent."""
    module = import_module(family)
    cards.save(module.compute(name, module.parts(name)[part].task), file)


def whole(family: str, name: str, share: str, folder: str, *parts: str) -> None:
    """Write the files of an asset from its parts; each is whole or absent."""
    made, results = Path(folder) / f"{name}.unfinished", [Path(p) for p in parts]
    with guards.locked(made, name):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        content = import_module(family).write(name, results, made, float(share))
        if content:
            cards.write_card(name, content, made)
        for path in made.iterdir():
            path.replace(Path(folder) / path.name)
        made.rmdir()


def molecules(file: str) -> None:
    """List the classical molecules; it takes half a minute."""
    from .pretraining import classical_molecules

    guards.write(file, "\n".join(classical_molecules(*ENUMERATED)) + "\n")


def ship(*files: str) -> None:
    """Copy files, each in one step."""
    for file in map(Path, files):
        guards.write(place(file.name) / file.name, file.read_bytes())


def follow_parent() -> None:
    """End with Snakemake, however it ends."""
    parent = os.getppid()

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


if __name__ == "__main__":
    follow_parent()
    os.environ["OMP_NUM_THREADS"] = "1"  # as Snakemake counts cores
    jobs = {job.__name__: job for job in (part, whole, molecules, ship)}
    jobs[sys.argv[1]](*sys.argv[2:])
