"""Runs on disk: frames as they come, and the state from which a run goes on.

PATH is ASE's trajectory format (``ase.io.read(path, ":")``); PATH with ``.state`` added
holds OpenMM's checkpoint, random numbers included, so that a run that was killed and
goes on is the run that was never killed.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openmm
from ase import Atoms
from ase.io.trajectory import Trajectory

SAME = 0.01  # eV/Å: two potentials differ by more; one, rounded twice, by much less


class Recording:
    """A trajectory that grows, with the state after its last frame.

    The state is written first, in one step, and then the frame: if a kill comes in
    between, the state can still tell the frame.
    """

    def __init__(self, path: str | Path, identity: dict):
        """Open or start the recording of a run that `identity` describes.

        Raises `ValueError` where `path` holds a run that is another one.
        """
        self.path, self.identity = Path(path), json.dumps(identity, sort_keys=True)
        self.state = self.path.with_name(self.path.name + ".state")
        if self.path.exists() and not self.state.exists():
            raise ValueError(
                f"file: {self.path} is there, but not the state of its run; take "
                "another name or delete it"
            )

        self.done, self.checkpoint = 0, b""
        if self.state.exists():
            head, _, self.checkpoint = self.state.read_bytes().partition(b"\n")
            done, _, found = head.decode().partition(" ")
            self.done = int(done)
            if found != self.identity:
                raise ValueError(
                    f"file: {self.path} holds another run ({found}), not "
                    f"{self.identity}; take another name or delete both files"
                )

    def resume(
        self, context: openmm.Context, snapshot: Callable[[int], Atoms]
    ) -> list[Atoms]:
        """Put `context` where the run stopped; return the frames there are.

        ``snapshot(k)`` makes frame number k of the context. Raises `ValueError` where
        the forces of the last frame are not those of the context's potential.
        """
        if not self.done:
            return []
        context.loadCheckpoint(self.checkpoint)
        last, frames = snapshot(self.done), []
        if self.path.exists():
            with Trajectory(self.path) as trajectory:
                frames = list(trajectory)[: self.done]
        if len(frames) < self.done:
            frames.append(last)
            self._append(last)
        gap = np.abs(
            frames[-1].get_forces(apply_constraint=False)
            - last.get_forces(apply_constraint=False)
        ).max()
        if not gap < SAME:
            raise ValueError(
                f"file: {self.path} holds a run of another potential (forces of its "
                f"last frame differ by {gap:.3g} eV/Å); take another name or delete "
                f"it and {self.state.name}"
            )
        return frames

    def add(self, number: int, frame: Atoms, context: openmm.Context) -> None:
        """Record frame `number` (from 1) and the state of `context` there."""
        part = self.state.with_name(self.state.name + ".part")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        head = f"{number} {self.identity}\n".encode()
        part.write_bytes(head + context.createCheckpoint())
        part.replace(self.state)
        self._append(frame)

    def _append(self, frame: Atoms) -> None:
        with Trajectory(self.path, "a") as trajectory:
            trajectory.write(frame)
