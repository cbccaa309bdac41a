"""When molecular dynamics has gone wrong: what no sound run comes to."""

from ase import Atoms
from ase.neighborlist import neighbor_list
from scipy.special import chdtri

from . import units
from .data import CLASH

HOT = 500.0  # K: the allowance for what a start that is not relaxed gives off as heat
CHANCE = 1e-12  # that a sound frame of the thermostat's temperature is called too hot


class BlowUp(FloatingPointError):
    """A run that went wrong: `step` before which, `reason`, and the `frames` before."""

    def __init__(self, every: int, reason: str, frames: list[Atoms]):
        """What went wrong between the last frame and the next."""
        step = len(frames) * every
        super().__init__(
            f"the run blew up between steps {step} and {step + every} ({reason}); "
            "shorten the time step, relax the start, or let the potential learn frames "
            "of this kind"
        )
        self.step, self.reason, self.frames = step, reason, frames


def hottest(temperature: float, n: int) -> float:
    """Return the highest temperature (K) that a sound frame of `n` atoms may have.

    The kinetic energy of a frame, over kT/2, follows a chi-squared law with 3n degrees
    of freedom: few atoms spread widely. The limit is the quantile that a frame exceeds
    with probability `CHANCE`, at `HOT` above the `temperature` (K) of the thermostat.
    """
    return (temperature + HOT) * chdtri(3 * n, CHANCE) / (3 * n)


def refuse(frame: Atoms, first: Atoms, temperature: float | None) -> None:
    """Raise `FloatingPointError` for a frame that no sound run comes to.

    With a thermostat (K) it must not be hotter than `hottest`. Without one, the sum of
    potential and kinetic energy must not have risen over that of the `first` frame by
    more than the first frame's kinetic energy and what heats the atoms by `HOT`. Nor
    may two atoms sit on each other.
    """
    if temperature is not None:
        found = kinetic_temperature(frame)
        if found > hottest(temperature, len(frame)):
            raise FloatingPointError(
                f"{found:.0f} K where the thermostat is at {temperature:.0f} K"
            )
    else:
        rise = total_energy(frame) - total_energy(first)
        heat = 1.5 * units.KB * HOT * len(frame)
        if rise > heat + first.info["kinetic_energy"]:
            raise FloatingPointError(
                f"the total energy rose by {rise / len(frame):.2g} eV an atom, and "
                "nothing heats the run"
            )
    closest = neighbor_list("d", frame, CLASH)
    if len(closest):
        raise FloatingPointError(f"two atoms are {closest.min():.2f} Å apart")


def kinetic_temperature(frame: Atoms) -> float:
    """Temperature (K) of a frame of dynamics, 3N degrees of freedom."""
    return frame.info["kinetic_energy"] / (1.5 * units.KB * len(frame))


def total_energy(frame: Atoms) -> float:
    """Potential and kinetic energy (eV) of a frame of dynamics."""
    return frame.get_potential_energy() + frame.info["kinetic_energy"]
