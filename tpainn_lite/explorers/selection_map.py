"""The selection explorers: what each method takes, of a map and of nine points."""

import itertools
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ipywidgets import (
    HTML,
    Dropdown,
    FloatLogSlider,
    FloatSlider,
    IntSlider,
    ToggleButton,
    VBox,
)

from .. import select
from ..guards import array, checked, optional, refusal, structures, text
from . import base, figures, viewers


class SelectionMap(base.Explorer):
    """Which candidates would be labelled, on a map of their first two descriptors.

    `X` (N, d >= 2) describes the candidates, most important columns first, as principal
    components do; `cheap` (N,) are their cheap labels in `unit`. ``chosen`` holds the
    indices of the last choice. With `frames` a click on a point shows the structure.
    """

    @checked(X=array(None, None, most=1e30), cheap=array(None, most=1e30), unit=text)
    @checked(frames=optional(structures()))
    def __init__(
        self,
        X: np.ndarray,
        cheap: np.ndarray,
        unit: str,
        frames: Sequence[Atoms] | None = None,
        before: "SelectionMap | None" = None,
    ):
        """Show one table, with the controls of `before`."""
        if len(X) < 2 or X.shape[1] < 2:
            raise refusal("X", "two candidates and two columns, or more", X)
        for name, its in (("cheap", cheap), ("frames", frames)):
            if its is not None and len(its) != len(X):
                raise ValueError(f"{name}: needs {len(X)}, as X has, got {len(its)}")
        self._X, self._cheap, self._frames = X, cheap, frames
        names = [m for m in select.METHODS if "released" not in m]  # 20 s a move
        self.method = Dropdown(options=names, value="ATBagging", description="Method")
        self.n = IntSlider(10, 1, min(50, len(X)), description="Labels n")
        self.power = FloatSlider(
            2.0, min=0.0, max=6.0, step=0.5, description="Weight of information"
        )
        self.length = FloatLogSlider(
            2.0, base=2, min=-2, max=4, description="Length scale"
        )
        self.seed = IntSlider(0, 0, 9, description="Seed")
        sentences = {
            self.method: "Who chooses.",
            self.n: "How many candidates are labelled.",
            self.power: "ATBagging only: how much information counts, 0 not at all.",
            self.length: "ATBagging and DPP: two farther apart than this are unlike.",
            self.seed: "Draws the trees and the choice.",
        }
        for control in sentences:
            control.continuous_update = False
        self.chosen = np.array([], int)
        self.figure, self._slot = base.Figure(_map(X, cheap, unit)), VBox([HTML()])
        for trace in self.figure.data:
            trace.on_click(self._clicked)
        self.assemble(sentences, self.figure, self._slot, before=before)

    def show(self, k: int) -> None:
        """Show candidate `k`, as a click on its point does."""
        about = {"Shown": f"Candidate {k}: {self._cheap[k]:.3g}"}
        text, *view = self._slot.children
        text.value = base.table(about)
        if view:
            viewers.change(view[0], self._frames[k])
        elif self._frames is not None:
            self._slot.children = [text, viewers.view(self._frames[k])]

    def draw(self) -> None:
        """Choose, and say how near the chosen are to each other and all are to them."""
        how = dict(power=self.power.value, length_scale=self.length.value)
        n, seed, self._text.value = self.n.value, self.seed.value, "Choosing."
        self.power.disabled = self.method.value != "ATBagging"
        self.length.disabled = self.method.value not in ("ATBagging", "DPP")
        try:
            table = self._X, self._cheap, n
            chosen = select.choose(self.method.value, *table, seed=seed, **how)
        except ValueError as error:  # too few candidates that differ
            self._fail(error)
            return
        self.chosen, (x, y) = chosen, self._X[chosen, :2].T
        self.figure.data[1].update(x=x, y=y, customdata=chosen)
        title = f"{self.method.value}: {n} of {len(self._X)} candidates"
        self.figure.update_layout(title=title)
        X = select.standardised(self._X)
        apart = np.linalg.norm(X[:, None] - X[chosen][None], axis=2)  # (N, n)
        among = apart[chosen] + np.diag(np.full(n, np.inf))
        some, every = self._cheap[chosen].std(), self._cheap.std()
        rows = {
            "Nearest two of the chosen": f"{among.min():.2f} standard deviations",
            "Candidates' mean distance to a chosen one": f"{apart.min(1).mean():.2f}",
            "Spread of the chosen cheap labels": f"{some:.3g} (all: {every:.3g})",
        }
        self._text.value = base.table(rows)

    def _clicked(self, trace, points, _) -> None:
        if points.point_inds:
            k = int(trace.customdata[points.point_inds[0]])
            self._try(lambda: self.show(k))


