"""Explorers: widgets that answer a question when a control moves.

Each has a ``widget`` to display, a live plotly ``figure`` (`Rotation` draws a 3D view),
and a ``twin()``: its PNG in the authors' build. Its controls are attributes, so
``explorer.n.value = 30`` works too. A cell that runs again passes its old explorer as
``before=``: the new one begins with its controls and results.
"""

from .calibration import Calibration
from .live_md import LiveMD
from .low_data import LowData
from .parity import Parity
from .properties import Properties
from .rotation import Rotation
from .rounds import Rounds
from .selection_map import NinePoints, SelectionMap

__all__ = ["LiveMD", "LowData", "Parity", "Properties", "Rotation", "Rounds"]
__all__ += ["Calibration", "NinePoints", "SelectionMap"]
