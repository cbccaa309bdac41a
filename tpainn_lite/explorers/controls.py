"""What explorers share: rows of controls, tables in words, twins, and their state."""

import contextlib
import io
import os
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from ipywidgets import HTML, HBox, ValueWidget, VBox, Widget
from PIL import Image
from traitlets import TraitError


def twin(figure: go.Figure) -> bytes | None:
    """The figure as a PNG in the authors' build (``TPAINN_STATIC`` set), else None."""
    return figure.to_image(format="png") if os.environ.get("TPAINN_STATIC") else None


def stacked(*pngs: bytes) -> bytes:
    """One PNG of several, one below the other."""
    pictures = [Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    size = max(p.width for p in pictures), sum(p.height for p in pictures)
    whole, below, content = Image.new("RGB", size, "white"), 0, io.BytesIO()
    for picture in pictures:
        whole.paste(picture, (0, below))
        below += picture.height
    whole.save(content, "PNG")
    return content.getvalue()


def rows(controls: Mapping[Widget, str]) -> VBox:
    """Each control with a sentence that explains it beside it."""
    return VBox([HBox([control, HTML(text)]) for control, text in controls.items()])


def table(rows: Mapping[str, str]) -> str:
    """Names and what they are, as text that a screen reader can read."""
    cells = (f"<tr><th align=left>{k}</th><td>{v}</td></tr>" for k, v in rows.items())
    return f"<table>{''.join(cells)}</table>"


def restore(explorer: Any, before: Any) -> None:
    """Set the controls of an explorer as in `before`, one of its kind, where they fit.

    So a cell that is run again, ``before=globals().get("name of the explorer")``, goes
    on where its reader was. A value that is no longer offered stays as it is.
    """
    if not isinstance(before, type(explorer)):
        return
    for name, control in [*vars(explorer).items()]:
        if name.startswith("_") or not isinstance(control, ValueWidget):
            continue
        own, value = control.value, getattr(before, name).value
        with contextlib.suppress(TraitError):
            control.value = value
        if control.value != value:  # a slider takes the nearest of its own
            control.value = own
