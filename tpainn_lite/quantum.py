"""Quantum labels: density functional theory with PySCF, as `EnergyForces`.

PySCF is an extra (``pip install tpainn-lite[quantum]``): readers of the lessons never
need it, because its labels ship. PySCF works in Hartree and Bohr.
"""

import numpy as np
from ase.data import chemical_symbols
from pyscf import dft, gto, lib

from . import units
from .data import EnergyForces

QM9_LEVEL = "B3LYP/6-31G(2df,p)"


def pyscf_dft(
    xc: str = "b3lyp", basis: str = "6-31g(2df,p)", grid_level: int = 2
) -> EnergyForces:
    """Kohn-Sham DFT of an open, closed-shell, neutral molecule; near QM9's level.

    Density fitting (def2-universal-jkfit) with the response of the integration grid in
    the forces, so that they are the exact derivative of the energy. PySCF's `b3lyp`
    is Gaussian's (VWN correlation of the RPA, as used for QM9), but its 6-31G(2df,p) is
    not: spherical d functions, other exponents (CH4 0.6 mHa, H2O 5 mHa above QM9).

    Raises `ValueError` for odd electron numbers and a cell, `RuntimeError` where the
    SCF does not converge.
    """

    def energy_forces(numbers, positions, cell=None):
        if cell is not None or int(np.sum(numbers)) % 2:
            raise ValueError(
                "numbers: pyscf_dft needs an open structure with an even number of "
                f"electrons, got cell={cell} and {int(np.sum(numbers))} electrons"
            )
        field = _mean_field(numbers, positions, xc, basis, grid_level, spin=0)
        gradient = field.nuc_grad_method()
        gradient.grid_response = True
        forces = -gradient.kernel() * (units.HARTREE / units.BOHR)  # (N, 3) eV/Å
        return float(field.e_tot) * units.HARTREE, forces

    return energy_forces


def _mean_field(numbers, positions, xc, basis, grid_level, spin):
    lib.num_threads(1)
    symbols = [chemical_symbols[z] for z in numbers]
    atom = list(zip(symbols, np.asarray(positions).tolist(), strict=True))
    mol = gto.M(atom=atom, basis=basis, spin=spin, unit="Angstrom", verbose=0)
    method = dft.UKS if spin else dft.RKS
    field = method(mol, xc=xc).density_fit(auxbasis="def2-universal-jkfit")
    field.grids.level = grid_level
    field.conv_tol = 1e-9  # Hartree
    field.kernel()
    if not field.converged:
        raise RuntimeError(
            f"{xc}/{basis}: the SCF of {''.join(symbols)} did not converge; the "
            "structure may be far from equilibrium or need another spin state"
        )
    return field


def isolated_atom_energies(
    elements: tuple[int, ...] = (1, 6, 7, 8),
    xc: str = "b3lyp",
    basis: str = "6-31g(2df,p)",
) -> dict[int, float]:
    """Energies (eV) of the free atoms in their ground-state multiplicities."""
    unpaired = {1: 1, 6: 2, 7: 3, 8: 2}  # Hund: 2S, 3P, 4S, 3P
    if not set(elements) <= set(unpaired):
        raise ValueError(f"elements: need some of {list(unpaired)}, got {elements}")
    return {
        z: float(_mean_field([z], [[0, 0, 0]], xc, basis, 3, unpaired[z]).e_tot)
        * units.HARTREE
        for z in elements
    }
