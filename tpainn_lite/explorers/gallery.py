"""Structures to choose from: runs to play, and molecules with their forces."""

import html
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ipywidgets import (
    Dropdown,
    HBox,
    IntSlider,
    Label,
    Play,
    ToggleButtons,
    VBox,
    jslink,
)

from ..guards import checked, instance, named, optional, refusal, structures
from . import base, figures, viewers


class Movie(base.Explorer):
    """Play one of several runs, frame by frame, above a curve of the same run.

    `runs`: name -> frames of the same atoms; `curves`: name -> (x, values) of a
    `quantity` in `unit`, as long as the run or a multiple (a star marks the frame that
    is shown); `choice`: what the names are, for example "Temperature".
    """

    GRID = {"run": None}

    @checked(runs=named(structures()), curves=optional(named(instance(tuple, list))))
    @checked(**dict.fromkeys(("quantity", "unit", "choice"), instance(str)))
    def __init__(
        self,
        runs: Mapping[str, Sequence[Atoms]],
        curves: Mapping[str, tuple] | None = None,
        quantity: str = "",
        unit: str = "",
        choice: str = "Run",
        before: "Movie | None" = None,
    ) -> None:
        """Show the first run, or what `before` showed."""
        if curves and [*curves] != [*runs]:
            raise refusal("curves", f"the names of the runs, {[*runs]}", [*curves])
        self.runs, self._curves, self._unit = runs, curves, unit
        self.run = ToggleButtons(options=[*runs], description=choice)
        self.frame, self.play = IntSlider(description="Frame"), Play(interval=100)
        jslink((self.play, "value"), (self.frame, "value"))
        self.frame.observe(self._move, "value")
        self._shown, parts = self.run.value, [viewers.view(runs[self.run.value])]
        self.view = parts[0]
        if curves:
            x, y = curves[self._shown]
            titles = f"{quantity.capitalize()} against time", "time (fs)"
            run = {"this run": (x, y)}
            figure = figures.lines(run, *titles, f"{quantity} ({unit})")
            star = dict(symbol="star", size=16, color=figures.PALETTE[1])
            figure.add_scatter(mode="markers", marker=star, name="this frame")
            self.figure = base.Figure(figure)
            parts.append(self.figure)
        sentences = {self.run: "Which run is shown."} if len(runs) > 1 else {}
        sentences[HBox([self.play, self.frame])] = "Plays it, or shows one frame."
        self.assemble(sentences, *parts, before=before)

    def draw(self) -> None:
        """Show the run, if it is another one, and the frame."""
        name, frames = self.run.value, self.runs[self.run.value]
        self.frame.max = self.play.max = len(frames) - 1
        if name != self._shown:
            self._shown = name
            viewers.change(self.view, frames)
            self.frame.value = 0
        k = self.view.frame = self.frame.value
        self._text.value = f"Frame {k + 1} of {len(frames)}."
        if self._curves:
            x, y = self._curves[name]
            now = k * round(len(x) / len(frames))
            self.figure.data[0].update(x=x, y=y)
            self.figure.data[1].update(x=[x[now]], y=[y[now]])
            top = 1.1 * max(np.max(values) for _, values in self._curves.values())
            self.figure.update_yaxes(range=[min(0, np.min(y)), top])

    def twin(self, name: str | None = None) -> bytes:
        """Draw the first, middle and last frame of a run, else of the one shown."""
        return viewers.snapshot(self.runs[name or self.run.value])


class Beside(base.Explorer):
    """Play runs of the same atoms beside each other, with bonds that break in red.

    `runs`: name -> frames; one that ended early rests at its last frame. `broken`: name
    -> pairs of atoms (K, 2).
    """

    @checked(runs=named(structures()), broken=named(instance(list, np.ndarray)))
    def __init__(
        self,
        runs: Mapping[str, Sequence[Atoms]],
        broken: Mapping[str, Sequence],
        before: "Beside | None" = None,
    ) -> None:
        """Show the first frames; twenty a second are played."""
        self.runs, self.broken = runs, broken
        last = max(map(len, runs.values())) - 1
        self.frame = IntSlider(0, 0, last, description="Frame")
        self.play = Play(max=last, interval=50)
        jslink((self.play, "value"), (self.frame, "value"))
        self.frame.observe(self._move, "value")
        self.views = {name: viewers.view(f, broken[name]) for name, f in runs.items()}
        for view in self.views.values():
            view.layout.width, view.layout.height = "380px", "320px"
        sentences = {HBox([self.play, self.frame]): "Plays them, or shows one frame."}
        pairs = (VBox([Label(name), view]) for name, view in self.views.items())
        self.assemble(sentences, *pairs, before=before)

    def draw(self) -> None:
        """Show the frame, and name the runs that ended before it."""
        k, words = self.frame.value, [f"Frame {self.frame.value + 1}."]
        for name, view in self.views.items():
            view.frame = min(k, len(self.runs[name]) - 1)
            if view.frame < k:
                words.append(f"{name} ended at frame {view.frame + 1}.")
        self._text.value = html.escape(" ".join(words))

    def twin(self) -> bytes:
        """Draw first, middle and last frames, a row for each run."""
        red, runs = self.broken, self.runs.items()
        pngs = [viewers.snapshot(frames, broken=red[name]) for name, frames in runs]
        return viewers.stacked(pngs, [*self.runs])


class Gallery(base.Explorer):
    """Choose one of several structures with its forces.

    `entries`: name -> (atoms, forces (N, 3), reference (N, 3) or None), in eV/Å.
    """

    GRID = {"choice": None}

    @checked(entries=named(instance(tuple, list)))
    def __init__(
        self, entries: Mapping[str, tuple], before: "Gallery | None" = None
    ) -> None:
        """Show the first structure, or the one of `before`."""
        self.entries, wide = entries, {"width": "400px"}
        self.choice = Dropdown(options=[*entries], description="Molecule", layout=wide)
        self._box = viewers.view_forces(*entries[self.choice.value])
        sentences = {self.choice: "Which molecule is shown, with its forces."}
        self.assemble(sentences, self._box, before=before)

    def draw(self) -> None:
        """Show the chosen structure."""
        viewers.change_forces(self._box, *self.entries[self.choice.value])

    def twin(self, name: str | None = None) -> bytes:
        """Draw the structure of that name, else the one shown."""
        return viewers.snapshot(*self.entries[name or self.choice.value])
