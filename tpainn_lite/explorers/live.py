"""A training run in the background: the page stays alive, and Stop keeps the weights.

The run is a plain call of `train.fit`, `tune.autotune` or `tune.train_arm` in a thread.
Everything is shown through widgets, so it works with and without a browser.
"""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import plotly.graph_objects as go
from ipywidgets import HTML, Box, Button, IntProgress, VBox

from .. import guards
from ..train import OnEpoch
from . import base, figures

PANELS = {  # column of the history -> title of its panel
    "loss": "weighted loss (eV², eV²/Å²)",
    "force_mae": "validation MAE (meV/Å)",
}


class LiveTraining(base.Live):
    """A training that starts at once, in a thread, and is watched through `widget`.

    `start` is called with the `on_epoch` to pass on, for example ``lambda on_epoch:
    train.fit(potential, frames, config, seed=0, valid=valid, on_epoch=on_epoch)``, and
    `steps` is its number of optimiser steps. `result` gives what `start` returns.
    Without `validated` there is no panel for validation errors. `on_end(training)` is
    called in the thread at the end: either ``training.error`` is set or ``.value``.
    """

    @guards.checked(start=guards.function, on_end=guards.function)
    @guards.checked(steps=guards.count, validated=guards.flag)
    def __init__(
        self,
        start: Callable[[OnEpoch], Any],
        steps: int,
        *,
        validated: bool = True,
        on_end: Callable[["LiveTraining"], None] = lambda training: None,
        before: "LiveTraining | None" = None,
    ):
        """Build the widgets and start; end the training `before`, if there is one."""
        if before:
            before.close()
        super().__init__()
        self.steps, self.rows, self.value = steps, [], None
        self._start, self.on_end = start, on_end
        self._bar = IntProgress(0, 0, steps, description="Steps")
        about = dict(icon="stop", tooltip="Ends after this epoch")
        self._button = Button(description="Stop and keep", **about)
        self._button.on_click(lambda _: self.stop())
        self._text = HTML("Starting.")
        figure = self._empty(validated).update_traces(x=[], y=[])
        self.figure = base.Figure(figure.update_layout(height=340))
        row = Box([self._bar, self._button, self._text], layout=base.ROW)
        self.widget = VBox([row, Box([self.fluid()]), base.Aid()])
        self._begun = time.monotonic()
        self.launch()

    def _empty(self, validated: bool) -> go.Figure:
        titles = [*PANELS.values()][: 1 + validated]
        shown = {t: {t.partition(" (")[0]: ([0], [0])} for t in titles}
        figure = figures.panels(shown, "Training", "epoch", "")
        figure.update_yaxes(figures.LOG)
        return figure.update_layout(yaxis_tickvals=figures.TICKS[::2])  # it falls far

    def stop(self) -> None:
        """Ask the training to end after the current epoch and keep its best weights."""
        super().stop()
        self._button.disabled = True
        if self.running:
            self._text.value = "Stopping after this epoch."

    def result(self) -> Any:
        """Wait for the end; return what `start` returned, or raise what it raised.

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
        """Wait as `result` does, in a cell: ``await training``; there Stop works.

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

    def _picture(self) -> bytes:
        self.result()  # the whole curve
        return super()._picture()

    def work(self) -> None:
        """Train."""
        self.value = self._start(self._on_epoch)

    def finish(self) -> None:
        """Say how it ended."""
        self.show()
        self._button.disabled = True
        self._bar.bar_style = "danger" if self.error else "success"
        how = f"<b>{'Stopped' if self.stopped else 'Finished'}</b>"
        seconds = time.monotonic() - self._begun
        self._text.value = f"{how} at step {self._bar.value} after {seconds:.0f} s."
        if self.error:
            self._fail(self.error)
        self.on_end(self)

    def _on_epoch(self, potential: Any, rows: Sequence[dict]) -> bool:
        self.rows = rows
        self._show_sometimes()
        return self.stopped

    def show(self) -> None:
        """Draw the rows so far. Only the training's thread calls this."""
        if not self.rows:
            return
        step = self._bar.value = self.rows[-1]["step"]
        left = (time.monotonic() - self._begun) * (self.steps - step) / step
        if not self.stopped:
            self._text.value = f"{step} of {self.steps}, about {left:.0f} s left."
        with self.figure.batch_update():
            self._draw()

    def _draw(self) -> None:
        epochs = np.array([row["epoch"] for row in self.rows])
        for trace, name in zip(self.figure.data, PANELS, strict=False):
            values = np.array([row.get(name, np.nan) for row in self.rows], float)
            measured = np.isfinite(values)
            trace.update(x=epochs[measured], y=values[measured])


class Race(LiveTraining):
    """Several trainings at the same time, each with its error in a panel.

    `starts`: name -> a `start` as `LiveTraining` takes; all have the same number of
    `steps`. `measure(potential)` is drawn at first and every `every` steps
    against the axis `y_title`. `result` gives name -> what its start returns.
    """

    @guards.checked(starts=guards.named(guards.function), measure=guards.function)
    @guards.checked(
        steps=guards.count, every=guards.count, y_title=guards.instance(str)
    )
    def __init__(
        self,
        starts: Mapping[str, Callable[[OnEpoch], Any]],
        steps: int,
        measure: Callable[[Any], float],
        y_title: str,
        every: int = 40,
        before: LiveTraining | None = None,
    ):
        """Build the widgets and start all."""
        self._starts, self._measure, self._every = starts, measure, every
        self._y_title, self._lock = y_title, threading.Lock()
        self.errors: dict[str, dict[int, float]] = {name: {} for name in starts}
        super().__init__(self._together, steps, before=before)

    def _empty(self, _: bool) -> go.Figure:
        shown = {name: {name: ([0], [0])} for name in self._starts}
        title, x_title = "Error while they learn", "training step"
        figure = figures.panels(shown, title, x_title, self._y_title)
        figure.update_layout(showlegend=False)
        return figure.update_xaxes(range=[0, 1.02 * self.steps])

    def _together(self, on_epoch: OnEpoch) -> dict[str, Any]:
        def run(name: str) -> Any:
            def watch(potential: Any, rows: list[dict]) -> bool | None:
                step, errors = rows[-1]["step"], self.errors[name]
                if step // self._every >= len(errors):
                    errors[step] = self._measure(potential)
                with self._lock:
                    return on_epoch(potential, rows)

            return self._starts[name](watch)

        # as in `launch`
        inside = [contextvars.copy_context().run for _ in self._starts]
        with ThreadPoolExecutor() as threads:
            done = threads.map(lambda call, name: call(run, name), inside, self._starts)
            return dict(zip(self._starts, done, strict=True))

    def _draw(self) -> None:
        for trace, errors in zip(self.figure.data, self.errors.values(), strict=True):
            trace.update(x=[*errors], y=[*errors.values()])
        top = max((max(e.values()) for e in self.errors.values() if e), default=1.0)
        self.figure.update_yaxes(range=[0, 1.1 * top])
