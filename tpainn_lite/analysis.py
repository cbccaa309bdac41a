"""What the frames of a run say: density, structure, hydrogen bonds, with errors.

Frames are ``ase.Atoms``. Lengths in Å, densities in g/cm³. What needs the order of the
frames in time is in ``transport``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import ase.units
import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.data import covalent_radii
from ase.geometry import minkowski_reduce
from ase.neighborlist import natural_cutoffs, neighbor_list

from . import units

TIE = 1e-12  # relative: a hexagonal cell stays reduced when it is rounded
STRETCH = 1.2  # times the sum of covalent radii: farther atoms are not bonded
AROUND = np.array([n for n in product((-1, 0, 1), repeat=3) if any(n)])  # (26, 3)
FLAT = 1e-10  # of the product of its edges: a cell with a smaller volume has none


def periodic(atoms: Atoms) -> bool:
    """Return whether `atoms` are periodic; raise `ValueError` where only partly so."""
    if atoms.pbc.any() and not atoms.pbc.all():
        raise ValueError(
            "atoms: needs to be periodic in all three directions or in none, got "
            f"pbc={atoms.pbc.tolist()}"
        )
    return bool(atoms.pbc.all())


def check_same_atoms(frames: Sequence[Atoms]) -> None:
    """Raise `ValueError` where frames are missing, or are not of the same atoms."""
    if len(frames) == 0:
        raise ValueError("frames: needs at least one, got none")
    for k, atoms in enumerate(frames):
        if not np.array_equal(atoms.numbers, frames[0].numbers):
            raise ValueError(
                "frames: need the same atoms in the same order, but frame "
                f"{k} is {atoms.get_chemical_formula('reduce')[:40]} and frame 0 "
                f"{frames[0].get_chemical_formula('reduce')[:40]}"
            )


def reduced(cell: np.ndarray) -> np.ndarray:
    """Return the shortest vectors (3, 3) Å that span the lattice of `cell` (3, 3) Å.

    They are Minkowski-reduced. A cell with right angles comes back as it is. Raises
    `ValueError` for a cell without volume.
    """
    cell = np.asarray(cell, float)
    if not abs(np.linalg.det(cell)) > FLAT * np.linalg.norm(cell, axis=1).prod():
        raise ValueError(
            "cell: needs three vectors that span a volume, got "
            f"{cell.round(3).tolist()}; an open structure (pbc=False) has no images"
        )
    return cell if _rectangular(cell) else _reduced(cell.tobytes())


def _rectangular(cell: np.ndarray) -> bool:
    products = cell @ cell.T
    edges = products.diagonal()
    return np.abs(products - np.diag(edges)).max() <= 1e-12 * edges.min()


@lru_cache(maxsize=64)  # the frames of a run mostly share their cell
def _reduced(cell: bytes) -> np.ndarray:
    return np.array(minkowski_reduce(np.frombuffer(cell).reshape(3, 3))[0])


def reach(cell: np.ndarray) -> float:
    """Return half the shortest vector (Å) of the lattice of `cell` (3, 3) Å.

    Within this distance an atom has at most one image of any other atom.
    """
    return float(np.linalg.norm(reduced(cell), axis=1).min() / 2)


def nearest_image(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Move `vectors` (..., 3) Å by cell vectors to their shortest images.

    Exact in every cell (3, 3) Å, however skewed. Raises `ValueError` for a cell without
    volume.
    """
    cell = reduced(cell)
    near = vectors - np.round(vectors @ np.linalg.inv(cell)) @ cell
    if _rectangular(cell):
        return near
    # rounding finds what is shorter than half the least height, not what is longer
    height = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
    far = np.linalg.norm(near, axis=-1) >= height / 2
    near[far] = _shortest(near[far], cell)
    return near


