"""Share what every lesson needs: profile, self-checks, tables, figures' static twins.

``TPAINN_PROFILE`` (ci, binder, laptop or full; binder unless set) says how much a
lesson computes. It is read once, here.
"""

import base64
import io
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from IPython.display import display
from ipywidgets import HTML, FloatSlider, VBox
from PIL import Image

from .. import guards

T = TypeVar("T")
PROFILES = ("ci", "binder", "laptop", "full")
PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
# two threads on shared cores were 6-8 times slower; torch reads the number on import
os.environ.setdefault("OMP_NUM_THREADS", "1")
if "torch" in sys.modules:
    sys.modules["torch"].set_num_threads(1)
PROFILE = os.environ.get("TPAINN_PROFILE") or "binder"
if PROFILE not in PROFILES:
    raise ValueError(
        f"TPAINN_PROFILE: needs one of {', '.join(PROFILES)}, got {PROFILE!r}; unset "
        "it for the default, binder, and restart the kernel"
    )


def pick(*, ci: T, binder: T, laptop: T, full: T) -> T:
    """Return the value that belongs to the profile of this session."""
    return {"ci": ci, "binder": binder, "laptop": laptop, "full": full}[PROFILE]


def table(rows: Mapping[str, Mapping], title: str = "", digits: int = 0) -> None:
    """Print ``{row: {column: number or text}}``; what a row lacks stays blank.

    A title that is much longer than the names of rows has a line of its own.
    """
    if len(title) > max(map(len, rows)) + 24:
        print(title)
        title = ""
    columns = [*dict.fromkeys(column for row in rows.values() for column in row)]
    texts = {title: [str(column) for column in columns]}
    for name, row in rows.items():
        cells = [row.get(column, "") for column in columns]
        texts[name] = [c if isinstance(c, str) else f"{c:.{digits}f}" for c in cells]
    columns = zip(*texts.values(), strict=True)
    first, *widths = (max(map(len, column)) + 2 for column in [texts, *columns])
    for name, cells in texts.items():
        cells = (f"{cell:>{max(w, 7)}}" for cell, w in zip(cells, widths, strict=True))
        print((name.ljust(first) + "".join(cells)).rstrip())


def self_check(condition: bool, good: str, hint: str) -> None:
    """Tell the learner whether an exercise is right: `good` if so, else `hint`."""
    print(f"✓ {good}" if condition else f"✗ Not yet. {hint}")


class Stop(Exception):
    """A sentence for the reader; a notebook shows it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """Give IPython the bundle it asks for."""
        return [f"Stopped. {self}"]


@contextmanager
def in_words() -> Iterator[None]:
    """Stop in one sentence when something goes wrong with a reader's data."""
    try:
        yield
    except (ValueError, FloatingPointError) as error:
        raise Stop(str(error)) from None


def placard(text: str) -> bytes:
    """Draw `text` as a PNG, the twin of a control that has nothing to draw."""
    from matplotlib.figure import Figure  # not at the top: it takes a while to import

    figure, content = Figure(figsize=(0.1, 0.1)), io.BytesIO()
    figure.text(0, 0, text, size=14, bbox=dict(facecolor="white", pad=10))
    figure.savefig(content, bbox_inches="tight", pad_inches=0.2)  # with its frame
    return content.getvalue()


def show(thing: Any, alt: str, png: bytes | None = None) -> None:
    """Display a figure or widget together with a static twin, in one output.

    JupyterLab draws the interactive thing; GitHub, nbviewer and PDF, which cannot, draw
    the twin. For a plotly figure that has no `png` the authors' build makes one.

    Args:
        thing: a plotly Figure or FigureWidget, an nglview widget or any ipywidget.
        alt: for readers who cannot see it: the kind of plot, its axes with units, and
            what to notice. Or "06.density": the text of that name in ``alts/06.toml``.
        png: the static twin, an encoded PNG.

    Raises:
        ValueError: if `alt` is empty, `png` is no PNG, or `thing` cannot be displayed.
    """
    alt = _alt(alt)
    if not alt.strip():
        raise ValueError("alt: needs a sentence that says what is shown, got none")
    if png is not None and not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"png: needs the bytes of a PNG, got {png[:16]!r}")
    drawn = thing.data if hasattr(thing, "to_plotly_json") else ()
    add = "", " A dotted line is the reader's bet.", " Two lines are the reader's bets."
    alt = alt.rstrip() + add[min(2, sum(isinstance(t.meta, dict) for t in drawn))]
    bundle = _interactive(thing) | {"text/plain": alt}
    authors = os.environ.get("TPAINN_STATIC")
    if png is None and authors and hasattr(thing, "to_plotly_json"):
        try:
            png = thing.to_image(format="png", width=800, height=500)
        except Exception as error:  # kaleido raises whatever its browser does
            print(f"No static twin: {type(error).__name__}: {error}")
    if png is not None:
        bundle["image/png"] = base64.b64encode(_small(png)).decode("ascii")
    display(bundle, metadata={"image/png": {"alt": alt}} if png else {}, raw=True)


