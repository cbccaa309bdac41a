"""The parity explorer: clicks, sliders and buttons lead to the structure of a point."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from plotly.basedatatypes import BaseFigure

from tpainn_lite import analysis, datasets, explorers, tune
from tpainn_lite.explorers import parity
from tpainn_lite.train import evaluate


@pytest.fixture(scope="module")
def frames():
    """Molecules with DFT labels, of several compositions."""
    return datasets.load("molecules-dft")["test"][:80:6]


@pytest.fixture(scope="module")
def potentials(frames):
    """The shipped student, as it is and after its reference energies were fitted."""
    student = datasets.checkpoint("molecules-mmff94")
    free_atoms = datasets.atomic_energies("molecules-dft")
    return {
        "classical zero": student.predict(frames),  # by hand
        "zero-shot": tune.with_references(student, frames, free_atoms),
    }


@pytest.fixture
def explorer(frames, potentials):
    return explorers.Parity(frames, potentials)


def arrows_of(explorer) -> list:
    """Starts and ends of the arrows that the view holds, thick ones first."""
    archive = explorer._box.children[0]._ngl_msg_archive
    (message,) = [m for m in archive if m["methodName"] == "addShape"]
    return message["args"][1]


def holds(explorer, frames, k, potentials):
    """Circles, view, text and numbers are those of frame `k`."""
    atoms = frames[k]
    known = atoms.get_forces()
    (said,) = potentials["zero-shot"].predict([atoms])[1]
    np.testing.assert_allclose(explorer.figure.data[-1].x, known.ravel())
    np.testing.assert_allclose(explorer.figure.data[-1].y, said.ravel(), atol=1e-5)
    shapes = arrows_of(explorer)
    assert len(shapes) == 2 * len(atoms)
    np.testing.assert_allclose([s[1] for s in shapes[: len(atoms)]], atoms.positions)
    for drawn, forces in ((shapes[: len(atoms)], said), (shapes[len(atoms) :], known)):
        along = np.array([s[2] for s in drawn]) - atoms.positions
        length = np.linalg.norm(along) * np.linalg.norm(forces)
        assert (along * forces).sum() == pytest.approx(length, rel=1e-4)
    error = 1e3 * np.abs(said - known).mean()
    assert explorer.numbers["frame"] == k
    assert explorer.numbers["force_mae"] == pytest.approx(error, rel=1e-4)
    words = explorer._text.value
    assert f"{k}, {atoms.get_chemical_formula()}, {atoms.info['smiles']}" in words
    assert f"{error:.0f} meV/Å" in words


def test_it_starts_at_the_worst_and_goes_on_to_the_next(explorer, frames, potentials):
    said = potentials["zero-shot"].predict(frames)[1]
    miss = [
        np.abs(f - a.get_forces()).mean() for f, a in zip(said, frames, strict=True)
    ]
    order = np.argsort(miss)[::-1]
    for place, k in enumerate([*order, order[0]]):  # and round again
        holds(explorer, frames, k, potentials)
        assert explorer.numbers["rank"] == place % len(frames) + 1
        explorer.next_worst.click()
    explorer.worst.click()
    holds(explorer, frames, order[0], potentials)


def test_the_slider_and_a_click_on_a_point_show_its_frame(explorer, frames, potentials):
    explorer.frame.value = 3
    holds(explorer, frames, 3, potentials)
    points = explorer.figure.data[1]
    k = int(np.flatnonzero(np.asarray(points.customdata) == 7)[0])
    known = np.concatenate([a.get_forces().ravel() for a in frames])
    assert points.x[k] in known
    points._dispatch_on_click(SimpleNamespace(point_inds=[k]), None)
    holds(explorer, frames, 7, potentials)
    explorer.figure.data[0]._dispatch_on_click(SimpleNamespace(point_inds=[0]), None)
    assert explorer.potential.value == "classical zero"
    line = explorer.figure.data[2]
    line._dispatch_on_click(SimpleNamespace(point_inds=[0]), None)  # no frame's point
    assert explorer.frame.value == explorer.figure.data[0].customdata[0]


def test_energies_are_compared_after_their_constants(explorer, frames, potentials):
    explorer.quantity.value = "energy per atom"
    x, y = (np.array(v) for v in (explorer.figure.data[1].x, explorer.figure.data[1].y))
    assert len(x) == len(frames)
    truth = np.array([a.get_potential_energy() for a in frames])
    sizes = np.array([len(a) for a in frames])
    gap = (potentials["zero-shot"].predict(frames)[0] - truth) / sizes
    np.testing.assert_allclose(y - x, gap - gap.mean(), atol=1e-6)
    assert abs(x).max() < 1  # eV/atom, of four hundred
    assert "eV/atom" in explorer.figure.layout.xaxis.title.text
    assert len(explorer.figure.data[-1].x) == 1
    worst = int(np.argmax(abs(gap - gap.mean())))
    explorer.worst.click()
    assert explorer.frame.value == worst
    assert explorer.numbers["rank"] == 1
    explorer.quantity.value = "force component"
    holds(explorer, frames, worst, potentials)


def test_thinning_keeps_the_worst_and_the_legend_counts_all(
    frames, potentials, monkeypatch, rng
):
    monkeypatch.setattr(parity, "MOST", 200)
    explorer = explorers.Parity(frames, potentials)
    points = explorer.figure.data[1]
    assert len(points.x) == 100
    mae = evaluate(potentials["zero-shot"], frames).force_mae
    assert points.name == f"zero-shot: MAE {mae:.3g} meV/Å"
    assert f"(all: {mae:.0f})" in explorer._text.value
    x = rng.normal(size=9000)
    said = {name: x + 0.1 * rng.normal(size=9000) for name in "ab"}
    values = parity.Values("eV/Å", x, said, np.arange(9000) // 30)
    some = parity.thinned(values, 500)
    assert len(some) == len(set(some)) == 500
    for y in said.values():
        assert set(np.argsort(-abs(y - x))[:30]) <= set(some)
    assert x[some].std() == pytest.approx(x.std(), rel=0.1)
    np.testing.assert_array_equal(parity.thinned(values, 10**5), np.arange(9000))


def test_of_a_box_the_worst_atom_and_its_neighbours_are_drawn(rng):
    """Whole molecules, across the faces of the cell, with their own arrows."""
    boxes = datasets.load("water-dft")["test"][:3]
    known = [a.get_forces() for a in boxes]
    said = [f + rng.normal(scale=0.01, size=f.shape) for f in known]
    worst = [int(rng.integers(len(a))) for a in boxes]
    for forces, k in zip(said, worst, strict=True):
        forces[k] += [3.0, -2.0, 1.0]
    explorer = explorers.Parity(boxes, {"wrong": (np.zeros(3), said)})
    for k, (atoms, centre) in enumerate(zip(boxes, worst, strict=True)):
        explorer.frame.value = k
        cluster, forces, reference = explorer._drawn()
        assert not cluster.pbc.any()
        kept, _ = parity.around(atoms, centre)
        np.testing.assert_array_equal(forces, said[k][kept])
        np.testing.assert_array_equal(reference, known[k][kept])
        assert (len(arrows_of(explorer)), centre in kept) == (2 * len(kept), True)
        molecules = np.unique(kept // 3)
        assert kept.tolist() == [3 * m + j for m in molecules for j in range(3)]
        gaps = atoms.get_distances(centre, range(len(atoms)), mic=True)
        assert set(np.flatnonzero(gaps < parity.NEAR) // 3) == {*molecules.tolist()}
        oh = cluster.positions[1:] - cluster.positions[:-1]
        lengths = np.linalg.norm(oh, axis=1)[::3]  # of the first bond of each molecule
        np.testing.assert_allclose(lengths, bond_lengths(atoms)[2 * molecules])
        assert np.abs(cluster.positions[kept == centre]).max() == 0


def bond_lengths(atoms) -> np.ndarray:
    """O-H lengths (2 molecules,) Å."""
    return np.linalg.norm(analysis.bond_vectors(atoms), axis=1)


def test_made_again_it_goes_on(explorer, frames, potentials):
    explorer.frame.value, explorer.potential.value = 5, "classical zero"
    explorer.quantity.value = "energy per atom"
    again = explorers.Parity(frames, potentials, before=explorer)
    for one, its in zip(again.figure.data, explorer.figure.data, strict=True):
        assert one.name == its.name
        np.testing.assert_array_equal([one.x, one.y], [its.x, its.y])
    assert again._text.value == explorer._text.value
    assert arrows_of(again) == arrows_of(explorer)
    new = {"new": potentials["zero-shot"]}
    fewer = explorers.Parity(frames[:4], new, before=explorer)
    assert fewer.quantity.value == "energy per atom"
    assert fewer.frame.value < 4
    assert fewer.potential.value == "new"


def test_what_is_wrong_is_said(frames, potentials):
    energies, forces = potentials["classical zero"]
    for some, said, words in (
        (frames, (energies, forces[1:]), r"potentials\['x'\]: needs what predict"),
        (frames, (energies, forces[::-1]), r"\['x'\], forces: needs a finite"),
        ([frames[0].copy()], (energies, forces), "frame 0"),
    ):
        with pytest.raises(ValueError, match=words):
            explorers.Parity(some, {"x": said})


def test_the_twin_is_plot_and_structure(explorer, monkeypatch):
    monkeypatch.setenv("TPAINN_STATIC", "1")
    plot = io.BytesIO()
    Image.new("RGB", (600, 300), "blue").save(plot, "PNG")
    monkeypatch.setattr(BaseFigure, "to_image", lambda self, **_: plot.getvalue())
    picture = np.asarray(Image.open(io.BytesIO(explorer.twin())))
    assert (picture[:300, :600] == [0, 0, 255]).all()
    assert picture.shape[0] > 600
    assert len(np.unique(picture[300:].reshape(-1, 3), axis=0)) > 50
