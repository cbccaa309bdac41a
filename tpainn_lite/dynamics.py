"""Molecular dynamics with OpenMM, for its ``System`` and any `EnergyForces` alike.

Å, fs, eV, K and bar; ``engine`` speaks to OpenMM. A learned or Python potential enters
through ``openmm.PythonForce``.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np
import openmm
from ase import Atoms
from tqdm import tqdm

from .blowup import BlowUp, kinetic_temperature, refuse
from .data import EnergyForces, check, energy_forces_of
from .engine import Guard, add_barostat, python_system, snapshot, start
from .geometry import whole
from .recording import Recording, fingerprint

PLATFORMS = ("Reference", "CPU")  # of OpenMM: double precision, or faster in single


@dataclass(frozen=True)
class _Settings:
    """What makes a run the run it is."""

    temperature: float | None
    pressure: float | None
    timestep: float
    friction: float
    every: int
    seed: int
    platform: str

    def __post_init__(self):
        for name in ("every", "timestep", "friction", "temperature"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: needs a positive number, got {value}")
        if self.platform not in PLATFORMS:
            raise ValueError(f"platform: needs one of {PLATFORMS}, got {self.platform}")
        if self.pressure is not None and self.temperature is None:
            raise ValueError("pressure: needs a temperature too, got None")

    def prepare(self, potential, atoms: Atoms, done: int) -> openmm.Context:
        """A context of `potential`, a System or a `Guard`, after `done` frames."""
        if isinstance(potential, openmm.System):
            system = potential if self.pressure is None else copy.deepcopy(potential)
        else:
            system = python_system(potential, atoms)
        if self.pressure is not None:
            atoms = whole(atoms)  # or the barostat would tear molecules that are cut
            seed = self.seed + done  # else its first random numbers would come again
            add_barostat(system, atoms, self.pressure, self.temperature, seed)
        how = (self.temperature, self.timestep, self.friction, self.seed)
        try:
            return start(system, atoms, *how, self.platform)
        except openmm.OpenMMException as error:
            if isinstance(potential, Guard) and potential.error:
                raise  # the potential's own, which `simulate` tells
            raise ValueError(
                f"potential, atoms: OpenMM cannot set up this run ({error}); build the "
                "System from this structure, with a cutoff below half of its box"
            ) from error


def simulate(
    potential: openmm.System | EnergyForces,
    atoms: Atoms,
    *,
    steps: int,
    temperature: float | None = 300.0,
    pressure: float | None = None,
    timestep: float = 0.5,
    friction: float = 0.01,
    every: int = 10,
    seed: int = 0,
    platform: str = "Reference",
    file: str | Path | None = None,
    on_frame: Callable[[Atoms], bool | None] | None = None,
    progress: bool = False,
) -> list[Atoms]:
    """Molecular dynamics: a labelled frame every `every` steps of `timestep` fs.

    The `potential` may also be a Potential or an ASE calculator.
    With a `temperature` (K): NVT, Langevin (LangevinMiddleIntegrator, Zhang et al.
    2019, doi 10.1021/acs.jpca.9b02771), `friction` in 1/fs; with a `pressure` (bar)
    too: NPT, a Monte Carlo barostat. Without: NVE, leap-frog Verlet. Momenta are those
    of `atoms`, else drawn (not in NVE). With a `file` (.traj) frames are written as
    they come, and the same call goes on with a run that was stopped or killed: as if it
    had not been, but for the volume moves of NPT, which OpenMM draws anew.
    ``on_frame(frame)`` may return True to stop, Ctrl-C does; both return the frames.
    On the `platform` "CPU" a System runs 4-6 times faster, in single precision.

    Frames carry energy, forces, momenta (NVT: half a step early), and in ``info``
    time_fs and kinetic_energy (eV). Raises `BlowUp` for a run gone wrong.
    """
    check_start(atoms)
    settings = _Settings(
        temperature, pressure, timestep, friction, every, seed, platform
    )
    if steps < every:
        raise ValueError(f"steps: needs at least every={every}, got {steps}")
    return _collect(
        potential, atoms, settings, steps // every, file, on_frame, progress
    )


def check_start(atoms: Atoms) -> None:
    """Raise `ValueError` for a structure that no run may start from."""
    check([atoms], "atoms", labelled=False)
    if atoms.constraints:
        kinds = sorted({type(c).__name__ for c in atoms.constraints})
        raise ValueError(
            f"atoms: carries constraints of ASE ({', '.join(kinds)}), which dynamics "
            "does not keep; take them off (atoms.set_constraint()) so that all atoms "
            "move, or fix atoms in an openmm.System by giving them no mass"
        )


def _collect(
    potential, atoms, settings: _Settings, total: int, file, on_frame, progress
) -> list[Atoms]:
    guard = None
    if not isinstance(potential, openmm.System):
        guard = Guard(energy_forces_of(potential))
    interval, frames = settings.every * settings.timestep, []
    try:
        run = _frames(guard or potential, atoms, settings, file)
        frames += next(run)
        for _ in _progress(len(frames), total, interval, progress):
            frames.append(next(run))
            if on_frame and on_frame(frames[-1]):
                break
    except (openmm.OpenMMException, FloatingPointError, KeyboardInterrupt) as error:
        cause = (guard.error if guard else None) or error
        shrunk = isinstance(cause, openmm.OpenMMException) and "cutoff" in str(cause)
        if shrunk:  # by a barostat
            raise ValueError(
                f"pressure: {cause} Start from a denser box, or build the System with "
                f"a smaller cutoff; {len(frames)} frames were made"
            ) from cause
        if isinstance(cause, (FloatingPointError, openmm.OpenMMException)):
            raise BlowUp(settings.every, str(cause), frames) from cause
        if not isinstance(cause, KeyboardInterrupt):
            raise cause from None
    return frames[:total]


def _frames(potential, atoms: Atoms, settings: _Settings, file) -> Iterator:
    """First the list of the frames that were recorded before, then frame by frame."""
    recording = None
    if file is not None:
        identity = asdict(settings) | {"formula": atoms.get_chemical_formula()}
        recording = Recording(file, identity | fingerprint(potential, atoms))
    context = settings.prepare(potential, atoms, recording.done if recording else 0)
    every, interval = settings.every, settings.every * settings.timestep

    def frame(k: int) -> Atoms:
        return snapshot(context, atoms, k * interval)

    done = recording.resume(context, frame) if recording else []
    yield done
    first = done[0] if done else None
    for k in count(len(done) + 1):
        context.getIntegrator().step(every)
        new = frame(k)
        first = first or new
        refuse(new, first, settings.temperature)
        if recording:
            recording.add(k, new, context)
        yield new


def _progress(done: int, total: int, interval: float, show: bool) -> Iterator[int]:
    """Counts, with a bar that says ns/day; `interval` in fs."""
    begin = time.monotonic()
    bar = tqdm(total=total, initial=done, desc="MD", disable=not show)
    with bar:
        for k in range(done, total):
            yield k
            days = max(time.monotonic() - begin, 1e-9) / 86400
            speed = (k + 1 - done) * interval * 1e-6 / days
            bar.set_postfix_str(f"{speed:.3g} ns/day", refresh=False)
            bar.update()


def temperatures(frames: Sequence[Atoms]) -> np.ndarray:
    """Kinetic temperature (K) of each frame, (frames,), 3N degrees of freedom."""
    return np.array([kinetic_temperature(a) for a in frames])
