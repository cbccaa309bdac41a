"""The points of a learning-curve grid: what they are called and how one is trained."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from .. import datasets
from ..fitting import FitConfig
from ..ridge_head import HeadConfig
from ..tune import Strategy

STRATEGIES = {  # changes to the arm's own configuration; lesson 06 compares them
    "all weights": {},
    "discriminative": dict(decay=0.5),
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
