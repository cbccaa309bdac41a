"""Viewers and static twins draw every atom and force, and refuse bad input."""

import io

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from PIL import Image

from tpainn_lite import analysis, datasets, water
from tpainn_lite.explorers import viewers

WATER = molecule("H2O")
FORCES = np.array([[0.0, 0.0, -3.0], [0.0, 2.0, 0.0], [1.0, 0.0, 0.0]])
BOX = Atoms("OH2", WATER.positions, cell=[5, 5, 5], pbc=True)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)


def sent(widget, method: str) -> list[dict]:
    """The messages `method` that an nglview widget keeps for its front end."""
    return [m for m in widget._ngl_msg_archive if m["methodName"] == method]


def test_arrows_start_at_atoms_and_have_the_stated_length():
    drawn = viewers.arrows(WATER, FORCES)
    np.testing.assert_array_equal(drawn.start, WATER.positions)
    np.testing.assert_allclose(drawn.ends, [WATER.positions + FORCES / 2])
    assert drawn.legend == "1 Å of arrow = 2 eV/Å"
    assert drawn.label == "force (eV/Å)"
    np.testing.assert_allclose(drawn.values, [3, 2, 1])
    drawn = viewers.arrows(WATER, FORCES, reference=FORCES - [0, 0, 0.25])
    assert drawn.label == "force error (eV/Å)"
    assert "thin grey" in drawn.legend
    np.testing.assert_allclose(drawn.values, 0.25)


@pytest.mark.parametrize("size", [1e-5, 0.003, 0.7, 3.0, 41.0])
def test_default_scale_is_round_and_keeps_arrows_short(size):
    drawn = viewers.arrows(WATER, FORCES * size)
    longest = np.linalg.norm(drawn.ends[0] - drawn.start, axis=1).max()
    assert viewers.LONGEST / 2.6 < longest <= viewers.LONGEST * (1 + 1e-9)
    assert drawn.legend.split("= ")[1].lstrip("0.")[0] in "125"


def test_view_has_every_frame_the_cell_and_a_size():
    frames = [WATER, WATER.copy()]
    frames[1].positions += 0.1
    widget = viewers.view(frames)
    assert widget.max_frame == 1
    shown = widget.trajectory_0.get_coordinates(1)
    np.testing.assert_allclose(shown, frames[1].positions)
    assert [m["args"] for m in sent(widget, "addRepresentation")] == [["ball+stick"]]
    drawn = [m["args"] for m in sent(viewers.view(BOX), "addRepresentation")]
    assert drawn == [["ball+stick"], ["unitcell"]]


def bars(atoms: Atoms) -> np.ndarray:
    """Lengths of the bonds that a viewer draws: it knows nothing of periodic images."""
    apart = Atoms(atoms.numbers, atoms.positions)
    return np.linalg.norm(analysis.bonds(apart)[2], axis=1)


def test_molecules_of_a_box_are_whole_in_every_frame():
    box = water.water_box(16, density=0.9, seed=0)
    frames = []
    for _ in range(4):  # the box drifts; atoms are wrapped one by one
        box.positions += [1.5, 0.7, 0.3]
        frames.append(box.copy())
        frames[-1].wrap()
    assert len(bars(frames[1])) < 2 * 32
    widget = viewers.view(frames)
    for k in range(4):
        shown = frames[k].copy()
        shown.positions = widget.trajectory_0.get_coordinates(k)
        assert len(bars(shown)) == 2 * 32
        assert bars(shown).max() < 1.1
        oxygens = shown.get_scaled_positions(wrap=False)[::3]
        assert (oxygens >= 0).all()
        assert (oxygens < 1).all()


def test_boxes_of_no_run_have_whole_molecules():
    boxes = datasets.load("water-dft")["test"][:4]
    widget = viewers.view(boxes)
    for k in range(4):
        shown = boxes[k].copy()
        shown.positions = widget.trajectory_0.get_coordinates(k)
        assert len(bars(shown)) == len(boxes[0]) // 3 * 4
        assert bars(shown).max() < 1.3


