"""Analyse frames: periodic geometry, structure, motion, and means with error bars.

Frames are ``ase.Atoms``. Lengths in Å, times in fs, densities in g/cm³.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import ase.units
import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import complete_cell, find_mic, minkowski_reduce
from matscipy.neighbours import neighbour_list

from . import guards, units
from .guards import checked, refusal, structure

STRETCH = 1.2  # times the sum of covalent radii: farther atoms are not bonded
A2_PER_FS = 1e4  # 1e-9 m²/s
PER_CM = 1e15 / (100 * ase.units._c)  # 1/fs -> 1/cm
EVEN = 0.01  # relative: frames that are less even in time are not of one run
SAME_BOX = 1e-4  # of an edge: a box that changes more is not of constant volume
AT_ONCE = 30_000  # components: ASE takes 600 B for the images of each
LEAST = 16  # values: fewer say too little about their own spread
O_H = covalent_radii[8] + covalent_radii[1]  # Å: 0.97
BROKEN = 1.5  # Å: an O-H bond that long is none; another oxygen may be nearer
LONGEST = 3.0  # times O_H: no scan of a bond goes so far
FAR = 1e6  # Å: no structure is as wide
BINS = 100  # along a cell, to list neighbours
WIDE, IMAGES, CROWD = 1e5, 20_000, 5_000  # Å, images, neighbours: more is no structure
ELEMENT = guards.whole(least=1, most=118)
FEW = guards.number(least=1e-6)


def periodic(atoms: Atoms) -> bool:
    """Return whether `atoms` are periodic; raise `ValueError` where only partly so."""
    if structure(atoms, "atoms").pbc.any() != atoms.pbc.all():
        needed = "needs to be periodic in all three directions or in none"
        raise ValueError(f"atoms: {needed}, got pbc={atoms.pbc.tolist()}")
    return bool(atoms.pbc.all())


def heights(cell: np.ndarray) -> np.ndarray:
    """Return distances (3,) Å of a cell's faces; refuse NaN, `WIDE` or flat cells."""
    fits = np.abs(cell).max() <= WIDE  # not so for NaN
    edges = np.linalg.norm(cell, axis=1) if fits else np.inf
    if not (fits and abs(np.linalg.det(cell)) > 1e-10 * np.prod(edges)):
        words = "cell: needs three vectors that span a volume (or pbc=False), got"
        raise ValueError(f"{words} {cell.tolist()}")
    return 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)


def check_cell(atoms: Atoms, cutoff: float) -> None:
    """Raise `ValueError` where listing neighbours within `cutoff` Å would not end.

    That is for no cell (`heights`), more than `IMAGES` images or `CROWD` neighbours.
    """
    if not atoms.pbc.any():
        return
    cell = atoms.cell.array
    if not atoms.pbc.all() and np.isfinite(cell).all():
        cell = complete_cell(cell)
    steps = np.ceil(cutoff / heights(cell))[atoms.pbc]
    crowded = np.prod(2 * steps + 1) > IMAGES
    if atoms.pbc.all() and not crowded:
        volume = 4 / 3 * np.pi * cutoff**3
        crowded = len(atoms) * volume > CROWD * abs(np.linalg.det(cell))
    if crowded:
        raise ValueError(
            f"cell: {len(atoms)} atoms and their images crowd within {cutoff:g} Å in "
            f"{cell.tolist()}; needs a larger one (is it in Å?)"
        )


def _same_atoms(frames: Sequence[Atoms], name: str) -> Sequence[Atoms]:
    """Take structures of the same atoms, in order: a kind, as `guards` has them."""
    for k, atoms in enumerate(guards.structures()(frames, name)):
        if not np.array_equal(atoms.numbers, frames[0].numbers):
            found = (
                f"{k} is {atoms.symbols!s:.40} and frame 0 {frames[0].symbols!s:.40}"
            )
            raise ValueError(f"{name}: need the same atoms in order, but frame {found}")
    return frames


