"""Calibrate cheap models on few labels: few parameters need few labels.

`molecules` corrects the energies of a cheap method, or of none, bond by bond; `water`
fits the parameters of a water model. Both give a teacher: calibrate it on the labels at
hand, label cheap structures with it, pretrain, and tune on the same labels.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from scipy.optimize import least_squares

from . import data, guards, units
from .data import EnergyForces, cell_of, energy_forces_of, labels
from .engine import system_energy_forces
from .guards import checked, optional, structures
from .molecules import parse, perceive
from .water import WaterModel, water_system

# kJ/mol: mean bond enthalpies at 298 K, as textbooks have them (such as Atkins & de
# Paula, Physical Chemistry); books differ by some per cent, for N-O by a fifth.
TEXTBOOK = {
    **{"H-H": 436, "C-H": 412, "H-N": 388, "H-O": 463, "F-H": 565, "C-F": 484},
    **{"C-C": 348, "C=C": 612, "C#C": 838, "C:C": 518, "F-N": 270, "F-O": 185},
    **{"C-N": 305, "C=N": 613, "C#N": 890, "C-O": 360, "C=O": 743},
    **{"N-N": 163, "N=N": 409, "N-O": 230, "N=O": 599, "O-O": 146},
    # other aromatic ones: half a single and half a double bond
    **{"C:N": 459, "C:O": 551, "N:N": 286, "N:O": 414},
    # strain of cyclopropane, cyclobutane and cyclopentane, which unbinds
    **{"ring of 3": -115, "ring of 4": -110, "ring of 5": -26},
}
SIGNS = {1.0: "-", 1.5: ":", 2.0: "=", 3.0: "#"}  # of a bond, by its order
ATOMS = optional(guards.element_energies)
TERMS = ("composition", "bonds", "bonds+rings")
PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3)  # eV²: squared errors
ELEMENT, BOND, FACTOR = 1.0, 0.1, 0.3  # how far terms (eV) go, and the factor from 1


@checked(X=guards.array(None, None, most=1e12), y=guards.array(None, most=1e12))
@checked(penalties=guards.several(guards.positive))
def ridge(
    X: np.ndarray, y: np.ndarray, penalties: Sequence[float] = PENALTIES
) -> tuple[np.ndarray, dict[float, float]]:
    """Minimise |X w - y|² + penalty |w|²; return w and {penalty: error left out}.

    X is (n, terms), y (n,); more terms than rows are welcome. The error is the mean
    square over rows, each predicted from the others, in closed form: the residual over
    one less its leverage. The penalty that leaves least is taken; of one row, of which
    nothing can be left out, the largest. Raises `ValueError` for an X so large that the
    penalties do not count.
    """
    if not len(X) or len(y) != len(X):
        raise ValueError(
            f"X, y: need rows, and as many of each, got {X.shape}, {y.shape}"
        )
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    left_out = {}
    for penalty in penalties if len(y) > 1 else ():
        share = s**2 / (s**2 + penalty)
        leverage = (U**2 * share) @ np.ones(len(s))
        if leverage.max() >= 1:
            raise ValueError(
                f"X: needs numbers near those of the penalties, {penalty:g} and more, "
                f"got up to {np.abs(X).max():.3g}; scale X"
            )
        gaps = (y - U @ (share * (U.T @ y))) / (1 - leverage)
        left_out[penalty] = float(np.mean(gaps**2))
    best = min(left_out, key=left_out.get, default=max(penalties))
    return Vt.T @ (s / (s**2 + best) * (U.T @ y)), left_out


@checked(smiles=guards.text)
def count(smiles: str) -> Counter[str]:
    """Count elements ("C"), bonds ("C=O", "C:N" aromatic) and rings ("ring of 5")."""
    return _count(smiles).copy()


@lru_cache(maxsize=50_000)  # so that a slider over labels answers at once
def _count(smiles: str) -> Counter[str]:
    mol = parse(smiles)
    found = Counter(atom.GetSymbol() for atom in mol.GetAtoms())
    for bond in mol.GetBonds():
        ends = sorted((bond.GetBeginAtom().GetSymbol(), bond.GetEndAtom().GetSymbol()))
        found[SIGNS.get(bond.GetBondTypeAsDouble(), "~").join(ends)] += 1
    found.update(f"ring of {len(ring)}" for ring in mol.GetRingInfo().AtomRings())
    return found


def _counts(frames: Sequence[Atoms], bonded: bool = True) -> list[Counter[str]]:
    """Count the terms of each frame, by ``info["smiles"]``, else by its distances.

    Counts elements only if not `bonded`. Raises `ValueError` with all frames of which
    bonds cannot be read.
    """
    counts, wrong = [Counter(a.get_chemical_symbols()) for a in frames], {}
    for k, atoms in enumerate(frames if bonded else ()):
        try:
            smiles = atoms.info.get("smiles") or perceive(atoms)
            elements, counts[k] = counts[k], _count(smiles)
            if any(counts[k][symbol] != n for symbol, n in elements.items()):
                raise ValueError(f"its info['smiles'], {smiles}, is another molecule")
        except ValueError as error:
            wrong[k] = str(error)
    if wrong:
        first = min(wrong)
        raise ValueError(
            f"frames: bonds of {len(wrong)} of {len(frames)} cannot be read, frames "
            f"{[*wrong][:20]} (frame {first}: {wrong[first]}); give them info['smiles']"
            ", or leave them out"
        )
    return counts


class Counted(NamedTuple):
    """Molecules whose terms are counted, for many calibrations on some of them."""

    frames: Sequence[Atoms]
    counts: Sequence[Counter[str]]
    energies: np.ndarray  # (frames,) eV, their labels

    def take(self, rows: Sequence[int]) -> "Counted":
        """Take some of them, in the order of `rows`."""
        frames = [self.frames[k] for k in rows]
        return Counted(frames, [self.counts[k] for k in rows], self.energies[rows])


def _molecules(value, name: str) -> Counted | Sequence[Atoms]:
    if not isinstance(value, Counted):
        return structures()(value, name)
    sizes = len(value.frames), len(value.counts), len(value.energies)
    if len({*sizes}) > 1:
        raise guards.refusal(name, "as many frames as counts and energies", sizes)
    return value


@checked(frames=_molecules)
def counted(frames: Sequence[Atoms] | Counted) -> Counted:
    """Count the terms of labelled molecules once; give the result in their place."""
    return _counted(frames, True)


def _counted(frames: Sequence[Atoms] | Counted, bonded: bool) -> Counted:
    if isinstance(frames, Counted):
        return frames
    y = [labels(a, f"frames, frame {k}", False)[0] for k, a in enumerate(frames)]
    return Counted(frames, _counts(frames, bonded), np.array(y))


@dataclass(frozen=True)
class MoleculeModel:
    """Energies of molecules: `factor` times a cheap method's, plus a sum over terms."""

    terms: dict[str, float]  # eV for each element, bond and ring
    factor: float  # of the cheap method's energy; 0: there is none
    left_out: dict[float, float]  # penalty -> mean square error (eV²) left out

    def _sums(self, counts: Sequence[Counter[str]]) -> np.ndarray:
        """Sum the terms (eV) of each molecule; one without a value counts nothing."""
        found = {name for c in counts for name in c if name.isalpha()}
        if unknown := found - self.terms.keys():
            raise ValueError(
                f"frames: elements {sorted(unknown)} have no energy in this model; "
                "give a label with them, or atomic_energies, where it is calibrated"
            )
        sums = [sum(n * self.terms.get(k, 0.0) for k, n in c.items()) for c in counts]
        return np.array(sums)

    @checked(frames=_molecules)
    def energies(
        self, frames: Sequence[Atoms] | Counted, cheap: np.ndarray | None = None
    ) -> np.ndarray:
        """Predict energies (frames,) eV from the cheap method's, (frames,) eV.

        Bonds and rings that no label had, and no pull, add nothing.
        """
        if (cheap is None) != (self.factor == 0):
            words = "None, as in the calibration" if cheap is not None else "energies"
            raise ValueError(f"cheap: needs {words} of the method calibrated")
        if isinstance(frames, Counted):
            molecules, counts = frames.frames, frames.counts
        else:
            bonded = not all(name.isalpha() for name in self.terms)
            molecules, counts = frames, _counts(frames, bonded)
        return self._sums(counts) + self.factor * _energies(cheap, molecules)

    @checked(smiles=guards.text)
    def energy_forces(self, smiles: str, cheap) -> EnergyForces:
        """Build the calibrated teacher of one molecule, whose bonds stay what they are.

        `cheap` is whatever `data.label` takes. Forces are `factor` times its own: terms
        shift the energy of a molecule as a whole.
        """
        known, source = count(smiles), energy_forces_of(cheap, "cheap")
        (shift,) = self._sums([known])
        needed = {name: n for name, n in known.items() if name.isalpha()}

        def energy_forces(numbers, positions, cell=None):
            if Counter(chemical_symbols[z] for z in numbers) != needed:
                raise ValueError(f"numbers: needs the atoms of {smiles!r}, {needed}")
            energy, forces = source(numbers, positions, cell)
            return self.factor * energy + shift, self.factor * np.asarray(forces)

        return energy_forces