def _map(X: np.ndarray, cheap: np.ndarray, unit: str) -> go.Figure:
    """Draw candidates coloured by cheap label, and circles for the chosen."""
    bar = dict(title=f"cheap label<br>({unit})")
    colours = dict(color=cheap, colorscale="Cividis", size=7, opacity=0.8, colorbar=bar)
    circle = dict(symbol="circle-open", size=15, color="#D55E00", line_width=3)
    figure = go.Figure(layout=dict(template=figures.TEMPLATE))
    points = dict(x=X[:, 0], y=X[:, 1], customdata=np.arange(len(X)), marker=colours)
    figure.add_scatter(name="candidates", mode="markers", **points)
    figure.add_scatter(name="chosen", mode="markers", marker=circle)
    figure.update_xaxes(title="descriptor, principal component 1 (no unit)")
    return figure.update_yaxes(title="descriptor, principal component 2 (no unit)")


class NinePoints(base.Explorer):
    """Choose some of the nine points of a square, and see how likely a DPP draws them.

    `L` (9, 9) says how alike the points are; point k is at x, y = divmod(k, 3). A click
    on a point takes it or leaves it, as its button does. ``found`` holds for "yours"
    and for "greedy" (as many points, by `select.greedy_dpp`) the points, determinant,
    probability (%) among all subsets of that size, and its rank, 1 for the highest.
    """

    GRID = {f"point_{k}": None for k in range(9)}

    @checked(L=array(9, 9, most=1e30))
    def __init__(self, L: np.ndarray, before: "NinePoints | None" = None):
        """Begin with three in a row, or with the points of `before`."""
        values, vectors = np.linalg.eigh(L)
        if not np.allclose(L, L.T) or values[0] <= select.RANK * values[-1]:
            raise refusal("L", "a symmetric matrix with positive eigenvalues", L)
        self._L, self._B, sentences = L, vectors * np.sqrt(values), {}
        for k, name in enumerate(self.GRID):
            about = "({}, {})".format(*divmod(k, 3))
            button = ToggleButton(k < 3, description=about, layout={"width": "70px"})
            setattr(self, name, button)
            sentences[button] = "Take this point, or leave it."
        self.figure = base.Figure(_panels())
        self.figure.data[4].on_click(self._clicked)
        self.assemble(sentences, self.figure, before=before)

    def draw(self) -> None:
        """Compare the chosen points, and as many greedy ones, with all such subsets."""
        yours = [k for k, name in enumerate(self.GRID) if getattr(self, name).value]
        greedy = select.greedy_dpp(self._B, len(yours)).tolist() if yours else []
        S = np.array([*itertools.combinations(range(9), len(yours))], int)  # (M, n)
        weights = np.linalg.det(self._L[S[:, :, None], S[:, None, :]]).clip(0)
        percent, self.found, rows = 100 * weights / weights.sum(), {}, {}
        order = np.argsort(percent, kind="stable")
        self.figure.data[5].y = percent[order]
        for n, some in enumerate((yours, greedy)):
            at, mark = self.figure.data[n:4:2]
            k = np.flatnonzero((sorted(some) == S).all(1))[0]
            rank = 1 + int((percent > percent[k] + 1e-9).sum())
            self.found[at.name] = some, weights[k], percent[k], rank
            x, y = np.divmod(np.array(some, int), 3)
            at.update(x=x, y=y)
            mark.update(x=np.flatnonzero(order == k), y=percent[[k]])
            places = ", ".join("({}, {})".format(*divmod(p, 3)) for p in some) or "none"
            chance = f"probability {percent[k]:.2f} %, rank {rank} of {len(S)}"
            rows[at.name.title()] = f"{places}: determinant {weights[k]:.3g}, {chance}"
        title = (
            f"Determinant {self.found['yours'][1]:.3g} for these {len(yours)} points"
        )
        self.figure.update_layout(title=title)
        self._text.value = base.table(rows)

    def _clicked(self, trace, points, _) -> None:
        for k in points.point_inds:
            button = getattr(self, f"point_{k}")
            button.value = not button.value


def _panels() -> go.Figure:
    """Draw nine points, beside bars of all subsets; yours and greedy ones in both."""
    both = dict.fromkeys(("yours", "greedy"), ([0], [0]))
    figure = figures.panels({"": both, " ": both}, "", "", "", "markers")
    figure.update_traces(marker_size=20)
    square = dict(marker_symbol="square-open", marker_size=28, marker_line_width=3)
    figure.update_traces(**square, selector={"name": "greedy"})
    x, y = np.divmod(np.arange(9), 3)
    grey, how = dict(color="#BDBDBD"), dict(name="points", mode="markers")
    figure.add_scatter(x=x, y=y, marker=grey | dict(size=12), row=1, col=1, **how)
    figure.add_bar(name="all subsets", marker=grey, row=1, col=2)
    figure.update_layout(height=400, xaxis_domain=[0, 0.33], xaxis2_domain=[0.42, 1])
    figure.update_xaxes(title="x", dtick=1, range=[-0.4, 2.4], col=1)
    figure.update_yaxes(title="y", dtick=1, range=[-0.4, 2.4], col=1)
    figure.update_xaxes(title="subset, from the least to the most likely", col=2)
    return figure.update_yaxes(title="probability (%)", rangemode="tozero", col=2)
