"""Bring lesson 10 a file (upload, path, example); offer its results for download."""

import atexit
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ase.io
from IPython.display import display
from ipywidgets import FileUpload, Label, VBox

from .. import datasets, guards
from ..data import with_labels
from ..units import LABEL_UNITS


class Upload:
    """A button that uploads a file into a new `folder`; `widget` shows it.

    A cell that runs again keeps the file that was uploaded under the same label.
    """

    KEPT: dict[str, Path] = {}  # by label, as long as the kernel lives

    def __init__(self, label: str):
        """Make the button under a label."""
        self._label = label
        self.folder = Path(tempfile.mkdtemp(prefix="tpainn-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.example = self.folder / "example" / "ethanol.extxyz"  # no upload's path
        self.button = FileUpload(description="Upload", multiple=False)
        self.button.observe(self._keep, "value")
        kept = self.KEPT.get(label)
        self._said = Label(f"Your file {kept.name} is here." if kept else "")
        self.widget = VBox([Label(label), self.button, self._said])

    def path(self, named: str = "") -> Path:
        """Return the uploaded file, else the one `named`, else the `example`.

        A file that was uploaded before the cell ran again comes after the one `named`.
        """
        kept = self.KEPT.get(self._label)
        if named and not self.button.value:
            return Path(named)
        return kept or write_example(self.example)

    def _keep(self, change: Any) -> None:
        """Write the file that was sent, and say so, or why that failed."""
        for sent in change.new:
            path = self.folder / Path(sent["name"]).name
            try:
                guards.write(path, bytes(sent["content"]))
            except (OSError, ValueError) as error:  # raised here, only the log has it
                self._said.value = f"Failed: {path.name} was not kept. {error}"
                return
            self.KEPT[self._label] = path
            self._said.value = f"Your file {path.name} is here. Run the next cells."


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
