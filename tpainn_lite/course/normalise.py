"""Write a run's outputs into a committed notebook so that sameness gives no diff.

Kept: standard output, texts and PNGs with their alt text. Dropped: widget state and
views, plotly's and JavaScript's types, standard error, progress bars, timestamps. A
PNG whose pixels did not change keeps its old bytes; a cell tagged "volatile" (it prints
timings, say) keeps its old texts.
"""

import base64
import io
import re
from pathlib import Path

import nbformat
import numpy as np
from PIL import Image

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ABSOLUTE = re.compile(r"(?<![\w./:])/(?:home|root|Users|private|tmp|usr|opt|var)/\S+")
NO_TWIN = "something interactive has no static twin; display it with lessons.show()"
SAME_LEVEL = 8  # of 255: below the jitter of a text's smoothed edge
SAME_SHARE = 1e-4  # of the pixels: less than one digit of a label covers


def write_back(executed: nbformat.NotebookNode, path: Path) -> list[str]:
    """Write the normalised outputs of a run into the notebook at `path`.

    Returns what an author has to change first, in words; nothing is written then.
    """
    old = nbformat.read(path, as_version=4)
    new, problems = normalised(executed, old)
    if not problems:
        nbformat.write(new, path)
    return problems


def normalised(
    executed: nbformat.NotebookNode, old: nbformat.NotebookNode
) -> tuple[nbformat.NotebookNode, list[str]]:
    """`executed` as it is committed, given the committed one, and its problems."""
    before = {cell.id: cell for cell in old.cells}
    cells, problems, count = [], [], 0
    for index, cell in enumerate(executed.cells):
        cell = nbformat.from_dict(cell)  # a copy: the caller's stays as it ran
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            former = before.get(cell.id, {}).get("outputs", [])
            outputs = [o for o in map(_kept, cell.outputs) if o is not None]
            cell.outputs = _settled(outputs, former, "volatile" in tags)
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
            problems += [f"cell {index}: {p}" for p in _problems(cell.outputs)]
        cells.append(cell)
    new = nbformat.v4.new_notebook(cells=cells)
    new.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    return new, problems


def _kept(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """The part of an output that is committed, ``None`` if there is none."""
    output = nbformat.from_dict(output)
    if output.output_type == "stream":
        # a progress bar returns to the start of its line: its last state counts
        lines = [line.split("\r")[-1] for line in output.text.split("\n")]
        output.text = "\n".join(lines)
        return output if output.name == "stdout" and output.text.strip() else None
    if output.output_type == "error":
        return output
    kinds = ["text/plain", "text/markdown", "text/latex", "image/png"]
    data = {kind: output.data[kind] for kind in kinds if kind in output.data}
    if "image/png" in data:
        alt = output.metadata.get("image/png", {}).get("alt", "")
        data = {"image/png": data["image/png"].strip(), "text/plain": alt}
        output.metadata = nbformat.from_dict({"image/png": {"alt": alt}})
    elif set(output.data) - {"text/html", *data}:  # a widget or a plotly figure
        if not data.get("text/plain"):
            return None  # nothing to see: nglview's theme, shown on import
        data, output.metadata = {"text/plain": NO_TWIN}, nbformat.from_dict({})
    output.data = nbformat.from_dict(data)
    return output if data else None


def _settled(new: list, old: list, volatile: bool) -> list:
    """`new` outputs with the bytes of `old` ones wherever they say the same."""
    for output, former in zip(new, old, strict=False):
        if output.output_type != former.output_type:
            continue
        data, past = output.get("data", {}), former.get("data", {})
        if {"image/png"} <= set(data) & set(past):
            if same_pixels(data["image/png"], past["image/png"]):
                data["image/png"] = past["image/png"]
        elif volatile and "text" in output:
            output.text = former.text
        elif volatile and data.keys() == past.keys():
            output.data = former.data
    return new


def same_pixels(one: str, other: str) -> bool:
    """Whether two base64 PNGs look the same."""
    pixels = []
    for text in (one, other):
        with Image.open(io.BytesIO(base64.b64decode(text))) as image:
            pixels.append(np.asarray(image.convert("RGBA"), dtype=int))  # (h, w, 4)
    first, second = pixels
    if first.shape != second.shape:
        return False
    changed = (np.abs(first - second) > SAME_LEVEL).any(axis=2)
    return bool(changed.mean() < SAME_SHARE)


def _problems(outputs: list) -> list[str]:
    """What must not be committed, in words."""
    found = []
    for output in outputs:
        data = output.get("data", {})
        text = output.get("text", "") + data.get("text/plain", "")
        if match := ABSOLUTE.search(text):
            found.append(f"prints the absolute path {match[0]!r}; print a relative one")
        if "image/png" in data and not output.metadata["image/png"]["alt"].strip():
            found.append("an image has no alt text; display it with lessons.show()")
        if data.get("text/plain") == NO_TWIN:
            found.append(NO_TWIN)
    return found
