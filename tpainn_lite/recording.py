"""Runs on disk: frames as they come, and the state from which a run goes on.

PATH is ASE's trajectory format (``ase.io.read(path, ":")``); PATH with ``.state`` added
holds OpenMM's checkpoint, random numbers included, so that a run that was killed and
goes on is the run that was never killed.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openmm
from ase import Atoms
from ase.io.trajectory import Trajectory

SAME = 0.01  # eV/Å, eV an atom: two potentials differ by more, one rounded twice not
DIGESTS = ("numbers", "positions", "pbc", "cell", "masses", "momenta", "system")


def fingerprint(potential, atoms: Atoms) -> dict[str, str | None]:
    """Return digests of what a run starts from: of `atoms`, and of a System.

    A Python potential has none: `Recording.resume` compares its forces instead.
    """
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
            text = openmm.XmlSerializer.serialize(potential)
            found["system"] = _digest(text.encode())
    return found


def _digest(content) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


class Recording:
    """A trajectory that grows, with the state after its last frame.

    The state is written first, in one step, and then the frame: if a kill comes in
    between, the state can still tell the frame.
    """

    def __init__(self, path: str | Path, identity: dict):
        """Open or start the recording of a run that `identity` describes.

        Raises `ValueError` where `path` holds a run that is another one.
        """
        self.path = Path(path)
        self.identity = json.dumps(identity, sort_keys=True, default=np.generic.item)
        self.state = self.path.with_name(self.path.name + ".state")
        self._way_out = f"take another name or delete it and {self.state.name}"
        if self.path.exists() and not self.state.exists():
            raise ValueError(
                f"file: {self.path} is there, but not the state of its run; take "
                "another name or delete it"
            )

        self.done, self.checkpoint = 0, b""
        if self.state.exists():
            self.done, found, self.checkpoint = self._read_state()
            differs = _difference(found, json.loads(self.identity))
            if differs:
                raise ValueError(
                    f"file: {self.path} holds another run ({differs}); {self._way_out}"
                )

    def resume(
        self, context: openmm.Context, snapshot: Callable[[int], Atoms]
    ) -> list[Atoms]:
        """Put `context` where the run stopped; return the frames there are.

        ``snapshot(k)`` makes frame number k of the context. Raises `ValueError` where
        frames are missing, or energy and forces of the last one are not those of the
        context's potential.
        """
        if not self.done:
            return []
        context.loadCheckpoint(self.checkpoint)
        last = snapshot(self.done)
        interval = last.info["time_fs"] / self.done
        frames, lost = self._frames(), []
        if len(frames) == self.done - 1:  # a kill came before the last frame
            lost = [last]
        times = np.array([a.info.get("time_fs", np.nan) for a in frames + lost])
        expected = interval * np.arange(1, self.done + 1)
        if len(times) != self.done or not np.allclose(times, expected, 1e-9):
            raise ValueError(
                f"file: {self.path} has {len(frames)} frames that do not fit "
                f"{self.state.name}, which goes on after {self.done} frames "
                f"{interval:g} fs apart; put them back, or delete both files to begin "
                "anew"
            )
        if not lost:
            self._same_potential(frames[-1], last)
        for frame in lost:
            self._append(frame)
        return frames + lost

    def _same_potential(self, recorded: Atoms, now: Atoms) -> None:
        gap = np.abs(_forces(recorded) - _forces(now)).max()
        rise = abs(recorded.get_potential_energy() - now.get_potential_energy())
        if not (gap < SAME and rise < SAME * len(now)):
            raise ValueError(
                f"file: {self.path} holds a run of another potential (of its last "
                f"frame forces differ by {gap:.3g} eV/Å, the energy by {rise:.3g} eV); "
                f"{self._way_out}"
            )

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
            raise ValueError(
                f"file: {self.state} is damaged, or of an older version ({error}); "
                f"{self._way_out}"
            ) from None

    def _frames(self) -> list[Atoms]:
        if not self.path.exists() or not self.path.stat().st_size:
            return []  # a kill came before the first frame
        try:
            with Trajectory(self.path) as trajectory:
                return list(trajectory)
        except Exception as error:  # ASE raises whatever its parsers raise
            raise ValueError(
                f"file: {self.path} is no trajectory or a damaged one ({error}); "
                f"{self._way_out}"
            ) from error

    def _append(self, frame: Atoms) -> None:
        with Trajectory(self.path, "a") as trajectory:
            trajectory.write(frame)


def _forces(frame: Atoms) -> np.ndarray:
    return frame.get_forces(apply_constraint=False)


def _difference(found: dict, wanted: dict) -> str:
    """Say in words in what two runs differ."""
    if found.keys() != wanted.keys():
        return "of an older version, which did not record what it started from"
    names = [name for name in wanted if found[name] != wanted[name]]
    return ", ".join(
        f"other {name}"
        if name in DIGESTS
        else f"{name} {found[name]}, not {wanted[name]}"
        for name in names
    )
