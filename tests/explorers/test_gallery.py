"""Runs to play, and molecules with their forces."""

import io

import numpy as np
from ase.build import molecule
from PIL import Image

from tpainn_lite.explorers import viewers
from tpainn_lite.explorers.gallery import Beside, Gallery, Movie


def run(n: int) -> list:
    """Frames of water that drifts along x."""
    frames = [molecule("H2O") for _ in range(n)]
    for k, atoms in enumerate(frames):
        atoms.positions[:, 0] += k
    return frames


def test_the_star_of_a_movie_follows_the_frame_and_the_run():
    x = np.arange(20)
    curves = {"cold": (x, x), "hot": (x, 2.0 * x)}
    movie = Movie({"cold": run(4), "hot": run(10)}, curves, "q", "u")
    movie.frame.value = 3
    assert movie.view.frame == 3
    assert (movie.figure.data[1].x[0], movie.figure.data[1].y[0]) == (15, 15)
    movie.run.value = "hot"
    assert movie.frame.max == movie.play.max == 9
    movie.frame.value = 9
    assert (movie.figure.data[1].x[0], movie.figure.data[1].y[0]) == (18, 36)
    assert movie.twin("cold").startswith(b"\x89PNG")


def test_runs_beside_each_other_share_a_slider_and_the_short_one_rests():
    broken = {"long": np.zeros((0, 2)), "short": np.array([[0, 1]])}
    both = Beside({"long": run(9), "short": run(4)}, broken)
    assert both.frame.max == both.play.max == 8
    both.frame.value = 6
    assert [view.frame for view in both.views.values()] == [6, 3]
    assert both.widget.children[2].value == "Frame 7. short ended at frame 4."
    none, (look,) = (
        [m["kwargs"] for m in v._ngl_msg_archive if m["args"] == ["licorice"]]
        for v in both.views.values()
    )
    assert none == []
    assert (look["sele"], look["color"]) == ("@0,1", viewers.RED)
    for png, red in ((both.twin(), True), (viewers.snapshot(run(4)), False)):
        picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        assert (picture == [0xD0, 0, 0]).all(2).any() == red


def test_a_gallery_changes_the_molecule_and_keeps_the_view():
    ones, zeros = np.ones((3, 3)), np.zeros((3, 3))
    first, second = run(2)
    gallery = Gallery({"a": (first, ones, zeros), "b": (second, ones, zeros)})
    box = gallery.widget.children[1].children[0]
    view = box.children[0]
    gallery.choice.value = "b"
    assert gallery.widget.children[1].children[0].children[0] is view
    assert "1 Å of arrow" in box.children[1].value
    assert gallery.twin("a").startswith(b"\x89PNG")
