"""The parity explorer: predictions against labels, and the structure behind a point.

Units: Å, eV, eV/Å.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ipywidgets import HTML, Button, Dropdown, HBox, IntSlider, VBox

from ..data import check, compositions
from ..model import Potential
from . import controls, figures, viewers
from .viewers import per_atom

WORST = 0.2  # of the points that are drawn: the share kept for the largest errors
Predictions = tuple[np.ndarray, Sequence[np.ndarray]]
"""Energies (frames,) eV and forces [(N, 3) eV/Å], as `Potential.predict` gives them."""


class Values(NamedTuple):
    """One quantity in all frames, a number a point."""

    unit: str
    reference: np.ndarray  # (points,)
    predicted: dict[str, np.ndarray]  # of each potential (points,)
    frame: np.ndarray  # (points,): which frame it is of

    def mae(self, name: str) -> float:
        """Mean absolute error of a potential over all points."""
        return float(np.abs(self.predicted[name] - self.reference).mean())

    def errors(self, name: str) -> np.ndarray:
        """Mean absolute error of a potential in each frame, (frames,)."""
        miss = np.abs(self.predicted[name] - self.reference)
        return np.bincount(self.frame, miss) / np.bincount(self.frame)


def predictions(
    frames: Sequence[Atoms], potential: Potential | Predictions, name: str
) -> Predictions:
    """Of a potential, or as they were given."""
    if hasattr(potential, "predict"):
        return potential.predict(frames)
    energies, forces = potential
    if not len(energies) == len(forces) == len(frames):
        raise ValueError(
            f"potentials[{name!r}]: needs an energy and forces for each of the "
            f"{len(frames)} frames, got {len(energies)} and {len(forces)}; hand over "
            "what predict(frames) gives"
        )
    about = f"potentials[{name!r}], forces"
    pairs = zip(frames, forces, strict=True)
    return np.asarray(energies, float), [per_atom(a, f, about, (3,)) for a, f in pairs]


def compare(
    frames: Sequence[Atoms], said: Mapping[str, Predictions]
) -> dict[str, Values]:
    """Forces, and energies that leave out what no potential is to be judged by."""
    return {
        "force component": _of_forces(frames, said),
        "energy per atom": _of_energies(frames, said),
    }


def _of_forces(frames: Sequence[Atoms], said: Mapping[str, Predictions]) -> Values:
    reference = np.concatenate(
        [a.get_forces(apply_constraint=False).ravel() for a in frames]
    )
    predicted = {name: np.concatenate(f).ravel() for name, (_, f) in said.items()}
    frame = np.repeat(np.arange(len(frames)), [3 * len(a) for a in frames])
    return Values("eV/Å", reference, predicted, frame)


def _of_energies(frames: Sequence[Atoms], said: Mapping[str, Predictions]) -> Values:
    """Less what elements account for; the mean error a potential makes is taken off."""
    sizes = np.array([len(a) for a in frames])
    truth = np.array([a.get_potential_energy() for a in frames])  # (frames,) eV
    N = compositions(frames, sorted({int(z) for a in frames for z in a.numbers}))
    by_element, *_ = np.linalg.lstsq(N, truth)
    reference = (truth - N @ by_element) / sizes
    gaps = {name: (energies - truth) / sizes for name, (energies, _) in said.items()}
    predicted = {name: reference + gap - gap.mean() for name, gap in gaps.items()}
    return Values("eV/atom", reference, predicted, np.arange(len(frames)))


def thinned(values: Values, most: int) -> np.ndarray:
    """At most `most` points, by index: the largest errors, and a draw of the others."""
    misses = [np.abs(y - values.reference) for y in values.predicted.values()]
    order = np.argsort(-np.max(misses, axis=0))
    worst = round(WORST * most)
    others = np.random.default_rng(0).permutation(order[worst:])
    return np.sort(np.r_[order[:worst], others[: most - worst]])


MOST = 2000  # points in all panels, so that the browser stays quick
INFO = {  # of `Atoms.info`, where it is of this type: how it is written
    "smiles": (str, "{}"),
    "temperature": (float, "{:.0f} K"),
    "density": (float, "{:.2f} g/cm³"),
}


class Parity:
    """Predicted against reference values; a click on a point shows its structure.

    `frames` carry energies and forces; `potentials` are named potentials, or what their
    `predict` gave. ``numbers`` holds what is shown: the ``frame``, its ``force_mae``
    (meV/Å), its ``energy_error`` (meV/atom), and its ``rank`` in the quantity of the
    plot, 1 for the largest error. It starts at the worst frame of the last potential.
    """

    def __init__(
        self,
        frames: Sequence[Atoms],
        potentials: Mapping[str, Potential | Predictions],
        before: "Parity | None" = None,
    ):
        """An explorer of these frames; it begins with the controls of `before`."""
        check(frames)
        said = {name: predictions(frames, p, name) for name, p in potentials.items()}
        self._frames = frames
        self._forces = {name: forces for name, (_, forces) in said.items()}
        self._values = compare(frames, said)
        self._make_controls([*said])
        self.numbers: dict[str, float] = {}
        self.figure, self._text = go.FigureWidget(self._panels()), HTML()
        self._box = viewers.view_forces(*self._drawn())
        parts = [controls.rows(self._sentences), self.figure, self._text, self._box]
        self.widget = VBox(parts)
        for k, trace in enumerate(self.figure.data):
            trace.on_click(partial(self._clicked, [*said][k % len(said)]))
        self.quantity.observe(self._plot, "value")
        self.potential.observe(self._show, "value")
        self.frame.observe(self._show, "value")
        self._mark()
        controls.restore(self, before)

    def jump(self, place: int = 0) -> None:
        """Show the worst frame, or the one at another place in the order of errors."""
        self.frame.value = int(self._worst_first()[place])

    def twin(self) -> bytes | None:
        """Figure and structure as a PNG in the authors' build, else None."""
        figure = controls.twin(self.figure)
        return figure and controls.stacked(figure, viewers.snapshot(*self._drawn()))

    def _make_controls(self, names: Sequence[str]) -> None:
        self.quantity = Dropdown(options=[*self._values], description="Quantity")
        self.potential = Dropdown(options=names, value=names[-1], description="Shown")
        last = len(self._frames) - 1
        self.frame = IntSlider(0, 0, last, description="Frame", continuous_update=False)
        self.worst = Button(description="Worst frame", icon="exclamation")
        self.next_worst = Button(description="Next worst", icon="arrow-right")
        self.worst.on_click(lambda _: self.jump())
        self.next_worst.on_click(lambda _: self.jump(self.numbers["rank"] % (last + 1)))
        self._sentences = {
            self.quantity: "What is compared. Energies: less what the elements account "
            "for (fitted to the labels), and less the potential's mean error.",
            self.potential: "Whose forces are drawn, and whose errors are ranked.",
            self.frame: "The structure that is shown; a click on a point sets it, too.",
            HBox([self.worst, self.next_worst]): "To the largest error of a whole "
            "frame, and on to the next largest.",
        }
        self.jump()

    def _worst_first(self) -> np.ndarray:
        values = self._values[self.quantity.value]
        return np.argsort(-values.errors(self.potential.value), kind="stable")

    def _drawn(self) -> tuple[Atoms, np.ndarray, np.ndarray]:
        """What `viewers.view_forces` takes."""
        k = self.frame.value
        atoms = self._frames[k]
        return (
            atoms,
            self._forces[self.potential.value][k],
            atoms.get_forces(apply_constraint=False),
        )

    def _panels(self) -> go.Figure:
        """A panel for each potential: points, lines y = x, circles for one frame."""
        values = self._values[self.quantity.value]
        some = thinned(values, MOST // len(self._forces))
        predicted = {name: y[some] for name, y in values.predicted.items()}
        figure = figures.parity(
            values.reference[some], predicted, self.quantity.value, values.unit
        )
        circle = dict(symbol="circle-open", size=11, color="black", line_width=2)
        style = dict(mode="markers", name="frame shown", marker=circle)
        for k, name in enumerate(predicted):
            label = f"{name}: MAE {1e3 * values.mae(name):.3g} m{values.unit}"
            figure.data[k].update(customdata=values.frame[some], name=label)
            figure.add_scatter(row=1, col=k + 1, showlegend=k == 0, **style)
        return figure

    def _plot(self, _=None) -> None:
        fresh = self._panels()
        for trace, new in zip(self.figure.data, fresh.data, strict=True):
            trace.update(x=new.x, y=new.y, name=new.name, customdata=new.customdata)
        self.figure.update_layout(fresh.layout)
        self._mark()

    def _show(self, _=None) -> None:
        viewers.change_forces(self._box, *self._drawn())
        self._mark()

    def _mark(self) -> None:
        """Circles around the points of the frame, and its numbers."""
        k, name = self.frame.value, self.potential.value
        values = self._values[self.quantity.value]
        of = values.frame == k
        circles = self.figure.data[-len(self._forces) :]
        for trace, y in zip(circles, values.predicted.values(), strict=True):
            trace.update(x=values.reference[of], y=y[of], customdata=values.frame[of])
        forces, energies = (1e3 * v.errors(name)[k] for v in self._values.values())
        mean = [1e3 * v.mae(name) for v in self._values.values()]
        rank = int(np.flatnonzero(self._worst_first() == k)[0]) + 1
        self.numbers = dict(frame=k, force_mae=forces, energy_error=energies, rank=rank)
        atoms, n = self._frames[k], len(self._frames)
        about = [
            text.format(atoms.info[key])
            for key, (kind, text) in INFO.items()
            if isinstance(atoms.info.get(key), kind)
        ]
        rows = {
            "Frame": ", ".join([f"{k}, {atoms.get_chemical_formula()}", *about]),
            f"Force MAE, {name}": f"{forces:.0f} meV/Å (all: {mean[0]:.0f})",
            "Energy error": f"{energies:.1f} meV/atom (all: {mean[1]:.1f})",
            "Rank": f"{rank} of {n} by {self.quantity.value}; 1 is the worst",
        }
        self._text.value = controls.table(rows)

    def _clicked(self, name: str, trace, points, _) -> None:
        if points.point_inds and trace.customdata is not None:
            self.potential.value = name
            self.frame.value = int(trace.customdata[points.point_inds[0]])
