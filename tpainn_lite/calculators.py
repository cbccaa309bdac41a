"""Any `EnergyForces` as an ASE calculator: for optimisers, vibrations and the rest."""

from ase.calculators.calculator import Calculator, all_changes

from .data import EnergyForces, cell_of, check


class EnergyForcesCalculator(Calculator):
    """Refuses what `data.check` refuses."""

    implemented_properties = ("energy", "forces")

    def __init__(self, energy_forces: EnergyForces):
        """Wrap `energy_forces`."""
        super().__init__()
        self.energy_forces = energy_forces

    def calculate(self, atoms=None, properties=("energy",), changes=all_changes):
        """Called by ASE."""
        super().calculate(atoms, properties, changes)
        a = self.atoms
        check([a], "atoms", labelled=False)
        energy, forces = self.energy_forces(a.numbers, a.positions, cell_of(a))
        self.results = {"energy": energy, "forces": forces}
