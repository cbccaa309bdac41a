"""Labels of periodic water with CP2K: revPBE-D3, driven through ASE's calculator.

CP2K is a program, not a Python package: ``apt install cp2k`` (Debian, Ubuntu) or
``conda install -c conda-forge cp2k``. Readers of the lessons never need it.

Protocol. Plane-wave grids make forces depend on where an atom sits between grid points.
GAPW (Lippert et al. 1999, doi 10.1007/s002140050523) evaluates what is sharp near a
nucleus on grids of its own: on a frame of 32 molecules its forces at 400 Ry differ from
plain GPW's at 1000 Ry by 8 meV/Å on average, those of GPW with a smoothed density at
400 Ry by 36. A cheap calculation on a coarse grid comes first and leaves its orbitals
as the guess: together less than half the time of one that starts from free atoms.
"""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase import Atoms
from ase.calculators.cp2k import CP2K
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Rydberg

BASIS = dict(
    basis_set="DZVP-MOLOPT-SR-GTH",
    basis_set_file="BASIS_MOLOPT",
    pseudo_potential="GTH-PBE",
    potential_file="GTH_POTENTIALS",
)
CUTOFF = 400.0  # Ry, of the finest grid
FUNCTIONAL = """
   &XC_FUNCTIONAL
    &PBE
     PARAMETRIZATION REVPBE
    &END PBE
   &END XC_FUNCTIONAL"""
DISPERSION = """
   &VDW_POTENTIAL
    POTENTIAL_TYPE PAIR_POTENTIAL
    &PAIR_POTENTIAL
     TYPE DFTD3
     PARAMETER_FILE_NAME dftd3.dat
     REFERENCE_FUNCTIONAL revPBE
     R_CUTOFF 15
    &END PAIR_POTENTIAL
   &END VDW_POTENTIAL"""
SMOOTHING = """
   &XC_GRID
    XC_SMOOTH_RHO NN10
    XC_DERIV SPLINE2_SMOOTH
   &END XC_GRID"""
INPUT = Path(__file__).with_suffix(".inp").read_text("utf-8")
GUESS = dict(  # coarse and smoothed: only its orbitals are used
    method="GPW",
    eps_default="1e-7",
    rel_cutoff=25,
    guess="ATOMIC",
    eps_scf="1e-4",
    max_scf=8,  # then a new preconditioner, from better orbitals
    xc=SMOOTHING + FUNCTIONAL,
)
FINAL = dict(
    method="GAPW",
    eps_default="1e-9",
    rel_cutoff=30,  # 60 and 1e-10 double the cost and change forces by 0.4 meV/Å
    guess="RESTART",
    eps_scf="3e-6",
    max_scf=12,
    xc=FUNCTIONAL + DISPERSION,
)
CONVERGED = FINAL | dict(method="GPW", eps_default="1e-14", rel_cutoff=80)


def label_cp2k(atoms: Atoms, *, multiplicity: int = 1, converged: bool = False):
    """Label a copy of `atoms`: energy (eV), forces (eV/Å), in a box stress (eV/Å³).

    revPBE-D3(0), GTH-PBE pseudopotentials, DZVP-MOLOPT-SR-GTH, GAPW at 400 Ry; with
    `converged` instead plain GPW at 1000 Ry and tight thresholds, to measure the noise.
    An open structure needs a cell twice as wide as itself.

    Raises `ValueError` for a periodicity that is neither all nor none and for a cell
    without volume, `RuntimeError` where CP2K is missing or fails.
    """
    periodic = bool(atoms.pbc.all())
    if atoms.pbc.any() != periodic or not abs(atoms.cell.volume) > 0:
        raise ValueError(
            "atoms: CP2K needs a cell with a volume that is periodic in all directions "
            f"or in none, got pbc={atoms.pbc.tolist()}, cell={atoms.cell}"
        )
    settings, cutoff = (CONVERGED, 1000.0) if converged else (FINAL, CUTOFF)
    spin = dict(uks=multiplicity > 1, multiplicity=multiplicity)
    with TemporaryDirectory() as folder:
        _calculate(atoms, f"{folder}/guess", GUESS, 120.0, **spin)
        results = _calculate(
            atoms, f"{folder}/final", settings, cutoff, **spin, stress_tensor=periodic
        )
    labelled = atoms.copy()
    labelled.calc = SinglePointCalculator(labelled, **results)
    return labelled


def _calculate(atoms: Atoms, label: str, settings: dict, cutoff: float, **how) -> dict:
    """Compute energy, forces and, where asked for, stress, from the guess beside."""
    if shutil.which("cp2k_shell") is None:
        raise RuntimeError(
            "cp2k_shell: not found; install CP2K (see tpainn_lite.reproduce.cp2k); the "
            "lessons do not need it: its labels ship"
        )
    orbitals = Path(label).with_name("guess-RESTART.wfn")
    how |= dict(inp=INPUT.format(**settings, orbitals=orbitals), xc=None, max_scf=None)
    how |= dict(command="env OMP_NUM_THREADS=1 cp2k_shell", print_level="LOW") | BASIS
    cp2k = CP2K(label=label, cutoff=cutoff * Rydberg, **how)
    try:
        with cp2k:
            cp2k.calculate(atoms.copy())
            found = {key: np.copy(value) for key, value in cp2k.results.items()}
    except (AssertionError, ValueError) as error:  # what ASE's reader of replies raises
        log = Path(f"{label}.out")
        text = log.read_text("utf-8", "replace") if log.is_file() else "no output"
        raise RuntimeError(f"CP2K failed ({error}): {text[-1500:]}") from error
    found["energy"] = float(found["energy"])
    return {key: found[key] for key in ("energy", "forces", "stress") if key in found}


def atom_energies() -> dict[int, float]:
    """Compute energies (eV) of free hydrogen (doublet) and oxygen (triplet) atoms."""
    energies = {}
    for z, multiplicity in ((1, 2), (8, 3)):
        atom = Atoms([z], [[5.0] * 3], cell=[10.0] * 3)
        labelled = label_cp2k(atom, multiplicity=multiplicity)
        energies[z] = float(labelled.get_potential_energy())
    return energies


def version() -> str:
    """Ask for the name and version of the CP2K that is installed."""
    text = subprocess.check_output(["cp2k", "--version"], encoding="utf-8")
    return text.strip().splitlines()[0].strip()
