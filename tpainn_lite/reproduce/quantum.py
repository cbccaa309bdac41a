"""Quantum labels with PySCF, as `EnergyForces`: DFT, MP2 and coupled clusters.

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
if CPU.is_file() and "avx2" in CPU.read_text("utf-8", "replace"):
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
from pyscf import cc, dft, gto, lib, mp, scf  # noqa: E402
from pyscf.cc import ccsd_t_lambda  # noqa: E402
from pyscf.grad import ccsd_t as ccsd_t_gradient  # noqa: E402

from ..data import EnergyForces  # noqa: E402
from ..units import BOHR, HARTREE, UNPAIRED  # noqa: E402

XC, DFT_BASIS, CCSDT_BASIS = "b3lyp", "6-31g(2df,p)", "cc-pvdz"
CORE = {1: 0, 6: 1, 7: 1, 8: 1}  # orbitals of the core, not correlated


def pyscf_dft(basis: str = DFT_BASIS) -> EnergyForces:
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
        field = _mean_field(_molecule(numbers, positions, basis), grid_level=2)
        gradient = field.nuc_grad_method()
        gradient.grid_response = True
        forces = -gradient.kernel() * (HARTREE / BOHR)  # (N, 3) eV/Å
        return float(field.e_tot) * HARTREE, forces

    return energy_forces


def _molecule(numbers, positions, basis: str, spin: int = 0) -> gto.Mole:
    lib.num_threads(1)
    symbols = [chemical_symbols[z] for z in numbers]
    atom = list(zip(symbols, np.asarray(positions).tolist(), strict=True))
    return gto.M(atom=atom, basis=basis, spin=spin, unit="Angstrom", verbose=0)


def _mean_field(mol: gto.Mole, grid_level: int):
    method = dft.UKS if mol.spin else dft.RKS
    field = method(mol, xc=XC).density_fit(auxbasis="def2-universal-jkfit")
    field.grids.level = grid_level
    field.conv_tol = 1e-9  # Hartree
    return _converged(field, f"{XC}/{mol.basis}: the SCF", mol)


def _converged(method, what: str, mol: gto.Mole):
    method.kernel()
    if not method.converged:
        raise RuntimeError(
            f"{what} of {''.join(mol.elements)} did not converge; the structure may be "
            "far from equilibrium or need another spin state"
        )
    return method


def _hartree_fock(mol: gto.Mole) -> tuple:
    """Converge Hartree-Fock; count the orbitals of the cores, or None."""
    field = (scf.UHF if mol.spin else scf.RHF)(mol)
    field.conv_tol = 1e-10  # Hartree
    _converged(field, f"Hartree-Fock/{mol.basis}", mol)
    return field, sum(CORE[int(z)] for z in mol.atom_charges()) or None


def _perturbation(mol: gto.Mole):
    field, frozen = _hartree_fock(mol)
    return (mp.UMP2 if mol.spin else mp.MP2)(field, frozen=frozen).run()


def pyscf_mp2(basis: str = CCSDT_BASIS) -> EnergyForces:
    """Make MP2 with analytic forces, cores frozen; raises as `pyscf_dft` does."""

    def energy_forces(numbers, positions, cell=None):
        _refuse_open_shell(numbers, cell)
        method = _perturbation(_molecule(numbers, positions, basis))
        slope = method.nuc_grad_method().kernel()
        return float(method.e_tot) * HARTREE, -slope * (HARTREE / BOHR)

    return energy_forces


def _coupled_cluster(mol: gto.Mole):
    """Converge CCSD with frozen cores; add the energy (Hartree) with triples."""
    field, frozen = _hartree_fock(mol)
    ccsd = (cc.UCCSD if mol.spin else cc.CCSD)(field, frozen=frozen)
    ccsd.conv_tol, ccsd.conv_tol_normt = 1e-9, 1e-7
    _converged(ccsd, f"CCSD/{mol.basis}", mol)
    triples = ccsd.ccsd_t() if min(np.ravel(ccsd.nocc)) else 0.0
    return ccsd, float(ccsd.e_tot + triples)


def ccsdt_energy(numbers, positions, basis: str = CCSDT_BASIS) -> float:
    """Compute the CCSD(T) energy (eV) of a closed-shell molecule, cores frozen."""
    return _coupled_cluster(_molecule(numbers, positions, basis))[1] * HARTREE


def pyscf_ccsdt(basis: str = CCSDT_BASIS) -> EnergyForces:
    """Make CCSD(T) with analytic forces, cores frozen; 15 times the cost of the energy.

    The left-hand amplitudes are those of CCSD(T), not PySCF's default of CCSD, with
    which forces miss the derivative of the energy by a per cent.

    Raises as `pyscf_dft` does.
    """

    def energy_forces(numbers, positions, cell=None):
        _refuse_open_shell(numbers, cell)
        ccsd, energy = _coupled_cluster(_molecule(numbers, positions, basis))
        integrals = ccsd.ao2mo()
        t1, t2 = ccsd.t1, ccsd.t2
        left = ccsd_t_lambda.kernel(ccsd, integrals, t1, t2, tol=1e-7, verbose=0)[1:]
        gradient = ccsd_t_gradient.Gradients(ccsd)
        slope = gradient.kernel(t1, t2, *left, eris=integrals)
        return energy * HARTREE, -slope * (HARTREE / BOHR)

    return energy_forces


def _refuse_open_shell(numbers, cell) -> None:
    electrons = int(np.sum(numbers))
    if cell is not None or electrons % 2:
        raise ValueError(
            "numbers: PySCF's labels need an open structure with an even number of "
            f"electrons, got cell={cell} and {electrons} electrons"
        )


def atom_energies(level: str = "DFT") -> dict[int, float]:
    """Compute energies (eV) of free atoms in their ground states; unrestricted."""
    basis, energy = {
        "DFT": (DFT_BASIS, lambda atom: _mean_field(atom, 3).e_tot),
        "MP2": (CCSDT_BASIS, lambda atom: _perturbation(atom).e_tot),
        "CCSD(T)": (CCSDT_BASIS, lambda atom: _coupled_cluster(atom)[1]),
    }[level]
    atoms = {z: _molecule([z], [[0, 0, 0]], basis, UNPAIRED[z]) for z in (1, 6, 7, 8)}
    return {z: float(energy(atom)) * HARTREE for z, atom in atoms.items()}
