"""Bring lesson 10 a file (upload, path, example); offer its results for download."""

import atexit
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import ase.io
from IPython.display import display
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
    """Write ten structures of ethanol in the units of a colleague, kcal/mol/Å.

    One more has no forces, as the last step of a calculation that ran out of time.
    """
    force, energy = LABEL_UNITS["kcal/mol/Å"]
    sent = []
    for a in datasets.load("ethanol-dft")["pool"][:11]:
        forces = a.get_forces(apply_constraint=False) / force
        known = forces if len(sent) < 10 else None
        sent.append(with_labels(a, a.get_potential_energy() / energy, known))
        sent[-1].info = {}
    with guards.replacing(path) as part:
        ase.io.write(part, sent, format="extxyz")
    return path


def offer(paths: Sequence[Path]) -> None:
    """Pack the files of a folder into a zip beside it, and show a link to that."""
    folder = paths[0].parent
    packed = folder.with_name(f"{folder.name}.zip")
    with guards.replacing(packed) as part, zipfile.ZipFile(part, "w") as archive:
        for path in paths:
            archive.write(path, path.relative_to(folder.parent))
    link = f'<a href="{quote(packed.name)}" download>{escape(packed.name)}</a>'
    words = f"Download {packed.name}"
    display({"text/html": f"Download {link}", "text/plain": words}, raw=True)
