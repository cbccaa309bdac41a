"""The instant-head explorer: move n, and the read-out is solved for again."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ipywidgets import Dropdown, IntSlider

from .. import ridge_head
from ..data import check, labels
from ..guards import checked, instance, optional
from ..model import Potential
from . import base, figures


class Refit(base.Explorer):
    """Forces of an instant head on test structures, for any n and any ridge.

    ``numbers`` holds what the last move gave: force errors ``before`` and ``after``
    (meV/Å), the ``ridge``, and the ``seconds`` that the solution took. Making one takes
    a while (the rows of `pool` and `test`, structures of one composition); moving a
    control does not.
    """

    @checked(potential=instance(Potential), pool=check, test=check)
    @checked(config=optional(instance(ridge_head.HeadConfig)))
    def __init__(
        self,
        potential: Potential,
        pool: Sequence[Atoms],
        test: Sequence[Atoms],
        config: ridge_head.HeadConfig | None = None,
        before: "Refit | None" = None,
    ):
        """Compute the rows, and begin with the controls of `before`."""
        self._config = config = config or ridge_head.HeadConfig()
        compositions = {a.get_chemical_formula() for a in [*pool, *test]}
        if len(compositions) > 1:
            raise ValueError(
                "pool, test: need structures of one composition (here one constant "
                f"stands for the reference energies), got {sorted(compositions)}"
            )
        phi = ridge_head.draw_features(potential, pool, config, seed=0)
        self._rows, self._test = (
            ridge_head.design(potential, part, phi, config) for part in (pool, test)
        )
        self._truth = np.concatenate([labels(a)[1].ravel() for a in test])
        nothing = np.zeros(config.features)
        self._before = ridge_head.force_errors(self._test, nothing, config)
        self.n = IntSlider(min(10, len(pool)), 1, len(pool), description="n")
        choices = [("left out", None)] + [(f"{r:g}", r) for r in config.ridges]
        self.ridge = Dropdown(options=choices, value=None, description="Ridge")
        self.seed = IntSlider(0, 0, 9, description="Seed")
        sentences = {
            self.n: "How many labelled structures the head is fitted to.",
            self.ridge: "How strongly weights are held at zero, where the pretrained "
            "potential is; 'left out': the one that predicts left-out structures best.",
            self.seed: "Draws the structures.",
        }
        start = dict.fromkeys(("before", "instant head"), self._truth + self._before)
        figure = figures.parity(self._truth, start, "force", "eV/Å", overlay=True)
        self.figure = go.FigureWidget(figure)
        self.assemble(sentences, self.figure, before=before)

    def draw(self) -> None:
        """Solve for the read-out on the structures drawn, and test it."""
        begin, n, ridge = time.perf_counter(), self.n.value, self.ridge.value
        order = np.random.default_rng(self.seed.value).permutation(len(self._rows))
        config = self._config
        if ridge is not None:
            config = replace(config, ridges=(ridge,))
        some = centred([self._rows[k] for k in order[:n]])
        w, left_out = ridge_head.solve(some, config)
        errors = ridge_head.force_errors(self._test, w, self._config)
        best = min(left_out, key=left_out.get) if left_out else max(config.ridges)
        before, after = (float(np.abs(e).mean()) for e in (self._before, errors))
        seconds = time.perf_counter() - begin
        self.numbers = dict(before=1e3 * before, after=1e3 * after)
        self.numbers |= dict(ridge=best, seconds=seconds)
        with self.figure.batch_update():
            name = f"instant head: MAE {after:.3g} eV/Å"
            self.figure.data[1].update(y=self._truth + errors, name=name)
            self.figure.layout.title = f"Forces from {n} labelled structures"
        rows = {
            "Force error before": f"{1e3 * before:.0f} meV/Å",
            "Force error now": f"{1e3 * after:.0f} meV/Å",
            "Ridge": f"{best:g}",
            "Solved in": f"{seconds:.2f} s",
        }
        self._text.value = base.table(rows)


def centred(rows: Sequence[ridge_head.Rows]) -> list[ridge_head.Rows]:
    """Take the mean energy off `rows`: so one constant is fitted along."""
    X, y = (np.mean([getattr(row, k)[0] for row in rows], axis=0) for k in "Xy")
    energy = np.eye(len(rows[0].y))[0]  # an energy stands first, then its forces
    return [
        ridge_head.Rows(row.X - np.outer(energy, X), row.y - energy * y) for row in rows
    ]
