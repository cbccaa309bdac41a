"""QM9, from its archive or from the package qm9pack, as labelled ``ase.Atoms``.

134 thousand relaxed molecules of up to nine heavy atoms: Ramakrishnan et al., Sci. Data
1, 140022 (2014), doi 10.1038/sdata.2014.22. Files are in Hartree and Å. The label of a
frame is U0 (eV); ``info["zpve"]`` is the zero-point energy in it, and
``info["electronic_energy"]`` U0 without it, the energy of one geometry that a potential
learns. The 3,054 molecules whose relaxed geometry is another one than their SMILES are
left out.
"""

import bz2
import csv
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ase import Atoms
from tqdm import tqdm

from ..data import with_labels
from ..units import HARTREE

MOLECULES = 133_885  # in the archive, the uncharacterised ones included
CHARACTERISED = 130_831
COLUMNS = 17  # "gdb", index, A, B, C, mu, alpha, homo, lumo, gap, r2, zpve, U0, …
ZPVE, U0 = 11, 12  # Hartree
PARTS = [f"data/qm9_part{k}.csv" for k in (1, 2, 3)]  # of qm9pack


def _molecule(index: int, symbols, positions, smiles: str, u0, zpve) -> Atoms:
    """Make one molecule, U0 and ZPVE given in Hartree; refuse what is not finite."""
    positions = np.array(positions, float)  # (N, 3) Å
    if not np.isfinite([u0, zpve, *positions.flat]).all():
        raise ValueError("a number is not finite")
    info = dict(smiles=smiles, index=index, zpve=zpve * HARTREE)
    info["electronic_energy"] = (u0 - zpve) * HARTREE
    return with_labels(Atoms(symbols, positions, info=info), u0 * HARTREE)


def qm9_molecule(text: str, where: str) -> Atoms:
    """Read the molecule of one file in QM9's own xyz dialect.

    Its lines: number of atoms; 17 columns with index, ZPVE and U0; element, x, y, z (Å)
    and charge of each atom, with exponents written ``1.0*^-6``; frequencies; two SMILES
    (GDB-17's, the relaxed geometry's: ``info["smiles"]``); two InChI. Raises
    `ValueError`, naming the file (`where`), for anything else.
    """
    try:
        lines = text.replace("*^", "e").splitlines()
        count, columns = int(lines[0]), lines[1].split()
        rows = [line.split() for line in lines[2 : 2 + count]]
        if len(columns) != COLUMNS or {len(row) for row in rows} != {5}:
            raise ValueError("wrong number of columns")
        float(lines[count + 2].split()[0])  # a frequency (1/cm), not one more atom
        symbols, places = [row[0] for row in rows], [row[1:4] for row in rows]
        smiles = lines[count + 3].split()[1]
        energies = float(columns[U0]), float(columns[ZPVE])
        atoms = _molecule(int(columns[1]), symbols, places, smiles, *energies)
        if len(atoms) != count:
            raise ValueError("an atom is missing")
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(
            f"{where}: not a molecule in QM9's xyz format ({error!r}); download the "
            "archive again"
        ) from error
    return atoms


def _counted(frames: Iterable[Atoms], total: int) -> list[Atoms]:
    """List molecules as they come, with a progress bar."""
    return [*tqdm(frames, desc="qm9", unit=" molecules", total=total)]


def qm9(archive: Path, uncharacterized: Path) -> dict[str, list[Atoms]]:
    """Read QM9 from its archive as a stream, without the molecules on the list.

    Needs about 0.7 GB of memory for all 130,831.
    """
    rows = [line.split() for line in uncharacterized.read_text("utf-8").splitlines()]
    left_out = {int(row[0]) for row in rows if row and row[0].isdigit()}

    def molecules(tar):
        for member in tar:
            if file := tar.extractfile(member):  # not a folder
                text = file.read().decode(errors="replace")
                yield qm9_molecule(text, f"{archive}, {member.name}")

    try:
        with bz2.open(archive) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
            frames = _counted(molecules(tar), MOLECULES)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{archive}: not a whole tar.bz2 archive ({error})") from error
    return {"pool": [a for a in frames if a.info["index"] not in left_out]}


def qm9pack(package: Path) -> dict[str, list[Atoms]]:
    """Read QM9 from the folder of the installed `package` (extra ``qm9``): three CSVs.

    Its SMILES are GDB-17's, without stereochemistry. Raises `ValueError`, with file and
    line, for another content.
    """

    def molecules():
        for path in (package / name for name in PARTS):
            with path.open(newline="", encoding="utf-8") as file:
                table = csv.DictReader(file)
                try:
                    for row in table:
                        yield _of_row(row)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise ValueError(
                        f"{path}, line {table.line_num}: not as in qm9pack 1.0.3 "
                        f"({error!r}); install it again"
                    ) from error

    frames = _counted(molecules(), CHARACTERISED)
    if len(frames) != CHARACTERISED:
        found = f"{package}: needs {CHARACTERISED} molecules, got {len(frames)}"
        raise ValueError(f"{found}; install qm9pack again")
    return {"pool": frames}


def _of_row(row: dict[str, str]) -> Atoms:
    """Read the molecule of one row of qm9pack's tables."""
    numbers = row["XYZ_Ang"].replace("[", "").replace("]", "").split(",")  # "0.", too
    return _molecule(
        int(row["Index"]),
        row["Elements"].strip("[]").replace("'", "").split(","),
        np.array(numbers, float).reshape(-1, 3),
        row["SMILES"],
        float(row["InternalEnergy_0K_au"]),
        float(row["ZPVE_au"]),
    )
