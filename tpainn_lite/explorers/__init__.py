"""Explorers: widgets that answer a question when a control moves.

Each has a ``widget`` to display, a live plotly ``figure``, and a ``twin()``: its PNG in
the authors' build. Its controls are attributes, so ``explorer.n.value = 30`` works too.
None keeps anything outside itself: two in one notebook do not disturb each other. Made
again with ``before=``, the explorer of before, one goes on where its reader was.
"""

from .low_data import LowData as low_data
from .parity import Parity as parity
from .properties import Properties as properties
from .refit import Refit as refit
from .rotation import Rotation as rotation
from .rounds import Rounds as rounds
from .running import LiveRun as dynamics
from .selection_map import SelectionMap as selection_map

__all__ = [
    "dynamics",
    "low_data",
    "parity",
    "properties",
    "refit",
    "rotation",
    "rounds",
    "selection_map",
]
