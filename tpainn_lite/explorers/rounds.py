"""The active-learning explorer: a round of labelling a click."""

import numpy as np
from ipywidgets import Button, Dropdown

from .. import select
from ..guards import checked, text
from . import base, figures

BATCH = 10  # labels a round


class Rounds(base.Explorer):
    """Label a few candidates more at each click, and see what it does to the error.

    `X` (N, d) and `y` (N,), in `unit`, are the candidates and the labels they would
    get; `test` is the (X, y) to be judged on; `first` are the indices labelled at the
    start. ``errors`` holds, for each way that was clicked, the error after each round.
    """

    @checked(unit=text)
    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        unit: str,
        test: tuple[np.ndarray, np.ndarray],
        first: np.ndarray,
        before: "Rounds | None" = None,
    ):
        """Begin with the controls of `before` and, for the same table, its rounds."""
        self._data, self._unit, self._first = (X, y, test), unit, first
        self._forget()
        ways = [*select.ACQUISITIONS]
        self.way = Dropdown(options=ways, value="committee", description="Chosen by")
        self.button = Button(description=f"Label {BATCH} more", icon="plus")
        self.again = Button(description="Start again", icon="refresh")
        self.on_click(self.button, self.step)
        self.on_click(self.again, self.restart)
        labels = "number of labels", f"test MAE ({unit})"
        nothing = dict.fromkeys(ways, ([0], [0]))
        self.figure = base.Figure(
            figures.lines(nothing, "Error after each round", *labels)
        )
        sentences = {
            self.way: "Who says what to label next.",
            self.button: "Labels, trains the forest anew and tests it.",
            self.again: "Forgets all rounds.",
        }
        self.assemble(sentences, self.figure, before=before)

    def step(self) -> float:
        """Label once more by the chosen way, as the button does; return the error."""
        way = self.way.value
        known, errors = self.known[way], self.errors[way]
        if left := len(self._data[0]) - len(known):
            self.button.disabled, self._text.value = True, "Training the forests."
            how = dict(rounds=1, batch=min(BATCH, left), seed=len(errors) - 1)
            try:
                found, self.known[way] = select.learn(*self._data, known, way, **how)
            finally:
                self.button.disabled = False
            errors.append(found[-1])
            self.draw()
        return errors[-1]

    def restart(self) -> None:
        """Forget all rounds."""
        self._forget()
        self.draw()

    def adopt(self, before: "Rounds") -> None:
        """Go on with the rounds of `before` if its table is the same."""
        tables = ([*e._data[:2], *e._data[2], e._first] for e in (self, before))
        if all(map(np.array_equal, *tables)):
            self.errors, self.known = before.errors, before.known

    def draw(self) -> None:
        """Draw the errors so far of every way."""
        words = {}
        for trace in self.figure.data:
            way, errors = trace.name, self.errors[trace.name]
            labels = len(self._first) + BATCH * np.arange(len(errors))
            trace.update(x=np.minimum(labels, len(self._data[0])), y=errors)
            after = f"with {len(self.known[way])} labels"
            words[way] = f"{errors[-1]:.3g} {self._unit} {after}"
        words["Next"] = f"{BATCH} more, chosen by {self.way.value}"
        self._text.value = base.table(words)

    def _forget(self) -> None:
        start = dict(rounds=0, batch=BATCH, seed=0)
        errors, _ = select.learn(*self._data, self._first, "random", **start)
        self.errors = {way: [*errors] for way in select.ACQUISITIONS}
        self.known = dict.fromkeys(select.ACQUISITIONS, self._first)
