"""The live-dynamics explorer: one run or two, watched, paused, heated and squeezed."""

import html
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import openmm
from ase import Atoms
from ipywidgets import Box, Button, Dropdown, IntSlider, Label, VBox

from .. import analysis, dynamics, engine, units
from ..data import EnergyForces, energy_forces_of
from ..guards import checked, named, positive, refusal, structure
from . import base, figures, viewers

PRESSURES = {f"{bar:,} bar": bar for bar in (1, 1000, 10_000)}
PRESSURES = {"none: constant volume": None} | PRESSURES
PANELS = ("temperature (K)", "density (g/cm³)", "g(r) of O-O, no unit")
NOBODY = "nobody"
EVERY = engine.BAROSTAT_EVERY  # steps of 1 fs a frame, one try of the barostat
FRAME = EVERY / units.PS  # ps
AROUND = 0.03  # of the density: least that its axis shows below and above
RANGE = 0.42  # of the box's least height: how far g(r) is counted; it may shrink


def _runnable(potential, name: str) -> openmm.System | EnergyForces:
    if isinstance(potential, openmm.System):
        return potential
    return energy_forces_of(potential, name)


class Side:
    """One of the runs: whose it is, its frames so far, what ended it, its view."""

    view: viewers.View | None = None  # none while nobody runs here
    broken = np.empty((0, 2), int)  # bonds, as drawn

    def __init__(self) -> None:
        """Make an empty ``box``, to hold name and view."""
        self.label, self.box = Label(), VBox()

    def reset(self, name: str, atoms: Atoms) -> None:
        """Forget the run so far; show the start, but nothing for nobody."""
        self.name = self.label.value = name
        self.frames: list[Atoms] = []
        self.g, self.run, self.error = 0.0, None, None
        if name == NOBODY and self.view:
            self.view = self.view.close()
        elif name != NOBODY:
            self.view = self.view or viewers.view(atoms)
            self.move(atoms, np.empty((0, 2), int), [])
        self.box.children = [self.label, self.view] if self.view else []

    def move(self, inside: Atoms, broken: np.ndarray, red: list[int]) -> None:
        """Move the atoms in the view; draw bonds anew where others are broken."""
        if np.array_equal(broken, self.broken):
            self.view.set_coordinates({0: inside.positions})
        else:
            viewers.change(self.view, inside, centre=False, red=red)
        self.broken = broken


