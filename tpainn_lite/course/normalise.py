"""Write a run's outputs into a committed notebook so that sameness gives no diff.

Kept: standard output, texts and PNGs with their alt text. Dropped: widget state and
views, plotly's and JavaScript's types, standard error, progress bars, timestamps. A
PNG whose pixels did not change keeps its old bytes; a cell tagged "volatile" (it prints
timings, say) keeps its old texts.
"""

import base64
import copy
import io
from pathlib import Path

import nbformat
import numpy as np
from PIL import Image

from .. import guards

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
KINDS = ("text/plain", "text/markdown", "text/latex", "image/png")
NO_TWIN = "something interactive has no static twin; display it with lessons.show()"
SAME_LEVEL = 8  # of 255: below the jitter of a text's smoothed edge
SAME_SHARE = 1e-4  # of the pixels: less than one digit of a label covers


def write_back(executed: nbformat.NotebookNode, path: Path) -> None:
    """Write the normalised outputs of a run into the notebook at `path`."""
    save(normalised(executed, nbformat.read(path, as_version=4)), path)


def save(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a whole notebook, or leave what was there."""
    guards.write(path, nbformat.writes(notebook).rstrip("\n") + "\n")


def normalised(
    executed: nbformat.NotebookNode, old: nbformat.NotebookNode
) -> nbformat.NotebookNode:
    """Return `executed` as it is committed, given the committed one."""
    before = {cell.id: cell.get("outputs", []) for cell in old.cells}
    new, count = copy.deepcopy(executed), 0
    language = {"name": "python"}
    new.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": language})
    for cell in new.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type != "code":
            continue
        cell.execution_count = count = count + 1
        cell.outputs = [output for output in cell.outputs if keep(output)]
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
        for output, past in zip(cell.outputs, before.get(cell.id, []), strict=False):
            _settle(output, past, "volatile" in tags)
    return new


def keep(output: nbformat.NotebookNode) -> bool:
    """Cut an output down to what is committed; whether anything is left."""
    if output.output_type == "error":
        return True
    if output.output_type == "stream":
        # a progress bar returns to the start of its line: its last state counts
        lines = [line.split("\r")[-1] for line in output.text.split("\n")]
        output.text = "\n".join(lines)
        return output.name == "stdout" and bool(output.text.strip())
    data = {kind: output.data[kind] for kind in KINDS if kind in output.data}
    if "image/png" in data:
        alt = output.metadata.get("image/png", {}).get("alt", "")
        data = {"image/png": data["image/png"].strip(), "text/plain": alt}
        output.metadata = nbformat.from_dict({"image/png": {"alt": alt}})
    elif set(output.data) - {"text/html", *data}:  # a widget or a plotly figure
        # without a text there is nothing to see: nglview's theme, shown on import
        data = {"text/plain": NO_TWIN} if data.get("text/plain") else {}
        output.metadata = nbformat.from_dict({})
    output.data = nbformat.from_dict(data)
    return bool(data)


def _settle(output: nbformat.NotebookNode, past: dict, volatile: bool) -> None:
    """Give an output the bytes of the committed one where they say the same."""
    if output.output_type != past.output_type:
        return
    data, old = output.get("data", {}), past.get("data", {})
    if "image/png" in data and "image/png" in old:
        if same_pixels(data["image/png"], old["image/png"]):
            data["image/png"] = old["image/png"]
    elif volatile and "text" in output:
        output.text = past.text
    elif volatile and data.keys() == old.keys():
        output.data = past.data


def same_pixels(*pngs: str) -> bool:
    """Return whether two base64 PNGs look the same."""
    first, second = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA"), int)
        for png in pngs
    )
    if first.shape != second.shape:
        return False
    changed = (np.abs(first - second) > SAME_LEVEL).any(axis=2)
    return bool(changed.mean() < SAME_SHARE)
