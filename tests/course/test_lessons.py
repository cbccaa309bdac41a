"""The profile, recorded claims, self-checks, and the twin of every figure."""

import base64
import io
import os
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import pytest
from ipywidgets import IntSlider
from PIL import Image, ImageDraw

from tpainn_lite.course import lessons
from tpainn_lite.explorers import figures


def png(image=None) -> bytes:
    file = io.BytesIO()
    (image or Image.new("RGB", (2, 2))).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def shown(monkeypatch):
    """The bundles that `lessons.show` displays, as (data, metadata)."""
    bundles = []

    def display(data, metadata, raw):
        assert raw
        bundles.append((data, metadata))

    monkeypatch.setattr(lessons, "display", display)
    monkeypatch.delenv("TPAINN_STATIC", raising=False)
    return bundles


def profile_of_a_new_session(value: str | None) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if k != "TPAINN_PROFILE"}
    env |= {} if value is None else {"TPAINN_PROFILE": value}
    values = "ci=1, binder=2, laptop=3, full=4"
    code = "from tpainn_lite.course import lessons as l; "
    code += f"print(l.PROFILE, l.pick({values}))"
    run = [sys.executable, "-c", code]
    return subprocess.run(run, capture_output=True, text=True, env=env)


def test_the_profile_comes_from_the_environment():
    for value, expected in ((None, "binder 2"), ("ci", "ci 1")):
        assert profile_of_a_new_session(value).stdout.strip() == expected
    done = profile_of_a_new_session("huge")
    assert done.returncode != 0
    assert "TPAINN_PROFILE: needs one of ci, binder, laptop, full" in done.stderr


def test_self_check(capsys):
    lessons.self_check(True, "Forces rotate.", "Rotate the forces too.")
    lessons.self_check(False, "Forces rotate.", "Rotate the forces too.")
    good, bad = capsys.readouterr().out.splitlines()
    assert good == "✓ Forces rotate."
    assert bad == "✗ Not yet. Rotate the forces too."


def pixels(shown: bytes | str) -> np.ndarray:
    """Colours (h, w, 3) of a PNG, or of one as notebooks have it."""
    shown = base64.b64decode(shown) if isinstance(shown, str) else shown
    return np.asarray(Image.open(io.BytesIO(shown)).convert("RGB"), int)


def test_show_puts_figure_and_twin_into_one_output(shown):
    lessons.show(go.Figure(go.Scatter(y=[1, 2])), "A rising line", png())
    [(data, metadata)] = shown
    assert data[lessons.PLOTLY]["data"][0]["y"] == [1, 2]
    np.testing.assert_array_equal(pixels(data["image/png"]), pixels(png()))
    assert data["text/plain"] == "A rising line"
    assert metadata == {"image/png": {"alt": "A rising line"}}


def lines() -> Image.Image:
    """Smooth lines in all colours of the course over shaded areas, as figures have."""
    large = Image.new("RGB", (3200, 2000), "white")
    draw = ImageDraw.Draw(large)
    for k, colour in enumerate(figures.PALETTE):
        pale = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
        for row in range(500):  # 500 shades of the colour, none of them itself
            shade = tuple(round(c + (255 - c) * (0.2 + row / 700)) for c in pale)
            draw.rectangle((3 * row, 250 * k, 3 * row + 2, 250 * k + 240), shade)
        draw.line((1600, 250 * k, 3190, 250 * k + 230), colour, width=12)
    return large.reduce(4)


def test_show_keeps_the_colours_of_curves(shown):
    large = png(lines())
    lessons.show(IntSlider(), "Lines", large)
    small = shown[0][0]["image/png"]
    before, after = pixels(large), pixels(small)
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 2000
    for colour in figures.PALETTE:
        pure = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        drawn = (before == pure).all(axis=2)
        assert drawn.sum() > 100
        assert (after[drawn] == pure).all(), colour
    assert abs(after - before).mean() < 4  # of 255: shades are near
    assert len(base64.b64decode(small)) < len(large) / 2
    few = png(Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)))
    lessons.show(IntSlider(), "Greys", few)
    np.testing.assert_array_equal(pixels(shown[1][0]["image/png"]), pixels(few))


