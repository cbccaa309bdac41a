"""The property explorer: what runs of a liquid say, and how sure one can be."""

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ipywidgets import Dropdown, FloatRangeSlider, SelectMultiple

from .. import analysis, dynamics, units, water
from ..guards import checked, instance, named, optional, structures
from . import base, figures

PAIRS = {"g(r), O-O": (8, 8), "g(r), O-H": (8, 1), "g(r), H-H": (1, 1)}
SERIES = {"density": "g/cm³", "temperature": "K", "hydrogen bonds": "per molecule"}
MSD = "mean square displacement"
D = "diffusion coefficient", "1e-9 m²/s"
TITLES = {  # quantity -> the axes of `curve`, what `estimate` gives, and its unit
    **{q: ("time in the window (ps)", f"{q} ({u})", q, u) for q, u in SERIES.items()},
    **{
        q: ("r (Å)", f"{q} (no unit)", f"highest peak of {q}", "no unit") for q in PAIRS
    },
    MSD: ("time between two frames (ps)", f"{MSD} (Å²)", *D),
}
QUANTITIES = tuple(TITLES)
POINTS = "circle-open", "diamond-open", "square-open"  # of what is known, in turn
THIN = 4  # of what is slow to compute every fourth frame is enough
STRIDE = dict.fromkeys(("hydrogen bonds", *PAIRS), THIN)  # frames to one row, else 1
REACH, BINS = 5.9, 90  # Å: how far g(r) is counted
FIT = (0.1, 0.4)  # of the run: where the straight line of the MSD is fitted
PARTS = (0.125, 0.25, 0.5, 0.75, 1.0)  # of the window, for its error bars


def sample(quantity: str, frames: Sequence[Atoms]) -> Sequence:
    """Compute a row for every `STRIDE`-th frame: a number, a g(r), or the frame."""
    frames = frames[:: STRIDE.get(quantity, 1)]
    if quantity == "density":
        return analysis.densities(frames)
    if quantity == "temperature":
        return dynamics.temperatures(frames)
    if quantity == "hydrogen bonds":  # each is of two molecules
        return np.array([6 * water.hydrogen_bonds(a) / len(a) for a in frames])
    if quantity in PAIRS:
        pair, molecules = PAIRS[quantity], np.arange(len(frames[0])) // 3
        how = dict(r_max=REACH, bins=BINS, molecules=molecules)
        return np.array([analysis.rdf([a], *pair, **how)[1] for a in frames])
    return frames


