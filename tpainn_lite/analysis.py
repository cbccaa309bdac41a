"""What the frames of a run say: density, structure, hydrogen bonds, with errors.

Frames are ``ase.Atoms``. Lengths in Å, densities in g/cm³. What needs the order of the
frames in time is in ``transport``.
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from . import units
from .geometry import check_same_atoms, nearest_image, periodic, reach

LEAST = 16  # values: fewer say too little about their own spread
WINDOW = 3  # statistical inefficiencies: lags that are summed up
O_H = covalent_radii[8] + covalent_radii[1]  # Å: 0.97
LONG = 1.5  # times O_H: a hydrogen so far away may be nearer to another oxygen
LONGEST = 3.0  # times O_H: no scan of a bond goes so far


def mean_and_error(series: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error of a correlated series, by its autocorrelation.

    N values say as much as N/g independent ones, where the statistical inefficiency g
    is one plus twice the sum of the autocorrelation over all lags. Far lags are noise,
    so the sum ends at the first lag that is `WINDOW` times the g found so far: Sokal,
    in Functional Integration, 131 (1997), doi 10.1007/978-1-4899-0319-8_6. Of 25 g
    values the error comes out a twelfth too small on average.

    Raises `ValueError` for fewer than 16 values, and for values that are not finite.
    """
    x = np.asarray(series, float)
    if x.ndim != 1:
        raise ValueError(f"series: needs one number after another, got shape {x.shape}")
    N, mean = len(x), float(x.mean()) if len(x) else np.nan
    if N < LEAST or not np.isfinite(mean):
        raise ValueError(
            f"series: needs {LEAST} finite values to tell an error, got {N} with mean "
            f"{mean}"
        )
    if np.ptp(x) == 0:
        return mean, 0.0
    power = np.abs(np.fft.rfft(x - mean, 2 * N)) ** 2
    covariance = np.fft.irfft(power, 2 * N)[:N] / N  # by lag
    upto = 2 * np.cumsum(covariance / covariance[0]) - 1  # g, by the last lag
    g = max(upto[np.argmax(np.arange(N) >= WINDOW * upto)], 1.0)
    return mean, float(np.sqrt(covariance[0] * g / (N - g)))


def densities(frames: Sequence[Atoms]) -> np.ndarray:
    """Return the mass density (g/cm³) of each frame, (frames,).

    Raises `ValueError` for frames that are no periodic boxes: they have no volume.
    """
    for k, atoms in enumerate(frames):
        if not (atoms.pbc.all() and atoms.cell.volume > 0):
            raise ValueError(
                "frames: need boxes that are periodic in all directions, got frame "
                f"{k} with pbc={atoms.pbc.tolist()}, cell={atoms.cell.cellpar()}"
            )
    return np.array(
        [a.get_masses().sum() / a.get_volume() / units.GRAM_CM3 for a in frames]
    )


def displacements(atoms: Atoms, first, second) -> np.ndarray:
    """Return vectors (P, 3) Å from atoms `first` to atoms `second`.

    To the nearest image in a periodic box; an open structure has no images. Raises
    `ValueError` for atoms that are periodic in some directions only, and for positions
    that are not finite.
    """
    vectors = atoms.positions[second] - atoms.positions[first]
    if not np.isfinite(vectors).all():
        raise ValueError("atoms: a position is NaN or infinite; drop this frame")
    return nearest_image(vectors, atoms.cell.array) if periodic(atoms) else vectors


