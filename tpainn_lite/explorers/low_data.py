"""The low-data explorer: error against labels, from a grid and trained live."""

import copy
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ipywidgets import HTML, Button, Dropdown, IntSlider, VBox

from .. import datasets, tune
from ..data import split
from ..model import Potential
from ..ridge_head import HeadConfig
from ..train import FitConfig, evaluate
from ..tune import Strategy
from . import controls, figures, live

STRATEGIES = {  # changes to the arm's own configuration; lesson 06 compares them
    "all weights": {},
    "discriminative": dict(lr_decay=0.5),
    "gradual unfreezing": dict(unfreeze=100),
    "energies alone": dict(energy_weight=1.0, force_weight=0.0),
}
HEAD = "instant head"


class Points:
    """What a grid says of its points, and how to train one more.

    `grid` is the card of a grid. A point has an arm (as its curve is called), a size n
    and a seed.
    """

    def __init__(self, grid: dict):
        """Name the arms as `datasets.learning_curves` does."""
        self._configs = {arm: FitConfig(**c) for arm, c in grid["configs"].items()}
        budget = self._configs["tuned"].steps
        self._rows = [r | {"arm": datasets.arm_name(r, budget)} for r in grid["rows"]]
        self._first = dict(
            zip((r["arm"] for r in self._rows), grid["rows"], strict=True)
        )

    @cached_property
    def arms(self) -> dict[str, tuple[str, str]]:
        """What each curve is called -> arm of `tune.train_arm`, name of its teacher."""
        return {k: row["arm"].partition(", ")[::2] for k, row in self._first.items()}

    @cached_property
    def sizes(self) -> list[int]:
        """The n there are, in order."""
        return sorted({row["n"] for row in self._rows})

    def check(self, teachers: Mapping[str, object]) -> None:
        """Raise `ValueError` where an arm names a teacher that is not given."""
        if missing := sorted({name for _, name in self.arms.values()} - {*teachers}):
            raise ValueError(f"others: needs potentials for {missing}, which arms name")

    def config(self, arm: str) -> FitConfig:
        """What the grid trained an arm with."""
        own = self._configs.get(self.arms[arm][0], self._configs["tuned"])
        return replace(own, steps=self._first[arm]["steps"])

    def strategy(self, arm: str, name: str, lr: float) -> Strategy:
        """What trains an arm in another way, one of `STRATEGIES` or `HEAD`."""
        if name == HEAD:
            return HeadConfig()
        return replace(self.config(arm), lr=lr, **STRATEGIES[name])

    def error(self, quantity: str, **point: str | int) -> float | None:
        """The grid's error at a point (arm, n, seed), if it has that point."""
        found = [row[quantity] for row in self._rows if point.items() <= row.items()]
        return found[0] if found else None


QUANTITIES = {  # as shown -> name in `train.Metrics`, unit
    "force MAE": ("force_mae", "meV/Å"),
    "energy MAE": ("energy_mae_kcal", "kcal/mol a structure"),
}
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


