"""The live-dynamics explorer: a run that is watched, paused, heated and squeezed."""

import threading
import time

import numpy as np
import openmm
from ase import Atoms
from ipywidgets import Button, Dropdown, IntSlider

from .. import analysis, dynamics, units
from ..data import EnergyForces, energy_forces_of
from ..engine import BAROSTAT_EVERY, Box, check_start
from ..guards import checked, positive, refusal, structure
from . import base, figures, viewers

PRESSURES = {
    "none: constant volume": None,
    "1 bar": 1.0,
    "1,000 bar": 1e3,
    "10,000 bar": 1e4,
}
PANELS = {
    "temperature (K)": {"temperature": ([0], [0])},
    "density (g/cm³)": {"density": ([0], [0])},
    "g(r), no unit": {"O-O": ([0], [0])},
}
EVERY = BAROSTAT_EVERY  # steps of 1 fs a frame; the barostat tries once in so many
FRAME = EVERY / units.PS  # ps
AROUND = 0.03  # of the density: least that its axis shows below and above
RANGE = 0.42  # of the box's least height: how far g(r) is counted; it may shrink


class LiveMD(base.Live):
    """Molecular dynamics of a periodic box with oxygens, in a thread, until stopped.

    Temperature and pressure may be changed while it runs. ``frames`` are those so far,
    ``error`` is what ended a run that blew up. A frame is `EVERY` steps of 1 fs; after
    `longest` ps it stops by itself. It stops the run of `before`. Molecules are drawn
    whole, and red where a bond is broken (`viewers.Molecules`).
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
        self.molecules = viewers.Molecules(atoms)
        self._potential, self._atoms = potential, self.molecules.start.copy()
        self._longest, self._reach = longest, RANGE * Box.of(atoms.cell.array).height()
        self._go, self._seed = threading.Event(), -1
        controls = self._controls()
        figure = figures.panels(PANELS, "The run so far", "time (ps)", "", mode="lines")
        figure.update_xaxes(title="r (Å)", col=3)
        self.figure = base.Figure(figure.update_layout(width=980, height=360))
        self.view, self._broken = viewers.view(self._atoms), np.empty((0, 2), int)
        self._reset()
        self.assemble(controls, self.figure, self.view, before=before)
        self._text.value = "Not started."

    def _controls(self) -> dict:
        """Make the controls; return what each is for."""
        wide = dict(layout={"width": "260px"})
        self.temperature = IntSlider(
            300, 100, 700, 25, description="Temperature (K)", **wide
        )
        self.pressure = Dropdown(options=[*PRESSURES], description="Pressure", **wide)
        self.play = Button(icon="play")
        self.halt = Button(description="Stop", icon="stop")
        self.again = Button(description="Restart", icon="refresh")
        self.on_click(self.play, lambda: (self.start, self.pause)[self.playing]())
        self.on_click(self.halt, self.stop)
        self.on_click(self.again, self.restart)
        return {
            self.temperature: "Of the thermostat; it may move while the run goes on.",
            self.pressure: "With one, the box breathes; it may change in the run.",
            self.play: "Start, pause, and go on.",
            self.halt: "Stop for good.",
            self.again: "Begin again at the first frame, with other random numbers.",
        }

    def _reset(self) -> None:
        """Forget the run so far; the next one draws other random numbers."""
        self.frames: list[Atoms] = []
        self._g, self._seed, self.error = 0.0, self._seed + 1, None
        self._stop.clear()
        self._go.clear()
        self.play.description, self.play.icon = "Start", "play"
        self.play.disabled = self.halt.disabled = False
        self.figure.update_traces(x=[], y=[])
        self._show_box(self._atoms, np.empty((0, 2), int))

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

    def restart(self) -> None:
        """End the run there is, and begin another at the first frame."""
        self.stop()
        self.join()
        self._reset()
        self.start()

    def wait(self, frames: int) -> None:
        """Return when there are so many frames, or no more will come."""
        while self.running and len(self.frames) < frames:
            time.sleep(0.02)

    def work(self) -> None:
        """Run frame after frame, in one context."""
        how = dict(barostat=True, timestep=1.0, seed=self._seed, platform="CPU")
        run = dynamics.Run(self._atoms, self._potential, **how)
        while not self.stopped and len(self.frames) * FRAME < self._longest:
            if not self._go.is_set():
                self.show("Paused")  # all there is, before the rest
                self._go.wait()
            if not self.stopped:
                self._step(run)

    def finish(self) -> None:
        """Show all there is, and how it ended."""
        self.show("Stopped" if self.stopped else "Ended, as long as it may be")
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

    def show(self, state: str = "Running") -> None:
        """Draw the frames so far; `draw`, after a control moved, has nothing to do."""
        if not self.frames:
            return
        times = FRAME * np.arange(1, len(self.frames) + 1)
        temperature, density, structure = self.figure.data
        values = analysis.densities(self.frames)
        space = max(AROUND * values.max(), np.ptp(values) / 4)
        with self.figure.batch_update():
            temperature.update(x=times, y=dynamics.temperatures(self.frames))
            density.update(x=times, y=values)
            structure.update(x=self._r, y=self._g)
            ends = [values.min() - space, values.max() + space]
            self.figure.layout.yaxis2.range = ends
        broken = self.molecules.broken(self.frames[-1])
        self._show_box(self.frames[-1], broken)
        found = len(np.unique(self.molecules.number[broken]))
        self._text.value = (
            f"<b>{state}</b> at {times[-1]:.2f} ps ({self._speed:.2g} ns/day); "
            f"{found} of {self.molecules.number.max() + 1} molecules broken."
        )

    def _show_box(self, atoms: Atoms, broken: np.ndarray) -> None:
        """Move the atoms in the view; draw bonds anew where others are broken."""
        inside = self.molecules.inside(atoms)
        if np.array_equal(broken, self._broken):
            self.view.set_coordinates({0: inside.positions})
        else:
            red = self.molecules.all_of(broken)
            viewers.change(self.view, inside, centre=False, red=red)
        self._broken = broken
