"""Run molecular dynamics with OpenMM, for its ``System`` and any `EnergyForces` alike.

Å, fs, eV, K and bar; ``engine`` speaks to OpenMM.
"""

import contextlib
import copy
import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from ase import Atoms
from ase.io import Trajectory
from scipy.special import chdtri

from . import data, engine, guards, units

HOT = 500.0  # K: a start that is not relaxed may heat the atoms by so much
CHANCE = 1e-12  # that a sound frame of the thermostat's temperature is called too hot
SAME = 0.01  # eV/Å, eV an atom: rounding changes less, another potential more
FAILURES = openmm.OpenMMException, FloatingPointError
HEADER = 48  # bytes of a .traj file: appending a frame changes them
MOST = 2**31 - 1  # steps: OpenMM counts no further; a microsecond of 0.5 fs
DIGESTS = ("numbers", "positions", "pbc", "cell", "masses", "momenta", "system")
PLATFORMS = ("Reference", "CPU")  # of OpenMM: double precision, or faster in single
STEPS, PRESSURE = guards.whole(1, MOST), guards.optional(guards.not_negative)
RUN = {  # kinds of the arguments that all runs take
    "temperature": guards.optional(guards.number(above=0, most=1e6)),  # or OpenMM hangs
    "timestep": guards.positive,
    "friction": guards.positive,
    "seed": guards.seed,
    "platform": guards.one_of(*PLATFORMS),
}


class BlowUp(FloatingPointError):
    """A run that went wrong after `step`, for a `reason`; the `frames` before it."""

    def __init__(self, step: int, end: int, reason: str):
        """Tell what went wrong between two steps."""
        super().__init__(
            f"the run blew up between steps {step} and {end} ({reason}); "
            "shorten the time step, relax the start, or let the potential learn frames "
            "of this kind"
        )
        self.step, self.reason, self.frames = step, reason, list[Atoms]()


def temperatures(frames: Sequence[Atoms]) -> np.ndarray:
    """Return each frame's kinetic temperature (K), (frames,): 3N degrees of freedom."""
    kinetic = [_kinetic(a) for a in guards.structures()(frames, "frames")]
    return np.array(kinetic) / [1.5 * units.KB * len(a) for a in frames]


def _kinetic(frame: Atoms) -> float:
    found = guards.structure(frame, "frame").info.get("kinetic_energy")
    return guards.not_negative(found, "frame.info['kinetic_energy']")


def total_energy(frame: Atoms) -> float:
    """Return potential and kinetic energy (eV) of a frame of dynamics."""
    return _kinetic(frame) + data.labels(frame, forces=False)[0]


@guards.checked(temperature=guards.number(least=0, most=1e6), n=guards.count)
def hottest(temperature: float, n: int) -> float:
    """Return the highest temperature (K) that a sound frame of `n` atoms may have.

    The quantile of the chi-squared law (3n degrees of freedom) that a frame exceeds
    with probability `CHANCE`, at `HOT` above the `temperature` (K) of the thermostat.
    """
    return (temperature + HOT) * chdtri(3 * n, CHANCE) / (3 * n)


def _refuse(frame: Atoms, first: Atoms, temperature: float | None) -> None:
    """Raise `FloatingPointError` for a frame that no sound run comes to.

    With a thermostat (K) the limit is `hottest`; without one, the total energy may rise
    by the kinetic energy of the `first` frame and what heats the atoms by `HOT`.
    """
    n, kelvin = len(frame), temperatures([frame])[0]
    rise = (total_energy(frame) - total_energy(first)) / n
    if temperature is None and rise > 1.5 * units.KB * HOT + _kinetic(first) / n:
        words = f"the total energy rose by {rise:.2g} eV an atom without a thermostat"
        raise FloatingPointError(words)
    if temperature is not None and kelvin > hottest(temperature, n):
        words = f"{kelvin:.0f} K where the thermostat is at {temperature:.0f} K"
        raise FloatingPointError(words)
    if pair := data.closest_pair(frame, data.CLASH):
        raise FloatingPointError(f"two atoms are {pair[2]:.2f} Å apart")