def _energies(cheap, frames: Sequence[Atoms]) -> np.ndarray:
    """Take the energies of a cheap method; zeros if there is none."""
    none = np.zeros(len(frames))
    return none if cheap is None else guards.array(len(frames))(cheap, "cheap")


def _kinds(names: set[str], terms: str) -> list[str]:
    """Choose the bonds and rings that are `terms`."""
    kinds = {"bonds": "-:=#~", "bonds+rings": "-:=#~ "}.get(terms, "")
    return sorted(name for name in names if set(name) & set(kinds))


@checked(frames=_molecules, terms=guards.one_of(*TERMS), atomic_energies=ATOMS)
@checked(cheap_atoms=ATOMS, bonds=optional(guards.named(guards.finite)))
def molecules(
    frames: Sequence[Atoms] | Counted,
    cheap: np.ndarray | None = None,
    terms: str = "bonds+rings",
    *,
    atomic_energies: Mapping[int, float] | None = None,
    cheap_atoms: Mapping[int, float] | None = None,
    bonds: Mapping[str, float] | None = None,
) -> MoleculeModel:
    """Calibrate a cheap method, or none, on labelled molecules.

    `cheap` (frames,) eV are the energies of the cheap method. First, energies of
    elements are fitted to the labels less `cheap` (`data.fit_reference_energies`). Then
    `ridge` fits the rest on elements, bonds, rings and `cheap` itself (not for
    "composition"), with the widths at the top of this file.

    `atomic_energies` and `cheap_atoms` (eV) are free atoms of both, for elements that
    no label has. `bonds` (kJ/mol, such as `TEXTBOOK`) are what bonds and rings are
    pulled to, not 0: good where no cheap method knows bonds. Raises `ValueError` with
    all frames whose bonds cannot be read, and for labels that are no chemistry.
    """
    frames, counts, y = _counted(frames, terms != "composition")
    known = _energies(cheap, frames)
    pulls = {k: -energy * units.KJ_MOL for k, energy in (bonds or {}).items()}
    kinds = _kinds(set(pulls).union(*counts), terms)
    B = np.array([[c[k] for k in kinds] for c in counts], float)  # (frames, kinds)
    start = np.array([pulls.get(k, 0.0) for k in kinds])
    y, own = y - known - B @ start, cheap_atoms or {}
    prior = {z: e - own.get(z, 0.0) for z, e in (atomic_energies or {}).items()} or None
    atoms = data.fit_reference_energies(frames, y, prior)
    N, apart = data.compositions(frames, [*atoms]), np.array([*atoms.values()])
    each = np.array([own.get(z, 0.0) for z in atoms])  # what elements say of `cheap`
    each += np.linalg.lstsq(N, known - N @ each, rcond=None)[0]
    beyond = (known - N @ each) * (terms != "composition")
    widths = [ELEMENT] * len(atoms) + [BOND] * len(kinds) + [FACTOR]
    w, left_out = ridge(np.column_stack([N, B, beyond]) * widths, y - N @ apart)
    more, bound, (moved,) = np.split(w * widths, [len(atoms), -1])
    sums = np.append(apart + more - moved * each, start + bound).tolist()
    found = dict(zip([chemical_symbols[z] for z in atoms] + kinds, sums, strict=True))
    return MoleculeModel(found, 0.0 if cheap is None else 1 + float(moved), left_out)


