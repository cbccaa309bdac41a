"""The calibration explorer: labels fit a cheap method at once, for any n and terms."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ipywidgets import Dropdown, IntSlider, SelectionSlider
from plotly.subplots import make_subplots

from .. import calibrate, data, guards
from ..guards import checked, element_energies, named, optional, text
from ..units import KCAL_MOL
from . import base, figures

SIZES = (3, 10, 30, 100, 300, 1000)  # of the learning curve
BETWEEN = (5, 20, 50, 200, 500)  # the slider has these, too
TICKS = (*SIZES, 3000, 10_000)  # as far as a grid goes
SHOWN = 500  # test molecules in the plot; errors are over all
NONE, PRIORS = "none", {"none": None, "textbook bond energies": calibrate.TEXTBOOK}
POINTS = dict(color=figures.LOOKS[0][0], size=5, opacity=0.5)


class Calibration(base.Explorer):
    """Energies of molecules by a calibrated cheap method, for any labels and terms.

    ``numbers`` holds what the last move gave: ``mae`` and ``rmse`` (kcal/mol, over
    `test`), the ``factor`` of the cheap energy, the ``penalty`` that labels left out
    chose, and the ``seconds`` it took. The labels of draw k are the first n that
    `data.split` draws with seed k. Terms are counted once, when one is made.
    """

    SETTINGS = ("terms", "prior", "cheap", "seed")
    GRID = {"n": None, "terms": None, "cheap": None}

    @checked(cheap=named(text), atomic_energies=element_energies)
    @checked(cheap_atoms=optional(named(element_energies)))
    @checked(curves=optional(named(guards.array(4, None))))
    def __init__(
        self,
        pool: Sequence[Atoms] | calibrate.Counted,
        test: Sequence[Atoms] | calibrate.Counted,
        cheap: Mapping[str, str],
        atomic_energies: Mapping[int, float],
        cheap_atoms: Mapping[str, Mapping[int, float]] | None = None,
        curves: Mapping[str, Sequence] | None = None,
        before: "Calibration | None" = None,
    ):
        """Count the terms, and begin with the controls of `before`.

        `cheap`: name of a method -> where ``info`` has its energies (eV). Free atoms
        (eV) of the labels are `atomic_energies`, of methods `cheap_atoms`, by name.
        `curves` are drawn along: name -> as `figures.learning_curve` takes them.
        """
        parts = {}
        for name, frames in dict(pool=pool, test=test).items():
            with guards.at(name):
                parts[name] = calibrate.counted(frames)
        self._pool, self._test = parts.values()
        self._energies = {NONE: (None, None)}
        for name, key in cheap.items():
            self._energies[name] = tuple(
                guards.array(len(part.frames))(
                    [a.info.get(key, np.nan) for a in part.frames], f"info[{key!r}]"
                )
                for part in parts.values()
            )
        self._atoms, self._cheap_atoms = dict(atomic_energies), dict(cheap_atoms or {})
        elements = sorted(self._atoms)
        N = data.compositions(self._test.frames, elements)
        fit = np.linalg.lstsq(N, self._test.energies, rcond=None)[0]
        self._apart = self._test.energies - N @ fit  # eV: what no composition explains
        self._found: dict[tuple, tuple] = {}
        self._last: tuple | None = None
        self._lines = {"before": (), "now": ()}
        self.figure = base.Figure(self._drawn(curves or {}))
        self.assemble(self._make_controls(), self.figure, before=before)

    def _make_controls(self) -> dict:
        """Make them, and return the sentence of each."""
        most = len(self._pool.frames)
        sizes = [n for n in sorted(SIZES + BETWEEN) if n <= most] or [most]
        first = 30 if 30 in sizes else sizes[-1]
        self.n = SelectionSlider(options=sizes, value=first, description="Labels n")
        terms = dict(options=calibrate.TERMS, value=calibrate.TERMS[-1])
        self.terms = Dropdown(**terms, description="Terms")
        self.prior = Dropdown(options=[*PRIORS], description="Prior")
        self.cheap = Dropdown(options=[*self._energies], description="Cheap energy")
        self.seed = IntSlider(0, 0, 9, description="Draw")
        self.n.continuous_update = self.seed.continuous_update = False
        return {
            self.n: "How many labelled molecules the terms are fitted to.",
            self.terms: "What is counted: atoms alone, bonds too, or rings as well.",
            self.prior: "What bonds are pulled to where labels say little.",
            self.cheap: "Which cheap method is corrected, if any.",
            self.seed: "Draws the labelled molecules.",
        }

    def _drawn(self, curves: Mapping[str, Sequence]) -> go.Figure:
        """Draw both panels; moves fill the first four traces."""
        figure = make_subplots(cols=2, horizontal_spacing=0.13)
        grey = dict(color=figures.GREY, dash="dot")
        now = dict(color=figures.LOOKS[0][0])
        how = dict(col=1, row=1)
        figure.add_scatter(mode="markers", name="test molecules", marker=POINTS, **how)
        how["col"] = 2
        figure.add_scatter(name="settings before", line=grey, mode="lines", **how)
        figure.add_scatter(name="these settings", line=now, **how)
        star = dict(symbol="star", size=16, color="black")
        figure.add_scatter(name="n chosen", mode="markers", marker=star, **how)
        for name, (colour, symbol, dash, _) in figures.looks(
            ["tuned", *curves]
        ).items():
            if name in curves:
                x, y = curves[name][:2]
                line = dict(color=colour, dash=dash)
                marker = dict(color=colour, symbol=symbol)
                figure.add_scatter(x=x, y=y, name=name, line=line, marker=marker, **how)
        x = self._apart / KCAL_MOL
        ends = [x.min() - 5, x.max() + 5]
        line = dict(color="black", width=1)
        figure.add_scatter(x=ends, y=ends, name="y = x", line=line, row=1, col=1)
        figure.data[-1].mode = "lines"
        figure.update_layout(template=figures.TEMPLATE, height=470, margin_t=110)
        words = "(kcal/mol)"
        figure.update_xaxes(title=f"DFT less composition {words}", range=ends, col=1)
        figure.update_yaxes(title=f"predicted {words}", range=ends, col=1)
        figure.update_xaxes(type="log", tickvals=TICKS, title="labels n", col=2)
        return figure.update_yaxes(figures.LOG, title=f"MAE {words}", col=2)

    def _fit(self, n: int) -> tuple[calibrate.MoleculeModel, np.ndarray]:
        """Calibrate on n labels by the controls; return the model, its errors (eV)."""
        name, terms = self.cheap.value, self.terms.value
        key = (n, *(getattr(self, control).value for control in self.SETTINGS))
        if key not in self._found:
            order = np.random.default_rng(self.seed.value).permutation
            rows = order(len(self._pool.frames))[:n]
            some, every = self._energies[name]
            how = dict(atomic_energies=self._atoms, bonds=PRIORS[self.prior.value])
            how["cheap_atoms"] = self._cheap_atoms.get(name)
            some = None if some is None else some[rows]
            model = calibrate.molecules(self._pool.take(rows), some, terms, **how)
            gaps = model.energies(self._test, every) - self._test.energies
            self._found[key] = model, gaps
        return self._found[key]

    def draw(self) -> None:
        """Calibrate, test, and draw the curve of these settings and of those before."""
        begin, n = time.perf_counter(), self.n.value
        model, gaps = self._fit(n)
        sizes = [size for size in SIZES if size <= len(self._pool.frames)]
        y = [_mae(self._fit(size)[1]) for size in sizes]
        settings = tuple(getattr(self, name).value for name in self.SETTINGS)
        if settings != self._last:
            self._last = settings
            self._lines = {"before": self._lines["now"], "now": y}
        self.numbers = dict(mae=_mae(gaps), factor=model.factor)
        self.numbers["rmse"] = float(np.sqrt((gaps**2).mean())) / KCAL_MOL
        left_out, widest = model.left_out, max(calibrate.PENALTIES)
        best = min(left_out, key=left_out.get, default=widest)
        self.numbers["penalty"] = best
        points, before, now, chosen, *_ = self.figure.data
        x = self._apart[:SHOWN] / KCAL_MOL
        before.update(x=sizes[: len(self._lines["before"])], y=self._lines["before"])
        points.update(x=x, y=x + gaps[:SHOWN] / KCAL_MOL)
        now.update(x=sizes, y=y)
        chosen.update(x=[n], y=[self.numbers["mae"]])
        with_what = "no cheap energy" if self.cheap.value == NONE else self.cheap.value
        title = f"{self.numbers['mae']:.3g} kcal/mol with {n} labels"
        title += f": {self.terms.value}, {with_what}"
        self.figure.update_layout(title=title)
        self.numbers["seconds"] = time.perf_counter() - begin
        self._text.value = base.table(self._words())

    def _words(self) -> dict[str, str]:
        """Say what the last move gave."""
        found = self.numbers
        rmse = f"root mean square {found['rmse']:.3g}"
        words = {"Mean error": f"{found['mae']:.3g} kcal/mol ({rmse})"}
        if found["factor"]:
            words["Cheap energy counts"] = f"{found['factor']:.3g} times"
        words["Penalty, by labels left out"] = f"{found['penalty']:g} eV²"
        return words | {"Answered in": f"{1e3 * found['seconds']:.0f} ms"}


def _mae(gaps: np.ndarray) -> float:
    """Compute the mean absolute error, kcal/mol, of gaps in eV."""
    return float(np.abs(gaps).mean()) / KCAL_MOL