def test_show_makes_a_twin_in_the_authors_build_only_and_if_it_can(shown, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no Chromium")

    monkeypatch.setattr(go.Figure, "to_image", lambda self, **_: png())
    lessons.show(go.Figure(), "Empty axes")  # a reader's session starts no browser
    monkeypatch.setenv("TPAINN_STATIC", "1")
    lessons.show(go.Figure(), "Empty axes")
    monkeypatch.setattr(go.Figure, "to_image", broken)
    lessons.show(go.Figure(), "Empty axes")
    assert ["image/png" in data for data, _ in shown] == [False, True, False]
    assert all(lessons.PLOTLY in data for data, _ in shown)
    assert shown[0][1] == {}


@pytest.mark.parametrize("make", [go.FigureWidget, IntSlider])
def test_show_displays_widgets(shown, make):
    widget = make()
    lessons.show(widget, "A widget", png())
    [(data, metadata)] = shown
    assert data[lessons.WIDGET]["model_id"] == widget.model_id
    assert metadata["image/png"]["alt"] == "A widget"
    widget.close()


@pytest.mark.parametrize(
    ("thing", "alt", "twin", "words"),
    [
        (1, "A number", None, "thing: needs a plotly figure or a widget"),
        (go.Figure(), " \n", None, "alt: needs a sentence"),
        (go.Figure(), "Empty axes", b"<svg>", "png: needs the bytes of a PNG"),
    ],
)
def test_show_refuses(shown, thing, alt, twin, words):
    with pytest.raises(ValueError, match=words):
        lessons.show(thing, alt, twin)
    assert shown == []


def test_a_bet_is_kept_and_drawn_into_figures_with_log_axes_and_panels(shown):
    bet = lessons.bet("How large?", 0, 500, "meV/Å")
    [(data, _)] = shown
    assert lessons.WIDGET in data
    assert data["text/plain"] == "How large? (A slider from 0 to 500 meV/Å.)"
    panels = {k: {"tuned": ([1, 9], [10, 20])} for k in ("left", "right")}
    figure = figures.panels(panels, "Title", "x", "y").update_yaxes(type="log")
    figure.update_traces(meta="the reader's own")
    assert bet.draw(figure, 2) is figure
    lessons.show(figure, "Curves.")
    assert shown[-1][0]["text/plain"] == "Curves. A dotted line is the reader's bet."
    [line] = figure.layout.shapes
    assert (line.y0, line.y1, line.yref, line.line.dash) == (250, 250, "y2", "dot")
    assert figure.data[-1].name == "no bet (middle: 250 meV/Å)"
    bet.slider.value = 120
    again = lessons.bet("How large?", 0, 500, "meV/Å")
    assert again.value == bet.value == 120
    bars = figures.bars({"tuned": 100}, "error", "meV/Å").update_layout(
        showlegend=False
    )
    lessons.show(again.draw(again.draw(bars, on="tuned")), "Bars.")
    assert shown[-1][0]["text/plain"] == "Bars. Two lines are the reader's bets."
    shown = [(t.name, t.line.dash) for t in bars.data if t.showlegend]
    texts = "your bet on tuned: 120 meV/Å", "your bet: 120 meV/Å"
    assert shown == [*zip(texts, ["dot", "dashdot"], strict=True)]
    assert bars.layout.showlegend


@pytest.mark.parametrize(("low", "high"), [(3, 3), (3, 2), (np.nan, 1), (0, "many")])
def test_a_bet_needs_a_range(shown, low, high):
    with pytest.raises(ValueError, match="^(low|high): needs"):
        lessons.bet("How large?", low, high, "eV")
    assert shown == []


def test_a_table_aligns_numbers_and_texts_and_leaves_gaps_blank(capsys):
    rows = {"a": {3: 1.26, 10: 1234.0}, "long name": {10: "0.5 ± 0.1"}}
    lessons.table(rows, "MAE", digits=1)
    head, first, second = capsys.readouterr().out.splitlines()
    assert (head.split(), first.split()) == (["MAE", "3", "10"], ["a", "1.3", "1234.0"])
    assert second.split(maxsplit=2) == ["long", "name", "0.5 ± 0.1"]
    assert len(head) == len(first) == len(second)
    lessons.table(rows, long := "force MAE of " + "many models " * 5)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == long
    assert second.startswith("  ")


def test_a_block_stops_in_one_sentence():
    with (
        pytest.raises(lessons.Stop, match="^n: needs more$") as caught,
        lessons.in_words(),
    ):
        raise ValueError("n: needs more")
    assert caught.value._render_traceback_() == ["Stopped. n: needs more"]
    assert caught.value.__suppress_context__
    with pytest.raises(KeyError), lessons.in_words():
        raise KeyError("a bug is no sentence for a reader")


def test_a_placard_holds_its_text():
    small, large = (pixels(lessons.placard(text)) for text in ("a", "aaaaaaa"))
    assert large.shape[1] > small.shape[1]
    dark = (large < 100).all(axis=2)[2:-2, 2:-2]
    assert dark.any()
    assert not dark[:, :4].any()
