"""Find the labels of frames under the keys, and in the units, that people use."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress

from .. import guards
from ..data import is_free
from ..units import BOHR, ENERGIES, HARTREE, LENGTHS

PREFIX = r"(?:(?:ref|dft|qm|true|target|label)_)?"
ENERGY = re.compile(PREFIX + r"(?:tot_?|total_?)?energ(?:y|ies)", re.I)
FORCES = re.compile(PREFIX + r"(?:atomic_)?forces?", re.I)
STRESS = re.compile(PREFIX + r"(?:stress|(virials?))(?:_tensor)?", re.I)
VOIGT = [0, 5, 4, 5, 1, 3, 4, 3, 2]  # nine components from xx, yy, zz, yz, xz, xy
UNIT = re.compile(r"(?:(energy|forces?|length|positions?|e|f|r)_)?units?", re.I)
SAME = 1e-5  # in the file's unit: two keys with one value
SPELLINGS = {  # in small letters, of the names in `units`
    **{"hartrees": "hartree", "eh": "hartree", "ha": "hartree", "rydberg": "ry"},
    **dict.fromkeys(("ang", "angstrom", "angstroms", "a"), "å"),
    **{"bohrs": "bohr", "a0": "bohr"},
}
STYLES = {"real": "kcal/mol/å", "metal": "ev/å", "electron": "hartree/bohr"}  # LAMMPS
ENERGY_OF = {name.lower(): eV for name, eV in ENERGIES.items()} | {"au": HARTREE}
LENGTH_OF = {name.lower(): size for name, size in LENGTHS.items()} | {"au": BOHR}


def energy_and_length(name: str) -> tuple[float | None, float | None]:
    """Read a unit such as "kcal mol-1", "Bohr" or "Hartree/Bohr", in eV and in Å.

    Also a style of LAMMPS, as "metal". None for the part that a unit has not. Raises
    `ValueError` for other units.
    """
    name = guards.text(name, "its unit")
    plain = re.sub(r"\s*/\s*", "/", name.strip().lower().replace(".", ""))
    plain = re.sub(r"[\s*]+([a-zå]+)\^?-1", r"/\1", plain).replace(" ", "")
    plain = STYLES.get(plain, SPELLINGS.get(plain, plain))
    if plain in ENERGY_OF or plain in LENGTH_OF:
        return ENERGY_OF.get(plain), LENGTH_OF.get(plain)
    above, _, below = (SPELLINGS.get(part, part) for part in plain.rpartition("/"))
    if above in ENERGY_OF and below in LENGTH_OF:
        return ENERGY_OF[above], LENGTH_OF[below]
    known = f"one of {[*ENERGIES]}, of {[*LENGTHS]}, or of each with / between"
    raise guards.refusal("its unit", known, name)


def named_units(
    said: Mapping, told: bool = False
) -> tuple[float | None, float | None, float | None]:
    """Read the units of energy, force and length that a header or an npz names.

    None for what it does not name, and for a unit that is not known where all is told.
    """
    found: dict[str, float | None] = {}
    for key, value in said.items():
        if (match := UNIT.fullmatch(str(key))) is None:
            continue
        try:
            energy, length = energy_and_length(str(value))
        except ValueError as error:
            if told:
                continue
            words = f"its header says {key}={value}: tell it, with unit= ({error})"
            raise ValueError(words) from None
        kind = (match[1] or "all")[0].lower()
        if kind in "ea":
            found["energy"] = energy
        if kind in "fa" and energy and length:
            found["force"] = energy / length
        if kind in "lpra":
            found["length"] = length
    return found.get("energy"), found.get("force"), found.get("length")


def labels_of(
    frames: Sequence[Atoms],
    energy_key: str | None,
    forces_key: str | None,
    notes: list[str],
) -> list[tuple[Atoms, float | None, np.ndarray | None]]:
    """Find each frame's energy and forces, in the file's units; None where missing."""
    kept, found, stars = [all_values(atoms) for atoms in frames], [], []
    numbers, arrays = [], []
    for k, (atoms, values) in enumerate(zip(frames, kept, strict=True)):
        with guards.at(f"frame {k}"):
            chosen = _chosen(values, energy_key, ENERGY)
            if not chosen and not energy_key and atoms.calc:  # CASTEP's runs
                chosen = _chosen(atoms.calc.results, "free_energy", ENERGY)
            numbers.append({key: _number(v) for key, v in chosen.items()})
            chosen = _chosen(values, forces_key, FORCES)
            arrays.append({key: _array(v, len(atoms)) for key, v in chosen.items()})
    _name_keys(numbers, kept, "energy", energy_key, notes)
    _name_keys(arrays, kept, "forces", forces_key, notes)
    for k, atoms in enumerate(frames):
        energy = next((e for e in numbers[k].values() if e is not None), None)
        force = next((f for f in arrays[k].values() if f is not None), None)
        if numbers[k] and energy is None:
            stars.append(k)
        if force is None and energy is not None and is_free(atoms):
            force = np.zeros((1, 3))  # by symmetry
        found.append((atoms, energy, force))
    if stars:
        notes.append(f"{len(stars)} energies are no numbers: frames {stars[:5]}.")
    return found


def stress_of(atoms: Atoms, notes: set[str]) -> np.ndarray | None:
    """Find the stress (6,) eV/Å³ of a box, or make it from a virial (eV); else None."""
    found = {}
    for key, value in _chosen(all_values(atoms), None, STRESS).items():
        tensor = np.ravel(value)
        tensor = tensor[VOIGT] if tensor.size == 6 else tensor
        number = tensor.size == 9 and tensor.dtype.kind in "if"
        if number and np.isfinite(tensor).all() and atoms.pbc.all():
            virial = STRESS.fullmatch(str(key))[1]
            scale = -1 / atoms.cell.volume if virial else 1.0
            found[key] = scale * full_3x3_to_voigt_6_stress(tensor.reshape(3, 3))
            if virial:
                notes.add(f"The stress is minus {key!r} over the volume, as in QUIP.")
    first = next(iter(found.values()), None)
    if all(np.allclose(first, each, rtol=1e-3, atol=SAME) for each in found.values()):
        return first
    notes.add(f"The stress is left out: {' and '.join(map(repr, found))} differ.")
    return None


def keys_of(frames: Sequence[Atoms]) -> list[str]:
    """List some keys that frames have; not words that stand alone in a header."""
    some = [all_values(atoms) for atoms in frames[:10]]
    names = {str(k) for values in some for k, v in values.items() if v is not True}
    return sorted(names - {"origin"})[:10]


def _chosen(values: Mapping, told: str | None, pattern: re.Pattern) -> dict:
    """Pick the values whose key is the one that was told, or fits the pattern."""
    if told:
        return {told: values[told]} if told in values else {}
    return {k: value for k, value in values.items() if pattern.fullmatch(str(k))}


def all_values(atoms: Atoms) -> dict[str, object]:
    """Gather what a frame holds beside its structure; results of a calculator win."""
    arrays = dict(atoms.arrays)
    del arrays["numbers"], arrays["positions"]
    return atoms.info | arrays | (atoms.calc.results if atoms.calc else {})


def _name_keys(found: list[dict], kept, name: str, told, notes: list[str]) -> None:
    """Refuse two keys that differ in a frame; note keys that are not called `name`."""
    keys = [*dict.fromkeys(k for values in found for k in values)]
    for k, values in enumerate(found):
        known = {key: v for key, v in values.items() if v is not None}
        ranked = sorted(known, key=lambda key: key != name)  # the plain one first
        for other in ranked[1:]:
            if not np.allclose(known[ranked[0]], known[other], rtol=0, atol=SAME):
                raise ValueError(
                    f"{ranked[0]!r} and {other!r} differ, in frame {k} first; choose "
                    f"with {name}_key={ranked[0]!r} or {name}_key={other!r}"
                )
    used = {k for values in found for k, v in values.items() if v is not None}
    if told is None and used - {name}:
        n = {key: sum(v.get(key) is not None for v in found) for key in keys}
        words = [f"{k!r}" + f" in {n[k]} frames" * (len(used) > 1) for k in n if n[k]]
        verb = "are" if name == "forces" else "is"
        notes.append(f"The {name} {verb} {' or '.join(words)}.")
    if name == "energy" and keys:
        free = [_number(values.get("free_energy")) for values in kept]
        pairs = zip(free, found, strict=True)
        if any(f and e and abs(e - f) > SAME for f, v in pairs for e in v.values()):
            notes.append(
                f"{keys[0]!r} and 'free_energy' differ: {keys[0]!r} was taken; forces "
                "belong to the free energy where electrons are smeared."
            )


def _number(value) -> float | None:
    """Read a number, also one of Fortran's or NumPy's texts; None for stars."""
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else None  # one an atom is no total
    if isinstance(value, str):
        plain = re.sub(r"[dD]", "e", value.strip())
        plain = plain.removesuffix("eV").strip()
        if re.fullmatch(r"\*+|nan|none|null|", plain.lower()):
            return None
        try:
            value = float(plain)
        except ValueError:
            raise ValueError(f"energy: needs a number, got {value!r}") from None
    if value is None or value != value:
        return None
    return guards.finite(value, "energy")


def _array(value, n: int) -> np.ndarray | None:
    """Read forces (N, 3); None where they are not finite."""
    forces = np.array(value.split() if isinstance(value, str) else value, float)
    if forces.size != 3 * n:
        raise ValueError(f"forces: need {n} rows of 3 numbers, got {forces.shape}")
    forces = forces.T if forces.shape == (3, n) and n != 3 else forces.reshape(n, 3)
    return forces if np.isfinite(forces).all() else None
