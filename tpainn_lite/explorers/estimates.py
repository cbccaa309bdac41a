"""Properties of a liquid's runs by name: as a curve, and as one number with its error.

What they are is in ``analysis`` and ``transport``; here are the choices that go with
them. Runs are frames of water ordered O H H, `step` ps apart, at constant volume unless
it is the density that is asked for. `sample` is the slow part, done once for a run;
`curve` and `estimate` take its rows, or any stretch of them.
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from .. import analysis, dynamics, transport, units

PAIRS = {"g(r), O-O": (8, 8), "g(r), O-H": (8, 1), "g(r), H-H": (1, 1)}
SERIES = {"density": "g/cm³", "temperature": "K", "hydrogen bonds": "per molecule"}
MSD = "mean square displacement"
QUANTITIES = (*SERIES, *PAIRS, MSD)
THIN = 4  # of what is slow to compute every fourth frame is enough
REACH, BINS = 5.9, 90  # Å: how far g(r) is counted
FIT = (0.1, 0.4)  # of the run: where the straight line of the MSD is fitted


def stride(quantity: str) -> int:
    """How many frames there are to one row of `sample`."""
    return THIN if quantity in PAIRS or quantity == "hydrogen bonds" else 1


def sample(quantity: str, frames: Sequence[Atoms]) -> Sequence:
    """A row for every `stride`-th frame: a number, a g(r), or the frame itself."""
    frames = frames[:: stride(quantity)]
    if quantity == "density":
        return analysis.densities(frames)
    if quantity == "temperature":
        return dynamics.temperatures(frames)
    if quantity == "hydrogen bonds":  # each is of two molecules
        return np.array([6 * analysis.hydrogen_bonds(a) / len(a) for a in frames])
    if quantity in PAIRS:
        pair, molecules = PAIRS[quantity], np.arange(len(frames[0])) // 3
        how = dict(r_max=REACH, bins=BINS, molecules=molecules)
        return np.array([analysis.rdf([a], *pair, **how)[1] for a in frames])
    return frames


def curve(quantity: str, rows: Sequence, step: float) -> tuple[np.ndarray, np.ndarray]:
    """What to draw of `rows`, `step` ps apart: x and y, in the units of `axes`."""
    if quantity in SERIES:
        return step * np.arange(len(rows)), rows
    if quantity in PAIRS:
        return (np.arange(BINS) + 0.5) * REACH / BINS, rows.mean(axis=0)
    found, half = _diffusion(rows, step), len(rows) // 2
    return found.times[:half], found.msd[:half]


def estimate(quantity: str, rows: Sequence, step: float) -> tuple[float, float]:
    """The property as one number, in the unit of `scalar`, and its standard error.

    A series gives its mean, with an error by its autocorrelation; a g(r) the height of
    its highest peak, with an error from its four quarters; the mean square displacement
    the diffusion coefficient, not corrected for the size of the box.

    Raises `ValueError` for fewer than 16 rows.
    """
    if len(rows) < analysis.LEAST:
        raise ValueError(
            f"rows: needs {analysis.LEAST} or more to tell an error, got "
            f"{len(rows)}; take a longer stretch of the run"
        )
    if quantity in SERIES:
        return analysis.mean_and_error(rows)
    if quantity in PAIRS:
        tops = [part.mean(axis=0).max() for part in np.array_split(rows, 4)]
        return float(rows.mean(axis=0).max()), float(np.std(tops, ddof=1) / 2)
    found = _diffusion(rows, step)
    return found.value, found.error


def _diffusion(frames: Sequence[Atoms], step: float) -> transport.Diffusion:
    length = (len(frames) - 1) * step
    return transport.diffusion(
        frames, step * units.PS, (FIT[0] * length, FIT[1] * length)
    )


def scalar(quantity: str) -> tuple[str, str]:
    """What `estimate` gives, and its unit."""
    if quantity in SERIES:
        return quantity, SERIES[quantity]
    if quantity in PAIRS:
        return f"highest peak of {quantity}", "no unit"
    return "diffusion coefficient", "1e-9 m²/s"


def axes(quantity: str) -> tuple[str, str]:
    """The titles of the axes of `curve`."""
    if quantity in SERIES:
        return "time in the window (ps)", f"{quantity} ({SERIES[quantity]})"
    if quantity in PAIRS:
        return "r (Å)", f"{quantity} (no unit)"
    return "time between two frames (ps)", "mean square displacement (Å²)"
