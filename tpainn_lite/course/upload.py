"""Get the file that lesson 08 works on: uploaded, named by its path, or an example."""

import atexit
import shutil
import tempfile
from pathlib import Path

import ase.io
from ipywidgets import FileUpload, Label, VBox

from .. import datasets, guards
from ..data import with_labels
from ..units import LABEL_UNITS


class Upload:
    """A button that uploads a file into a new `folder`; `widget` shows it."""

    def __init__(self, label: str):
        """Make the button under a label."""
        self.folder = Path(tempfile.mkdtemp(prefix="tpainn-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.example = self.folder / "example" / "ethanol.extxyz"  # no upload's path
        self.button = FileUpload(description="Upload", multiple=False)
        self.widget = VBox([Label(label), self.button])

    def path(self, named: str = "") -> Path:
        """Return the uploaded file, else the one `named`, else the `example`."""
        if self.button.value:
            (sent,) = self.button.value
            path = self.folder / Path(sent["name"]).name
            guards.write(path, bytes(sent["content"]))
            return path
        return Path(named) if named else write_example(self.example)


def write_example(path: Path) -> Path:
    """Write eighty structures of ethanol in the units of a colleague, kcal/mol/Å."""
    force, energy = LABEL_UNITS["kcal/mol/Å"]
    sent = []
    for a in datasets.load("ethanol-dft")["pool"][:80]:
        forces = a.get_forces(apply_constraint=False) / force
        sent.append(with_labels(a, a.get_potential_energy() / energy, forces))
        sent[-1].info = {}
    with guards.replacing(path) as part:
        ase.io.write(part, sent, format="extxyz")
    return path
