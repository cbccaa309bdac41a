"""What a run says of motion: diffusion and vibrations.

Frames are ``ase.Atoms`` in order of time. Lengths in Å, times in ps (intervals between
frames in fs, as in ``dynamics``), diffusion in 1e-9 m²/s, frequencies in 1/cm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ase.units
import numpy as np
from ase import Atoms

from . import units
from .geometry import check_same_atoms, nearest_image, periodic

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


def diffusion(
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
