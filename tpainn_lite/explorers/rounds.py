"""The active-learning explorer: a round of labelling a click."""

import numpy as np
import plotly.graph_objects as go
from ipywidgets import HTML, Button, Dropdown, HBox, VBox

from .. import select
from . import controls, figures


class Rounds:
    """Label a few candidates more at each click, and see what it does to the error.

    `X` (N, d) and `y` (N,), in `unit`, are the candidates and the labels they would
    get; `test` is the (X, y) to be judged on; `first` are the indices labelled at the
    start. ``errors`` holds, for each way that was clicked, the error after each round.
    """

    def __init__(
        self,
        X: np.ndarray,
        y: np.ndarray,
        unit: str,
        test: tuple[np.ndarray, np.ndarray],
        first: np.ndarray,
        batch: int = 10,
        seed: int = 0,
        before: "Rounds | None" = None,
    ):
        """An explorer of one table; each way keeps its own labels.

        It begins with the controls of `before` and, for the same table, its rounds.
        """
        self._data, self._unit = (X, y, test), unit
        self._first, self._batch, self._seed = np.asarray(first), batch, seed
        self.way = Dropdown(
            options=[*select.ACQUISITIONS], value="committee", description="Way"
        )
        self.button = Button(description=f"Label {batch} more", icon="plus")
        self.again = Button(description="Start again", icon="refresh")
        self.button.on_click(lambda _: self.step())
        self.again.on_click(lambda _: self.restart())
        self.figure, self._text = go.FigureWidget(_empty(unit)), HTML()
        sentences = {
            self.way: "Who says what to label next.",
            self.button: "Labels, trains the forest anew and tests it.",
            self.again: "Forgets all rounds.",
        }
        self.widget = VBox([controls.rows(sentences), HBox([self.figure]), self._text])
        self.restart()
        controls.restore(self, before)
        if isinstance(before, Rounds):
            self._take_over(before)

    def step(self) -> float:
        """A round more of the chosen way, as the button does; returns the error."""
        way = self.way.value
        X, y, test = self._data
        left = len(X) - len(self.known[way])
        if not left:
            return self.errors[way][-1]
        self.button.disabled = True
        try:
            found, known = select.learn(
                X,
                y,
                test,
                self.known[way],
                way,
                rounds=1,
                batch=min(self._batch, left),
                seed=self._seed + len(self.errors[way]) - 1,
            )
        finally:
            self.button.disabled = False
        self.errors[way].append(found[-1])
        self.known[way] = known
        self._draw()
        return found[-1]

    def restart(self) -> None:
        """Forget all rounds."""
        X, y, test = self._data
        bag = select.forest(X[self._first], y[self._first], self._seed)
        error = float(np.abs(bag.predict(test[0]) - test[1]).mean())
        self.errors = {way: [error] for way in select.ACQUISITIONS}
        self.known = dict.fromkeys(select.ACQUISITIONS, self._first)
        self._draw()

    def twin(self) -> bytes | None:
        """The figure as a PNG in the authors' build, else None."""
        return controls.twin(self.figure)

    def _take_over(self, before: "Rounds") -> None:
        tables = (
            [*e._data[:2], *e._data[2], e._first, e._batch, e._seed]
            for e in (self, before)
        )
        if all(map(np.array_equal, *tables)):
            self.errors, self.known = before.errors, before.known
            self._draw()

    def _draw(self) -> None:
        for trace in self.figure.data:
            errors = self.errors[trace.name]
            labels = len(self._first) + self._batch * np.arange(len(errors))
            trace.update(x=np.minimum(labels, len(self._data[0])), y=errors)
        words = {
            way: f"{errors[-1]:.3g} {self._unit} with {len(self.known[way])} labels"
            for way, errors in self.errors.items()
        }
        self._text.value = controls.table(words)


def _empty(unit: str) -> go.Figure:
    """A line for each way, without points."""
    figure = go.Figure(layout=dict(template=figures.TEMPLATE))
    for name, (colour, marker, dash, _) in figures.looks(select.ACQUISITIONS).items():
        style = dict(line=dict(color=colour, dash=dash), marker_symbol=marker)
        figure.add_scatter(name=name, mode="lines+markers", **style)
    figure.update_layout(title="Error after each round", showlegend=True)
    figure.update_xaxes(title="number of labels")
    return figure.update_yaxes(title=f"test MAE ({unit})")
