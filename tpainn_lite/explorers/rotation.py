"""The equivariance explorer: turn a molecule, and its forces turn with it."""

import numpy as np
from ase import Atoms
from ipywidgets import Checkbox, Dropdown, IntSlider
from scipy.spatial.transform import Rotation as Turn

from ..data import check, energy_forces_of
from ..engine import Guard
from ..guards import checked, refusal, structure
from ..model import Potential
from . import base, viewers


class Rotation(base.Explorer):
    """Turn or mirror a molecule: its energy stays, its forces turn with it.

    ``numbers`` holds what the last move gave: energies (eV) ``before`` and ``after``,
    and over all atoms the largest ``deviation`` |F(Qx) - Q F(x)| and ``change``
    |F(Qx) - F(x)| in eV/Å, Q being the rotation or reflection. ``drawn`` are the moved
    molecule, its forces F(Qx), and Q F(x), drawn as thin grey arrows.
    """

    GRID = {"axis": None, "angle": range(-180, 181, 30), "mirror": None}

    @checked(atoms=structure)
    def __init__(
        self, potential: Potential, atoms: Atoms, before: "Rotation | None" = None
    ):
        """Show one molecule, about its centre, with the controls of `before`."""
        check([atoms], "atoms", labelled=False)
        if atoms.pbc.any():
            raise refusal("atoms", "a molecule without a periodic cell", atoms)
        self._energy_forces = Guard(energy_forces_of(potential))
        self.axis = Dropdown(options=["x", "y", "z"], value="z", description="Axis")
        self.angle = IntSlider(0, -180, 180, 5, description="Angle (°)")
        self.mirror = Checkbox(False, description="Mirror (x to -x)")
        self._atoms = atoms.copy()
        self._atoms.positions -= atoms.positions.mean(axis=0)
        self._start = self._forces_at(self._atoms)
        self._box = viewers.view_forces(self._atoms, self._start[1], self._start[1])
        sentences = {
            self.axis: "The line through the centre about which the molecule turns.",
            self.angle: "How far it turns; the arrow keys move it by 5 degrees.",
            self.mirror: "Reflect the molecule before it turns.",
        }
        self.assemble(sentences, self._box, before=before)

    def draw(self) -> None:
        """Turn the molecule, and compare the forces there with the turned forces."""
        Q = Turn.from_euler(self.axis.value, self.angle.value, degrees=True).as_matrix()
        Q = Q @ np.diag([-1.0 if self.mirror.value else 1.0, 1.0, 1.0])
        moved, (before, old) = self._atoms.copy(), self._start
        moved.positions = moved.positions @ Q.T
        energy, forces = self._forces_at(moved)
        expected = old @ Q.T
        deviation, change = (
            float(np.linalg.norm(forces - other, axis=1).max())
            for other in (expected, old)
        )
        self.numbers = dict(before=before, after=energy)
        self.numbers |= dict(deviation=deviation, change=change)
        self.drawn = moved, forces, expected
        viewers.change_forces(self._box, *self.drawn, centre=False)
        rows = {
            "Energy before": f"{before:.6f} eV",
            "Energy now": f"{energy:.6f} eV",
            "Difference": f"{energy - before:.1e} eV",
            "Largest change of a force": f"{change:.3f} eV/Å",
            "Largest |F(Qx) - Q F(x)|": f"{deviation:.1e} eV/Å",
        }
        self._text.value = base.table(rows)

    def _forces_at(self, atoms: Atoms) -> tuple[float, np.ndarray]:
        return self._energy_forces(atoms.numbers, atoms.positions, None)

    def _picture(self) -> bytes:
        return viewers.snapshot(*self.drawn, like=self._atoms)  # it looks turned
