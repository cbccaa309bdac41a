"""Run molecular dynamics with OpenMM, for its ``System`` and any `EnergyForces` alike.

Å, fs, eV, K and bar; ``engine`` speaks to OpenMM.
"""

import copy
import hashlib
import json
from collections import namedtuple
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import openmm
from ase import Atoms
from ase.io import Trajectory
from scipy.special import chdtri

from . import units
from .data import CLASH, EnergyForces, check, closest_pair, energy_forces_of
from .engine import Guard, add_barostat, python_system, snapshot, start, whole

HOT = 500.0  # K: a start that is not relaxed may heat the atoms by so much
CHANCE = 1e-12  # that a sound frame of the thermostat's temperature is called too hot
SAME = 0.01  # eV/Å, eV an atom: rounding changes less, another potential more
DIGESTS = ("numbers", "positions", "pbc", "cell", "masses", "momenta", "system")
PLATFORMS = ("Reference", "CPU")  # of OpenMM: double precision, or faster in single
# what a resumed run must share with its file
Settings = namedtuple(
    "Settings", "temperature pressure timestep friction every seed platform"
)


class BlowUp(FloatingPointError):
    """A run that went wrong: `step` before which, `reason`, and the `frames` before."""

    def __init__(self, every: int, reason: str, frames: list[Atoms]):
        """Tell what went wrong between the last frame and the next."""
        step = len(frames) * every
        super().__init__(
            f"the run blew up between steps {step} and {step + every} ({reason}); "
            "shorten the time step, relax the start, or let the potential learn frames "
            "of this kind"
        )
        self.step, self.reason, self.frames = step, reason, frames


def temperatures(frames: Sequence[Atoms]) -> np.ndarray:
    """Return each frame's kinetic temperature (K), (frames,): 3N degrees of freedom."""
    kinetic = np.array([a.info["kinetic_energy"] for a in frames])
    return kinetic / [1.5 * units.KB * len(a) for a in frames]


def total_energy(frame: Atoms) -> float:
    """Return potential and kinetic energy (eV) of a frame of dynamics."""
    return frame.get_potential_energy() + frame.info["kinetic_energy"]


def hottest(temperature: float, n: int) -> float:
    """Return the highest temperature (K) that a sound frame of `n` atoms may have.

    The quantile of the chi-squared law (3n degrees of freedom) that a frame exceeds
    with probability `CHANCE`, at `HOT` above the `temperature` (K) of the thermostat.
    """
    return (temperature + HOT) * chdtri(3 * n, CHANCE) / (3 * n)


def refuse(frame: Atoms, first: Atoms, temperature: float | None) -> None:
    """Raise `FloatingPointError` for a frame that no sound run comes to.

    With a thermostat (K) the limit is `hottest`; without one, the total energy may rise
    by the kinetic energy of the `first` frame and what heats the atoms by `HOT`.
    """
    n, why, kelvin = len(frame), "", temperatures([frame])[0]
    rise = (total_energy(frame) - total_energy(first)) / n
    if temperature is None:
        if rise > 1.5 * units.KB * HOT + first.info["kinetic_energy"] / n:
            why = f"the total energy rose by {rise:.2g} eV an atom without a thermostat"
    elif kelvin > hottest(temperature, n):
        why = f"{kelvin:.0f} K where the thermostat is at {temperature:.0f} K"
    if not why and (pair := closest_pair(frame, CLASH)):
        why = f"two atoms are {pair[2]:.2f} Å apart"
    if why:
        raise FloatingPointError(why)


def fingerprint(potential, atoms: Atoms) -> dict[str, str | None]:
    """Digest what a run starts from: `atoms`, and a System (not a Python potential)."""
    plain = "numbers", "positions", "pbc", "cell"
    arrays = {n: getattr(atoms, n) for n in plain} | {"masses": atoms.get_masses()}
    if atoms.has("momenta"):  # else they are drawn
        arrays["momenta"] = atoms.get_momenta()
    found = dict.fromkeys(DIGESTS)
    for name, array in arrays.items():  # + 0.0: -0.0 and 0.0 are one number
        found[name] = _digest(np.asarray(array, float) + 0.0)
    system = isinstance(potential, openmm.System)
    if system and openmm.PythonForce not in map(type, potential.getForces()):
        found["system"] = _digest(openmm.XmlSerializer.serialize(potential).encode())
    return found


def _digest(content) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


