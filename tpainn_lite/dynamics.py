"""Run molecular dynamics with OpenMM, for its ``System`` and any `EnergyForces` alike.

Å, fs, eV, K and bar; ``engine`` speaks to OpenMM.
"""

import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np
import openmm
from ase import Atoms
from ase.io.trajectory import Trajectory
from scipy.special import chdtri
from tqdm import tqdm

from . import units
from .data import CLASH, EnergyForces, check, closest_pair, energy_forces_of
from .engine import Guard, add_barostat, python_system, snapshot, start, whole

HOT = 500.0  # K: a start that is not relaxed may heat the atoms by so much
CHANCE = 1e-12  # that a sound frame of the thermostat's temperature is called too hot
SAME = 0.01  # eV/Å, eV an atom: rounding changes less, another potential more
DIGESTS = ("numbers", "positions", "pbc", "cell", "masses", "momenta", "system")
PLATFORMS = ("Reference", "CPU")  # of OpenMM: double precision, or faster in single


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
    return np.array(
        [a.info["kinetic_energy"] / (1.5 * units.KB * len(a)) for a in frames]
    )


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
    if temperature is not None:
        found = temperatures([frame])[0]
        if found > hottest(temperature, len(frame)):
            raise FloatingPointError(
                f"{found:.0f} K where the thermostat is at {temperature:.0f} K"
            )
    else:
        rise = total_energy(frame) - total_energy(first)
        if rise > 1.5 * units.KB * HOT * len(frame) + first.info["kinetic_energy"]:
            raise FloatingPointError(
                f"the total energy rose by {rise / len(frame):.2g} eV an atom, and "
                "nothing heats the run"
            )
    if pair := closest_pair(frame, CLASH):
        raise FloatingPointError(f"two atoms are {pair[2]:.2f} Å apart")


def fingerprint(potential, atoms: Atoms) -> dict[str, str | None]:
    """Digest what a run starts from: `atoms`, and a System (not a Python potential)."""
    arrays = {name: getattr(atoms, name) for name in ("numbers", "positions", "pbc")}
    arrays |= {"cell": atoms.cell.array, "masses": atoms.get_masses()}
    if atoms.has("momenta"):  # else they are drawn
        arrays["momenta"] = atoms.get_momenta()
    found = dict.fromkeys(DIGESTS)
    for name, array in arrays.items():  # + 0.0: -0.0 and 0.0 are one number
        found[name] = _digest(np.asarray(array, float) + 0.0)
    if isinstance(potential, openmm.System):
        forces = potential.getForces()
        if not any(isinstance(force, openmm.PythonForce) for force in forces):
            xml = openmm.XmlSerializer.serialize(potential)
            found["system"] = _digest(xml.encode())
    return found


def _digest(content) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


class Recording:
    """A trajectory that grows, with the state after its last frame.

    The state is written before the frame: a frame lost in a kill is made from it.
    """

    def __init__(self, path: str | Path, identity: dict):
        """Open or start the recording of the run that `identity` describes."""
        self.path = Path(path)
        self.identity = json.dumps(identity, sort_keys=True, default=np.generic.item)
        self.state = self.path.with_name(self.path.name + ".state")
        self.done, self.checkpoint = 0, b""
        if self.state.exists():
            self.done, found, self.checkpoint = self._read_state()
            if differs := _difference(found, json.loads(self.identity)):
                raise self._refusal(f"holds another run ({differs})")
        elif self.path.exists():
            raise self._refusal("is there, but not the state of its run")

    def _refusal(self, why: str) -> ValueError:
        return ValueError(
            f"file: {self.path} {why}; take another name or delete it and "
            f"{self.state.name}"
        )

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
        found, interval = len(frames), last.info["time_fs"] / self.done
        lost = found == self.done - 1  # a kill came before the last frame
        frames += [last] * lost
        times = [a.info.get("time_fs", np.nan) for a in frames]
        expected = interval * np.arange(1, self.done + 1)
        if len(times) != self.done or not np.allclose(times, expected, 1e-9):
            raise self._refusal(
                f"has {found} frames that do not fit {self.state.name}, which goes on "
                f"after {self.done} frames {interval:g} fs apart"
            )
        if lost:
            self._append(last)
        gap, rise = (
            np.abs(get(frames[-1]) - get(last)).max()
            for get in (lambda a: a.get_forces(False), Atoms.get_potential_energy)
        )
        if not (gap < SAME and rise < SAME * len(last)):
            raise self._refusal(
                "holds a run of another potential (of its last frame forces differ by "
                f"{gap:.3g} eV/Å, the energy by {rise:.3g} eV)"
            )
        return frames

    def add(self, number: int, frame: Atoms, context: openmm.Context) -> None:
        """Record frame `number` (from 1) and the state of `context` there."""
        part = self.state.with_name(self.state.name + ".part")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint = context.createCheckpoint()
        head = f"{number} {_digest(checkpoint)} {self.identity}\n".encode()
        part.write_bytes(head + checkpoint)
        part.replace(self.state)
        self._append(frame)

    def _read_state(self) -> tuple[int, dict, bytes]:
        """Read the number of frames, the run's identity and OpenMM's checkpoint."""
        head, _, checkpoint = self.state.read_bytes().partition(b"\n")
        try:
            done, digest, found = head.decode().split(" ", 2)
            if digest != _digest(checkpoint):
                raise ValueError("its checksum is another")
            return int(done), json.loads(found), checkpoint
        except ValueError as error:
            why = f"{self.state.name} is damaged, or of an older version ({error})"
            raise self._refusal(f"cannot go on: {why}") from None

    def _frames(self) -> list[Atoms]:
        if not self.path.exists() or not self.path.stat().st_size:
            return []  # a kill came before the first frame
        try:
            with Trajectory(self.path) as trajectory:
                return list(trajectory)
        except Exception as error:  # ASE raises whatever its parsers raise
            raise self._refusal(
                f"is no trajectory or a damaged one ({error})"
            ) from error

    def _append(self, frame: Atoms) -> None:
        with Trajectory(self.path, "a") as trajectory:
            trajectory.write(frame)


