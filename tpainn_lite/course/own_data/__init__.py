"""Tune a potential on somebody's own structures: read, doubt, tune, keep.

`intake` reads and judges files, `tuning` tunes and tests, `keep` writes what a user
takes home. `python -m tpainn_lite own FILE` does all three.
"""

from .intake import (
    OWN,
    Intake,
    atom_energies,
    known_molecules,
    nearest,
    pool_and_test,
    read,
    start,
)
from .keep import keep
from .scales import doubt_units
from .tuning import Tuned, folds, label_next, tune

__all__ = [
    "OWN",
    "Intake",
    "Tuned",
    "atom_energies",
    "doubt_units",
    "folds",
    "keep",
    "known_molecules",
    "label_next",
    "nearest",
    "pool_and_test",
    "read",
    "start",
    "tune",
]
