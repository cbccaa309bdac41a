"""The live-dynamics explorer: a run that is watched, paused, heated and squeezed."""

import html
import threading
import time

import numpy as np
import openmm
import plotly.graph_objects as go
from ase import Atoms
from ipywidgets import HTML, Button, Dropdown, HBox, IntSlider, VBox
from plotly.subplots import make_subplots

from .. import analysis, dynamics, units
from ..data import EnergyForces, energy_forces_of
from ..engine import BAROSTAT_EVERY, Box
from . import controls, figures, live, viewers

PRESSURES = {"none: constant volume": None, "1 bar": 1.0, "1,000 bar": 1000.0}
PANELS = (
    ("temperature", "temperature (K)", "time (ps)"),
    ("density", "density (g/cm³)", "time (ps)"),
    ("O-O", "g(r), no unit", "r (Å)"),
)
RANGE = 0.42  # of the box's least height: how far g(r) is counted; it may shrink


class LiveRun:
    """Molecular dynamics of a periodic box with oxygens, in a thread, until stopped.

    Temperature and pressure may be changed while it runs. ``frames`` are those so far,
    ``error`` is what ended a run that blew up. A frame is `every` steps of
    `timestep` fs; after `longest` ps it stops by itself.
    """

    def __init__(
        self,
        potential: openmm.System | EnergyForces,
        atoms: Atoms,
        *,
        every: int = 25,
        timestep: float = 1.0,
        longest: float = 5.0,
        seed: int = 0,
        before: "LiveRun | None" = None,
    ):
        """An explorer of one potential and box; nothing runs before `start`.

        It begins with the controls of `before`, and stops its run.
        """
        if every < BAROSTAT_EVERY:
            raise ValueError(
                f"every: needs {BAROSTAT_EVERY} steps or more, for the barostat tries "
                f"once in so many, got {every}"
            )
        dynamics.check_start(atoms)
        if not isinstance(potential, openmm.System):
            potential = energy_forces_of(potential)
        self._potential, self._atoms = potential, atoms.copy()
        self._every, self._timestep, self._seed = every, timestep, seed
        self._longest, self._reach = longest, RANGE * Box.of(atoms.cell.array).height()
        self.frames: list[Atoms] = []
        self.error: Exception | None = None
        self._g, self._next_draw, self._thread = 0.0, 0.0, None
        self._go, self._stop = threading.Event(), threading.Event()
        self.figure, self._text = go.FigureWidget(_panels()), HTML("Not started.")
        self.view = viewers.view(self._atoms)
        self.widget = VBox([self._controls(), self._text, self.figure, self.view])
        controls.restore(self, before)
        if before is not None:
            before.stop()  # nobody sees it any more

    def _controls(self) -> VBox:
        self.temperature = IntSlider(300, 100, 700, 25, description="T (K)")
        self.pressure = Dropdown(options=[*PRESSURES], description="Pressure")
        self.play = Button(description="Start", icon="play")
        self.halt = Button(description="Stop", icon="stop")
        self.play.on_click(lambda _: self.pause() if self.playing else self.start())
        self.halt.on_click(lambda _: self.stop())
        sentences = {
            self.temperature: "Of the thermostat; it may move while the run goes on.",
            self.pressure: "With one, the box breathes.",
            HBox([self.play, self.halt]): "Start and pause; stop for good.",
        }
        return controls.rows(sentences)

    @property
    def playing(self) -> bool:
        """Whether it runs and is not paused."""
        return self._go.is_set() and self.running

    @property
    def running(self) -> bool:
        """Whether it goes on or is paused."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start, or go on after a pause."""
        self._go.set()
        self.play.description, self.play.icon = "Pause", "pause"
        if not self.running and not self._stop.is_set():
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def pause(self) -> None:
        """Rest after the current frame."""
        self._go.clear()
        self.play.description, self.play.icon = "Go on", "play"

    def stop(self) -> None:
        """End after the current frame."""
        self._stop.set()
        self._go.set()
        self.play.disabled = self.halt.disabled = True

    def wait(self, frames: int) -> None:
        """Return when there are so many frames, or no more will come."""
        while self.running and len(self.frames) < frames:
            time.sleep(0.02)

    def twin(self) -> bytes | None:
        """The figure as a PNG in the authors' build, else None."""
        return controls.twin(self.figure)

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and self._time() < self._longest:
                if not self._go.is_set():
                    self._draw()  # all there is, before the rest
                    self._go.wait()
                if not self._stop.is_set():
                    self._step()
        except Exception as error:  # shown, and kept for who asks
            self.error = error
            self._text.value = f"<b>Ended.</b> {html.escape(str(error))}"
        else:
            self._text.value = f"<b>Stopped</b> at {self._time():.2f} ps."
        self._draw()
        self.play.disabled = self.halt.disabled = True

    def _time(self) -> float:
        return len(self.frames) * self._every * self._timestep / units.PS

    def _step(self) -> None:
        begun = time.monotonic()
        (frame,) = dynamics.simulate(
            self.frames[-1] if self.frames else self._atoms,
            self._potential,
            steps=self._every,
            every=self._every,
            temperature=float(self.temperature.value),
            pressure=PRESSURES[self.pressure.value],
            timestep=self._timestep,
            seed=self._seed + len(self.frames),
            platform="CPU",
        )
        self.frames.append(frame)
        frame.info["time_fs"] = len(self.frames) * self._every * self._timestep
        self._r, g = analysis.rdf([frame], 8, 8, r_max=self._reach, bins=60)
        self._g = self._g + (g - self._g) / len(self.frames)
        now = time.monotonic()
        if now >= self._next_draw:  # a browser that falls behind would not see Stop
            self._draw()
            speed = self._every * self._timestep * 1e-6 / (now - begun) * 86400
            self._text.value = f"{self._time():.2f} ps, {speed:.2g} ns/day."
            self._next_draw = time.monotonic() + live.PAUSE

    def _draw(self) -> None:
        n = len(self.frames)
        if not n:
            return
        times = np.arange(1, n + 1) * self._every * self._timestep / units.PS
        temperature, density, structure = self.figure.data
        temperature.update(x=times, y=dynamics.temperatures(self.frames))
        density.update(x=times, y=analysis.densities(self.frames))
        structure.update(x=self._r, y=self._g)
        self.view.set_coordinates({0: self.frames[-1].get_positions(wrap=True)})


def _panels() -> go.Figure:
    """Three empty panels: temperature, density, g(r)."""
    figure = make_subplots(cols=len(PANELS), horizontal_spacing=0.1)
    for k, (name, y, x) in enumerate(PANELS, start=1):
        colour, _, dash, _ = figures.LOOKS[k - 1]
        line = dict(color=colour, dash=dash)
        figure.add_scatter(name=name, mode="lines", line=line, row=1, col=k)
        figure.update_xaxes(title=x, row=1, col=k).update_yaxes(title=y, row=1, col=k)
    figure.update_layout(template=figures.TEMPLATE, title="The run so far", width=980)
    return figure.update_layout(height=340, showlegend=True)