class Recording:
    """A trajectory that grows, with the state after its last frame.

    The state is written before the frame: a frame lost in a kill is made from it.
    """

    def __init__(self, path: str | Path, identity: dict):
        """Open or start the recording of the run that `identity` describes."""
        self.path, self.state = Path(path), Path(f"{path}.state")
        self.identity = json.dumps(identity, sort_keys=True, default=np.generic.item)
        self.done, self.checkpoint = 0, b""
        if not self.state.exists():
            if self.path.exists():
                raise self._refusal("is there, but not the state of its run")
            return
        head, _, self.checkpoint = self.state.read_bytes().partition(b"\n")
        try:
            done, digest, words = head.decode().split(" ", 2)
            if digest != _digest(self.checkpoint):
                raise ValueError("its checksum is another")
            self.done, found = int(done), json.loads(words)
        except ValueError as error:
            why = f"{self.state.name} is damaged, or of an older version ({error})"
            raise self._refusal(f"cannot go on: {why}") from None
        differs = [
            f"other {name}" if name in DIGESTS else f"{name} {found[name]}, not {value}"
            for name, value in json.loads(self.identity).items()
            if found.setdefault(name, "not recorded") != value  # by an older version
        ]
        if differs:
            raise self._refusal(f"holds another run ({', '.join(differs)})")

    def _refusal(self, why: str) -> ValueError:
        mend = f"take another name or delete it and {self.state.name}"
        return ValueError(f"file: {self.path} {why}; {mend}")

    def resume(
        self, context: openmm.Context, snapshot: Callable[[int], Atoms]
    ) -> list[Atoms]:
        """Put `context` where the run stopped; return the frames there are.

        ``snapshot(k)`` makes frame k; energy and forces of the last one must be those
        that were recorded.
        """
        if not self.done:
            return []
        context.loadCheckpoint(self.checkpoint)
        last, frames = snapshot(self.done), self._frames()
        found, end = len(frames), last.info["time_fs"]
        if found == self.done - 1:  # a kill came before the last frame
            frames.append(last)
        times = [a.info.get("time_fs", np.nan) for a in frames]
        expected = np.arange(1, self.done + 1) * (end / self.done)
        if len(times) != self.done or not np.allclose(times, expected, 1e-9):
            raise self._refusal(
                f"has {found} frames that do not fit {self.state.name}, which goes on "
                f"after {self.done} frames and {end:g} fs"
            )
        gap = np.abs(frames[-1].get_forces(False) - last.get_forces(False)).max()
        rise = abs(frames[-1].get_potential_energy() - last.get_potential_energy())
        if not (gap < SAME and rise < SAME * len(last)):
            raise self._refusal(
                "holds a run of another potential (of its last frame forces differ by "
                f"{gap:.3g} eV/Å, the energy by {rise:.3g} eV)"
            )
        if found < self.done:
            self._append(last)
        return frames

    def add(self, number: int, frame: Atoms, context: openmm.Context) -> None:
        """Record frame `number` (from 1) and the state of `context` there."""
        part, checkpoint = Path(f"{self.state}.part"), context.createCheckpoint()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        head = f"{number} {_digest(checkpoint)} {self.identity}\n".encode()
        part.write_bytes(head + checkpoint)
        part.replace(self.state)
        self._append(frame)

    def _frames(self) -> list[Atoms]:
        if not self.path.exists() or not self.path.stat().st_size:
            return []  # a kill came before the first frame
        try:
            with Trajectory(self.path) as trajectory:
                return list(trajectory)
        except Exception as error:  # ASE raises whatever its parsers raise
            why = f"is no trajectory or a damaged one ({error})"
            raise self._refusal(why) from error

    def _append(self, frame: Atoms) -> None:
        with Trajectory(self.path, "a") as trajectory:
            trajectory.write(frame)


def _check(steps: int, how: Settings) -> None:
    for name in ("every", "timestep", "friction", "temperature"):
        value = getattr(how, name)
        if value is not None and not value > 0:
            raise ValueError(f"{name}: needs a positive number, got {value}")
    if how.platform not in PLATFORMS:
        raise ValueError(f"platform: needs one of {PLATFORMS}, got {how.platform}")
    if how.pressure is not None and how.temperature is None:
        raise ValueError("pressure: needs a temperature too, got None")
    if steps < how.every:
        raise ValueError(f"steps: needs at least every={how.every}, got {steps}")


