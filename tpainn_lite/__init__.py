"""T-PaiNN Lite: teach a neural interatomic potential cheap classical physics first.

Import the module you need, e.g. ``from tpainn_lite import molecules, train``.
Importing the package itself loads nothing heavy.
"""

__version__ = "0.1.0"
