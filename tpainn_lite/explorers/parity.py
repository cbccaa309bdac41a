"""The parity explorer: predictions against labels, and the structure of a point."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ipywidgets import Button, Dropdown, IntSlider

from ..analysis import bonds, displacements
from ..data import check, compositions
from ..guards import array, checked, named, refusal
from ..model import Potential
from . import base, figures, viewers

MOST = 2000  # points in all panels, so that the browser stays quick
NEAR = 3.0  # Å: of a periodic frame, atoms that near to the worst one are drawn
WORST = 0.2  # of the points that are drawn: the share kept for the largest errors
INFO = {  # of `Atoms.info`, where it is of this type: how it is written
    "smiles": (str, "{}"),
    "temperature": (float, "{:.0f} K"),
    "density": (float, "{:.2f} g/cm³"),
}
Predictions = tuple[np.ndarray, Sequence[np.ndarray]]
"""Energies (frames,) eV and forces [(N, 3) eV/Å], as `Potential.predict` gives them."""


class Values(NamedTuple):
    """One quantity in all frames, a number a point."""

    unit: str
    reference: np.ndarray  # (points,)
    predicted: dict[str, np.ndarray]  # of each potential (points,)
    frame: np.ndarray  # (points,): which frame it is of

    def mae(self, name: str) -> float:
        """Average a potential's absolute error over all points."""
        return float(np.abs(self.predicted[name] - self.reference).mean())

    def errors(self, name: str) -> np.ndarray:
        """Average a potential's absolute error in each frame, (frames,)."""
        miss = np.abs(self.predicted[name] - self.reference)
        return np.bincount(self.frame, miss) / np.bincount(self.frame)


def predictions(
    frames: Sequence[Atoms], potential: Potential | Predictions, name: str
) -> Predictions:
    """Predict by a potential, or check the predictions that were given."""
    if hasattr(potential, "predict"):
        potential = potential.predict(frames)
    try:
        energies, forces = potential
        pairs = [*zip(frames, forces, strict=True)]
    except (TypeError, ValueError):
        needed = f"what predict gives for {len(frames)} frames"
        raise refusal(name, needed, potential) from None
    energies = array(len(frames))(energies, f"{name}, energies")
    return energies, [array(len(a), 3)(f, f"{name}, forces") for a, f in pairs]


def compare(
    frames: Sequence[Atoms], said: Mapping[str, Predictions]
) -> dict[str, Values]:
    """Collect reference and predicted forces and energies.

    Energies are less what the elements account for (fitted to the labels); the mean
    error that a potential makes is taken off.
    """
    sizes = np.array([len(a) for a in frames])
    forces = Values(
        "eV/Å",
        np.concatenate([a.get_forces(apply_constraint=False).ravel() for a in frames]),
        {name: np.concatenate(f).ravel() for name, (_, f) in said.items()},
        np.repeat(np.arange(len(frames)), 3 * sizes),
    )
    truth = np.array([a.get_potential_energy() for a in frames])  # (frames,) eV
    N = compositions(frames, sorted({int(z) for a in frames for z in a.numbers}))
    by_element, *_ = np.linalg.lstsq(N, truth)
    reference = (truth - N @ by_element) / sizes
    gaps = {name: (energies - truth) / sizes for name, (energies, _) in said.items()}
    predicted = {name: reference + gap - gap.mean() for name, gap in gaps.items()}
    energies = Values("eV/atom", reference, predicted, np.arange(len(frames)))
    return {"force component": forces, "energy per atom": energies}


def about(atoms: Atoms) -> str:
    """Say what a frame is: its formula, and what its ``info`` knows."""
    known = [atoms.get_chemical_formula()]
    for key, (kind, text) in INFO.items():
        if isinstance(value := atoms.info.get(key), kind):
            known.append(text.format(value))
    return ", ".join(known)