def _fingerprint(potential, atoms: Atoms) -> dict[str, str | None]:
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


class _Recording:
    """A trajectory that grows, with the state after its last frame.

    The state is written before that frame, with how the file was then: what a kill or a
    full disk leaves of the frame is cut off, and the frame made again.
    """

    def __init__(self, path: Path, identity: dict):
        """Open or start the recording of the run that `identity` describes."""
        self.path, self.state = path, path.with_name(path.name + ".state")
        self.found: dict[str, Any] = {"done": 0, "identity": identity}
        self.before = ""  # digest of the last frame there is
        if not self.state.exists():
            if self.path.exists():
                raise self._refusal("is there, but not the state of its run")
            return
        digest, _, content = self.state.read_bytes().partition(b"\n")
        if digest.decode(errors="replace") != _digest(content):
            raise self._refusal(f"cannot go on: {self.state.name} is damaged or older")
        head, _, self.rest = content.partition(b"\n")
        self.found = json.loads(head)
        differs = [
            ("other " + name if name in DIGESTS else f"{name} {old}, not {value}")
            for name, value in identity.items()
            if (old := self.found["identity"][name]) != value
        ]
        if differs:
            raise self._refusal(f"holds another run ({', '.join(differs)})")

    def _refusal(self, why: str) -> ValueError:
        mend = f"take another name or delete it and {self.state.name}"
        return ValueError(f"file: {self.path} {why}; {mend}")

    def resume(self, run: "Run", every: int) -> list[Atoms]:
        """Put `run` where it stopped; return the frames there are.

        Energy and forces of the last one must be those that were recorded.
        """
        if not (found := self.found)["done"]:
            return []
        forces = np.frombuffer(self.rest[: found["forces"]]).reshape(-1, 3)
        try:
            with run.turns.take():
                run.context.loadCheckpoint(self.rest[found["forces"] :])
        except openmm.OpenMMException as error:
            raise self._refusal(f"is of another version of OpenMM ({error})") from None
        run.steps = found["done"] * every
        last = run.frame(run.steps)
        gap = np.abs(forces - last.get_forces(False)).max()
        rise = abs(found["energy"] - last.get_potential_energy())
        if not (gap < SAME and rise < SAME * len(last)):
            raise self._refusal(
                "holds a run of another potential (of its last frame forces differ by "
                f"{gap:.3g} eV/Å, the energy by {rise:.3g} eV)"
            )
        last = data.with_labels(last, found["energy"], forces)
        last.info["kinetic_energy"] = found["kinetic"]  # rounding may change its length
        frames, self.before = [*self._mend(last), last], _digest(last.positions)
        run.first = frames[0]
        return frames

    def _mend(self, last: Atoms) -> list[Atoms]:
        """Return the frames before the `last`, and write that one again."""
        content = self.path.read_bytes() if self.path.exists() else b""
        size, header = self.found["size"], bytes.fromhex(self.found["header"])
        with guards.replacing(self.path) as part:
            part.write_bytes(header + content[len(header) : size])
            frames = _read(part) if size <= len(content) else []
            found = _digest(frames[-1].positions) if frames else ""
            if len(frames) != self.found["done"] - 1 or found != self.found["before"]:
                needs = f"{self.found['done'] - 1} frames before its last one"
                raise self._refusal(f"is no trajectory, or lacks some of {needs}")
            _append(part, last)
            lost = part.stat().st_size - len(content)
        if lost > 0:
            words = f"file: {self.path} lacked {lost} bytes of its last frame"
            warnings.warn(f"{words}: made again", stacklevel=2)
        return frames

    def add(self, number: int, frame: Atoms, run: "Run") -> None:
        """Record frame `number` (from 1) and the state of `run` there."""
        with self.path.open("a+b") as file:
            size = file.tell()
            file.seek(0)
            header = file.read(HEADER)
        energy, forces = data.labels(frame)
        self.found |= dict(done=number, before=self.before, size=size)
        self.found |= dict(header=header.hex(), kinetic=_kinetic(frame))
        self.found |= dict(energy=energy, forces=forces.nbytes)
        content = json.dumps(self.found).encode() + b"\n" + forces.tobytes()
        content += run.turns.state
        self.before = _digest(frame.positions)
        guards.write(self.state, f"{_digest(content)}\n".encode() + content)
        try:
            with guards.in_words(self.path):
                _append(self.path, frame)
        except OSError:  # the frames before stay readable
            with self.path.open("r+b") as file:
                file.write(header)
                file.truncate(size)
            raise


