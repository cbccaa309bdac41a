"""What explorers share: labelled controls, a figure, its twin, their state, errors."""

import atexit
import contextlib
import contextvars
import copy
import html
import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import anywidget
import plotly.graph_objects as go
from ipywidgets import (
    HTML,
    Box,
    Button,
    Dropdown,
    ToggleButtons,
    ValueWidget,
    VBox,
    Widget,
)
from traitlets import TraitError

from . import figures

T = TypeVar("T")
PAUSE = 0.5  # s: least time between two updates of a figure while something runs
SHARE = 0.03  # of the run's time that updates may take
PATIENCE = 9.0  # s to wait for a thread that was asked to end
ROW = dict(flex_flow="row wrap", overflow="visible")


def table(rows: Mapping[str, str]) -> str:
    """Lay out names and what they are as text that a screen reader can read.

    Both may come from a reader's file, so no HTML in them counts.
    """
    cells = ((html.escape(k), html.escape(v)) for k, v in rows.items())
    lines = (f"<tr><th align=left>{k}</th><td>{v}</td></tr>" for k, v in cells)
    return f"<table>{''.join(lines)}</table>"


class Figure(go.FigureWidget):
    """A figure that a page loaded again finds as it is, not as it began."""

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict:
        """Tell what a page needs; plotly's own data stay those of the beginning."""
        if key is None and hasattr(self, "_layout_obj"):
            now = dict(_widget_data=self._data, _widget_layout=self._layout)
            self._trait_values |= copy.deepcopy(now)  # without a message to the page
        return super().get_state(key, drop_defaults)


class Aid(anywidget.AnyWidget):
    """Invisible help beside what it stands with.

    Handles of sliders get names for screen readers, and a frame where the focus is;
    figures follow the width of the page, and are dark in a dark theme, as views are.
    """

    _esm = """
    export default { render({ el }) {
      const resized = new ResizeObserver(() =>
        window.dispatchEvent(new Event("resize")));
      const start = () => {
        const box = el.closest(".widget-vbox") ?? document;
        for (const slider of box.querySelectorAll(".widget-slider")) {
          const name = slider.querySelector("label")?.textContent ?? "";
          slider.querySelectorAll(".noUi-handle").forEach((handle, k, all) =>
            handle.setAttribute("aria-label", name + ["", ", end"][Math.min(k, 1)]));
        }
        for (const plot of box.querySelectorAll(".js-plotly-plot"))
          resized.observe(plot.parentElement);
      };
      const timer = setTimeout(start, 1000);  // when all beside it are drawn
      return () => { clearTimeout(timer); resized.disconnect(); };
    } };"""
    _css = """
    .noUi-handle:focus { outline: 3px solid #0072B2; outline-offset: 2px; }
    [data-jp-theme-light="false"] :is(.js-plotly-plot, .jp-RenderedImage img)
      { filter: invert(0.93) hue-rotate(180deg); }
    [data-jp-theme-light="false"] .ui-resizable canvas
      { background: none !important; }"""


