"""The low-data explorer: error against labels, from a grid and trained live."""

import copy
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ase import Atoms
from ipywidgets import Button, Dropdown, IntSlider, SelectMultiple, VBox

from .. import datasets, tune
from ..data import check, split
from ..guards import checked, element_energies, instance
from ..model import Potential
from ..ridge_head import HeadConfig
from ..train import FitConfig, evaluate
from . import base, figures, live

STRATEGIES = {  # changes to the arm's own configuration; lesson 07 compares them
    "all weights": {},
    "discriminative": dict(lr_decay=0.5),
    "gradual unfreezing": dict(unfreeze=100),
    "energies alone": dict(energy_weight=1.0, force_weight=0.0),
}
HEAD = "instant head"
QUANTITIES = {  # as shown -> name in `train.Metrics`, unit
    "force MAE": ("force_mae", "meV/Å"),
    "energy MAE": ("energy_mae_kcal", "kcal/mol a structure"),
}
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
TRAINED = (*tune.CONFIGS, "delta")
MOST = 5  # curves in the figure
FIRST = ("tuned", "scratch", "scratch, 5x longer", "zero-shot", "MMFF94")


def origin(row: dict) -> str:
    """Tell the arm of `tune` that a row of a grid is."""
    return row["arm"].partition(" for ")[0]  # "for energies": a choice of settings


def _told(point: Mapping) -> str:
    how = f"{point['strategy']}, rate {point['lr']:g}, seed {point['seed']}"
    return f"{point['arm']}, n = {point['n']}, {how}"