WIDTHS = {  # of parameters of water, about as far as published models are apart
    **dict(stiffness=0.2, anharmonicity=0.2, r0=0.05, k_angle=0.2, theta0=0.05),
    **dict(sigma=0.02, epsilon=0.2, charge=0.1, gamma=0.5),
}
LIMITS = {"theta0": 180.0, "gamma": 1.0}  # of those their odds move, so none gets there
FORCE, ENERGY = 0.3, 3e-3  # eV/Å, eV an atom: errors that count like one width
FARTHEST = 10.0  # widths


def _moved(model: WaterModel, x: Mapping[str, float]) -> WaterModel:
    """Move each parameter of a model by x of its `WIDTHS`, on a scale of logarithms."""
    by = {name: float(np.exp(WIDTHS[name] * share)) for name, share in x.items()}
    stiffer, bent = by.pop("stiffness"), by.pop("anharmonicity", 1.0)
    new = {name: getattr(model, name) * factor for name, factor in by.items()}
    for name in LIMITS.keys() & by.keys():
        odds = by[name] / (LIMITS[name] / getattr(model, name) - 1)
        new[name] = LIMITS[name] * odds / (1 + odds)
    stretch = tuple(c * stiffer * bent**k for k, c in enumerate(model.stretch))
    return replace(model, stretch=stretch, **new)


