"""GFN2-xTB as an `EnergyForces`: cheap quantum mechanics, with tblite.

Bannwarth, Ehlert & Grimme, doi 10.1021/acs.jctc.8b01176. tblite is an extra (``pip
install tpainn-lite[quantum]``): readers of the lessons never need it, because its
labels ship. It works in Hartree and Bohr.
"""

import numpy as np
from tblite.interface import Calculator

from .. import units
from ..data import EnergyForces
from ..units import UNPAIRED


def gfn2_xtb() -> EnergyForces:
    """GFN2-xTB of an open, closed-shell, neutral molecule.

    Raises `ValueError` for a cell, `RuntimeError` where the charges do not converge.
    """

    def energy_forces(numbers, positions, cell=None):
        if cell is not None:
            raise ValueError(
                "cell: needs an open structure, got a cell; take atoms.pbc = False"
            )
        return _single_point(numbers, positions, 0)

    return energy_forces


def _single_point(numbers, positions, unpaired: int) -> tuple[float, np.ndarray]:
    places = np.asarray(positions, float) / units.BOHR
    calculator = Calculator("GFN2-xTB", np.asarray(numbers), places, uhf=unpaired)
    calculator.set("verbosity", 0)
    result = calculator.singlepoint()
    forces = -result.get("gradient") * (units.HARTREE / units.BOHR)  # eV/Å
    return float(result.get("energy")) * units.HARTREE, forces


def atom_energies(elements: tuple[int, ...] = (1, 6, 7, 8)) -> dict[int, float]:
    """Energies (eV) of the free atoms in their ground-state multiplicities."""
    places = [[0.0, 0.0, 0.0]]
    return {z: _single_point([z], places, UNPAIRED[z])[0] for z in elements}
