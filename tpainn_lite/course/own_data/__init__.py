"""Tune a potential on somebody's own structures: read, doubt, tune, run, keep.

`intake` reads and judges files, `starts` finds what to tune, `tuning` tunes and tests,
`running` runs the result, `keep` writes what a user takes home.
`python -m tpainn_lite own FILE` does all of it.
"""

from .intake import Intake, atom_energies, look, read
from .keep import compared, keep
from .running import Trial, disagreement, label_next, trial_run
from .scales import doubt_units
from .starts import UNTRAINED, Start, known_molecules, start
from .tuning import Tuned, cross_validate, folds, tune

__all__ = ["UNTRAINED", "Intake", "Start", "Trial", "Tuned", "atom_energies"]
__all__ += ["compared", "cross_validate", "disagreement", "doubt_units", "folds"]
__all__ += ["keep", "known_molecules", "label_next", "look", "read", "start"]
__all__ += ["trial_run", "tune"]