def _errors(model: WaterModel, frames: Sequence[Atoms]) -> tuple:
    """Compute errors of energies (frames,) eV an atom and of all forces, eV/Å.

    Energies count up to a common one per molecule, the zero of the labels.
    """
    energies, forces = [], []
    for k, atoms in enumerate(frames):
        known = system_energy_forces(water_system(model, atoms), atoms)
        energy, force = known(atoms.numbers, atoms.positions, cell_of(atoms))
        truth, truths = labels(atoms, f"frames, frame {k}")
        energies.append((energy - truth) / len(atoms))
        forces.append((force - truths).ravel())
    sizes = np.array([len(a) for a in frames], float)
    zero = np.average(energies, weights=sizes**2)
    return np.array(energies) - zero, np.concatenate(forces)


@checked(model=guards.instance(WaterModel), frames=structures())
def water(
    model: WaterModel, frames: Sequence[Atoms]
) -> tuple[WaterModel, dict[str, tuple[float, float]]]:
    """Fit the parameters of a water model to labelled water; one box is enough.

    Least squares on forces and on differences of energies per molecule, over stretch
    (its stiffness and anharmonicity), r0, angle, Lennard-Jones, charge and the place of
    the site: nine parameters of q-TIP4P/F, seven of SPC/Fw. A prior of `WIDTHS` around
    the published values holds those that forces say little of; all stay physical.

    Returns the model, and before and after of each parameter and of the mean absolute
    error, "force_mae" (meV/Å). Frames are as for `water.water_system`; a box of 64 H2O
    takes some seconds.
    """
    names = [k for k in WIDTHS if k != "anharmonicity" or len(model.stretch) > 1]
    names = [k for k in names if k != "gamma" or model.gamma < 1]
    held = [k for k in names if getattr(model, k, 1.0) > 0]  # a zero stays a zero

    def residuals(x):
        energy, force = _errors(_moved(model, dict(zip(held, x, strict=True))), frames)
        return np.concatenate([force / FORCE, energy / ENERGY, x])

    def values(model):
        found = {k: getattr(model, k) for k in held if hasattr(model, k)}
        found |= {f"stretch[{k}]": c for k, c in enumerate(model.stretch)}
        error = np.abs(_errors(model, frames)[1]).mean() / units.MEV
        return found | {"force_mae": float(error)}

    how = dict(bounds=(-FARTHEST, FARTHEST), max_nfev=30, diff_step=1e-3)
    x = least_squares(residuals, np.zeros(len(held)), xtol=1e-4, ftol=1e-5, **how).x
    fitted = _moved(model, dict(zip(held, x, strict=True)))
    fitted = replace(fitted, name=f"{model.name}, calibrated")
    before, after = values(model), values(fitted)
    return fitted, {name: (before[name], after[name]) for name in before}