def rdf(
    frames: Sequence[Atoms],
    one: int,
    other: int,
    *,
    r_max: float,
    bins: int = 150,
    molecules: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Radial distribution function: r (bins,) Å and g(r), 1 for what is unrelated.

    Args:
        frames: of one periodic box, whose volume may change.
        one: atomic number; `other` may be the same.
        other: atomic number of the neighbours that are counted.
        r_max: Å, at most half the shortest lattice vector of the smallest box.
        bins: of equal width.
        molecules: the molecule (N,) of each atom: pairs within one are left out.
    """
    _check_range(frames, r_max)
    numbers = frames[0].numbers
    i, j = np.meshgrid(
        np.flatnonzero(numbers == one), np.flatnonzero(numbers == other), indexing="ij"
    )
    keep = i != j if molecules is None else molecules[i] != molecules[j]
    i, j = i[keep], j[keep]
    if len(i) == 0:
        raise ValueError(f"one, other: no pair of atomic numbers {one} and {other}")
    edges = np.linspace(0, r_max, bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)  # Å³
    g = np.zeros(bins)
    for atoms in frames:
        r = np.linalg.norm(displacements(atoms, i, j), axis=1)
        counts, _ = np.histogram(r, edges)
        g += counts / shells * atoms.get_volume() / len(i)
    return (edges[1:] + edges[:-1]) / 2, g / len(frames)


def _check_range(frames: Sequence[Atoms], r_max: float) -> None:
    check_same_atoms(frames)
    if not all(a.pbc.all() for a in frames):
        raise ValueError("frames: needs boxes that are periodic in all directions")
    _check_reach(r_max, min(reach(a.cell.array) for a in frames))


def _check_reach(r_max: float, half: float) -> None:
    if not 0 < r_max <= half:
        raise ValueError(
            f"r_max: needs a positive number up to {half:.2f} Å, half the shortest "
            f"lattice vector of the smallest box, got {r_max}; farther away an atom "
            "has more than one image"
        )


def coordination(r: np.ndarray, g: np.ndarray, density: float, cutoff: float) -> float:
    """Mean number of neighbours within `cutoff` Å, at `density` neighbours per Å³.

    An atom is not its own neighbour: (N - 1) / V for one element with itself. Raises
    `ValueError` for a `cutoff` beyond the last r, and for what is no density or g(r).
    """
    r, g = np.asarray(r, float), np.asarray(g, float)
    if r.ndim != 1 or r.shape != g.shape or len(r) < 2 or not np.isfinite(g).all():
        raise ValueError(
            f"r, g: need one finite g for each r, got {r.shape}, {g.shape}"
        )
    width = r[1] - r[0]
    if not 0 < cutoff <= (1 + 1e-9) * (r[-1] + width / 2):
        raise ValueError(
            f"cutoff: needs a positive number up to {r[-1] + width / 2:.2f} Å, where "
            f"g(r) ends, got {cutoff}"
        )
    if not 0 <= density < np.inf:
        raise ValueError(f"density: needs a number per Å³, not negative, got {density}")
    inside = r < cutoff
    return float((4 * np.pi * r**2 * g * width)[inside].sum() * density)


def force_parts(atoms: Atoms, forces: np.ndarray) -> dict[str, np.ndarray]:
    """Forces (N, 3) on water ordered O H H, ... as what they do to each molecule.

    "translation" and "rotation" accelerate and turn it as a whole, so other molecules
    exert them; "vibration" is the rest, which bends and stretches it, mostly its own
    doing. The three add up to `forces`. (Magdău et al., npj Comput. Mater. 9, 146
    (2023), doi 10.1038/s41524-023-01100-w, compare force errors so.)

    Raises `ValueError` as `check_water` does, and for forces of another shape.
    """
    check_water(atoms)
    masses = atoms.get_masses().reshape(-1, 3, 1)  # (molecules, 3, 1)
    share = masses / masses.sum(axis=1, keepdims=True)
    F = np.asarray(forces, float)
    if F.shape != (len(atoms), 3) or not np.isfinite(F).all():
        raise ValueError(
            f"forces: needs finite numbers of shape ({len(atoms)}, 3), got {F.shape}"
        )
    F = F.reshape(-1, 3, 3)
    arms = bond_vectors(atoms).reshape(-1, 2, 3)
    r = np.pad(arms, ((0, 0), (1, 0), (0, 0)))  # (molecules, 3, 3), from the oxygen
    r = r - (share * r).sum(axis=1, keepdims=True)
    torque = np.cross(r, F).sum(axis=1)[..., None]  # (molecules, 3, 1)
    inertia = np.einsum("mai,maj->mij", masses * r, r)
    inertia = np.trace(inertia, axis1=1, axis2=2)[:, None, None] * np.eye(3) - inertia
    spin = np.linalg.solve(inertia, torque).swapaxes(1, 2)  # (molecules, 1, 3)
    parts = {
        "translation": share * F.sum(axis=1, keepdims=True),
        "rotation": masses * np.cross(spin, r),
    }
    parts["vibration"] = F - parts["translation"] - parts["rotation"]
    return {name: part.reshape(-1, 3) for name, part in parts.items()}


def check_water(atoms: Atoms) -> None:
    """Raise `ValueError` for what is not molecules of water in the order O H H.

    A hydrogen belongs to the last oxygen before it. A bond may be stretched, but a
    hydrogen farther away than `LONG` times the sum of the covalent radii (1.45 Å) must
    not be nearer to another oxygen, and none may be `LONGEST` times as far (2.91 Å).
    """
    r = np.linalg.norm(bond_vectors(atoms), axis=1)
    hydrogens, oxygens = np.flatnonzero(atoms.numbers == 1), np.arange(len(atoms))[::3]
    for k in np.flatnonzero(r > LONG * O_H):
        h = np.full(len(oxygens), hydrogens[k])
        nearest = np.linalg.norm(displacements(atoms, h, oxygens), axis=1).min()
        if nearest < r[k] or r[k] > LONGEST * O_H:
            raise ValueError(
                f"atoms: hydrogen {hydrogens[k]} is {r[k]:.2f} Å from its oxygen "
                f"{hydrogens[k] // 3 * 3}, and {nearest:.2f} Å from the nearest one. "
                "Water is needed in the order O H H, O H H, ...: the order may be "
                "another one (water.ordered(atoms) puts it right), or the molecule "
                "has broken, or is wrapped in a box that is not periodic"
            )


def bond_vectors(atoms: Atoms) -> np.ndarray:
    """Return the vectors (hydrogens, 3) Å from its oxygen to each hydrogen of water.

    To the nearest image. Of any length: broken molecules show here. Raises
    `ValueError` where the elements are not in the order O, H, H.
    """
    if atoms.numbers.tolist() != [8, 1, 1] * (len(atoms) // 3) or not len(atoms):
        raise ValueError(
            "atoms: needs water ordered O H H, O H H, ..., got "
            f"{atoms.get_chemical_formula('reduce')[:40] or 'no atom'}; "
            "water.ordered(atoms) puts the atoms of water in order"
        )
    hydrogen = np.flatnonzero(atoms.numbers == 1)
    return displacements(atoms, hydrogen // 3 * 3, hydrogen)


def hydrogen_bonds(atoms: Atoms, r_max: float = 3.5, angle: float = 30.0) -> int:
    """Hydrogen bonds of a box of water ordered O H H, ....

    A bond: two oxygens nearer than `r_max` Å and, at the donor, an angle H-O...O below
    `angle` degrees (Luzar & Chandler, Phys. Rev. Lett. 76, 928 (1996), doi
    10.1103/PhysRevLett.76.928). Each bond counts once, and belongs to two molecules.

    Raises `ValueError` as `check_water` does, and for a box whose shortest lattice
    vector is below twice `r_max`.
    """
    check_water(atoms)
    _check_reach(r_max, reach(atoms.cell.array) if atoms.pbc.any() else np.inf)
    oxygens = np.arange(0, len(atoms), 3)
    donor, acceptor = (k.ravel() for k in np.meshgrid(oxygens, oxygens))
    apart = donor != acceptor
    donor, acceptor = donor[apart], acceptor[apart]
    to = displacements(atoms, donor, acceptor)
    near = np.linalg.norm(to, axis=1) < r_max
    donor, to, count = donor[near], to[near], 0
    for hydrogen in (1, 2):
        arm = displacements(atoms, donor, donor + hydrogen)
        lengths = np.linalg.norm(to, axis=1) * np.linalg.norm(arm, axis=1)
        cosine = (to * arm).sum(axis=1) / lengths
        count += int((cosine > np.cos(np.radians(angle))).sum())
    return count