class LowData(base.Explorer):
    """Error against the number of labels, from the shipped grid and trained live.

    `grid` is the card of a grid; `pool`, `test`, `teacher` and `atomic_energies` are
    what it was computed from. Arms that are none of `tune.ARMS`, or have a teacher of
    their own, have their curve, and cannot be trained here.
    ``stars`` lists what was trained here: dicts with arm, n, seed, lr, strategy,
    errors, potential and whether it was stopped.
    """

    POINT = ("arm", "n", "seed", "lr", "strategy")
    GRID = dict.fromkeys(("quantity", "arm", "n"))

    @checked(grid=instance(dict), pool=check, test=check)
    @checked(teacher=instance(Potential), atomic_energies=element_energies)
    def __init__(
        self,
        grid: dict,
        pool: Sequence[Atoms],
        test: Sequence[Atoms],
        teacher: Potential,
        atomic_energies: Mapping[int, float],
        before: "LowData | None" = None,
    ):
        """Show one grid, with the controls of `before`.

        For the same grid and structures, take over its stars and what it still trains.
        """
        self._grid, self._data = grid, (pool, test, dict(atomic_energies))
        self._teacher = copy.deepcopy(teacher)
        self._rows: dict[tuple, dict] = {}
        for curve, row in zip(datasets.arms_of(grid), grid["rows"], strict=True):
            self._rows.setdefault((curve, row["n"], row["seed"]), row)
        self.stars: list[dict] = []
        self.training: live.LiveTraining | None = None
        self._lock = threading.RLock()  # a training and a control may draw at once
        sentences = self._make_controls()
        curves = datasets.learning_curves(grid, "force_mae")
        self.figure = base.Figure(figures.learning_curve(curves, "", ""))
        for name, symbol in (("chosen point", "circle-open"), ("trained here", "star")):
            marker = dict(symbol=symbol, size=18, color="black", line_width=2)
            text = dict(mode="markers+text", textposition="top center")
            self.figure.add_scatter(name=name, marker=marker, **text)
        self._slot = VBox()
        self.assemble(sentences, self.figure, self._slot, before=before)

    def start(self) -> live.LiveTraining:
        """Train the chosen point in the background, as the button does."""
        if self.training and self.training.running:
            return self.training
        pool, test, atomic_energies = self._data
        point = self._point()
        arm = origin(self._nearest())
        if arm not in tune.ARMS:
            needed = f"one of {tune.ARMS} to train here"
            raise ValueError(f"arm: needs {needed}, got {arm!r}")
        config = self._config()
        changes = dict(lr=point["lr"], **STRATEGIES.get(point["strategy"], {}))
        how = HeadConfig() if point["strategy"] == HEAD else replace(config, **changes)

        def train(on_epoch):
            (frames,) = split(pool, point["n"], seed=point["seed"])
            run = arm, self._teacher, frames, atomic_energies, how
            potential, _ = tune.train_arm(*run, seed=point["seed"], on_epoch=on_epoch)
            return point | {"potential": potential, "errors": evaluate(potential, test)}

        self.train.disabled = True
        ends: dict = dict(validated=False, on_end=self._end)
        self.training = live.LiveTraining(train, config.steps, **ends)
        self._slot.children = [self.training.widget]
        return self.training

    def adopt(self, before: "LowData") -> None:
        """Take over stars and training of `before` for the same grid and structures."""
        if (before._grid, *before._data[:2]) != (self._grid, *self._data[:2]):
            return
        self.stars = before.stars
        if before.training and before.training.running:
            self.training, before.training = before.training, None
            self.train.disabled, before._slot.children = True, ()
            self._slot.children = [self.training.widget]
            self.training.on_end = self._end

    def close(self) -> None:
        """Stop the training, and close the widgets."""
        if self.training:
            self.training.close()
        super().close()

    def _end(self, training: live.LiveTraining) -> None:
        """Add the star; runs in the thread of the training."""
        if training.error is None:
            self.stars.append(training.value | {"stopped": training.stopped})
        self.draw()
        self.train.disabled = False

    def _make_controls(self) -> dict:
        """Make them, and return the sentence of each."""
        self.quantity = Dropdown(options=[*QUANTITIES], description="Quantity")
        names = [curve for curve, *_ in self._rows]
        first = [*dict.fromkeys(c for c in [*FIRST, *reversed(names)] if c in names)]
        how = dict(rows=MOST, description="Curves")
        self.curves = SelectMultiple(options=first, value=first[:MOST], **how)
        self.arm = Dropdown(options=first, description="Train")
        sizes = sorted({row["n"] for row in self._grid["rows"]})
        self.n = Dropdown(options=sizes, description="Labels n")
        self.seed = IntSlider(0, 0, 9, description="Seed")
        own = {row["config"]["lr"] for row in self._rows.values() if row.get("config")}
        own |= {config["lr"] for config in self._grid["configs"].values()}
        self.lr = Dropdown(
            options=sorted(own.union(RATES)), description="Learning rate"
        )
        self._own_rate()
        for control in (self.arm, self.n):
            control.observe(self._own_rate, "value")
        self.strategy = Dropdown(options=[*STRATEGIES, HEAD], description="Strategy")
        self.train = Button(description="Train this point", icon="play")
        self.on_click(self.train, self.start)
        return {
            self.quantity: "What the plot shows, on the test molecules.",
            self.curves: f"Which curves are drawn: {MOST} of these, and the arm's.",
            self.arm: "What a training starts from, and how long it takes.",
            self.n: "How many quantum labels it learns from.",
            self.seed: "Draws these structures, and the first weights of scratch.",
            self.lr: "Highest learning rate; arm and n set that of the curve.",
            self.strategy: "How it learns (lesson 07); the curves: all weights.",
            self.train: "Runs in the background; its star joins the curves.",
        }

    def _point(self) -> dict:
        return {name: getattr(self, name).value for name in self.POINT}

    def _own_rate(self, _=None) -> None:
        self.lr.value = self._config().lr

    def _nearest(self) -> dict:
        """Find a row of the arm at n, or at the nearest size that it has."""
        rows = [row for (arm, *_), row in self._rows.items() if arm == self.arm.value]
        return min(rows, key=lambda row: abs(math.log(row["n"] / self.n.value)))

    def _config(self) -> FitConfig:
        """Find the settings of the arm's curve at n."""
        row, known = self._nearest(), self._grid["configs"]
        how = row.get("config") or known.get(origin(row)) or known.get("tuned", {})
        return replace(FitConfig(**how), steps=row["steps"])

    def _chosen(self, quantity: str) -> list[tuple[int, float]]:
        """Return n and the grid's error at the chosen point, if it has that point."""
        row = self._rows.get((self.arm.value, self.n.value, self.seed.value))
        own = self._config().lr, "all weights"
        there = row and (self.lr.value, self.strategy.value) == own
        return [(row["n"], row[quantity])] if there else []

    def draw(self) -> None:
        """Draw the curves, the chosen point and the stars, and say them in words."""
        title, (name, unit) = self.quantity.value, QUANTITIES[self.quantity.value]
        with self._lock:
            chosen = self._chosen(name)
            curves = datasets.learning_curves(self._grid, name)
            stars = [(star["n"], getattr(star["errors"], name)) for star in self.stars]
            # One trace at a time: of a batch sent before the figure is on the page,
            # plotly.js empties what changed in some of the traces but not in others.
            *lines, one, several = self.figure.data
            for trace, (n, mean, low, high) in zip(lines, curves.values(), strict=True):
                bars = dict(array=high - mean, arrayminus=mean - low)
                there = trace.name in (*self.curves.value[:MOST], self.arm.value)
                trace.update(x=n, y=mean, error_y=bars, visible=there)
            for trace, pairs in ((one, chosen), (several, stars)):
                x, y = zip(*pairs, strict=True) if pairs else ((), ())
                trace.update(x=x, y=y, text=[f"{v:.3g}" for v in y])
            self.figure.update_layout(title=f"Learning curve: {title}")
            self.figure.update_yaxes(title=f"{title} ({unit})")
            how = self._config()
            at = f"{_told(self._point())}: {{}}".format
            words = {"Chosen point": at("not in the grid; press Train this point")}
            if chosen:
                words["Chosen point"] = at(f"{chosen[0][1]:.4g} {unit}")
            if origin(self._nearest()) in TRAINED:
                words["Settings of this curve"] = (
                    f"{how.steps} steps, rate {how.lr:g}, pull {how.l2_sp:g} / n, "
                    f"weight of energies {how.energy_weight:g}"
                )
            for k, (star, (_, error)) in enumerate(zip(self.stars, stars, strict=True)):
                early = " (stopped early)" if star["stopped"] else ""
                words[f"Star {k + 1}"] = f"{_told(star)}: {error:.4g} {unit}{early}"
            self._text.value = base.table(words)