def thinned(values: Values, most: int) -> np.ndarray:
    """Choose at most `most` points: the largest errors, and a draw of the others."""
    misses = [np.abs(y - values.reference) for y in values.predicted.values()]
    order = np.argsort(-np.max(misses, axis=0))
    worst = round(WORST * most)
    others = np.random.default_rng(0).permutation(order[worst:])
    return np.sort(np.r_[order[:worst], others[: most - worst]])


def around(atoms: Atoms, centre: int) -> tuple[np.ndarray, Atoms]:
    """Cut the neighbours of an atom out of a periodic frame, whole up to two bonds.

    Returns the indices (M,) of atoms within `NEAR` Å of atom `centre`, and of those
    bound to them, and the cluster they make, open and around the origin.
    """
    every = np.arange(len(atoms))
    places = displacements(atoms, np.full(len(atoms), centre), every)  # (N, 3) Å
    kept = np.linalg.norm(places, axis=1) < NEAR
    first, second, vectors = bonds(atoms)
    for _ in range(2):
        out = kept[first] & ~kept[second]
        places[second[out]] = places[first[out]] + vectors[out]
        kept[second[out]] = True
    return np.flatnonzero(kept), Atoms(atoms.numbers[kept], places[kept])


class Parity(base.Explorer):
    """Predicted against reference values; a click on a point shows its structure.

    `frames` carry energies and forces; `potentials` are named potentials, or what their
    `predict` gave. ``numbers`` holds what is shown: the ``frame``, its ``force_mae``
    (meV/Å), its ``energy_error`` (meV/atom), and its ``rank`` in the quantity of the
    plot, 1 for the largest error. It starts at the worst frame of the last potential.
    Of a periodic frame the atom with the largest error and its neighbours are drawn.
    """

    @checked(frames=check, potentials=named(lambda value, _: value))
    def __init__(
        self,
        frames: Sequence[Atoms],
        potentials: Mapping[str, Potential | Predictions],
        before: "Parity | None" = None,
    ):
        """Predict, and begin with the controls of `before`."""
        said = {
            name: predictions(frames, potential, f"potentials[{name!r}]")
            for name, potential in potentials.items()
        }
        self._frames, self._about = frames, [*map(about, frames)]
        self._forces = {name: forces for name, (_, forces) in said.items()}
        self._values = compare(frames, said)
        sentences = self._make_controls([*said])
        self.figure = base.Figure(self._panels())
        self._box = viewers.view_forces(*self._drawn())
        self._now = self.quantity.value, self.potential.value, self.frame.value
        for k, trace in enumerate(self.figure.data):
            trace.on_click(partial(self._clicked, [*said][k % len(said)]))
        self.assemble(sentences, self.figure, self._box, before=before)

    def jump(self, place: int = 0) -> None:
        """Show the worst frame, or the one at another place in the order of errors."""
        self.frame.value = int(self._worst_first()[place])

    def draw(self) -> None:
        """Bring points, structure, circles and words to what the controls say."""
        now = self.quantity.value, self.potential.value, self.frame.value
        if now[0] != self._now[0]:
            fresh = self._panels()
            for trace, new in zip(self.figure.data, fresh.data, strict=True):
                same = ("x", "y", "name", "customdata", "text", "hovertemplate")
                trace.update({name: new[name] for name in same})
            self.figure.update_layout(fresh.layout)
        if now[1:] != self._now[1:]:
            viewers.change_forces(self._box, *self._drawn())
        self._now = now
        self._mark()

    def _picture(self) -> bytes:
        """Put figure and structure one below the other."""
        pngs = super()._picture(), viewers.snapshot(*self._drawn())
        return viewers.stacked(pngs)

    def _make_controls(self, names: Sequence[str]) -> dict:
        """Make them, and return the sentence of each."""
        self.quantity = Dropdown(options=[*self._values], description="Quantity")
        self.potential = Dropdown(
            options=names, value=names[-1], description="Potential"
        )
        last = len(self._frames) - 1
        self.frame = IntSlider(0, 0, last, description="Frame", continuous_update=False)
        self.worst = Button(description="Worst frame", icon="exclamation")
        self.next_worst = Button(description="Next worst", icon="arrow-right")
        self.on_click(self.worst, self.jump)
        next_one = lambda: self.jump(self.numbers["rank"] % (last + 1))  # noqa: E731
        self.on_click(self.next_worst, next_one)
        self.jump()
        return {
            self.quantity: "What is compared. Energies: less what the elements account "
            "for (fitted to the labels), and less the potential's mean error.",
            self.potential: "Whose forces are drawn, and whose errors are ranked.",
            self.frame: "The structure that is shown; a click on a point sets it, too.",
            self.worst: "To the largest error of a whole frame.",
            self.next_worst: "On to the next largest error.",
        }

    def _worst_first(self) -> np.ndarray:
        values = self._values[self.quantity.value]
        return np.argsort(-values.errors(self.potential.value), kind="stable")

    def _drawn(self) -> tuple[Atoms, np.ndarray, np.ndarray]:
        """Return what `viewers.view_forces` takes."""
        k = self.frame.value
        atoms, forces = self._frames[k], self._forces[self.potential.value][k]
        known = atoms.get_forces(apply_constraint=False)
        if not atoms.pbc.any():
            return atoms, forces, known
        worst = int(np.linalg.norm(forces - known, axis=1).argmax())
        kept, cluster = around(atoms, worst)
        return cluster, forces[kept], known[kept]

    def _panels(self) -> go.Figure:
        """Draw a panel for each potential: points, y = x, and circles for one frame."""
        values = self._values[self.quantity.value]
        some = thinned(values, MOST // len(self._forces))
        predicted = {name: y[some] for name, y in values.predicted.items()}
        figure = figures.parity(
            values.reference[some], predicted, self.quantity.value, values.unit
        )
        figure.update_xaxes(title=f"reference ({values.unit})")
        circle = dict(symbol="circle-open", color="black")
        style = dict(mode="markers", name="frame shown", marker=circle)
        for k, name in enumerate(predicted):
            label = f"{name}: MAE {1e3 * values.mae(name):.3g} m{values.unit}"
            hover = (
                f"%{{text}}: %{{x:.2f}} → %{{y:.2f}} {values.unit}<extra>{name}</extra>"
            )
            text = [self._about[frame] for frame in values.frame[some]]
            how = dict(customdata=values.frame[some], text=text, hovertemplate=hover)
            figure.data[k].update(name=label, **how)
            figure.add_scatter(row=1, col=k + 1, showlegend=k == 0, **style)
        return figure

    def _mark(self) -> None:
        """Draw circles around the points of the frame, and say its numbers."""
        k, name = self.frame.value, self.potential.value
        values = self._values[self.quantity.value]
        of = values.frame == k
        circles = self.figure.data[-len(self._forces) :]
        size = 5 if of.sum() > 100 else 11  # a box has many forces
        for trace, y in zip(circles, values.predicted.values(), strict=True):
            trace.update(x=values.reference[of], y=y[of], customdata=values.frame[of])
            trace.marker.update(size=size, line_width=size // 5)
        (forces, all_forces), (energies, all_energies) = (
            (1e3 * v.errors(name)[k], 1e3 * v.mae(name)) for v in self._values.values()
        )
        rank = int(np.flatnonzero(self._worst_first() == k)[0]) + 1
        self.numbers = dict(frame=k, force_mae=forces, energy_error=energies, rank=rank)
        place = f"{rank} of {len(self._frames)} by {self.quantity.value}"
        rows = {
            "Frame": f"{k}, {self._about[k]}",
            f"Force MAE, {name}": f"{forces:.0f} meV/Å (all: {all_forces:.0f})",
            "Energy error": f"{energies:.1f} meV/atom (all: {all_energies:.1f})",
            "Rank": f"{place}; 1 is the worst",
        }
        self._text.value = base.table(rows)

    def _clicked(self, name: str, trace, points, _) -> None:
        if points.point_inds and trace.customdata is not None:
            self.potential.value = name
            self.frame.value = int(trace.customdata[points.point_inds[0]])