class LiveMD(base.Live):
    """Molecular dynamics of a periodic box with oxygens, in a thread, until stopped.

    `potential` is one, or several by name, of which two may run side by side, from the
    same start and with the same random numbers. Temperature and pressure may be changed
    in the run. ``sides`` are its runs, ``frames`` those of the left one, ``error`` is
    what ended one that blew up. A frame is `EVERY` steps of 1 fs; after `longest` ps it
    stops by itself. It stops the run of `before`. Molecules are drawn whole, and red
    where a bond is broken (`viewers.Molecules`).
    """

    @checked(atoms=structure, longest=positive)
    def __init__(
        self,
        potential: openmm.System | EnergyForces | Mapping,
        atoms: Atoms,
        *,
        longest: float = 5.0,
        before: "LiveMD | None" = None,
    ):
        """Prepare a run of one box; nothing runs before `start`."""
        engine.check_start(atoms)
        if not atoms.pbc.all() or (atoms.numbers == 8).sum() < 2:
            raise refusal("atoms", "a periodic box with oxygens", atoms)
        if not isinstance(potential, Mapping):
            potential = {"run": _runnable(potential, "potential")}
        self._potentials = named(_runnable)(potential, "potential")
        super().__init__()
        self.molecules = viewers.Molecules(atoms)
        height = engine.Box.of(atoms.cell.array).height()
        self._longest, self._reach = longest, RANGE * height
        self._go, self._seed, self._both = threading.Event(), -1, (Side(), Side())
        nothing = {title: dict.fromkeys(potential, ([0], [0])) for title in PANELS}
        figure = figures.panels(nothing, "The run so far", "time (ps)", "", "lines")
        figure.update_xaxes(title="r (Å)", col=3)
        self.figure = base.Figure(figure.update_layout(width=980, height=360))
        boxes = Box([side.box for side in self._both], layout=base.ROW)
        self.assemble(self._controls(), self.figure, boxes, before=before)
        self._reset()

    def _controls(self) -> dict:
        """Make the controls; return what each is for."""
        names, kelvin = [*self._potentials], (300, 100, 700, 25)
        slim, wide, short = (dict(layout={"width": f"{w}px"}) for w in (180, 268, 92))
        self.left = Dropdown(options=names, description="Left", **slim)
        others = dict(options=[*names, NOBODY], value=[*names, NOBODY][1])
        self.right = Dropdown(description="Right", **others, **slim)
        self.temperature = IntSlider(*kelvin, description="Temperature (K)", **wide)
        self.pressure = Dropdown(options=[*PRESSURES], description="Pressure", **wide)
        self.play = Button(icon="play", **short)
        self.halt = Button(description="Stop", icon="stop", **short)
        self.again = Button(description="Restart", icon="refresh", **short)
        self.on_click(self.play, lambda: (self.start, self.pause)[self.playing]())
        self.on_click(self.halt, self.stop)
        self.on_click(self.again, self.restart)
        return {
            self.left: "Whose forces move the left box; all begins again.",
            self.right: "Whose forces move a second box, from the same start.",
            self.temperature: "Of the thermostat; it may move while the run goes on.",
            self.pressure: "With one, the box breathes; it may change in the run.",
            self.play: "Start, pause, and go on.",
            self.halt: "Stop for good.",
            self.again: "Begin again at the first frame, with other random numbers.",
        }

    def _reset(self) -> None:
        """Forget the run so far; the next one draws other random numbers."""
        left, right = self.left.value, self.right.value
        names = left, NOBODY if right == left else right
        for side, name in zip(self._both, names, strict=True):
            side.reset(name, self.molecules.start)
        self._seed, self.error = self._seed + 1, None
        self._speed = self._next_show = 0.0
        self._stop.clear()
        self._go.clear()
        self.play.description, self.play.icon = "Start", "play"
        self.play.disabled = self.halt.disabled = False
        for trace in self.figure.data:
            trace.update(x=[], y=[], visible=trace.name in names)
        self._text.value = "Not started."

    def adopt(self, before: "LiveMD") -> None:
        """Stop the run of before: nobody sees it any more."""
        before.stop()

    @property
    def sides(self) -> list[Side]:
        """The runs there are, the left one first."""
        return [side for side in self._both if side.view]

    @property
    def frames(self) -> list[Atoms]:
        """The frames so far of the left run."""
        return self.sides[0].frames

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

    def restart(self, go: bool = True) -> None:
        """End the run there is; begin another at the first frame, if it is to `go`."""
        self.stop()
        self.join()
        self._reset()
        if go:
            self.start()

    def _move(self, change: Any) -> None:
        """Begin again with other potentials; `work` looks at the other controls."""
        if change["owner"] in (self.left, self.right):
            self._try(lambda: self.restart(self.playing))

    def wait(self, frames: int) -> None:
        """Return when there are so many frames, or no more will come."""
        while self.running and len(self.frames) < frames:
            time.sleep(0.02)

    def work(self) -> None:
        """Run frame after frame, in one context a side."""
        frames, on = round(self._longest / FRAME), self.sides
        while on and not self.stopped and len(on[0].frames) < frames:
            if not self._go.is_set():
                self.show("Paused")  # all there is, before the rest
                self._go.wait()
            begun = time.monotonic()
            for side in on:
                if not self.stopped:
                    self._step(side)
            self._speed = FRAME * 1e-3 / (time.monotonic() - begun) * 86400
            on = [side for side in self.sides if side.error is None]
            self._show_sometimes()

    def finish(self) -> None:
        """Show all there is, and how it ended."""
        self.show("Stopped" if self.stopped else "Ended, as long as it may be")
        if self.error:
            self._fail(self.error)
        errors = [side.error for side in self.sides if side.error]
        self.error = self.error or next(iter(errors), None)
        self.play.disabled = self.halt.disabled = True

    def _step(self, side: Side) -> None:
        bar, what = PRESSURES[self.pressure.value], self._potentials[side.name]
        how = dict(barostat=True, timestep=1.0, seed=self._seed, platform="CPU")
        now = dict(temperature=self.temperature.value, pressure=bar)
        try:
            side.run = side.run or dynamics.Run(self.molecules.start, what, **how)
            side.frames.append(side.run.step(EVERY, **now))
        except dynamics.BlowUp as error:  # the other one goes on
            side.error = error
            return
        last = side.frames[-1:]
        self._r, g = analysis.rdf(last, 8, 8, r_max=self._reach, bins=60)
        side.g = side.g + (g - side.g) / len(side.frames)

    def show(self, state: str = "Running") -> None:
        """Draw the frames so far; `draw`, after a control moved, has nothing to do."""
        words, ps = [], FRAME * max(len(side.frames) for side in self.sides)
        # one trace at a time, as in `LowData.draw`: r is the same in all frames
        if found := [self._curves(side) for side in self.sides if side.frames]:
            values = np.concatenate(found)
            space = max(AROUND * values.max(), np.ptp(values) / 4)
            ends = [values.min() - space, values.max() + space]
            self.figure.layout.yaxis2.range = ends
        for side in self.sides:
            about = f"{self._broken(side)} of {self.molecules.number.max() + 1} "
            about += "molecules broken" + (f"; {side.error}" if side.error else "")
            words.append(f"<br>{html.escape(f'{side.name}: {about}')}")
        speed = f"{self._speed:.2g} ns/day"
        self._text.value = f"<b>{state}</b> at {ps:.2f} ps ({speed}).{''.join(words)}"

    def _curves(self, side: Side) -> np.ndarray:
        """Draw the curves of a side; return its densities."""
        times = FRAME * np.arange(1, len(side.frames) + 1)
        values = analysis.densities(side.frames)
        own = [trace for trace in self.figure.data if trace.name == side.name]
        own[0].update(x=times, y=dynamics.temperatures(side.frames))
        own[1].update(x=times, y=values)
        own[2].update(x=self._r, y=side.g)
        return values

    def _broken(self, side: Side) -> int:
        """Show the last frame of a side; return how many molecules are broken."""
        if not side.frames:
            return 0
        last, its = side.frames[-1], self.molecules
        broken = its.broken(last)
        side.move(its.inside(last), broken, its.all_of(broken))
        return len(np.unique(its.number[broken]))