class Bet:
    """A guess that a reader makes with a slider; ask for one with `bet`."""

    GUESSES: dict[str, float] = {}  # by question: a cell that runs again keeps its own

    def __init__(self, question: str, low: float, high: float, unit: str):
        """Make the slider, at the last guess, else in the middle."""
        self.question, self.unit = question, unit
        self._middle = (low + high) / 2
        start = self.GUESSES.get(question, self._middle)
        about = dict(description=f"Your bet ({unit})", readout_format=".4")
        wide = dict(style={"description_width": "initial"}, layout={"width": "500px"})
        ends = dict(min=low, max=high, step=(high - low) / 100)
        self.slider = FloatSlider(start, **ends, **about, **wide)
        self.slider.bet = question  # for a web page
        self.slider.observe(self._keep, "value")

    def _keep(self, _: Any) -> None:
        self.GUESSES[self.question] = self.value

    @property
    def value(self) -> float:
        """The guess; the middle of the range until the slider moves."""
        return self.slider.value

    def draw(self, figure: Any, column: int | str = "all", on: str = "") -> Any:
        """Draw the guess as a dotted line, a second one dash-dotted; return the figure.

        Its y axis is in the unit of the bet. `column`: of a figure with panels. `on`:
        what the bet is on, where a figure has two.
        """
        about, value = on and f" on {on}", f"{self.value:.4g} {self.unit}"
        text = f"your bet{about}: {value}"
        if self.value == self._middle:
            text = f"no bet{about} (middle: {value})"
        second = any(isinstance(trace.meta, dict) for trace in figure.data)
        line = dict(line_dash="dashdot" if second else "dot", line_color="black")
        if figure.layout.showlegend is False:
            figure.update_traces(showlegend=False)
        # a shape in the legend gave the figure no height in JupyterLab
        meta = dict(bet=self.question, on=about, unit=self.unit)  # for a web page
        named = dict(name=text, meta=meta, mode="lines", showlegend=True)
        figure.add_scatter(x=[None], y=[None], **line, **named)
        figure.update_layout(showlegend=True)
        how = line | dict(line_width=2, name=self.question)
        return figure.add_hline(self.value, row="all", col=column, **how)


@guards.checked(question=guards.instance(str), low=guards.number())
@guards.checked(high=guards.number(), unit=guards.instance(str))
def bet(question: str, low: float, high: float, unit: str) -> Bet:
    """Ask for a guess between `low` and `high`, in `unit`, with a slider.

    Tab reaches the slider, the arrow keys move it. Without a reader the guess is the
    middle. Raises `ValueError` unless `high` is above `low`.
    """
    from ..explorers.base import Aid  # it imports torch

    if not low < high:
        raise guards.refusal("high", f"a number above low={low:g}", high)
    made = Bet(question, low, high, unit)
    text = f"{question} (A slider from {low:g} to {high:g} {unit}.)"
    png = placard(text) if os.environ.get("TPAINN_STATIC") else None
    show(VBox([HTML(question), made.slider, Aid()]), text, png)
    return made


def _alt(text: str) -> str:
    """Look up an alt text given by lesson and name; any other text is its own."""
    if not re.fullmatch(r"\d\d\.[\w-]+", text):
        return text
    lesson, name = text.split(".")
    file = Path(__file__).parent / "alts" / f"{lesson}.toml"
    return " ".join(tomllib.loads(file.read_text("utf-8"))[name].split())


def _interactive(thing: Any) -> dict[str, Any]:
    """Return the MIME bundle that JupyterLab draws `thing` from."""
    if getattr(thing, "model_id", None):  # a closed widget has none
        version = {"version_major": 2, "version_minor": 0}
        return {WIDGET: version | {"model_id": thing.model_id}}
    if hasattr(thing, "to_plotly_json"):
        drawn = json.loads(thing.to_json())  # as wide as the page
        drawn["layout"].pop("width", None)
        return {PLOTLY: drawn | {"config": {"responsive": True}}}
    raise ValueError(
        f"thing: needs a plotly figure or a widget, got {type(thing).__name__}; for a "
        "matplotlib figure or a table use display()"
    )


def _small(png: bytes) -> bytes:
    """Shrink a picture to 256 colours, a quarter of its size.

    The 128 most frequent colours, those of curves among them, stay as they are; the
    shades at the edges of lines and letters share the rest.
    """
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))  # (h, w, 3)
    codes = pixels @ np.array([1 << 16, 1 << 8, 1])
    colours, where, counts = np.unique(codes, return_inverse=True, return_counts=True)
    exact = len(colours) if len(colours) <= 256 else 128
    frequent = np.argsort(-counts)[:exact]
    place = np.full(len(colours), -1)
    place[frequent] = np.arange(exact)
    index = place[where].reshape(codes.shape)
    palette = colours[frequent, None] >> np.array([16, 8, 0]) & 255
    if (edges := index < 0).any():
        rest = Image.fromarray(pixels[edges][None]).quantize(256 - exact)
        index[edges] = exact + np.asarray(rest)[0]
        palette = np.append(palette, rest.getpalette()[: 3 * (256 - exact)])
    image, small = Image.fromarray(index.astype(np.uint8)), io.BytesIO()
    image.putpalette(bytes(palette.astype(np.uint8).ravel()))
    image.save(small, "PNG", optimize=True)
    return small.getvalue()
