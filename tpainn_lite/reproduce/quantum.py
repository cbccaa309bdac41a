"""Quantum labels with PySCF, as `EnergyForces`: DFT and coupled clusters.

PySCF is an extra (``pip install tpainn-lite[quantum]``): readers of the lessons never
need it, because its labels ship. PySCF works in Hartree and Bohr.
"""

import os
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

# PySCF's wheel brings an OpenBLAS of 2018. It takes processors made since for machines
# of 2004, and is then 2-3 times slower than with the name of one that it knows.
CPU = Path("/proc/cpuinfo")
if CPU.is_file() and "avx2" in CPU.read_text():
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
from pyscf import cc, dft, gto, lib, scf  # noqa: E402
from pyscf.cc import ccsd_t_lambda  # noqa: E402
from pyscf.grad import ccsd_t as ccsd_t_gradient  # noqa: E402

from ..data import EnergyForces  # noqa: E402
from ..units import BOHR, HARTREE, UNPAIRED  # noqa: E402

CCSDT_BASIS = "cc-pvdz"
CORE = {1: 0, 6: 1, 7: 1, 8: 1}  # orbitals of the core, not correlated


def pyscf_dft(
    xc: str = "b3lyp", basis: str = "6-31g(2df,p)", grid_level: int = 2
) -> EnergyForces:
    """Make Kohn-Sham DFT of open, closed-shell, neutral molecules; near QM9's level.

    Density fitting (def2-universal-jkfit) with the response of the integration grid in
    the forces, so that they are the exact derivative of the energy. PySCF's `b3lyp`
    is Gaussian's (VWN correlation of the RPA, as used for QM9), but its 6-31G(2df,p) is
    not: spherical d functions, other exponents (CH4 0.6 mHa, H2O 5 mHa above QM9).

    Raises `ValueError` for odd electron numbers and a cell, `RuntimeError` where the
    SCF does not converge.
    """

    def energy_forces(numbers, positions, cell=None):
        _refuse_open_shell(numbers, cell)
        field = _mean_field(numbers, positions, xc, basis, grid_level, spin=0)
        gradient = field.nuc_grad_method()
        gradient.grid_response = True
        forces = -gradient.kernel() * (HARTREE / BOHR)  # (N, 3) eV/Å
        return float(field.e_tot) * HARTREE, forces

    return energy_forces


def _molecule(numbers, positions, basis: str, spin: int) -> gto.Mole:
    lib.num_threads(1)
    symbols = [chemical_symbols[z] for z in numbers]
    atom = list(zip(symbols, np.asarray(positions).tolist(), strict=True))
    return gto.M(atom=atom, basis=basis, spin=spin, unit="Angstrom", verbose=0)


def _mean_field(numbers, positions, xc, basis, grid_level, spin):
    mol = _molecule(numbers, positions, basis, spin)
    method = dft.UKS if spin else dft.RKS
    field = method(mol, xc=xc).density_fit(auxbasis="def2-universal-jkfit")
    field.grids.level = grid_level
    field.conv_tol = 1e-9  # Hartree
    field.kernel()
    return _converged(field, f"{xc}/{basis}: the SCF", mol)


def _converged(method, what: str, mol: gto.Mole):
    if not method.converged:
        formula = "".join(mol.elements)
        raise RuntimeError(
            f"{what} of {formula} did not converge; the structure may be far from "
            "equilibrium or need another spin state"
        )
    return method


def _coupled_cluster(numbers, positions, basis: str, spin: int):
    """Converge CCSD with frozen cores; add the energy (Hartree) with triples."""
    mol = _molecule(numbers, positions, basis, spin)
    field = (scf.UHF if spin else scf.RHF)(mol)
    field.conv_tol = 1e-10  # Hartree
    field.kernel()
    _converged(field, f"Hartree-Fock/{basis}", mol)
    frozen = sum(CORE[int(z)] for z in numbers)
    ccsd = (cc.UCCSD if spin else cc.CCSD)(field, frozen=frozen or None)
    ccsd.conv_tol, ccsd.conv_tol_normt = 1e-9, 1e-7
    ccsd.kernel()
    _converged(ccsd, f"CCSD/{basis}", mol)
    triples = ccsd.ccsd_t() if min(np.ravel(ccsd.nocc)) else 0.0
    return ccsd, float(ccsd.e_tot + triples)


def ccsdt_energy(numbers, positions, basis: str = CCSDT_BASIS) -> float:
    """Compute the CCSD(T) energy (eV) of a closed-shell molecule, cores frozen."""
    return _coupled_cluster(numbers, positions, basis, 0)[1] * HARTREE


def pyscf_ccsdt(basis: str = CCSDT_BASIS) -> EnergyForces:
    """Make CCSD(T) with analytic forces, cores frozen; 20 times the cost of the energy.

    The left-hand amplitudes are those of CCSD(T), not PySCF's default of CCSD, with
    which forces miss the derivative of the energy by a per cent.

    Raises as `pyscf_dft` does.
    """

    def energy_forces(numbers, positions, cell=None):
        _refuse_open_shell(numbers, cell)
        ccsd, energy = _coupled_cluster(numbers, positions, basis, 0)
        integrals = ccsd.ao2mo()
        _, l1, l2 = ccsd_t_lambda.kernel(
            ccsd, integrals, ccsd.t1, ccsd.t2, tol=1e-7, verbose=0
        )
        gradient = ccsd_t_gradient.Gradients(ccsd).kernel(
            ccsd.t1, ccsd.t2, l1, l2, eris=integrals
        )
        return energy * HARTREE, -gradient * (HARTREE / BOHR)

    return energy_forces


def _refuse_open_shell(numbers, cell) -> None:
    if cell is not None or int(np.sum(numbers)) % 2:
        raise ValueError(
            "numbers: PySCF's labels need an open structure with an even number of "
            f"electrons, got cell={cell} and {int(np.sum(numbers))} electrons"
        )


def isolated_atom_energies(
    elements: tuple[int, ...] = (1, 6, 7, 8),
    xc: str = "b3lyp",
    basis: str = "6-31g(2df,p)",
) -> dict[int, float]:
    """Compute energies (eV) of the free atoms in their ground-state multiplicities."""
    if not set(elements) <= set(UNPAIRED):
        raise ValueError(f"elements: need some of {list(UNPAIRED)}, got {elements}")
    return {
        z: float(_mean_field([z], [[0, 0, 0]], xc, basis, 3, UNPAIRED[z]).e_tot)
        * HARTREE
        for z in elements
    }


def ccsdt_atom_energies(
    elements: tuple[int, ...] = (1, 6, 8), basis: str = CCSDT_BASIS
) -> dict[int, float]:
    """Compute CCSD(T) energies (eV) of free atoms (unrestricted, cores frozen)."""
    return {
        z: _coupled_cluster([z], [[0, 0, 0]], basis, UNPAIRED[z])[1] * HARTREE
        for z in elements
    }