def _shortest(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The shortest of each vector (M, 3) and its images by up to one cell vector each.

    That is enough where the cell is reduced. One shift at a time, to save memory.
    """
    best, least = vectors.copy(), (vectors**2).sum(axis=1)
    for shift in AROUND @ cell:
        image = vectors + shift
        squares = (image**2).sum(axis=1)
        shorter = squares < least
        best[shorter], least[shorter] = image[shorter], squares[shorter]
    return best


def neighbours(quantities: str, atoms: Atoms, cutoff) -> tuple[np.ndarray, ...]:
    """List neighbours as ASE's ``neighbor_list``; an open structure needs no cell.

    ASE would sort the atoms into bins that fill the cell, however empty it is.
    """
    if not atoms.pbc.any():
        atoms = Atoms(atoms.numbers, atoms.positions)
    return neighbor_list(quantities, atoms, cutoff)


def bonds(atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First atom (P,), second atom (P,), vector (P, 3) Å of each bond, both ways."""
    return neighbours("ijD", atoms, natural_cutoffs(atoms, mult=STRETCH))


def whole(atoms: Atoms) -> Atoms:
    """A copy in which no molecule is cut by a face of the box.

    Each molecule stays where its first atom is.
    """
    first, second, vectors = bonds(atoms)
    starts = np.searchsorted(first, np.arange(len(atoms) + 1))  # `first` is sorted
    mended, seen = atoms.copy(), np.zeros(len(atoms), bool)
    for root in range(len(atoms)):
        stack = [] if seen[root] else [root]
        seen[root] = True
        while stack:
            i = stack.pop()
            for k in range(starts[i], starts[i + 1]):
                if not seen[second[k]]:
                    seen[second[k]] = True
                    mended.positions[second[k]] = mended.positions[i] + vectors[k]
                    stack.append(second[k])
    return mended


@dataclass(frozen=True, eq=False)
class Box:
    """A cell as OpenMM takes it, and the way back to the cell and axes of the user.

    OpenMM wants three reduced vectors that form a lower triangle. Any cell can be
    written so: turn it, and combine its vectors by whole numbers.
    """

    vectors: np.ndarray  # (3, 3) Å: reduced, lower triangular
    turn: np.ndarray  # (3, 3): vectors (N, 3) @ turn.T go in, and @ turn come out
    combine: np.ndarray  # (3, 3) whole numbers: combine @ vectors @ turn is the cell

    @staticmethod
    def of(cell: np.ndarray | None) -> "Box":
        """Find the box of a cell (3, 3) Å, or of none; nothing is turned in vain.

        Raises `ValueError` for a cell without a volume.
        """
        if cell is None:
            return Box(np.zeros((3, 3)), np.eye(3), np.eye(3))
        cell = np.array(cell, float)
        shortest = reduced(cell)
        lengths = [np.sort(np.linalg.norm(c, axis=1)) for c in (cell, shortest)]
        box, turn = cell.copy(), np.eye(3)
        if not (_lower_and_reduced(cell) and np.allclose(*lengths, rtol=1e-9)):
            triangle, turn = Cell(shortest).standard_form()
            box = np.tril(triangle) * np.sign(triangle[0, 0])  # -: left-handed
            for i, j in ((2, 1), (2, 0), (1, 0)):
                box[i] -= box[j] * np.round(box[i, j] / box[j, j])
        for i, j in ((1, 0), (2, 0), (2, 1)):
            half = box[j, j] / 2
            if abs(box[i, j]) > half * (1 - TIE):
                box[i, j] = np.sign(box[i, j]) * half * (1 - TIE)
        return Box(box, turn, np.rint(cell @ turn.T @ np.linalg.inv(box)))

    def cell(self, vectors: np.ndarray) -> np.ndarray:
        """Turn box vectors (3, 3) Å, scaled by a barostat maybe, into the cell."""
        return self.combine @ vectors @ self.turn

    def height(self) -> float:
        """Least distance (Å) between two opposite faces."""
        return 1 / np.linalg.norm(np.linalg.inv(self.vectors), axis=0).max()


def _lower_and_reduced(cell: np.ndarray) -> bool:
    """Tell whether OpenMM takes `cell` (3, 3) Å as it is, but for rounding."""
    if np.triu(cell, 1).any() or not (np.diag(cell) > 0).all():
        return False
    return all(
        abs(cell[i, j]) <= cell[j, j] / 2 * (1 + TIE)
        for i, j in ((1, 0), (2, 0), (2, 1))
    )


A2_PER_PS = 10.0  # 1e-9 m²/s
PER_CM = 1e12 / (100 * ase.units._c)  # 1/ps -> 1/cm
YEH_HUMMER = 2.837297  # of a cubic box
EVEN = 0.01  # of the time between two frames: more is another time
SAME_BOX = 1e-4  # of an edge: a box that changes more is not of constant volume


def frame_interval(frames: Sequence[Atoms], interval: float | None) -> float:
    """Return the time between two frames (fs).

    That is `interval`, checked against the times in ``info["time_fs"]`` of the frames
    that carry them; with None it is taken from there, and all frames need one.

    Raises `ValueError` where the two differ, where the times are not evenly spaced, and
    where there is no time at all.
    """
    if interval is not None and not 0 < interval < np.inf:
        raise ValueError(f"interval: needs a positive number of fs, got {interval}")
    timed = [k for k, a in enumerate(frames) if "time_fs" in a.info]
    if len(timed) < 2 or (interval is None and len(timed) < len(frames)):
        if interval is None:
            raise ValueError(
                "interval: needs the fs between two frames, got None, and not every "
                "frame has info['time_fs']"
            )
        return interval
    times = [float(frames[k].info["time_fs"]) for k in timed]
    steps = np.diff(times) / np.diff(timed)  # fs from one frame to the next
    step = float(np.median(steps))
    if not (step > 0 and (np.abs(steps - step) <= EVEN * step).all()):
        raise ValueError(
            "frames: need to be evenly spaced in time, but by info['time_fs'] two that "
            f"follow each other are {steps.min():g} to {steps.max():g} fs apart; take "
            "one stretch of one run, every frame or every n-th"
        )
    if interval is not None and abs(interval - step) > EVEN * step:
        raise ValueError(
            f"interval: got {interval:g} fs, but by info['time_fs'] the frames are "
            f"{step:g} fs apart; give the time between two frames, not the time step, "
            "or None to take it from there"
        )
    return step if interval is None else interval


def spectrum(
    frames: Sequence[Atoms], interval: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Vibrational density of states: wavenumbers (1/cm) and weights that add up to one.

    The power spectrum of mass-weighted velocities, which is the Fourier transform of
    their autocorrelation (Wiener-Khinchin), through a Hann window; frames `interval` fs
    apart, as `frame_interval` checks. A short interval is needed: 4 fs sees up to
    4170/cm.

    Raises `ValueError` for fewer than two frames, for frames of different atoms, and
    for frames without velocities (packed trajectories have none).
    """
    if len(frames) < 2:
        raise ValueError(f"frames: needs two frames or more, got {len(frames)}")
    check_same_atoms(frames)
    interval = frame_interval(frames, interval)
    v = np.array([a.get_velocities() for a in frames])  # (T, N, 3)
    if not (np.isfinite(v).all() and v.any() and all(a.has("momenta") for a in frames)):
        raise ValueError(
            "frames: need velocities, finite and not all zero, in every frame; packed "
            "trajectories do not keep them"
        )
    weights = np.sqrt(frames[0].get_masses())[:, None]
    window = np.hanning(len(v) + 2)[1:-1, None, None]
    power = np.abs(np.fft.rfft(v * weights * window, axis=0)) ** 2
    power = power.sum(axis=(1, 2))
    return np.fft.rfftfreq(len(v), interval / units.PS) * PER_CM, power / power.sum()


@dataclass(frozen=True)
class Diffusion:
    """A diffusion coefficient (1e-9 m²/s) and what it was fitted to."""

    value: float
    error: float  # standard error over molecules; infinite where there is one only
    fit: tuple[float, float]  # ps: the window of the straight line
    times: np.ndarray  # ps
    msd: np.ndarray  # Å²


def unwrap(frames: Sequence[Atoms]) -> np.ndarray:
    """Return positions (T, N, 3) Å that run on across the faces of the box.

    Frames must be so close in time that no atom moves by half a box between two.
    Positions of open structures come back as they are.

    Raises `ValueError` for frames of different atoms, of which some are periodic and
    some are not, or with positions that are not finite.
    """
    check_same_atoms(frames)
    R = np.array([a.positions for a in frames])
    if not np.isfinite(R).all():
        k = int((~np.isfinite(R)).any(axis=(1, 2)).argmax())
        raise ValueError(f"frames: a position of frame {k} is NaN or infinite; drop it")
    if len({periodic(a) for a in frames}) > 1:
        raise ValueError("frames: need to be all periodic or all open, got both")
    for k in range(1, len(R) if periodic(frames[0]) else 1):
        step = R[k] - R[k - 1]
        R[k:] += nearest_image(step, frames[k].cell.array) - step
    return R


def self_diffusion(
    frames: Sequence[Atoms], interval: float | None, fit: tuple, element: int = 8
) -> Diffusion:
    """Self-diffusion by Einstein's relation: the slope of the MSD over `fit` (ps), / 6.

    A line is fitted to the MSD of each atom of `element`; their spread is the error.
    The drift of all atoms together is taken out.

    Args:
        frames: in order of time, of a box of constant volume; or open, with positions
            that run on. (A cluster has no bulk: its atoms cannot go far.)
        interval: fs between two frames, not the time step; see `frame_interval`.
        fit: ps, start and end of the window, inside the first half of the run.
        element: atomic number of the atoms that are followed.

    Raises `ValueError` for a window elsewhere, frames not evenly spaced in time, a
    volume that changes, and an element that is not there.
    """
    R = unwrap(frames)
    interval = frame_interval(frames, interval)
    chosen = frames[0].numbers == element
    if not chosen.any():
        formula = frames[0].get_chemical_formula()
        raise ValueError(f"element: atomic number {element} is not in {formula}")
    _check_constant_box(frames)
    drift = np.average(R, axis=1, weights=frames[0].get_masses())  # (T, 3)
    R = R[:, chosen] - drift[:, None]  # (T, n, 3)
    times = np.arange(len(R)) * interval / units.PS  # ps
    inside = (times >= fit[0]) & (times <= fit[1])
    if not (0 <= fit[0] < fit[1] <= times[-1] / 2 and inside.sum() > 1):
        raise ValueError(
            f"fit: needs (start, end) in ps, within 0 and {times[-1] / 2:.3g}, half of "
            f"the run, with two frames or more between them; got {fit}"
        )
    msd = mean_square_displacements(R)  # (T, n)
    slopes = np.polyfit(times[inside], msd[inside], 1)[0] / 6 * A2_PER_PS  # (n,)
    error = slopes.std(ddof=1) / np.sqrt(len(slopes)) if len(slopes) > 1 else np.inf
    return Diffusion(float(slopes.mean()), float(error), fit, times, msd.mean(axis=1))


def _check_constant_box(frames: Sequence[Atoms]) -> None:
    if not periodic(frames[0]):
        return
    cells = np.array([a.cell.array for a in frames])  # (T, 3, 3)
    change = np.abs(cells - cells[0]).max() / frames[0].cell.lengths().max()
    if change > SAME_BOX:
        raise ValueError(
            "frames: need a box of constant volume, but its vectors change by up to "
            f"{100 * change:.2g} % of an edge (NPT?); run NVT at the mean density, to "
            "which water.scaled brings a box"
        )


def mean_square_displacements(R: np.ndarray) -> np.ndarray:
    """MSD (T, n) Å² at every lag of positions (T, n, 3), averaged over all origins.

    By Fourier transform (Kneller et al., Comput. Phys. Commun. 91, 191 (1995), doi
    10.1016/0010-4655(95)00048-K).
    """
    T = len(R)
    left = T - np.arange(T)[:, None]  # origins of each lag
    transform = np.fft.rfft(R, 2 * T, axis=0)
    correlation = np.fft.irfft(np.abs(transform) ** 2, 2 * T, axis=0)[:T].sum(axis=2)
    squares = (R**2).sum(axis=2)  # (T, n)
    head = np.vstack([np.zeros(R.shape[1]), squares.cumsum(axis=0)])
    ends = head[-1] - head[:T] + head[T - np.arange(T)]  # both ends of all pairs
    return (ends - 2 * correlation) / left


def yeh_hummer(length: float, temperature: float, viscosity: float) -> float:
    """What to add (1e-9 m²/s) to the diffusion in a cubic box of `length` Å.

    `viscosity` in mPa s, of the model itself where it is known; Yeh & Hummer, J. Phys.
    Chem. B 108, 15873 (2004), doi 10.1021/jp0477147, equation 13.
    """
    for name, value in dict(length=length, T=temperature, eta=viscosity).items():
        if not value > 0:
            raise ValueError(f"{name}: needs a positive number, got {value}")
    kT = ase.units._k * temperature  # J
    shift = YEH_HUMMER * kT / (6 * np.pi * 1e-3 * viscosity * 1e-10 * length)  # m²/s
    return float(shift * 1e9)


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
