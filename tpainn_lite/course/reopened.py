"""Give a saved notebook what JupyterLab shows of a widget when no kernel knows it.

The installed package is an extension of Jupyter's server, which calls `keep`.
"""

import html
import re
from typing import Any

WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
MODULE = dict(model_module="@jupyter-widgets/controls", model_module_version="2.0.0")
RUN = "<p><b>Run this cell to use it</b> (Shift and Enter).</p>"


def _jupyter_server_extension_points() -> list[dict]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.contents_manager.register_pre_save_hook(keep)


def keep(model: dict, **_: Any) -> None:
    """Put a picture or words for each widget into a notebook that is being saved.

    Jupyter calls this with the `model` of a file (``pre_save_hook``). JupyterLab looks
    for a widget first in the kernel and then in the state that the notebook holds. Its
    own state of a figure takes five megabytes; this one takes the static twin. States
    that were saved otherwise stay as they are.
    """
    if model.get("type") != "notebook" or not isinstance(model.get("content"), dict):
        return
    state = {}
    for cell in model["content"].get("cells", ()):
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if WIDGET in data:
                one = MODULE | dict(
                    model_name="HTMLModel", state={"value": _twin(data)}
                )
                state[data[WIDGET]["model_id"]] = one
    if not state:
        return
    widgets = model["content"].setdefault("metadata", {}).setdefault("widgets", {})
    whole = widgets.setdefault(STATE, dict(version_major=2, version_minor=0))
    saved = whole.get("state", {}).items()  # without our own of widgets that are gone
    kept = {k: one for k, one in saved if [*one.get("state", ())] != ["value"]}
    whole["state"] = state | kept


def _twin(data: dict) -> str:
    """Write a picture or words as HTML; nothing for a widget without text (a theme)."""
    alt = html.escape("".join(data.get("text/plain", "")))
    if png := "".join(data.get("image/png", "")).strip():
        return f'<img src="data:image/png;base64,{png}" alt="{alt}">{RUN}'
    if re.match(r"\w+\(", alt):  # what Python calls it says nothing
        return RUN
    return alt and f"<p>{alt}</p>{RUN}"
