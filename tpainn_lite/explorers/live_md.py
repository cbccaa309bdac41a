"""The live-dynamics explorer: a run that is watched, paused, heated and squeezed."""

import threading
import time

import numpy as np
import openmm
import plotly.graph_objects as go
from ase import Atoms
from ipywidgets import Button, Dropdown, HBox, IntSlider

from .. import analysis, dynamics, units
from ..data import EnergyForces, energy_forces_of
from ..engine import BAROSTAT_EVERY, Box, check_start
from ..guards import checked, positive, refusal, structure
from . import base, figures, viewers

PRESSURES = {"none: constant volume": None, "1 bar": 1.0, "1,000 bar": 1000.0}
PANELS = {
    "temperature (K)": {"temperature": ([0], [0])},
    "density (g/cm³)": {"density": ([0], [0])},
    "g(r), no unit": {"O-O": ([0], [0])},
}
EVERY = BAROSTAT_EVERY  # steps of 1 fs a frame; the barostat tries once in so many
FRAME = EVERY / units.PS  # ps
RANGE = 0.42  # of the box's least height: how far g(r) is counted; it may shrink


class LiveMD(base.Live):
    """Molecular dynamics of a periodic box with oxygens, in a thread, until stopped.

    Temperature and pressure may be changed while it runs. ``frames`` are those so far,
    ``error`` is what ended a run that blew up. A frame is `EVERY` steps of 1 fs; after
    `longest` ps it stops by itself. It stops the run of `before`.
    """

    @checked(atoms=structure, longest=positive)
    def __init__(
        self,
        potential: openmm.System | EnergyForces,
        atoms: Atoms,
        *,
        longest: float = 5.0,
        before: "LiveMD | None" = None,
    ):
        """Prepare a run of one potential and box; nothing runs before `start`."""
        check_start(atoms)
        if not atoms.pbc.all() or (atoms.numbers == 8).sum() < 2:
            raise refusal("atoms", "a periodic box with oxygens", atoms)
        if not isinstance(potential, openmm.System):
            potential = energy_forces_of(potential)
        super().__init__()
        self._potential, self._atoms = potential, atoms.copy()
        self._longest, self._reach = longest, RANGE * Box.of(atoms.cell.array).height()
        self.frames: list[Atoms] = []
        self._g, self._go = 0.0, threading.Event()
        self.temperature = IntSlider(300, 100, 700, 25, description="T (K)")
        self.pressure = Dropdown(options=[*PRESSURES], description="Pressure")
        self.play = Button(description="Start", icon="play")
        self.halt = Button(description="Stop", icon="stop")
        self.on_click(self.play, lambda: (self.start, self.pause)[self.playing]())
        self.on_click(self.halt, self.stop)
        sentences = {
            self.temperature: "Of the thermostat; it may move while the run goes on.",
            self.pressure: "With one, the box breathes.",
            HBox([self.play, self.halt]): "Start and pause; stop for good.",
        }
        figure = figures.panels(PANELS, "The run so far", "time (ps)", "", mode="lines")
        figure.update_traces(x=[], y=[]).update_xaxes(title="r (Å)", col=3)
        self.figure = go.FigureWidget(figure.update_layout(width=980, height=340))
        self.view = viewers.view(self._atoms)
        self.assemble(sentences, self.figure, self.view, before=before)
        self._text.value = "Not started."

    def adopt(self, before: "LiveMD") -> None:
        """Stop the run of before: nobody sees it any more."""
        before.stop()

    @property
    def playing(self) -> bool:
        """True while it runs and is not paused."""
        return self._go.is_set() and self.running

    def start(self) -> None:
        """Start, or go on after a pause."""
        self._go.set()
        self.play.description, self.play.icon = "Pause", "pause"
        if not self.running and not self.stopped:
            self.launch()

    def pause(self) -> None:
        """Rest after the current frame."""
        self._go.clear()
        self.play.description, self.play.icon = "Go on", "play"

    def stop(self) -> None:
        """End after the current frame."""
        super().stop()
        self._go.set()
        self.play.disabled = self.halt.disabled = True

    def wait(self, frames: int) -> None:
        """Return when there are so many frames, or no more will come."""
        while self.running and len(self.frames) < frames:
            time.sleep(0.02)

    def work(self) -> None:
        """Run frame after frame, in one context."""
        how = dict(barostat=True, timestep=1.0, seed=0, platform="CPU")
        run = dynamics.Run(self._atoms, self._potential, **how)
        while not self.stopped and len(self.frames) * FRAME < self._longest:
            if not self._go.is_set():
                self.show()  # all there is, before the rest
                self._go.wait()
            if not self.stopped:
                self._step(run)

    def finish(self) -> None:
        """Show all there is, and how it ended."""
        self.show()
        self._text.value = f"<b>Stopped</b> at {len(self.frames) * FRAME:.2f} ps."
        if self.error:
            self._fail(self.error)
        self.play.disabled = self.halt.disabled = True

    def _step(self, run: dynamics.Run) -> None:
        begun, bar = time.monotonic(), PRESSURES[self.pressure.value]
        frame = run.step(EVERY, temperature=self.temperature.value, pressure=bar)
        self.frames.append(frame)
        n = len(self.frames)
        self._r, g = analysis.rdf([frame], 8, 8, r_max=self._reach, bins=60)
        self._g = self._g + (g - self._g) / n
        self._speed = FRAME * 1e-3 / (time.monotonic() - begun) * 86400
        self._show_sometimes()

    def show(self) -> None:
        """Draw the frames so far; `draw`, after a control moved, has nothing to do."""
        if not self.frames:
            return
        times = FRAME * np.arange(1, len(self.frames) + 1)
        temperature, density, structure = self.figure.data
        temperature.update(x=times, y=dynamics.temperatures(self.frames))
        density.update(x=times, y=analysis.densities(self.frames))
        structure.update(x=self._r, y=self._g)
        self.view.set_coordinates({0: self.frames[-1].get_positions(wrap=True)})
        self._text.value = f"{times[-1]:.2f} ps, {self._speed:.2g} ns/day."