def _read(path: Path) -> list[Atoms]:
    with contextlib.suppress(Exception), Trajectory(path) as trajectory:
        return list(trajectory)
    return []  # ASE raises whatever its parsers raise


def _append(path: Path, frame: Atoms) -> None:
    trajectory = Trajectory(path, "a")
    with trajectory.backend.fd:  # its own close() would write again, after an error too
        trajectory.write(frame)


class Run:
    """A run from frame to frame in one OpenMM Context; T and pressure may change."""

    @guards.checked(**RUN, barostat=guards.flag)
    def __init__(
        self,
        atoms: Atoms,
        potential: openmm.System | data.EnergyForces,
        *,
        temperature: float | None = 300.0,
        barostat: bool = False,
        timestep: float = 0.5,
        friction: float = 0.01,
        seed: int,
        platform: str = "Reference",
    ):
        """Set up a run as `simulate` has it; with a `barostat`, steps may be of NPT."""
        engine.check_start(atoms)
        system = potential
        if not isinstance(system, openmm.System):
            potential = engine.Guard(data.energy_forces_of(potential))
            system = engine.python_system(potential, atoms)
        elif barostat:
            system = copy.deepcopy(system)
        self._atoms, self._potential, self._timestep = atoms.copy(), potential, timestep
        self._temperature, self._barostat = temperature, None
        self.context, self.steps, self.first = None, 0, Atoms()
        if barostat:
            if temperature is None:
                raise ValueError("pressure: needs a temperature too, got None")
            atoms = engine.whole(atoms)  # or molecules that are cut would be torn
            self._barostat = engine.add_barostat(system, atoms, 0.0, temperature, seed)
        how = temperature, timestep, friction, seed, platform
        try:
            with engine.Turns.lock:
                self.context = engine.start(system, atoms, *how)
                self.turns = engine.Turns(self.context)
        except FAILURES as error:
            raise self._failure(error, 1) from error

    @guards.checked(steps=STEPS, temperature=RUN["temperature"], pressure=PRESSURE)
    def step(
        self,
        steps: int,
        *,
        temperature: float | None = None,
        pressure: float | None = None,
    ) -> Atoms:
        """Run on; return a frame as `simulate` does.

        `temperature` (K): of the thermostat from now on, None: as before. `pressure`
        (bar), None: constant volume. Raises `BlowUp`.
        """
        context, barostat = self.context, self._barostat
        if temperature is not None:
            if self._temperature is None:
                raise ValueError("temperature: this run has no thermostat")
            context.getIntegrator().setTemperature(temperature)
            self._temperature = temperature
        wanted = {}
        if barostat:
            barostat.setFrequency(0 if pressure is None else engine.BAROSTAT_EVERY)
            wanted[barostat.Temperature()] = self._temperature
            wanted[barostat.Pressure()] = pressure
        elif pressure is not None:
            raise ValueError("pressure: needs a run with barostat=True")
        try:
            with self.turns.take():
                for name, value in wanted.items():
                    if value not in (None, context.getParameter(name)):
                        context.setParameter(name, value)  # forces are computed again
                context.getIntegrator().step(steps)
            frame = self.frame(self.steps + steps)
            self.first = self.first if self.steps else frame
            _refuse(frame, self.first, self._temperature)
        except FAILURES as error:
            raise self._failure(error, steps) from error
        self.steps += steps
        return frame

    def frame(self, steps: int) -> Atoms:
        """Copy the structure as it is, after so many `steps`."""
        return engine.snapshot(self.context, self._atoms, steps * self._timestep)

    def _failure(self, error: BaseException, steps: int) -> BaseException:
        """Find the exception behind one that OpenMM raised in the next `steps`."""
        cause = getattr(self._potential, "error", None) or error
        of_openmm = isinstance(cause, openmm.OpenMMException)
        if of_openmm and self.context is None:
            return ValueError(
                f"potential, atoms: OpenMM cannot set up this run ({cause}); build the "
                "System from this structure, with a cutoff below half of its box"
            )
        if of_openmm and "cutoff" in str(cause):
            words = "Start from a denser box, or build the System with a smaller cutoff"
            return ValueError(f"pressure: {cause} {words}")  # a barostat shrank it
        if of_openmm or isinstance(cause, FloatingPointError):
            return BlowUp(self.steps, self.steps + steps, str(cause))
        return cause


