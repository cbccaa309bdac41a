"""Shipped assets by name, whole or refused in words; packed trajectories."""

import shutil

import numpy as np
import pytest

from tpainn_lite import analysis, datasets, dynamics, water
from tpainn_lite.analysis import nearest_image
from tpainn_lite.reproduce.runs import packed

GRID = datasets.card("molecules-grid")


def test_names_that_are_wrong():
    with pytest.raises(ValueError, match="there are .*molecules-dft"):
        datasets.card("molecules")
    with pytest.raises(ValueError, match="public sets .*'rmd17-ethanol'.*'water-pbe"):
        datasets.load("rmd17")
    for name in ("molecules-mmff94", "molecules-grid"):
        with pytest.raises(ValueError, match="holds no structures"):
            datasets.load(name)
    with pytest.raises(ValueError, match="no such file"):
        datasets.checkpoint("molecules-dft")


def test_only_names_and_cards_open_doors():
    """A name that is a path led out of the package, and a card without rows failed."""
    paths = "../shipped/methanol-scan", "../../x", str(datasets.SHIPPED / "water-dft")
    doors = datasets.card, datasets.load, datasets.checkpoint, datasets.atomic_energies
    for door in (*doors, datasets.runs):
        for name in (*paths, "", "a\0b", 3, None):
            with pytest.raises(ValueError, match="name: "):
                door(name)
    with pytest.raises(ValueError, match="name: needs a card .*'atomic_energies_eV'"):
        datasets.atomic_energies("molecules-grid")
    for call, words in (
        (lambda: datasets.runs("water-dft-grid"), "name: needs a card .*'file'"),
        (lambda: datasets.learning_curves({}, "force_mae"), "grid: .*'rows'"),
        (lambda: datasets.learning_curves(GRID, "x"), "quantity: .*'x'"),
        (lambda: datasets.arms_of({"rows": [{}]}), "grid: .*'steps'"),
        (lambda: datasets.unpacked(b"PK"), "content: is no packed run"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_an_altered_file_is_refused(tmp_path, monkeypatch):
    for suffix in ("extxyz", "json"):
        shutil.copy(datasets.SHIPPED / f"methanol-scan.{suffix}", tmp_path)
    monkeypatch.setattr(datasets, "SHIPPED", tmp_path)
    (tmp_path / "methanol-scan.extxyz.part").touch()  # a write that was cut short
    assert datasets.load("methanol-scan")
    file = tmp_path / "methanol-scan.extxyz"
    file.write_text(file.read_text().replace("1", "2", 1))
    with pytest.raises(ValueError, match="altered or truncated"):
        datasets.load("methanol-scan")


@pytest.fixture(scope="module", params=[None, 1.0], ids=["NVT", "NPT"])
def run(request):
    box = water.water_box(8, density=0.8, seed=0)
    how = dict(steps=200, every=20, pressure=request.param, seed=1)
    return dynamics.simulate(box, water.water_system(water.SPC_FW, box), **how)


def test_a_packed_run_is_the_run(run):
    content = packed(run)
    found = datasets.unpacked(content)
    assert len(found) == len(run)
    for a, b in zip(run, found, strict=True):
        np.testing.assert_array_equal(a.cell.array, b.cell.array)
        gap = nearest_image(b.positions - a.positions, a.cell.array)
        assert np.abs(gap).max() < 1.01 * a.cell.lengths().max() / 2**17
        assert b.get_potential_energy() == pytest.approx(a.get_potential_energy())
        for key in ("time_fs", "kinetic_energy"):
            assert b.info[key] == pytest.approx(a.info[key])
    for quantity, rtol in ((dynamics.temperatures, 1e-9), (analysis.densities, 1e-12)):
        np.testing.assert_allclose(quantity(found), quantity(run), rtol=rtol)
    if np.ptp(analysis.densities(run)) == 0:
        paths = [R - R[0] for R in map(analysis.unwrap, (run, found))]
        np.testing.assert_allclose(*paths, atol=2e-4)
    assert len(content) < 0.4 * run[0].positions.nbytes * len(run) + 4000


def test_a_size_may_have_a_budget_of_its_own():
    curves = datasets.learning_curves(datasets.card("qm9-grid"), "mae")
    sizes = [10, 30, 100, 300, 1000, 3000, 10_000]
    assert curves["scratch, references"][0].tolist() == sizes
    assert curves["scratch, references, 5x longer"][0].tolist() == [30, 100, 1000]
