"""Put the frames of `water-pbe0ts` in order of time.

The public set is one trajectory, shuffled. Atoms diffuse, so two frames are the farther
apart in space the longer the time between them: frames near in time are told by small
displacements, and a chain of such frames is found by seriation.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.linalg import eigh

from .. import guards
from ..analysis import nearest_image
from ..public import download, formats
from .parts import Part

SET = "water-pbe0ts"
NEAR = 0.05  # quantile of the displacements that is the length scale of "near"
HEADER = """\
# Estimated time order of the 400 frames of the public set water-pbe0ts, whose five
# parts are one trajectory, shuffled: row numbers, from 0, in data_0/set.000,
# data_1/set.000, data_1/set.001, data_2/set.000 and data_3/set.000 one after the other
# (80 frames each). Estimated by this project (Fiedler seriation of the oxygens' mean
# square displacements between frames), so not exact; which end is the start is unknown.
# Made by: python -m tpainn_lite.reproduce water-pbe0ts-order
"""
FILES = {"water-pbe0ts-order": ["water-pbe0ts-order.txt"]}


def displacements(frames: Sequence[Atoms]) -> np.ndarray:
    """Compute mean square displacements (F, F) Å² of oxygens between any two frames.

    In nearest images: a displacement beyond half the cell is seen as a smaller one.
    """
    oxygens = np.array([a.positions[a.numbers == 8] for a in frames])  # (F, O, 3) Å
    cell = np.asarray(frames[0].cell)
    moved = (nearest_image(oxygens - one, cell) for one in oxygens)
    return np.array([(d**2).sum(axis=2).mean(axis=1) for d in moved])


def seriate(squares: np.ndarray) -> np.ndarray:
    """Find the order (F,) in which near frames are neighbours, from `displacements`.

    Frames are joined by weights exp(-d²/σ²), σ² the `NEAR` quantile of all d². They are
    ordered by the Fiedler vector, the second eigenvector, of the graph's Laplacian over
    its degrees (Atkins, Boman & Hendrickson 1998, doi 10.1137/S0097539795285771). Of
    the two directions the one that begins with the lower row.
    """
    weights = np.exp(-squares / np.quantile(squares, NEAR))
    np.fill_diagonal(weights, 0)
    degrees = weights.sum(axis=1)
    laplacian = np.diag(degrees) - weights
    _, vectors = eigh(laplacian, np.diag(degrees), subset_by_index=[1, 1])
    order = vectors[:, 0].argsort()
    return order if order[0] < order[-1] else order[::-1]


def whole(name: str) -> Part:
    """Tell what decides the file."""
    return Part(HEADER, (SET,), NEAR)


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Put the public files in order, under a header and 20 rows a line."""
    frames = formats.water_frames(*download.located(download.SETS[SET]))
    lines = seriate(displacements(frames)).reshape(-1, 20)
    text = HEADER + "".join(" ".join(map(str, line)) + "\n" for line in lines)
    guards.write(folder / f"{name}.txt", text)