class LowData:
    """Error against the number of labels, from the shipped grid and trained live.

    `grid` is what ``reproduce grid`` wrote; `pool`, `test`, `teacher` and
    `atomic_energies` are what it was computed from, `others` the further teachers that
    its arms name. ``stars`` lists what was trained here: dicts with arm, n, seed, lr,
    strategy, errors, potential and whether it was stopped.
    """

    POINT = ("arm", "n", "seed", "lr", "strategy")

    def __init__(
        self,
        grid: dict,
        pool: Sequence[Atoms],
        test: Sequence[Atoms],
        teacher: Potential,
        atomic_energies: Mapping[int, float],
        others: Mapping[str, Potential] | None = None,
        before: "LowData | None" = None,
    ):
        """An explorer of one grid.

        It begins with the controls of `before` and, for the same grid and structures,
        takes over its stars and what it still trains. Raises `ValueError` where a
        teacher that an arm names is missing.
        """
        self._grid, self._points = grid, Points(grid)
        self._teachers = copy.deepcopy({"": teacher} | dict(others or {}))
        self._points.check(self._teachers)
        self._data = pool, test, dict(atomic_energies)
        self.stars: list[dict] = []
        self.training: live.LiveTraining | None = None
        self._lock = threading.RLock()  # a training and a control may draw at once
        self._make_controls()
        self.figure = go.FigureWidget(figures.learning_curve(self._curves(), "", ""))
        for name, symbol in (("chosen point", "circle-open"), ("trained here", "star")):
            marker = dict(symbol=symbol, size=18, color="black", line_width=2)
            style = dict(mode="markers+text", textposition="top center")
            self.figure.add_scatter(name=name, marker=marker, **style)
        self._slot, self._text = VBox(), HTML()
        parts = [controls.rows(self._sentences), self.figure, self._text, self._slot]
        self.widget = VBox(parts)
        controls.restore(self, before)
        if isinstance(before, LowData):
            self._take_over(before)
        self._draw()

    def start(self) -> live.LiveTraining:
        """Train the chosen point in the background, as the button does."""
        if self.training and self.training.running:
            return self.training
        pool, test, atomic_energies = self._data
        point = {name: getattr(self, name).value for name in self.POINT}
        arm, teacher = self._points.arms[point["arm"]]
        how = self._points.strategy(point["arm"], point["strategy"], point["lr"])

        def train(on_epoch):
            (frames,) = split(pool, point["n"], seed=point["seed"])
            potential, _ = tune.train_arm(
                arm,
                self._teachers[teacher],
                frames,
                atomic_energies,
                how,
                seed=point["seed"],
                on_epoch=on_epoch,
            )
            return point | {"potential": potential, "errors": evaluate(potential, test)}

        self.train.disabled = True
        steps = self._points.config(point["arm"]).steps
        self.training = live.LiveTraining(
            train, steps, validated=False, on_end=self._end
        )
        self._slot.children = [self.training.widget]
        return self.training

    def twin(self) -> bytes | None:
        """The figure as a PNG in the authors' build, else None."""
        return controls.twin(self.figure)

    def _take_over(self, before: "LowData") -> None:
        if (before._grid, *before._data[:2]) != (self._grid, *self._data[:2]):
            return
        self.stars = before.stars
        if before.training and before.training.running:
            self.training, self.train.disabled = before.training, True
            self._slot.children = [self.training.widget]
            self.training.on_end = self._end

    def _end(self, training: live.LiveTraining) -> None:
        """Runs in the thread of the training."""
        if training.error is None:
            self.stars.append(training.value | {"stopped": training.stopped})
        self._draw()
        self.train.disabled = False

    def _make_controls(self) -> None:
        self.quantity = Dropdown(options=[*QUANTITIES], description="Quantity")
        self.arm = Dropdown(options=[*self._points.arms], description="Arm")
        if "tuned" in self._points.arms:
            self.arm.value = "tuned"
        self.n = Dropdown(options=self._points.sizes, description="n")
        self.seed = IntSlider(0, 0, 9, description="Seed")
        rates = {self._points.config(arm).lr for arm in self._points.arms}
        self.lr = Dropdown(options=sorted({*RATES, *rates}), description="Rate")
        self._own_rate()
        self.arm.observe(self._own_rate, "value")
        self.strategy = Dropdown(options=[*STRATEGIES, HEAD], description="Strategy")
        self.train = Button(description="Train this point", icon="play")
        self.train.on_click(lambda _: self.start())
        self._sentences = {
            self.quantity: "What the plot shows, on the test molecules.",
            self.arm: "What a training starts from, and how long it takes.",
            self.n: "How many quantum labels it learns from.",
            self.seed: "Draws these structures, and the first weights of scratch.",
            self.lr: "Highest learning rate; choosing an arm sets its curve's.",
            self.strategy: "How it learns (lesson 06); the curves: all weights.",
            self.train: "Runs in the background; its star joins the curves.",
        }
        for control in [*self._sentences][:-1]:
            control.observe(self._draw, "value")

    def _own_rate(self, _=None) -> None:
        self.lr.value = self._points.config(self.arm.value).lr

    def _curves(self) -> dict[str, np.ndarray]:
        return datasets.learning_curves(self._grid, QUANTITIES[self.quantity.value][0])

    def _chosen(self) -> float | None:
        """The grid's error at the chosen point, if it has that point."""
        own = self._points.config(self.arm.value).lr, [*STRATEGIES][0]
        if (self.lr.value, self.strategy.value) != own:
            return None
        point = dict(arm=self.arm.value, n=self.n.value, seed=self.seed.value)
        return self._points.error(QUANTITIES[self.quantity.value][0], **point)

    def _draw(self, _=None) -> None:
        name, unit = QUANTITIES[self.quantity.value]
        with self._lock:
            value, curves = self._chosen(), self._curves()
            shown = [(star["n"], getattr(star["errors"], name)) for star in self.stars]
            points = [[(self.n.value, value)] if value else [], shown]
            *lines, chosen, trained = self.figure.data
            # One trace at a time: of a batch sent before the figure is on the page,
            # plotly.js empties what changed in some of the traces but not in others.
            for line, (n, mean, low, high) in zip(lines, curves.values(), strict=True):
                bars = dict(array=high - mean, arrayminus=mean - low)
                line.update(x=n, y=mean, error_y=bars)
            for trace, pairs in zip((chosen, trained), points, strict=True):
                x, y = zip(*pairs, strict=True) if pairs else ((), ())
                trace.update(x=x, y=y, text=[f"{v:.3g}" for v in y])
            title = f"{self.quantity.value} ({unit})"
            self.figure.update_layout(
                title=f"Learning curve: {self.quantity.value}", yaxis_title=title
            )
            self._text.value = controls.table(self._words(value, name, unit))

    def _words(self, value: float | None, name: str, unit: str) -> dict[str, str]:
        """The chosen point and the stars in words."""
        missing = "not in the grid; press Train this point"
        words = {"Chosen point": f"{value:.4g} {unit}" if value else missing}
        for k, star in enumerate(self.stars, start=1):
            error = getattr(star["errors"], name)
            early = ", stopped early" if star["stopped"] else ""
            words[f"Star {k}: {star['arm']}, n = {star['n']}"] = (
                f"{error:.4g} {unit} ({star['strategy']}, rate {star['lr']:g}, "
                f"seed {star['seed']}{early})"
            )
        return words
