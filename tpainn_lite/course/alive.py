"""Turn what widgets show into data that a web page draws without a kernel.

The build calls `run` in a lesson's own kernel, after its last cell, so that a page has
the lesson's own numbers. A page's explorer has "parts" (a figure, a structure or a text
each) and, if the explorer names a grid (`base.Explorer.GRID`), "controls" and "states":
of each combination of the controls what differs from "parts", as (path, value).

The page draws controls of its own, not plotly's sliders: keyboards, screen readers and
fingers can use them, and two of them span a grid.
"""

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
from ipywidgets import HTML, Label, Widget
from ipywidgets.widgets import widget as registry
from matplotlib.colors import to_hex

from ..explorers import viewers

FRAMES = 50  # of a trajectory on a page, at most
DIGITS = 5


def run(models: list[str]) -> None:
    """Print as JSON what the widgets of these model ids show, or why it is not known.

    Closed widgets are left out.
    """
    found: dict[str, dict | str] = {}
    for key in models:
        try:
            if widget := registry._instances.get(key):
                made = page(widget)
                json.dumps(made, allow_nan=False)  # raises here, for this widget alone
                found[key] = made
        except Exception as error:  # the lesson is none the worse for it
            found[key] = f"{type(error).__name__}: {error}"
    print(json.dumps(found))


def page(widget: Widget) -> dict:
    """Collect the parts of a widget, and the states of its explorer.

    Raises:
        ValueError: if one state has more parts than another (a text that is empty).
    """
    explorer = getattr(widget, "explorer", None)
    shown = [*parts(widget)]
    made: dict[str, Any] = {"parts": shown} if shown else {}
    if not (explorer and explorer.GRID and shown):
        return made
    controls, states = explorer.grid(lambda: [*parts(widget)])
    now = np.ravel_multi_index(
        [c["now"] for c in controls], [len(c["values"]) for c in controls]
    )
    if len(counts := {len(state) for state in states}) > 1:
        raise ValueError(f"states: need equally many parts, got {sorted(counts)}")
    made = {"parts": states[now], "controls": controls}
    return made | {"states": [[*changes(states[now], state)] for state in states]}


def parts(widget: Widget) -> Iterator[dict]:
    """Yield the figures, structures and texts of a widget in their order."""
    if isinstance(widget, go.FigureWidget):
        yield {"figure": plain(_slim(widget.to_plotly_json()))}
    elif isinstance(widget, viewers.View):
        yield structure(widget)
    elif question := getattr(widget, "bet", None):
        about = dict(low=widget.min, high=widget.max, step=widget.step)
        yield {"bet": question, "name": widget.description} | about
    elif isinstance(widget, HTML):
        if widget.value.strip():
            yield {"html": widget.value}
    else:
        yield from _inside(widget)


def _inside(box: Widget) -> Iterator[dict]:
    """Yield the parts in a box; a label names what follows it."""
    explorer, name = getattr(box, "explorer", None), ""
    for child in getattr(box, "children", ())[bool(explorer) :]:  # but the controls
        if isinstance(child, Label):
            name = child.value
        elif not (hasattr(explorer, "frame") and child is explorer._text):
            yield from (
                {"name": name} | part if name else part for part in parts(child)
            )


def structure(view: viewers.View) -> dict:
    """Write what a view shows: frames as XYZ, cell, atoms in red, and arrows (Å)."""
    frames, red = view.shown
    every = -(-len(frames) // FRAMES)
    lines = []
    for atoms in frames[::every]:
        lines += [f"{len(atoms)}\n"]
        rows = zip(atoms.symbols, atoms.positions, strict=True)
        lines += ["{} {:.3f} {:.3f} {:.3f}".format(s, *r) for s, r in rows]
    corners = [*np.ndindex(2, 2, 2)] if frames[0].pbc.any() else []
    pairs = itertools.combinations(corners, 2)
    edges = [
        np.array(p) @ frames[0].cell.array
        for p in pairs
        if np.sum(np.abs(np.subtract(*p))) == 1
    ]
    return plain(
        {
            "xyz": "\n".join(lines),
            "frames": len(frames[::every]),
            "every": every,
            "total": len(frames),
            "red": sorted({int(k) for k in np.ravel(red)}),
            "edges": edges,
            "arrows": [*_arrows(view.arrows)] if view.arrows else [],
        }
    )


def _arrows(drawn: viewers.Arrows) -> Iterator[tuple]:
    """Yield start, end, colour and radius (Å) of each arrow."""
    colours = viewers.CIVIDIS(drawn.values / (drawn.values.max() or 1.0))
    for k, ends in enumerate(drawn.ends):
        for start, end, colour in zip(drawn.start, ends, colours, strict=True):
            yield start, end, "#808080" if k else to_hex(colour), 0.05 if k else 0.1


def _slim(figure: dict) -> dict:
    """Keep of a figure what a page draws, without the ids of its traces."""
    for trace in figure["data"]:
        trace.pop("uid", None)
    return {"data": figure["data"], "layout": figure["layout"]}


def plain(thing: Any) -> Any:
    """Turn arrays into lists, and floats into ones of few digits."""
    if isinstance(thing, dict) and "bdata" in thing:  # how plotly writes an array
        flat = np.frombuffer(base64.b64decode(thing["bdata"]), thing["dtype"])
        return plain(flat.reshape([*map(int, thing.get("shape", "-1").split(","))]))
    if isinstance(thing, dict):
        return {key: plain(value) for key, value in thing.items()}
    if isinstance(thing, np.ndarray | list | tuple):
        return [plain(value) for value in thing]
    if isinstance(thing, float | np.floating):
        return float(f"{thing:.{DIGITS}g}") if np.isfinite(thing) else None
    return thing.item() if isinstance(thing, np.generic) else thing


def changes(old: Any, new: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield (path, value) of all that differs; lists of dicts are looked into."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from changes(old.get(key), new.get(key), (*path, key))
    elif (
        isinstance(old, list)
        and old
        and isinstance(old[0], dict)
        and len(old) == len(new)
    ):
        for k, pair in enumerate(zip(old, new, strict=True)):
            yield from changes(*pair, (*path, k))
    elif old != new:
        yield path, new