def _prepare(atoms: Atoms, potential, how: Settings, done: int) -> openmm.Context:
    """Make a context of a System or a `Guard`, after `done` frames."""
    if isinstance(potential, openmm.System):
        system = potential if how.pressure is None else copy.deepcopy(potential)
    else:
        system = python_system(potential, atoms)
    if how.pressure is not None:
        atoms = whole(atoms)  # or the barostat would tear molecules that are cut
        seed = how.seed + done  # else its first random numbers would come again
        add_barostat(system, atoms, how.pressure, how.temperature, seed)
    run = how.temperature, how.timestep, how.friction, how.seed, how.platform
    try:
        return start(system, atoms, *run)
    except openmm.OpenMMException as error:
        if isinstance(potential, Guard) and potential.error:
            raise  # the potential's own, which `simulate` tells
        raise ValueError(
            f"potential, atoms: OpenMM cannot set up this run ({error}); build the "
            "System from this structure, with a cutoff below half of its box"
        ) from error


def simulate(
    atoms: Atoms,
    potential: openmm.System | EnergyForces,
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
) -> list[Atoms]:
    """Run dynamics; return a labelled frame for every `every` steps of `timestep` fs.

    The `potential` may also be a Potential or an ASE calculator. With a `temperature`
    (K): NVT, Langevin (LangevinMiddleIntegrator, doi 10.1021/acs.jpca.9b02771),
    `friction` in 1/fs; with a `pressure` (bar) too: NPT, a Monte Carlo barostat.
    Without: NVE, leap-frog Verlet. Momenta are those of `atoms`, else drawn (not in
    NVE). With a `file` (.traj) the same call goes on with a run that was stopped or
    killed: as if it had not been, but for the volume moves of NPT.
    ``on_frame(frame)`` may return True to stop, Ctrl-C does; both return the frames. On
    the `platform` "CPU" a System runs 4-6 times faster, in single precision.

    Frames carry energy, forces, momenta (NVT: half a step early), and in ``info``
    time_fs and kinetic_energy (eV). Raises `BlowUp` for a run gone wrong.
    """
    check_start(atoms)
    how = Settings(temperature, pressure, timestep, friction, every, seed, platform)
    _check(steps, how)
    if not isinstance(potential, openmm.System):
        potential = Guard(energy_forces_of(potential))
    return _collect(atoms, potential, how, steps // every, file, on_frame)


def check_start(atoms: Atoms) -> None:
    """Raise `ValueError` for a structure that no run may start from."""
    check([atoms], "atoms", labelled=False)
    if atoms.constraints:
        kinds = ", ".join(sorted({type(c).__name__ for c in atoms.constraints}))
        raise ValueError(
            f"atoms: dynamics does not keep constraints of ASE ({kinds}); take them "
            "off (atoms.set_constraint()), or give atoms no mass in an openmm.System"
        )


def _collect(atoms, potential, how: Settings, total, file, on_frame) -> list[Atoms]:
    """Gather `total` frames, and give each failure its own name."""
    frames: list[Atoms] = []
    try:
        _run(frames, atoms, potential, how, total, file, on_frame)
    except (openmm.OpenMMException, FloatingPointError, KeyboardInterrupt) as error:
        cause = getattr(potential, "error", None) or error
        if isinstance(cause, openmm.OpenMMException) and "cutoff" in str(cause):
            raise ValueError(  # a barostat made the box too small
                f"pressure: {cause} Start from a denser box, or build the System with "
                f"a smaller cutoff; {len(frames)} frames were made"
            ) from cause
        if isinstance(cause, FloatingPointError | openmm.OpenMMException):
            raise BlowUp(how.every, str(cause), frames) from cause
        if not isinstance(cause, KeyboardInterrupt):
            raise cause from None
    return frames[:total]


def _run(frames, atoms, potential, how: Settings, total: int, file, on_frame) -> None:
    """Append to `frames` what was recorded before, and what is new."""
    recording = None
    if file is not None:
        identity = how._asdict() | {"formula": atoms.get_chemical_formula()}
        recording = Recording(file, identity | fingerprint(potential, atoms))
    context = _prepare(atoms, potential, how, recording.done if recording else 0)

    def frame(k: int) -> Atoms:
        return snapshot(context, atoms, k * how.every * how.timestep)

    if recording:
        frames += recording.resume(context, frame)
    for k in range(len(frames) + 1, total + 1):
        context.getIntegrator().step(how.every)
        new = frame(k)
        refuse(new, (frames or [new])[0], how.temperature)
        if recording:
            recording.add(k, new, context)
        frames.append(new)
        if on_frame and on_frame(new):
            break
