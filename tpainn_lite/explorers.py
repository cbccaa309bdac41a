"""Explorers: widgets that answer a question when a control moves.

Each has a ``widget`` to display, a live plotly ``figure``, and a ``twin()``: its PNG in
the authors' build. Its controls are attributes, so ``explorer.n.value = 30`` works too.
None keeps anything outside itself: two in one notebook do not disturb each other.
"""

from .low_data import LowData as low_data
from .refit import Refit as refit
from .rotation import Rotation as rotation
from .rounds import Rounds as rounds
from .running import LiveRun as dynamics
from .selection_map import SelectionMap as selection_map

__all__ = ["dynamics", "low_data", "refit", "rotation", "rounds", "selection_map"]