class Explorer:
    """A widget that answers a question when a control moves.

    A subclass makes its controls (public attributes) and its ``figure``, defines `draw`
    and ends its ``__init__`` with `assemble`. ``error`` is what the last move failed
    with; the widget shows it.
    """

    figure: go.FigureWidget | None = None
    widget: VBox
    GRID: Mapping[str, Sequence | None] = {}  # a page's controls -> values, or all
    error: BaseException | None = None
    _quiet = False  # while a grid is drawn
    _width = figures.TEMPLATE.layout.width  # px, of the twin

    def assemble(
        self, sentences: Mapping[Widget, str], *parts: Widget, before: Any = None
    ) -> None:
        """Make ``widget``: controls, `parts` beside each other, and a text; and draw.

        `sentences` are the controls, each with what it does (its tooltip). They begin
        with the values of `before`, an explorer of the same kind
        (``globals().get("name of the explorer")`` in a cell), where these fit; `before`
        is closed.
        """
        self._text = HTML()
        for control, text in sentences.items():
            for part in getattr(control, "children", [control]):  # a box has no tooltip
                part.tooltip = text
                if hasattr(getattr(part, "style", None), "description_width"):
                    part.style.description_width = "initial"
        shown = [p if p is not self.figure else self.fluid() for p in parts]
        rows = Box([*sentences], layout=ROW), Box(shown, layout=ROW)
        self.widget = VBox([*rows, self._text, Aid()])
        self.widget.explorer = self
        if isinstance(before, type(self)):
            for name, control in [*vars(self).items()]:
                if not name.startswith("_") and isinstance(control, ValueWidget):
                    _set(control, getattr(before, name).value)
            self.adopt(before)
            before.close()
        self.draw()
        for control in sentences:
            if isinstance(control, ValueWidget):
                control.observe(self._move, "value")

    def fluid(self) -> VBox:
        """Let the figure be as wide as there is room; return what holds it."""
        self._width = self.figure.layout.width or self._width
        self.figure._config = self.figure._config | {"responsive": True}
        height = self.figure.layout.height or figures.TEMPLATE.layout.height
        self.figure.update_layout(width=None, height=height, autosize=True)
        return VBox([self.figure], layout=dict(flex="1 1 500px", overflow="hidden"))

    def draw(self) -> None:
        """Bring figure and text to what the controls say."""

    def adopt(self, before: Any) -> None:
        """Take over from an explorer of the same kind what its controls do not hold."""

    def grid(self, look: Callable[[], T]) -> tuple[list[dict], list[T]]:
        """Draw all combinations of the controls in `GRID`, and `look` at each.

        Returns what a web page needs of each control, and what was seen, the last
        control moving fastest. The controls end as they were.
        """
        controls = {getattr(self, name): some for name, some in self.GRID.items()}
        before = [control.value for control in controls]
        values = [[*some] if some else _values(c) for c, some in controls.items()]
        for some, now in zip(values, before, strict=True):
            some += [] if now in some else [now]
        seen = []
        self._quiet = True
        try:
            for point in itertools.product(*values):
                for control, value in zip(controls, point, strict=True):
                    control.value = value
                self.draw()
                seen.append(look())
        finally:  # what comes after finds the controls as they were
            for control, value in zip(controls, before, strict=True):
                control.value = value
            self._quiet = False
            self.draw()
        made = []
        for control, some, now in zip(controls, values, before, strict=True):
            texts = [
                " to ".join(f"{x:g}" for x in v) if isinstance(v, tuple) else str(v)
                for v in some
            ]
            words = dict(name=control.description, values=texts, now=some.index(now))
            words["range"] = not isinstance(control, Dropdown | ToggleButtons)
            made.append(words)
        return made, seen

    def twin(self) -> bytes | None:
        """Return a PNG in the authors' build (``TPAINN_STATIC`` set), else None."""
        return self._picture() if os.environ.get("TPAINN_STATIC") else None

    def _picture(self) -> bytes:
        return self.figure.to_image(format="png", width=self._width)

    def close(self) -> None:
        """End what runs, and take the widgets off the page and out of the kernel."""
        family = [self.widget]
        for widget in family:
            family += getattr(widget, "children", ())
            widget.close()

    def on_click(self, button: Button, act: Callable[[], Any]) -> None:
        """Let a click on a button `act`; the widget shows what fails."""
        button.on_click(lambda _: self._try(act))

    def _move(self, _: Any) -> None:
        if not self._quiet:
            self._try(self.draw)

    def _try(self, act: Callable[[], Any]) -> None:
        self.error = None
        try:
            act()
        except Exception as error:  # raised here, only the log would have it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Keep an error and show it in words."""
        words = html.escape(f"{type(error).__name__}: {error}")
        self.error, self._text.value = error, f"<b>Failed.</b> {words}"


def _values(control: ValueWidget) -> list:
    """List all values that a control offers."""
    if isinstance(control.value, bool):
        return [False, True]
    if hasattr(control, "options"):
        return [*control.options]
    return [*range(control.min, control.max + 1, control.step)]


def _set(control: ValueWidget, value: Any) -> None:
    """Give a control a value, unless it offers others only."""
    own = control.value
    with contextlib.suppress(TraitError):
        control.value = value
    if control.value != value:  # a slider takes the nearest of its own
        control.value = own


class Live(Explorer):
    """An explorer that computes in a thread until it ends or is stopped.

    A subclass defines ``work()``, which looks at `stopped` often, ``show()``, which
    draws what there is, and ``finish()``, which shows the end.
    """

    def __init__(self) -> None:
        """Prepare; nothing runs before `launch`."""
        self._stop, self._thread, self._next_show = threading.Event(), None, 0.0

    @property
    def running(self) -> bool:
        """True while the thread goes on."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def stopped(self) -> bool:
        """True if it was asked to stop before its end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask it to end soon and keep what there is."""
        self._stop.set()

    def launch(self) -> None:
        """Start the thread, in the context that widgets of older kernels look for."""
        inside = contextvars.copy_context().run
        self._thread = threading.Thread(target=inside, args=(self._run,), daemon=True)
        _running.add(self)
        self._thread.start()

    def close(self) -> None:
        """Stop, wait for the end, and close the widgets."""
        self.stop()
        self.join()
        super().close()

    def join(self) -> None:
        """Wait some seconds for the end of the thread."""
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _run(self) -> None:
        for part in (self.work, self.finish):
            try:
                part()
            except BaseException as error:  # shown, and kept for who asks
                self._fail(error)
        _running.discard(self)

    def _show_sometimes(self) -> None:
        """Show, unless just done: a browser that falls behind would not see Stop."""
        if (now := time.monotonic()) >= self._next_show:
            self.show()
            took = time.monotonic() - now
            self._next_show = now + max(PAUSE, took / SHARE)

    def _move(self, _: Any) -> None:
        """Leave it to `work` to look at the controls."""


_running: set[Live] = set()


@atexit.register
def _end_all() -> None:
    """End all threads before Python ends: it would abort what one of them computes."""
    for live in (some := [*_running]):
        live.stop()
    for live in some:
        live.join()