def reduced(cell: np.ndarray) -> np.ndarray:
    """Return the shortest (Minkowski-reduced) vectors (3, 3) Å of a cell's lattice."""
    return _reduced(guards.array(3, 3)(cell, "cell").tobytes())[0]


@lru_cache(maxsize=64)  # the frames of a run mostly share their cell
def _reduced(content: bytes) -> tuple[np.ndarray, bool]:
    """Reduce a cell, and tell whether it has right angles, and so stays as it is."""
    cell = np.frombuffer(content).reshape(3, 3)
    heights(cell)
    products = cell @ cell.T
    squares = products.diagonal()
    right = np.abs(products - np.diag(squares)).max() <= 1e-12 * squares.min()
    return cell if right else np.array(minkowski_reduce(cell)[0]), right


def reach(cell: np.ndarray) -> float:
    """Return half the shortest lattice vector (Å): nearer atoms have one image."""
    return float(np.linalg.norm(reduced(cell), axis=1).min() / 2)


def nearest_image(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Move vectors (..., 3) Å by vectors of any cell (3, 3) to the shortest images."""
    vectors = np.asarray(vectors)
    cell, right = _reduced(guards.array(3, 3)(cell, "cell").tobytes())
    if vectors.shape[-1:] != (3,) or not np.isfinite(vectors).all():
        raise refusal("vectors", "a finite array of shape (..., 3)", vectors)
    if right:  # a hundred times faster than ASE
        return vectors - np.round(vectors @ np.linalg.inv(cell)) @ cell
    parts = np.array_split(vectors.reshape(-1, 3), vectors.size // AT_ONCE + 1)
    return np.vstack([find_mic(part, cell)[0] for part in parts]).reshape(vectors.shape)


def neighbours(quantities: str, atoms: Atoms, cutoff) -> tuple[np.ndarray, ...]:
    """List neighbours within `cutoff` Å, both ways; an open structure needs no cell.

    `quantities` are letters of ASE and matscipy: atoms i and j, their distance d and
    vector D in Å, the image S.
    """
    wanted = {*guards.text(quantities, "quantities")}
    if not wanted <= {*"ijdDS"} or len(wanted) < len(quantities):  # it would crash
        raise refusal("quantities", "letters of ijdDS, each once", quantities)
    cell = atoms.cell.array if periodic(atoms) else np.eye(3)  # any box will do
    R = guards.array(None, 3, most=FAR)(atoms.positions, "atoms: positions")
    check_cell(atoms, cutoff := guards.number(above=0, most=FAR)(cutoff, "cutoff"))
    bins = np.abs(cell).max() / BINS  # smaller ones, of empty space, fill the memory
    letters = "".join(dict.fromkeys(quantities + "di"))  # two at least, to get a tuple
    found = neighbour_list(letters, None, max(cutoff, bins), R, cell, atoms.pbc)
    found = dict(zip(letters, found, strict=True))
    near = found["d"] < cutoff if bins > cutoff else slice(None)
    listed = tuple(found[letter][near] for letter in quantities)
    return listed if len(listed) > 1 else listed[0]


@checked(atoms=structure)
def bonds(atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List first atom (P,), second atom (P,), vector (P, 3) Å of bonds, both ways."""
    reaches = STRETCH * covalent_radii[atoms.numbers]
    most = 2 * reaches.max(initial=STRETCH)
    i, j, distances, images = neighbours("ijdS", atoms, most)
    near = distances < reaches[i] + reaches[j]
    i, j = i[near], j[near]
    vectors = atoms.positions[j] - atoms.positions[i]
    return i, j, vectors + images[near] @ atoms.cell if periodic(atoms) else vectors


@checked(frames=guards.structures(), dt=guards.optional(guards.positive))
def frame_interval(frames: Sequence[Atoms], dt: float | None) -> float:
    """Return the time (fs) between two frames: `dt`, or None: from ``info["time_fs"]``.

    Raises `ValueError` where times are missing, not even, or differ from `dt`.
    """
    timed = [k for k, a in enumerate(frames) if "time_fs" in a.info]
    if dt is None and not len(timed) == len(frames) > 1:
        words = "needs fs, positive, or None where every frame has info['time_fs']"
        raise ValueError(f"dt: {words}, got {dt}")
    if len(timed) < 2:
        return dt
    steps = np.diff([frames[k].info["time_fs"] for k in timed]) / np.diff(timed)
    step = float(np.median(steps)) if dt is None else dt
    if not (step > 0 and (np.abs(steps - step) <= EVEN * step).all()):
        raise ValueError(
            f"frames, dt: frames need to be {step:g} fs apart, but by info['time_fs'] "
            f"they are {steps.min():g} to {steps.max():g} fs apart; dt is no time step"
        )
    return step


@checked(frames=_same_atoms)
def spectrum(frames, dt: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the vibrational density of states: wavenumbers (1/cm) and weights, sum 1.

    The power spectrum of mass-weighted velocities through a Hann window; `dt` (fs) as
    in `frame_interval`: 4 fs sees up to 4170/cm.
    """
    v = np.array([a.get_velocities() for a in frames])  # (T, N, 3)
    known = len(v) > 1 and all(a.has("momenta") for a in frames)
    if not (known and np.isfinite(v).all() and v.any()):
        raise ValueError("frames: need two or more with velocities, finite, not all 0")
    dt = frame_interval(frames, dt)
    v *= np.sqrt(frames[0].get_masses())[:, None]
    v *= np.hanning(len(v) + 2)[1:-1, None, None]
    power = (np.abs(np.fft.rfft(v, axis=0)) ** 2).sum(axis=(1, 2))
    return np.fft.rfftfreq(len(v), dt) * PER_CM, power / power.sum()


@dataclass(frozen=True)
class Diffusion:
    """A diffusion coefficient (1e-9 m²/s) and the displacements it was fitted to."""

    value: float
    error: float  # standard error over molecules; infinite where there is one only
    times: np.ndarray  # fs
    msd: np.ndarray  # Å²


@checked(frames=_same_atoms)
def unwrap(frames: Sequence[Atoms]) -> np.ndarray:
    """Let positions (T, N, 3) Å run on across faces; no step may reach half a box."""
    R = np.array([a.positions for a in frames])
    if len(wrong := np.argwhere(~np.isfinite(R))):
        raise ValueError(f"frames: frame {wrong[0, 0]} has a NaN or infinite position")
    if len({periodic(a) for a in frames}) > 1:
        raise ValueError("frames: need to be all periodic or all open, got both")
    for k in range(1, len(R) if periodic(frames[0]) else 1):
        step = R[k] - R[k - 1]
        R[k:] += nearest_image(step, frames[k].cell.array) - step
    return R


@checked(fit_window=guards.several(guards.finite, 2), element=ELEMENT)
def self_diffusion(
    frames: Sequence[Atoms], dt: float | None = None, *, fit_window, element: int = 8
) -> Diffusion:
    """Fit Einstein's relation: a sixth of the slope of the mean-square displacement.

    A line is fitted for each atom of the atomic number `element`, less the drift of all
    atoms; the spread of the slopes gives the error. Frames are of one run at constant
    volume, or open with positions that run on; `dt` (fs) as in `frame_interval`;
    `fit_window` is (start, end) in fs, inside the first half.
    """
    R = unwrap(frames)
    times = np.arange(len(R)) * frame_interval(frames, dt)
    chosen = frames[0].numbers == element
    if not chosen.any():
        raise ValueError(f"element: number {element} is not in {frames[0].symbols}")
    change = max(np.abs(a.cell.array - frames[0].cell.array).max() for a in frames)
    if periodic(frames[0]) and change > SAME_BOX * frames[0].cell.lengths().max():
        words = "need a box of constant volume (NVT, see water.scaled), not one of NPT"
        raise ValueError(f"frames: {words}: vectors change by {change:.2g} Å")
    start, end = fit_window[0], fit_window[-1]
    inside = (times >= start) & (times <= end)
    sound = len(fit_window) == 2 and 0 <= start < end <= times[-1] / 2
    if not (sound and inside.sum() > 1):
        words = f"within 0 and {times[-1] / 2:.6g}, half of the run, two frames or more"
        raise ValueError(f"fit_window: needs fs {words}, got {start:g} to {end:g}")
    drift = np.average(R, axis=1, weights=frames[0].get_masses())  # (T, 3)
    msd = mean_square_displacements(R[:, chosen] - drift[:, None])  # (T, n)
    slopes = np.polyfit(times[inside], msd[inside], 1)[0] / 6 * A2_PER_FS  # (n,)
    error = slopes.std(ddof=1) / np.sqrt(len(slopes)) if len(slopes) > 1 else np.inf
    return Diffusion(float(slopes.mean()), float(error), times, msd.mean(axis=1))


@checked(R=guards.array(None, None, None, most=FAR))
def mean_square_displacements(R: np.ndarray) -> np.ndarray:
    """Average the MSD (T, n) Å² of positions (T, n, 3) over all origins of each lag."""
    if (T := len(R)) == 0:  # Kneller et al., Comput. Phys. Commun. 91, 191 (1995)
        raise guards.refusal("R", "one frame or more", R)
    transform = np.fft.rfft(R, 2 * T, axis=0)
    correlation = np.fft.irfft(np.abs(transform) ** 2, 2 * T, axis=0)[:T].sum(axis=2)
    squares = (R**2).sum(axis=2)  # (T, n)
    head = np.vstack([np.zeros(R.shape[1]), squares.cumsum(axis=0)])
    ends = head[-1] - head[:T] + head[T - np.arange(T)]  # both ends of all pairs
    return (ends - 2 * correlation) / (T - np.arange(T)[:, None])


@checked(length=FEW, temperature=FEW, viscosity=FEW)
def yeh_hummer(length: float, temperature: float, viscosity: float) -> float:
    """Return what to add (1e-9 m²/s) to the diffusion in a cubic box of `length` Å.

    `viscosity` in mPa s; Yeh & Hummer, doi 10.1021/jp0477147, equation 13.
    """
    kT = ase.units._k * temperature  # J
    return 2.837297 * kT / (6 * np.pi * 1e-3 * viscosity * 1e-10 * length) * 1e9


@checked(series=guards.array(None))
def mean_and_error(series: Sequence[float]) -> tuple[float, float]:
    """Return the mean and standard error of a correlated series.

    N values say as much as N/g independent ones; g is one plus twice the sum of the
    autocorrelation, up to the first lag that is three times the g found so far (Sokal
    1997, doi 10.1007/978-1-4899-0319-8_6).
    """
    if len(x := np.asarray(series)) < LEAST:
        raise ValueError(f"series: needs {LEAST} values or more, got {len(x)}")
    N, mean = len(x), float(x.mean())
    if np.ptp(x) == 0:
        return mean, 0.0
    power = np.abs(np.fft.rfft(x - mean, 2 * N)) ** 2
    covariance = np.fft.irfft(power, 2 * N)[:N] / N  # by lag
    upto = 2 * np.cumsum(covariance / covariance[0]) - 1  # g, by the last lag
    g = max(upto[np.argmax(np.arange(N) >= 3 * upto)], 1.0)
    return mean, float(np.sqrt(covariance[0] * g / (N - g)))


@checked(frames=guards.structures())
def densities(frames: Sequence[Atoms]) -> np.ndarray:
    """Return the mass density (g/cm³) of each periodic frame, (frames,)."""
    for k, a in enumerate(frames):
        if not a.pbc.all():
            found = f"frame {k} has pbc={a.pbc.tolist()}, cell={a.cell.cellpar()}"
            raise ValueError(f"frames: need to be periodic in all directions, {found}")
        heights(a.cell.array)
    grams = [masses_of(a).sum() / a.get_volume() / units.GRAM_CM3 for a in frames]
    return np.array(grams)


def masses_of(atoms: Atoms) -> np.ndarray:
    """Return the masses (N,) u of `atoms`; refuse what is not above 0."""
    masses = guards.array(None)(structure(atoms, "atoms").get_masses(), "atoms: masses")
    if not (masses > 0).all():
        raise ValueError("atoms: masses need to be above 0; use atoms.set_masses")
    return masses


def displacements(atoms: Atoms, first, second) -> np.ndarray:
    """Return vectors (P, 3) Å from atoms `first` to the nearest image of `second`."""
    R = structure(atoms, "atoms").positions
    vectors = R[second] - R[first]
    if not np.isfinite(vectors).all():
        raise ValueError("atoms: a position is NaN or infinite; drop this frame")
    return nearest_image(vectors, atoms.cell.array) if periodic(atoms) else vectors


@checked(frames=_same_atoms, one=ELEMENT, other=ELEMENT)
def rdf(
    frames, one: int, other: int, *, r_max: float, bins: int = 150, molecules=None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the radial distribution function: r (bins,) Å and g(r).

    `one` and `other` are atomic numbers; `r_max` (Å) is at most `reach` of the smallest
    box. Pairs within one of the `molecules`, one number an atom (N,), are left out.
    """
    densities(frames)  # refuses what is no periodic box
    check_reach(r_max, min(reach(a.cell.array) for a in frames))
    Z = frames[0].numbers
    molecules = np.arange(len(Z)) if molecules is None else molecules
    molecules = guards.array(len(Z))(molecules, "molecules")
    bins = guards.whole(1, 1_000_000)(bins, "bins")
    apart = molecules[:, None] != molecules
    i, j = np.nonzero((one == Z)[:, None] & (other == Z) & apart)
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


def check_reach(r_max: float, half: float) -> None:
    """Raise `ValueError` where `r_max` is beyond `half` the shortest lattice vector."""
    if guards.number(least=0.01)(r_max, "r_max") > half:
        words = f"needs a number up to {half:.2f} Å, half the shortest lattice vector"
        raise ValueError(f"r_max: {words}, got {r_max}")


def coordination(r: np.ndarray, g: np.ndarray, density: float, cutoff: float) -> float:
    """Count the neighbours within `cutoff` Å, at `density` neighbours per Å³.

    An atom is not its own neighbour: (N - 1) / V for one element with itself.
    """
    r = guards.array(None, most=FAR)(r, "r")
    density = guards.number(least=0, most=1e3)(density, "density")
    g = guards.array(max(len(r), 2), most=FAR)(g, "g")
    width, end = r[1] - r[0], r[-1] + (r[1] - r[0]) / 2
    if guards.positive(cutoff, "cutoff") > (1 + 1e-9) * end:
        raise ValueError(f"cutoff: needs a number from 0 to {end:.2f} Å, got {cutoff}")
    return float((4 * np.pi * r**2 * g * width)[r < cutoff].sum() * density)


def check_water(atoms: Atoms) -> None:
    """Raise `ValueError` for what is not molecules of water in the order O H H.

    A bond may be stretched while no other oxygen is nearer, up to `LONGEST`.
    """
    distances = np.linalg.norm(bond_vectors(atoms), axis=1)
    for k in np.flatnonzero(distances > BROKEN):
        r, h = distances[k], 3 * (k // 2) + 1 + k % 2
        to = displacements(atoms, h, slice(None, None, 3))  # all oxygens
        nearest = np.linalg.norm(to, axis=1).min()
        if nearest < r or r > LONGEST * O_H:
            raise ValueError(
                f"atoms: hydrogen {h} is {r:.2f} Å from its oxygen, {nearest:.2f} Å "
                "from the nearest: the order may be another (water.ordered puts it "
                "right), the molecule broken, or wrapped in a box that is not periodic"
            )


def bond_vectors(atoms: Atoms) -> np.ndarray:
    """Return the vector (hydrogens, 3) Å from the oxygen to each hydrogen of water."""
    Z = structure(atoms, "atoms").numbers.tolist()
    if [8, 1, 1] * (len(Z) // 3) != Z or not Z:
        found = f"got {atoms.symbols!s:.40}"
        raise ValueError(f"atoms: need water as O H H, ... (water.ordered), {found}")
    hydrogen = np.flatnonzero(atoms.numbers == 1)
    return displacements(atoms, hydrogen // 3 * 3, hydrogen)
