"""What to do with somebody's own labelled structures: units, start, split."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms

from .. import molecules
from ..data import CHEMISTRY, compositions, groups_of, labels, split_free_atoms
from ..model import Potential
from ..reproduce.cards import nearest
from .intake import UNITS

OWN = "MMFF94, taught here"  # a pretraining that begins in the lesson

GROUPS = ("smiles", "run", "seed", "trajectory")  # of `Atoms.info`: what a group shares
TEST, GAP = 0.25, 0.05  # shares of the structures: tested on, left out in between


def start(frames: Sequence[Atoms]) -> str:
    """The shipped checkpoint to tune, of liquid water or of molecules; else `OWN`.

    `OWN` where MMFF94 knows the molecules and the checkpoint does not. Raises
    `ValueError`, with what there is, for other elements and other crystals.
    """
    elements = {int(z) for a in frames for z in a.numbers}
    periodic = frames[0].pbc.any()
    water = all(2 * (a.numbers == 8).sum() == (a.numbers == 1).sum() for a in frames)
    if periodic and elements == {1, 8} and water:
        return "water-qtip4pf-longer"
    if not periodic and elements <= {1, 6, 7, 8}:
        return "molecules-mmff94"
    why = ""
    if not periodic:
        try:
            if known_molecules(frames):
                return OWN
        except ValueError as error:
            why = f" MMFF94 cannot teach one: {error}."
    kind = "periodic" if periodic else "open"
    raise ValueError(
        f"frames: {kind} structures of the elements {sorted(elements)}; shipped "
        f"checkpoints know open molecules of H, C, N, O and liquid water.{why} "
        "Pretrain one of your own first: lessons 01 and 02 show how, with MMFF94"
    )


def known_molecules(frames: Sequence[Atoms]) -> list[str]:
    """SMILES of the molecules in `frames`, one a composition, as MMFF94 knows them.

    Bonds are read from distances, which fails for hot structures now and then: of each
    composition up to ten are tried. Raises `ValueError` where none of them will do.
    """
    found: dict[str, str] = {}
    tried: dict[str, list] = {}
    for atoms in frames:
        formula = atoms.get_chemical_formula()
        if formula in found or len(tried.setdefault(formula, [])) == 10:
            continue
        try:
            found[formula] = molecules.perceive(atoms)
        except ValueError as error:
            tried[formula].append(error)
    for formula, errors in tried.items():
        if formula not in found:
            raise errors[0]
    return [*dict.fromkeys(found.values())]


def atom_energies(
    frames: Sequence[Atoms], known: Mapping[int, float]
) -> dict[int, float]:
    """Find energies (eV) of free atoms: those `known`, the rest from the labels.

    Frames of one atom are free atoms, and come first. The rest are what is left of the
    labels' energies, by least squares: right to some eV, which is where the fit of
    reference energies can begin. Where `known` cannot be free atoms of the labels'
    method (an all-electron method, and labels with pseudopotentials, say), all of them
    come from the labels, with a warning.
    """
    structures, free = split_free_atoms(frames)
    elements = sorted({int(z) for a in structures for z in a.numbers})
    energies = np.array([labels(a, forces=False)[0] for a in structures])
    sizes = np.array([len(a) for a in structures])
    far = []  # eV an atom, from both candidates
    for start in ({**known, **free}, free):
        new = [z for z in elements if z not in start]
        atoms = {z: start.get(z, 0.0) for z in elements}
        left = energies - compositions(structures, elements) @ [*atoms.values()]
        fitted, *_ = np.linalg.lstsq(compositions(structures, new), left)
        left = (left - compositions(structures, new) @ fitted) / sizes
        far.append(np.abs(left).max())
        if far[-1] < CHEMISTRY:
            break
    if len(far) > 1:
        warnings.warn(
            f"known: the labels are up to {far[0]:.0f} eV an atom from these free "
            "atoms, so reference energies come from the labels alone. Are the atoms of "
            "another method, or the labels in Hartree, Ry or kcal/mol?",
            stacklevel=2,
        )
    return start | dict(zip(new, fitted.tolist(), strict=True))


def doubt_units(frames: Sequence[Atoms], potential: Potential) -> str | None:
    """What the forces' unit seems to be, if not eV/Å, and what to do; else None.

    The labels are held against what `potential` predicts: their ratio tells.
    """
    some = frames[:: max(1, len(frames) // 50)]
    known = np.concatenate([a.get_forces(apply_constraint=False).ravel() for a in some])
    guess = np.concatenate([f.ravel() for f in potential.predict(some)[1]])
    slope = float(known @ guess / (guess @ guess))
    alike = float(np.corrcoef(known, guess)[0, 1])
    if slope <= 0 or alike < 0.3:
        return (
            f"The forces have nothing to do with those of the pretrained potential "
            f"(correlation {alike:.2f}): are they gradients (the sign), or of another "
            "molecule?"
        )
    nearest_unit = min(UNITS, key=lambda u: abs(np.log(slope * UNITS[u][0])))
    if nearest_unit == "eV/Å":
        return None
    return (
        f"The forces are {slope:.3g} times what the pretrained potential predicts, as "
        f"if in {nearest_unit}: read them with unit={nearest_unit!r}."
    )


def pool_and_test(frames: Sequence[Atoms]) -> tuple[list[Atoms], list[Atoms], str]:
    """Two parts that share as little as can be, and in words how they were split.

    By molecule or run where `Atoms.info` names them (`GROUPS`), by composition where
    there are eight and more; else the last quarter in the order of the file is the
    test, and what comes just before it is left out: neighbours in a run are copies.
    """
    keys = next((k for k in GROUPS if all(k in a.info for a in frames)), None)
    if keys:
        names = [str(name) for name in groups_of(frames, keys)]
    else:
        keys, names = "composition", [a.get_chemical_formula() for a in frames]
    groups = [*dict.fromkeys(names)]
    if len(groups) >= 8:
        last = set(groups[-max(1, round(TEST * len(groups))) :])
        test = [a for a, n in zip(frames, names, strict=True) if n in last]
        pool = [a for a, n in zip(frames, names, strict=True) if n not in last]
        how = f"by {keys}: {len(groups) - len(last)} to learn from, {len(last)} to test"
    else:
        first = len(frames) - max(1, round(TEST * len(frames)))
        stop = max(1, first - round(GAP * len(frames)))
        pool, test = list(frames[:stop]), list(frames[first:])
        how = f"in the order of the file, {first - stop} in between left out"
    closest = nearest(test[:200], pool[:1000])
    if closest is not None:
        how += f"; the nearest pair of the two parts is {closest:.3f} Å apart"
    return pool, test, how
