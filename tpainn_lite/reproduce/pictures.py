"""Draw the README's pictures; this needs kaleido and a Chromium.

"headline" is the figure of the shipped grid, "film" the moving picture: lesson 00's
networks of three labels run a molecule.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import datasets, guards, tune
from ..analysis import bonds
from ..data import split
from ..explorers import figures, viewers
from .parts import Part
from .races import MMFF94, run
from .trainings import free_atoms

SHOWN = "scratch", "scratch, 5x longer", "MMFF94", "tuned"
FILMED = "CNC(C)=O"
FILES = {"headline": ["headline.png"], "film": ["film.gif"]}


def whole(name: str) -> Part:
    """Tell what a picture is drawn from."""
    if name == "headline":
        return Part(name, ("molecules-grid",), SHOWN)
    return Part(name, ("molecules-dft", MMFF94), FILMED)


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Draw a picture."""
    if name == "film":
        guards.write(folder / "film.gif", film(share))
        return
    curves = datasets.learning_curves(datasets.card("molecules-grid"), "force_mae")
    curves = {arm: curves[arm] for arm in SHOWN}
    figure = figures.learning_curve(curves, "force error", "meV/Å")
    figure.update_layout(title="Force error on molecules never seen")
    figure.write_image(folder / f"{name}.png", width=760, height=440, scale=1.5)


def film(share: float) -> bytes:
    """Draw a picosecond with each of two networks that saw three labels."""
    sets = datasets.load("molecules-dft")
    first = next(a for a in sets["test"] if a.info["smiles"] == FILMED)
    i, j, _ = bonds(first)
    runs, (three,) = {}, split(sets["pool"], 3, seed=1)
    for arm in ("scratch", "tuned"):
        config = tune.config_for(3, "molecules", arm)
        config = replace(config, steps=round(share * config.steps))
        one = arm, datasets.checkpoint(MMFF94), three, free_atoms("molecules-dft")
        potential, _ = tune.train_arm(*one, config=config, seed=1)
        how = dict(steps=2000, temperature=300, every=40, seed=1)
        runs[arm] = run(first, potential.frozen(), **how) or [first]
    named = {f"{arm}, three labels": frames for arm, frames in runs.items()}
    return viewers.film(named, dict.fromkeys(named, np.array([i, j]).T[i < j]))
