"""Conversion constants, all from ``ase.units``.

Inside the library: eV, Å, fs, u, K, bar. Multiply by a constant to come in,
divide to go out: ``energy_ev = energy_kcal * KCAL_MOL``.
"""

from ase import units

KCAL_MOL = units.kcal / units.mol  # eV
KJ_MOL = units.kJ / units.mol  # eV
HARTREE = units.Hartree  # eV
BOHR = units.Bohr  # Å
NM = units.nm  # Å
PS = 1000.0  # fs
MEV = 1e-3  # eV
MPA = 1e-3 * units.GPa  # eV/Å³
GRAM_CM3 = 1e-3 * units.kg / (1e-2 * units.m) ** 3  # u/Å³
KB = units.kB  # eV/K
ASE_FS = units.fs  # ASE's time unit per fs; velocities of ase.Atoms are Å/ASE_FS
UNPAIRED = {1: 1, 6: 2, 7: 3, 8: 2, 9: 1}  # electrons of free atoms (Hund's rule)
ENERGIES = {"eV": 1.0, "meV": MEV, "kcal/mol": KCAL_MOL, "kJ/mol": KJ_MOL}  # eV
ENERGIES |= {"Hartree": HARTREE, "Ry": HARTREE / 2}
LENGTHS = {"Å": 1.0, "Bohr": BOHR, "nm": NM}  # Å
COMMON = (
    "eV/Å meV/Å eV/Bohr kcal/mol/Å kJ/mol/Å kJ/mol/nm Hartree/Bohr Hartree/Å Ry/Bohr"
)
LABEL_UNITS = {  # of a force (eV/Å), and of the energy that goes with it (eV)
    f"{e}/{r}": (ENERGIES[e] / LENGTHS[r], ENERGIES[e])
    for e, _, r in (name.rpartition("/") for name in COMMON.split())
}
