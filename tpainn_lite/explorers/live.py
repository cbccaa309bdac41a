"""A training run in the background: the page stays alive, and Stop keeps the weights.

The run is a plain call of `train.fit`, `tune.autotune` or `tune.train_arm` in a thread.
Everything is shown through widgets, so it works with and without a browser.
"""

import asyncio
import html
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from ipywidgets import HTML, Button, HBox, IntProgress, VBox
from plotly.subplots import make_subplots

from . import controls, figures

OnEpoch = Callable[[Any, Sequence[dict]], bool]
PAUSE = 0.5  # s: least time between two updates of the widgets
SHARE = 0.03  # of the run's time that updates may take
PANELS = (  # column of the history, title of its axis, labels of its axis
    ("loss", "weighted loss (eV², eV²/Å²)", {"dtick": "D2"}),  # spans decades
    ("force_mae", "validation MAE (meV/Å)", {}),
)


class LiveTraining:
    """A training that starts at once, in a thread, and is watched through `widget`.

    `start` is called with the `on_epoch` to pass on, for example ``lambda on_epoch:
    train.fit(potential, frames, config, seed=0, valid=valid, on_epoch=on_epoch)``, and
    `steps` is its number of optimiser steps. `result` gives what `start` returns.
    Without `validated` there is no panel for validation errors. `on_end(training)` is
    called in the thread at the end: either ``training.error`` is set or ``.value``.
    """

    def __init__(
        self,
        start: Callable[[OnEpoch], Any],
        steps: int,
        *,
        validated: bool = True,
        on_end: Callable[["LiveTraining"], None] | None = None,
    ):
        """Build the widgets and start."""
        if not steps > 0:
            raise ValueError(f"steps: needs a positive number, got {steps}")
        self.steps, self.rows, self.error = steps, [], None
        self.value, self._start, self.on_end = None, start, on_end
        self._stop, self._next_update = threading.Event(), 0.0
        self._bar = IntProgress(0, 0, steps, description="Steps")
        self._button = Button(
            description="Stop and keep", icon="stop", tooltip="Ends after this epoch"
        )
        self._button.on_click(lambda _: self.stop())
        self._status = HTML("Starting.")
        self.figure = go.FigureWidget(_curves(PANELS[: 1 + validated]))
        self.widget = VBox([HBox([self._bar, self._button, self._status]), self.figure])
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the training goes on."""
        return self._thread.is_alive()

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop before its end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask the training to end after the current epoch and keep its best weights."""
        self._stop.set()
        self._button.disabled = True

    def result(self) -> Any:
        """Wait for the end; what `start` returned, or raise what it raised.

        Interrupting the wait (the kernel's stop button, Ctrl-C) stops the training and
        keeps its best weights.
        """
        while self.running:
            try:
                self._thread.join(0.2)
            except KeyboardInterrupt:
                self.stop()
        if self.error is not None:
            raise self.error
        return self.value

    def __await__(self):
        """``await training`` is `result` for a cell: it waits, and Stop works.

        While a cell waits in `result`, JupyterLab can deliver no click to the kernel.
        """
        return self._wait().__await__()

    async def _wait(self) -> Any:
        while self.running:
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:  # the kernel's stop button
                self.stop()
        return self.result()

    def twin(self) -> bytes | None:
        """A PNG of the finished curve in the authors' build, else None at once."""
        if os.environ.get("TPAINN_STATIC"):
            self.result()
        return controls.twin(self.figure)

    def _run(self) -> None:
        try:
            self.value = self._start(self._on_epoch)
        except BaseException as error:  # raised again by `result`, in another thread
            self.error = error
        self._update()
        self._button.disabled = True
        self._bar.bar_style = "danger" if self.error else "success"
        self._status.value = self._last_words()
        if self.on_end:
            self.on_end(self)

    def _on_epoch(self, potential: Any, rows: Sequence[dict]) -> bool:
        self.rows = rows
        now = time.monotonic()
        if now >= self._next_update:
            self._update()
            took = time.monotonic() - now
            self._next_update = now + max(PAUSE, took / SHARE)
        return self._stop.is_set()

    def _update(self) -> None:
        """Draw the rows so far. Only the training's thread calls this."""
        if not self.rows:
            return
        step = self._bar.value = self.rows[-1]["step"]
        left = (time.monotonic() - self._begun) * (self.steps - step) / step
        self._status.value = f"{step} of {self.steps}, about {left:.0f} s left."
        epochs = np.array([row["epoch"] for row in self.rows])
        with self.figure.batch_update():
            for trace, (name, *_) in zip(self.figure.data, PANELS, strict=False):
                values = np.array([row.get(name, np.nan) for row in self.rows], float)
                measured = np.isfinite(values)
                trace.update(x=epochs[measured], y=values[measured])

    def _last_words(self) -> str:
        if self.error is not None:
            words = f"{type(self.error).__name__}: {self.error}"
            return f"<b>Failed.</b> {html.escape(words)}"
        seconds = time.monotonic() - self._begun
        how = "Stopped" if self.stopped else "Finished"
        return f"<b>{how}</b> at step {self._bar.value} after {seconds:.0f} s."


def _curves(panels: Sequence[tuple[str, str, dict]]) -> go.Figure:
    """An empty panel for each quantity against epochs, logarithmic."""
    figure = make_subplots(cols=len(panels), horizontal_spacing=0.13)
    for k, (_, title, ticks) in enumerate(panels):
        colour, symbol, dash, _ = figures.LOOKS[k]
        style = dict(line=dict(color=colour, dash=dash), mode="lines+markers")
        marker = dict(symbol=symbol, size=6, maxdisplayed=12)
        name = title.partition(" (")[0]
        figure.add_scatter(
            x=[], y=[], name=name, marker=marker, row=1, col=k + 1, **style
        )
        figure.update_yaxes(figures.LOG | ticks, title=title, row=1, col=k + 1)
    figure.update_xaxes(title="epoch").update_layout(
        template=figures.TEMPLATE, title="Training", showlegend=True, height=340
    )
    return figure.update_layout(
        legend=dict(orientation="h", y=1.12, x=1, xanchor="right")
    )
