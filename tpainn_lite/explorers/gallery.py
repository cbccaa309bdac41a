"""Structures to choose from: runs to play, and molecules with their forces."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ipywidgets import Dropdown, HBox, IntSlider, Play, ToggleButtons, VBox, jslink

from . import figures, viewers


class Movie:
    """Play one of several runs, frame by frame, above a curve of the same run.

    `runs`: name -> frames of the same atoms; `curves`: name -> (x, values) of a
    `quantity` in `unit`, as long as the run or a multiple (a star marks the frame that
    is shown); `choice`: what the names are, for example "Temperature".
    """

    def __init__(
        self,
        runs: Mapping[str, Sequence[Atoms]],
        curves: Mapping[str, tuple] | None = None,
        quantity: str = "",
        unit: str = "",
        choice: str = "Run",
    ) -> None:
        """Show the first run."""
        self.runs, self._curves, self._labels = runs, curves, (quantity, unit)
        self.run = ToggleButtons(options=[*runs], description=choice)
        self.frame, self.play = IntSlider(description="Frame"), Play(interval=100)
        jslink((self.play, "value"), (self.frame, "value"))
        self.widget, self.figure = VBox(), None
        self.run.observe(self._show_run, "value")
        self.frame.observe(self._show_frame, "value")
        self._show_run()

    def _show_run(self, change=None) -> None:
        name, frames = self.run.value, self.runs[self.run.value]
        self.view = viewers.view(frames)
        self.frame.value = 0
        self.frame.max = self.play.max = len(frames) - 1
        shown = [self.run] if len(self.runs) > 1 else []
        shown += [HBox([self.play, self.frame]), self.view]
        if self._curves:
            x, y = self._curves[name]
            figure = figures.series(x, {name: y}, *self._labels)
            top = 1.1 * max(np.max(values) for _, values in self._curves.values())
            figure.update_yaxes(range=[min(0, np.min(y)), top])
            star = dict(symbol="star", size=16, color=figures.PALETTE[1])
            figure.add_scatter(mode="markers", marker=star, name="this frame")
            self.figure = go.FigureWidget(figure)
            shown.append(self.figure)
        self.widget.children = shown
        self._show_frame()

    def _show_frame(self, change=None) -> None:
        frame = self.view.frame = self.frame.value
        if self._curves:
            x, y = self._curves[self.run.value]
            now = frame * round(len(x) / len(self.runs[self.run.value]))
            self.figure.data[1].update(x=[x[now]], y=[y[now]])

    def twin(self, name: str | None = None) -> bytes:
        """Draw the first, middle and last frame of a run, else of the one shown."""
        return viewers.snapshot(self.runs[name or self.run.value])


class Gallery:
    """Choose one of several structures with its forces.

    `entries`: name -> (atoms, forces (N, 3), reference (N, 3) or None), in eV/Å.
    """

    def __init__(self, entries: Mapping[str, tuple]) -> None:
        """Show the first structure."""
        self.entries, wide = entries, {"width": "400px"}
        self.choice = Dropdown(options=[*entries], description="Molecule", layout=wide)
        self._box = viewers.view_forces(*entries[self.choice.value])
        self.choice.observe(self._show, "value")
        self.widget = VBox([self.choice, self._box])

    def _show(self, change) -> None:
        viewers.change_forces(self._box, *self.entries[change["new"]])

    def twin(self, name: str | None = None) -> bytes:
        """Draw the structure of that name, else the one shown."""
        return viewers.snapshot(*self.entries[name or self.choice.value])