def test_a_network_through_the_faces_stays_as_it_is():
    salt = bulk("C", "diamond", a=3.57, cubic=True)
    shown = viewers.view(salt).trajectory_0.get_coordinates(0)
    np.testing.assert_array_equal(shown, salt.positions)


def test_forces_of_a_box_start_at_its_atoms():
    cut = BOX.copy()
    cut.positions -= [0, 0, 0.3]
    cut.wrap()
    box = viewers.view_forces(cut, FORCES)
    shown = box.children[0].trajectory_0.get_coordinates(0)
    (message,) = sent(box.children[0], "addShape")
    starts = [shape[1] for shape in message["args"][1]]
    np.testing.assert_allclose(starts, shown)


def test_view_forces_draws_one_arrow_an_atom_and_states_the_scales():
    box = viewers.view_forces(WATER, FORCES, reference=FORCES * 1.1)
    view, text = box.children
    (message,) = sent(view, "addShape")
    shapes = message["args"][1]
    assert [s[0] for s in shapes] == ["arrow"] * 6
    np.testing.assert_allclose([s[1] for s in shapes[:3]], WATER.positions)
    assert {tuple(s[3]) for s in shapes[3:]} == {(0.5, 0.5, 0.5)}
    assert "1 Å of arrow = 2 eV/Å" in text.value
    assert "force error (eV/Å) from 0 (dark blue) to 0.3 (yellow)" in text.value


def test_snapshot_draws_atoms_and_arrows():
    plain = pixels(viewers.snapshot(WATER))
    assert plain.shape[0] > 200
    assert (plain != 255).any(axis=2).mean() > 0.02
    red = (plain[..., 0] > 200) & (plain[..., 1] < 60)  # CPK: oxygen
    assert red.mean() > 0.01
    drawn = pixels(viewers.snapshot(WATER, FORCES, reference=FORCES * 0.9))
    yellow = (drawn[..., 0] > 200) & (drawn[..., 1] > 190) & (drawn[..., 2] < 120)
    assert yellow.mean() > 0.001  # the largest error, on an arrow and on the scale
    assert not np.array_equal(pixels(viewers.snapshot(BOX)), plain)  # the cell
    turned = WATER.copy()
    turned.rotate(60, "z")
    assert not np.array_equal(pixels(viewers.snapshot(turned, like=WATER)), plain)

    assert pixels(viewers.snapshot(Atoms("O"), np.zeros((1, 3)))).std() > 5
    strip = pixels(viewers.snapshot([WATER] * 7))  # the first, the middle, the last
    assert 2.4 < strip.shape[1] / plain.shape[1] < 3.6
    thirds = np.array_split(strip, 3, axis=1)
    assert all((third != 255).mean() > 0.01 for third in thirds)


def test_a_film_shows_which_bond_broke_and_when():
    apart = WATER.copy()
    apart.positions[2] *= 2.5
    runs = {"whole": [WATER], "torn": [WATER, apart]}
    gif = viewers.film(runs, dict.fromkeys(runs, [(0, 1), (0, 2)]))
    red = []
    for k in range(2):
        picture = Image.open(io.BytesIO(gif))
        picture.seek(k)
        rgb = np.asarray(picture.convert("RGB"), int)
        hit = (np.abs(rgb - [208, 0, 0]) < 12).all(axis=2)
        red += [half.sum() for half in np.array_split(hit, 2, axis=1)]
    assert max(red[:3]) < 20 < red[3] / 5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: viewers.view([]), "frames"),
        (lambda: viewers.view("water.xyz"), "frames"),
        (lambda: viewers.view([WATER, Atoms("H2")]), "frames: frame 1"),
        (lambda: viewers.view(Atoms("H", [[np.nan, 0, 0]])), "frames.*NaN"),
        (lambda: viewers.snapshot(WATER, FORCES[:2]), r"forces.*\(3, 3\).*\(2, 3\)"),
        (lambda: viewers.snapshot([WATER, WATER], FORCES), "forces.*one structure"),
        (lambda: viewers.view_forces(WATER, FORCES.ravel()), "forces"),
        (lambda: viewers.view_forces(WATER, FORCES + np.inf), "forces.*NaN"),
        (lambda: viewers.view_forces(WATER, FORCES, FORCES[:, :2]), "reference"),
    ],
)
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
