"""Run a tuned potential: does it hold, and which structures should be labelled next?"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from ... import analysis, dynamics, guards, ridge_head, select
from ...guards import checked, instance, optional
from ...model import Potential
from ...units import MEV
from .intake import STRUCTURES
from .tuning import Tuned

TIMESTEP = 0.5  # fs
BROKEN = 1.5  # times the sum of covalent radii: no vibration stretches a bond so far
RUN = dict(
    temperature=guards.positive,
    steps=optional(guards.whole(least=40)),
    seed=guards.seed,
)


@dataclass(frozen=True)
class Trial:
    """What a short run showed: NVT at a temperature (K), then NVE from its end.

    `kelvin` is the mean temperature of the NVT part, `broken` counts bonds that did not
    last, `drift` is that of the total energy in the NVE part (meV/atom/ps), None where
    the run blew up; `ps` is how far it came, `ns_per_day` how fast.
    """

    frames: list[Atoms]
    temperature: float
    kelvin: float
    broken: int
    drift: float | None
    ps: float
    ns_per_day: float = field(compare=False)

    def lines(self) -> list[str]:
        """Say it in words."""
        lost = f"{self.broken} bonds broke" if self.broken else "no bond broke"
        end = ", where the run blew up" if self.drift is None else ""
        drift = "unknown" if self.drift is None else f"{self.drift:+.2g} meV/atom/ps"
        return [
            f"{self.ps:.2g} ps{end}; {lost}",
            f"thermostat at {self.temperature:.0f} K, atoms at {self.kelvin:.0f} K",
            f"drift of the energy without thermostat: {drift}",
            f"speed on this machine: {self.ns_per_day:.2g} ns a day",
        ]


def _steps(atoms: Atoms) -> int:
    """Choose the steps of a run that takes some seconds."""
    return 4000 if len(atoms) < 30 else 400


def _run(atoms, frozen, steps: int, **how) -> tuple[list[Atoms], bool]:
    """Run `steps`, 40 frames; return what there is, and whether it came to its end."""
    how |= dict(steps=steps, every=steps // 40 or 1, timestep=TIMESTEP)
    try:
        return dynamics.simulate(atoms, frozen, **how), True
    except dynamics.BlowUp as error:
        return error.frames, False


@checked(potential=instance(Potential), **RUN)
def trial_run(
    potential: Potential,
    atoms: Atoms,
    *,
    temperature: float = 300.0,
    steps: int | None = None,
    seed: int,
) -> Trial:
    """Run a potential from `atoms` at a `temperature` (K), half NVT, half NVE.

    Takes `steps` of 0.5 fs (None: 4,000 of a molecule, 400 of a larger structure).
    Asks whether bonds last, whether the energy drifts, and how hot and fast it is.
    """
    half, frozen = (steps or _steps(atoms)) // 2, potential.frozen()
    began, atoms, free = time.perf_counter(), bare(atoms), []
    hot = dict(temperature=temperature, friction=0.02, seed=seed)
    thermal, sound = _run(atoms, frozen, half, **hot)
    if sound:
        free, sound = _run(thermal[-1], frozen, half, temperature=None, seed=seed)
    days = (time.perf_counter() - began) / 86_400
    ps = sum(part[-1].info["time_fs"] for part in (thermal, free) if part) / 1000
    drift = None
    if sound:
        energies = [dynamics.total_energy(a) / len(a) / MEV for a in free]
        drift = float(np.polyfit(np.linspace(0, ps / 2, len(free)), energies, 1)[0])
    late = thermal[len(thermal) // 2 :]  # the first half is still warming up
    kelvin = float(dynamics.temperatures(late).mean()) if late else temperature
    frames = [*thermal, *free]
    broken = _broken([atoms, *frames])
    return Trial(frames, temperature, kelvin, broken, drift, ps, ps / 1000 / days)


def _broken(frames: Sequence[Atoms]) -> int:
    """Count the bonds of the first frame that are broken in a later one."""
    first, second, _ = analysis.bonds(frames[0])
    radii = covalent_radii[frames[0].numbers]
    vectors = [analysis.displacements(atoms, first, second) for atoms in frames]
    longest = np.linalg.norm(vectors, axis=2).max(axis=0)
    return int((longest > BROKEN * (radii[first] + radii[second])).sum()) // 2


@checked(tuned=instance(Tuned), n=guards.count, **RUN)
def label_next(
    tuned: Tuned,
    atoms: Atoms,
    n: int = 10,
    *,
    temperature: float = 600.0,
    steps: int | None = None,
    seed: int,
) -> list[Atoms]:
    """Choose structures to label next, without labels.

    Runs the tuned potential from `atoms`, hotter than the data (K), for `steps` of
    0.5 fs (None: 4,000 of a molecule, 400 of a larger structure), and draws `n` of
    the structures it visits by a determinantal point process whose quality is the
    committee's disagreement. A run that blows up counts as far as it came.
    """
    how = dict(temperature=temperature, friction=0.02, seed=seed)
    steps = steps or _steps(guards.structure(atoms, "atoms"))
    visited, _ = _run(atoms, tuned.potential.frozen(), steps, **how)
    if not visited:
        return []
    scalars = ridge_head.atom_scalars(tuned.potential, visited)
    described = np.array([s.mean(0).numpy() for s in scalars])
    unsure = disagreement(tuned.committee, visited)
    quality = unsure / unsure.max() if unsure.any() else None  # None: all are alike
    n = min(n, len(visited))
    chosen = select.diverse(described, n, quality=quality, seed=seed)
    return [bare(visited[k]) for k in np.sort(chosen)]


@checked(atoms=guards.structure)
def bare(atoms: Atoms) -> Atoms:
    """Copy a structure without labels, velocities and remarks."""
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


@checked(committee=guards.several(instance(Potential), 2), frames=STRUCTURES)
def disagreement(committee: Sequence[Potential], frames: Sequence[Atoms]) -> np.ndarray:
    """Measure how far a committee's forces are apart (frames,), meV/Å."""
    predicted = zip(*(p.predict(frames)[1] for p in committee), strict=True)
    spreads = [np.std(forces, axis=0, ddof=1).mean() for forces in predicted]
    return np.array(spreads) / MEV