def _difference(found: dict, wanted: dict) -> str:
    """Say in words in what two runs differ."""
    if found.keys() != wanted.keys():
        return "of an older version, which did not record what it started from"
    return ", ".join(
        f"other {name}" if name in DIGESTS else f"{name} {found[name]}, not {value}"
        for name, value in wanted.items()
        if found[name] != value
    )


@dataclass(frozen=True)
class _Settings:
    """Settings that a resumed run must share with its file."""

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

    def prepare(self, atoms: Atoms, potential, done: int) -> openmm.Context:
        """Make a context of a System or a `Guard`, after `done` frames."""
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
    progress: bool = False,
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
    settings = _Settings(
        temperature, pressure, timestep, friction, every, seed, platform
    )
    if steps < every:
        raise ValueError(f"steps: needs at least every={every}, got {steps}")
    system, total = isinstance(potential, openmm.System), steps // every
    engine = potential if system else Guard(energy_forces_of(potential))
    return _collect(atoms, engine, settings, total, file, on_frame, progress)


def check_start(atoms: Atoms) -> None:
    """Raise `ValueError` for a structure that no run may start from."""
    check([atoms], "atoms", labelled=False)
    if atoms.constraints:
        kinds = ", ".join(sorted({type(c).__name__ for c in atoms.constraints}))
        raise ValueError(
            f"atoms: carries constraints of ASE ({kinds}), which dynamics does not "
            "keep; take them off (atoms.set_constraint()), or fix atoms in an "
            "openmm.System by giving them no mass"
        )


def _collect(
    atoms, potential, settings: _Settings, total: int, file, on_frame, progress
) -> list[Atoms]:
    """Gather `total` frames, and give each failure its own name."""
    frames: list[Atoms] = []
    try:
        run = _frames(atoms, potential, settings, file)
        frames += next(run)
        begin, known = time.monotonic(), len(frames)
        with tqdm(total=total, initial=known, desc="MD", disable=not progress) as bar:
            while len(frames) < total:
                frames.append(next(run))
                if on_frame and on_frame(frames[-1]):
                    break
                ns = (len(frames) - known) * settings.every * settings.timestep * 1e-6
                days = max(time.monotonic() - begin, 1e-9) / 86400
                bar.set_postfix_str(f"{ns / days:.3g} ns/day", refresh=False)
                bar.update()
    except (openmm.OpenMMException, FloatingPointError, KeyboardInterrupt) as error:
        cause = getattr(potential, "error", None) or error
        if isinstance(cause, openmm.OpenMMException) and "cutoff" in str(cause):
            raise ValueError(  # a barostat made the box too small
                f"pressure: {cause} Start from a denser box, or build the System with "
                f"a smaller cutoff; {len(frames)} frames were made"
            ) from cause
        if isinstance(cause, FloatingPointError | openmm.OpenMMException):
            raise BlowUp(settings.every, str(cause), frames) from cause
        if not isinstance(cause, KeyboardInterrupt):
            raise cause from None
    return frames[:total]


def _frames(atoms: Atoms, potential, settings: _Settings, file) -> Iterator:
    """Yield the list of the frames that were recorded before, then frame by frame."""
    recording = None
    if file is not None:
        identity = asdict(settings) | {"formula": atoms.get_chemical_formula()}
        recording = Recording(file, identity | fingerprint(potential, atoms))
    context = settings.prepare(atoms, potential, recording.done if recording else 0)

    def frame(k: int) -> Atoms:
        return snapshot(context, atoms, k * settings.every * settings.timestep)

    done = recording.resume(context, frame) if recording else []
    yield done
    first = done[0] if done else None
    for k in count(len(done) + 1):
        context.getIntegrator().step(settings.every)
        new = frame(k)
        first = first or new
        refuse(new, first, settings.temperature)
        if recording:
            recording.add(k, new, context)
        yield new
