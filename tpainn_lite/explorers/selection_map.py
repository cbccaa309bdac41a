"""The selection explorer: a map of candidates, and which of them each method takes."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ipywidgets import HTML, Dropdown, FloatLogSlider, FloatSlider, IntSlider, VBox

from .. import select
from . import controls, figures, viewers


class SelectionMap:
    """Which candidates would be labelled, on a map of their first two descriptors.

    `X` (N, d) describes the candidates, most important columns first, as principal
    components do; `cheap` (N,) are their cheap labels in `unit`. ``chosen`` holds the
    indices of the last choice. With `frames` a click on a point shows the structure.
    """

    def __init__(
        self,
        X: np.ndarray,
        cheap: np.ndarray,
        unit: str,
        frames: Sequence[Atoms] | None = None,
        before: "SelectionMap | None" = None,
    ):
        """An explorer of one table; it begins with the controls of `before`."""
        self._X, self._cheap, self._frames = np.asarray(X, float), cheap, frames
        names = [*select.METHODS]
        self.method = Dropdown(options=names, value="ATBagging", description="Method")
        self.n = IntSlider(10, 1, min(50, len(X)), description="n")
        self.power = FloatSlider(2.0, min=0.0, max=6.0, step=0.5, description="Power")
        self.length = FloatLogSlider(2.0, base=2, min=-2, max=4, description="Length")
        self.seed = IntSlider(0, 0, 9, description="Seed")
        sentences = {
            self.method: "Who chooses.",
            self.n: "How many candidates are labelled.",
            self.power: "ATBagging only: how much information counts, 0 not at all.",
            self.length: "ATBagging and DPP: from what distance on two are unlike.",
            self.seed: "Draws the trees and the choice.",
        }
        self.chosen = np.array([], int)
        self.figure, self._text = go.FigureWidget(_map(X, cheap, unit)), HTML()
        self._slot = VBox()
        parts = [controls.rows(sentences), self.figure, self._text, self._slot]
        self.widget = VBox(parts)
        for control in sentences:
            control.continuous_update = False
            control.observe(self._move, "value")
        for trace in self.figure.data:
            trace.on_click(self._clicked)
        self._move()
        controls.restore(self, before)

    def show(self, k: int) -> None:
        """Show candidate `k`, as a click on its point does."""
        about = f"Candidate {k}: {self._cheap[k]:.3g}"
        parts = [HTML(controls.table({"Shown": about}))]
        if self._frames is not None:
            parts.append(viewers.view(self._frames[k]))
        self._slot.children = parts

    def twin(self) -> bytes | None:
        """The figure as a PNG in the authors' build, else None."""
        return controls.twin(self.figure)

    def _move(self, _=None) -> None:
        how = dict(power=self.power.value, length_scale=self.length.value)
        try:
            chosen = select.choose(
                self.method.value,
                self._X,
                self._cheap,
                self.n.value,
                seed=self.seed.value,
                **how,
            )
        except ValueError as error:  # too few candidates that differ: say so
            self._text.value = controls.table({"Cannot": str(error)})
            return
        self.chosen = chosen
        x, y = self._X[chosen, 0], self._X[chosen, 1]
        title = f"{self.method.value}: {self.n.value} of {len(self._X)} candidates"
        self.figure.data[1].update(x=x, y=y, customdata=chosen)
        self.figure.update_layout(title=title)
        self._text.value = controls.table(self._words())

    def _words(self) -> dict[str, str]:
        """How near the chosen are to one another, and how near all are to them."""
        X = select.standardised(self._X)
        chosen = X[self.chosen]
        apart = np.linalg.norm(chosen[:, None] - chosen[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        near = np.linalg.norm(X[:, None] - chosen[None], axis=2).min(axis=1)
        return {
            "Nearest two of the chosen": f"{apart.min():.2f} standard deviations",
            "Candidates' mean distance to a chosen one": f"{near.mean():.2f}",
            "Spread of the chosen cheap labels": f"{self._cheap[self.chosen].std():.3g}"
            f" (all: {self._cheap.std():.3g})",
        }

    def _clicked(self, trace, points, _) -> None:
        if points.point_inds:
            self.show(int(trace.customdata[points.point_inds[0]]))


def _map(X: np.ndarray, cheap: np.ndarray, unit: str) -> go.Figure:
    """Candidates coloured by cheap label, and circles for the chosen."""
    colours = dict(
        color=cheap,
        colorscale="Cividis",
        size=7,
        opacity=0.8,
        colorbar=dict(title=f"cheap label<br>({unit})"),
    )
    circle = dict(symbol="circle-open", size=15, color="#D55E00", line_width=3)
    points = dict(mode="markers", customdata=np.arange(len(X)))
    figure = go.Figure(
        [
            go.Scatter(
                x=X[:, 0], y=X[:, 1], name="candidates", marker=colours, **points
            ),
            go.Scatter(name="chosen", mode="markers", marker=circle),
        ]
    )
    figure.update_layout(template=figures.TEMPLATE, legend=dict(orientation="h", y=1.1))
    figure.update_xaxes(title="descriptor, principal component 1 (no unit)")
    figure.update_yaxes(title="descriptor, principal component 2 (no unit)")
    return figure