@guards.checked(
    **RUN,
    steps=STEPS,
    every=STEPS,
    pressure=PRESSURE,
    file=guards.optional(guards.file),
    on_frame=guards.optional(guards.function),
)
def simulate(
    atoms: Atoms,
    potential: openmm.System | data.EnergyForces,
    *,
    steps: int,
    temperature: float | None = 300.0,
    pressure: float | None = None,
    timestep: float = 0.5,
    friction: float = 0.01,
    every: int = 10,
    seed: int,
    platform: str = "Reference",
    file: str | Path | None = None,
    on_frame: Callable[[Atoms], bool | None] | None = None,
) -> list[Atoms]:
    """Run dynamics; return a labelled frame for every `every` steps of `timestep` fs.

    The `potential` may also be a Potential or an ASE calculator. With a `temperature`
    (K): NVT, Langevin (LangevinMiddleIntegrator, doi 10.1021/acs.jpca.9b02771),
    `friction` in 1/fs; with a `pressure` (bar, not negative: no volume is stable then)
    too: NPT, a Monte Carlo barostat. Without: NVE, leap-frog Verlet. Momenta are those
    of `atoms`, else drawn (not in NVE). With a `file` (.traj) the same call goes on
    with a run that was stopped or killed: as if it had not been, but for the volume
    moves of NPT. ``on_frame(frame)`` may return True to stop, Ctrl-C does; both return
    the frames. The `platform` "CPU" runs a System 4-6 times faster, less exactly.

    Frames carry energy, forces, momenta (NVT: half a step early), and in ``info``
    time_fs and kinetic_energy (eV). Raises `BlowUp` for a run gone wrong.
    """
    how: dict = dict(timestep=timestep, friction=friction, every=every, seed=seed)
    how |= dict(temperature=temperature, pressure=pressure, platform=platform)
    return _collect(atoms, potential, steps, how, file, on_frame)


def _collect(atoms, potential, steps: int, how: dict, file, on_frame) -> list[Atoms]:
    """Gather recorded and new frames; the seed changes, or volume moves come again."""
    every, pressure = how["every"], how["pressure"]
    if steps < every:
        raise ValueError(f"steps: needs at least every={every}, got {steps}")
    engine.check_start(atoms)
    with guards.locked(file) if file else contextlib.nullcontext():
        recording = None
        if file:
            recording = _Recording(Path(file), how | _fingerprint(potential, atoms))
            how = how | {"seed": (how["seed"] + recording.found["done"]) % MOST}
        how = {name: how[name] for name in RUN}
        run = Run(atoms, potential, barostat=pressure is not None, **how)
        frames = recording.resume(run, every) if recording else []
        try:
            with contextlib.suppress(KeyboardInterrupt):
                for k in range(len(frames) + 1, steps // every + 1):
                    frames.append(run.step(every, pressure=pressure))
                    if recording:
                        recording.add(k, frames[-1], run)
                    if on_frame and on_frame(frames[-1]):
                        break
        except BlowUp as error:
            error.frames = frames
            raise
    return frames[: steps // every]