def curve(quantity: str, rows: Sequence, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute x and y to draw of `rows`, `step` ps apart, in the units of `TITLES`."""
    if quantity in SERIES:
        return step * np.arange(len(rows)), rows
    if quantity in PAIRS:
        return (np.arange(BINS) + 0.5) * REACH / BINS, rows.mean(axis=0)
    found, half = _diffusion(rows, step), len(rows) // 2
    return found.times[:half] / units.PS, found.msd[:half]


def estimate(quantity: str, rows: Sequence, step: float) -> tuple[float, float]:
    """Estimate the property as one number, in the unit of `TITLES`, and its error.

    A series gives its mean, with an error by its autocorrelation; a g(r) the height of
    its highest peak, with an error from its four quarters; the mean square displacement
    the diffusion coefficient, not corrected for the size of the box. Raises
    `ValueError` for fewer than 16 rows.
    """
    if len(rows) < analysis.LEAST:
        raise ValueError(
            f"rows: needs {analysis.LEAST} or more to tell an error, got {len(rows)}; "
            "take a longer stretch of the run"
        )
    if quantity in SERIES:
        return analysis.mean_and_error(rows)
    if quantity in PAIRS:
        tops = [part.mean(axis=0).max() for part in np.array_split(rows, 4)]
        return float(rows.mean(axis=0).max()), float(np.std(tops, ddof=1) / 2)
    found = _diffusion(rows, step)
    return found.value, found.error


def _diffusion(frames: Sequence[Atoms], step: float) -> analysis.Diffusion:
    dt = step * units.PS  # fs
    window = tuple(share * (len(frames) - 1) * dt for share in FIT)
    return analysis.self_diffusion(frames, dt, fit_window=window)


class Properties(base.Explorer):
    """A property of several runs over a window of time, and its error bar.

    `nvt` and `npt` are runs by the name of their model, evenly spaced frames of water
    ordered O H H; density is that of `npt`, everything else that of `nvt`. `known`:
    quantity -> name -> (x, y) of points known from elsewhere, to be drawn beside them.
    ``estimates`` holds, for each model shown, (lengths in ps, values, errors).
    """

    @checked(nvt=named(structures(2)), npt=named(structures(2)))
    @checked(known=optional(named(instance(dict))))
    def __init__(
        self,
        nvt: Mapping[str, Sequence[Atoms]],
        npt: Mapping[str, Sequence[Atoms]],
        known: Mapping[str, Mapping[str, tuple]] | None = None,
        before: "Properties | None" = None,
    ):
        """Begin with the controls of `before`; compute only what is asked for."""
        names = [*nvt]
        if names != [*npt]:
            raise ValueError(f"npt: needs runs of {names}, as nvt has, got {[*npt]}")
        self._runs, self._known = {True: npt, False: nvt}, known or {}
        some = dict(options=names, value=names, rows=len(names))
        self.models = SelectMultiple(description="Models", **some)
        self.quantity = Dropdown(options=QUANTITIES, description="Quantity")
        end = max(len(run) * _step(run) for run in [*nvt.values(), *npt.values()])
        self.GRID = dict(quantity=None, window=[(0, round(end * p)) for p in PARTS])
        look = dict(step=1, readout_format=".0f", continuous_update=False)
        look |= dict(description="Time window (ps)")
        self.window = FloatRangeSlider(value=(0, end), min=0, max=end, **look)
        nothing = dict.fromkeys(names, ([0], [0]))
        length = "length of the part used (ps)"  # the left panel's own title follows
        figure = figures.panels({"": nothing, " ": nothing}, "", length, "")
        sides = dict(xaxis_domain=[0, 0.42], xaxis2_domain=[0.58, 1], height=420)
        self.figure = base.Figure(figure.update_layout(width=980, **sides))
        for trace in self.figure.data[: len(names)]:
            trace.mode = "lines"
        self._points = [
            *dict.fromkeys(n for some in self._known.values() for n in some)
        ]
        for name, symbol in zip(self._points, POINTS, strict=False):
            marker = dict(color="black", symbol=symbol, size=11, line_width=2)
            self.figure.add_scatter(mode="markers", name=name, marker=marker)
        self._sampled: dict[tuple[str, str], Sequence] = {}
        sentences = {
            self.models: "Ctrl and arrow keys choose several.",
            self.quantity: "What is computed from the frames in the window.",
            self.window: "From when to when; the right panel uses parts of it.",
        }
        self.assemble(sentences, self.figure, before=before)

    def draw(self) -> None:
        """Draw the property of each model and its estimates, and say the last."""
        quantity, words, self.estimates = self.quantity.value, {}, {}
        x_title, y_title, what, unit = TITLES[quantity]
        for k, name in enumerate(self.models.options):
            x, y, found = (), (), np.empty((3, 0))
            if name in self.models.value:
                words[name] = "the window is too short to tell an error"
                try:
                    rows, step = self._rows(name)
                    found = _growing(quantity, rows, step)
                except ValueError as error:  # a broken molecule, a box too small
                    words[name] = str(error)
            if found.size:
                x, y = curve(quantity, rows, step)
                self.estimates[name] = tuple(found)
                words[name] = f"{found[1, -1]:.4g} ± {found[2, -1]:.2g} {unit}"
            left = self.figure.data[k]
            right = self.figure.data[k + len(self.models.options)]
            left.update(x=x, y=y)
            right.update(x=found[0], y=found[1], error_y=dict(array=found[2]))
        for trace in self.figure.data[2 * len(self.models.options) :]:
            x, y = self._known.get(quantity, {}).get(trace.name, ((), ()))
            trace.update(x=x, y=y, showlegend=len(x) > 0)
        axes = dict(xaxis_title=x_title, yaxis_title=y_title)
        axes |= dict(yaxis2_title=f"{what} ({unit})")
        self.figure.update_layout(title=quantity[0].upper() + quantity[1:], **axes)
        self._text.value = base.table(words)

    def _rows(self, model: str) -> tuple[Sequence, float]:
        """Sample the window; return the rows, and how many ps they are apart."""
        quantity = self.quantity.value
        key, frames = (model, quantity), self._runs[quantity == "density"][model]
        if key not in self._sampled:
            self._sampled[key] = sample(quantity, frames)
        step = _step(frames) * STRIDE.get(quantity, 1)
        start, end = (round(t / step) for t in self.window.value)
        return self._sampled[key][start:end], step


def _step(frames: Sequence[Atoms]) -> float:
    """Return how far the frames of a run are apart, ps."""
    return analysis.frame_interval(frames, None) / units.PS


def _growing(quantity: str, rows: Sequence, step: float) -> np.ndarray:
    """Return (3, parts): lengths (ps), values and errors of growing parts of rows."""
    parts = [rows[: round(part * len(rows))] for part in PARTS]
    long = [part for part in parts if len(part) >= analysis.LEAST]
    found = [(len(p) * step, *estimate(quantity, p, step)) for p in long]
    return np.array(found).reshape(-1, 3).T
