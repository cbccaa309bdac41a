"""Labels of the public sets, as a stranger can check them, and QM9's own dialect.

What needs the published files reads a mirror, the optional folder ../shared/data beside
the repository, and is skipped where there is none.
"""

import bz2
import io
import tarfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial.distance import pdist

from tpainn_lite import datasets
from tpainn_lite.data import check
from tpainn_lite.public import formats, qm9
from tpainn_lite.public.download import SETS
from tpainn_lite.units import HARTREE

MIRROR = Path(__file__).parents[3] / "shared" / "data"
needs_mirror = pytest.mark.skipif(
    not MIRROR.is_dir(), reason="no mirror of the public sets in ../shared/data"
)
MOLECULES = ["rmd17-ethanol", "rmd17-aspirin", "rmd17-malonaldehyde"]


def test_the_shipped_time_order_is_one():
    order = np.loadtxt(formats.SHIPPED / "water-pbe0ts-order.txt", dtype=int)
    assert sorted(order.ravel()) == list(range(400))


def arrays_of(frames: list[Atoms]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies (F,) eV, positions (F, N, 3) Å and forces (F, N, 3) eV/Å, all finite."""
    check(frames[::20])
    energies = np.array([a.get_potential_energy() for a in frames])
    positions = np.array([a.positions for a in frames])
    forces = np.array([a.get_forces() for a in frames])
    assert all(np.isfinite(x).all() for x in (energies, positions, forces))
    return energies, positions, forces


def bond_stiffness(positions: np.ndarray, forces: np.ndarray, i: int, j: int) -> float:
    """Slope (eV/Å²) of the force on H atom j along its bond to i, against its length.

    Only right units, and forces that belong to these atoms, give a known stiffness.
    """
    bonds = positions[:, j] - positions[:, i]
    lengths = np.linalg.norm(bonds, axis=1)
    along = (forces[:, j] * bonds).sum(1) / lengths
    return -np.polyfit(lengths, along, 1)[0]


@needs_mirror
@pytest.mark.parametrize("name", [*MOLECULES, "ethanol-ccsdt-sgdml"])
def test_molecules(name):
    splits = datasets.load(name, mirror=MIRROR)
    sizes = {"pool": 1000, "test": 1000} if name in MOLECULES else {"pool": 1000}
    assert {split: len(frames) for split, frames in splits.items()} == sizes
    frames = [a for part in splits.values() for a in part]
    energies, positions, forces = arrays_of(frames)
    assert {a.info["level"] for a in frames} == {SETS[name].level}
    assert np.abs(forces.sum(1)).max() < 1e-6  # eV/Å
    assert 0.1 < energies.std() < 0.5  # eV: of 9 to 21 atoms at 500 K
    carbons, hydrogens = (np.flatnonzero(frames[0].numbers == z) for z in (6, 1))
    distances = frames[0].get_all_distances()
    pairs = [(i, j) for i in carbons for j in hydrogens if distances[i, j] < 1.4]
    stiffness = np.mean([bond_stiffness(positions, forces, *pair) for pair in pairs])
    assert 25 < stiffness < 35  # eV/Å²: C-H, 4.8 mdyn/Å = 30 eV/Å²


@needs_mirror
def test_two_levels_of_ethanol():
    names = "rmd17-ethanol", "ethanol-ccsdt-sgdml"
    pbe, cc = (datasets.load(name, mirror=MIRROR) for name in names)
    for frames in (pbe["pool"], cc["pool"]):
        assert frames[0].get_chemical_formula() == "C2H6O"
        mean = np.mean([a.get_potential_energy() for a in frames]) / HARTREE
        assert mean == pytest.approx(-154.7, abs=0.2)
    known = np.array([pdist(a.positions) for a in cc["pool"]])
    for split, same in {"pool": 0, "test": 7}.items():  # what the set's note says
        shapes = [pdist(a.positions) for a in pbe[split]]
        nearest = [np.abs(known - shape).max(1).min() for shape in shapes]
        assert sum(d < 1e-4 for d in nearest) == same


def nearest_frames(test: list[Atoms], pool: list[Atoms]) -> np.ndarray:
    """Mean square displacement (Å²) of the oxygens to the most similar pool frame."""
    side = pool[0].cell[0, 0]
    others = np.array([a.positions[::3] for a in pool])
    steps = [others - a.positions[::3] for a in test]
    squares = [(s - side * np.round(s / side)) ** 2 for s in steps]
    return np.array([s.sum(2).mean(1).min() for s in squares])


@needs_mirror
def test_water():
    splits = datasets.load("water-pbe0ts", mirror=MIRROR)
    assert {s: len(f) for s, f in splits.items()} == {"pool": 300, "test": 60}
    frames = splits["pool"] + splits["test"]
    energies, positions, forces = arrays_of(frames)
    assert len({a.positions.tobytes() for a in frames}) == 360
    atoms = frames[0]
    assert atoms.numbers.tolist() == [8, 1, 1] * 64
    density = atoms.get_masses().sum() / 0.602214 / atoms.cell.volume  # g/cm³
    assert density == pytest.approx(0.993, abs=0.002)
    triples = positions.reshape(-1, 64, 3, 3)
    bonds = triples[:, :, 1:] - triples[:, :, :1]  # (360, 64, 2, 3) Å, no wrapping
    lengths = np.linalg.norm(bonds, axis=-1)
    assert 0.85 < lengths.min() < lengths.max() < 1.15
    assert lengths.mean() == pytest.approx(0.98, abs=0.02)
    cosines = (bonds[:, :, 0] * bonds[:, :, 1]).sum(-1) / lengths.prod(-1)
    assert np.degrees(np.arccos(cosines)).mean() == pytest.approx(105, abs=2)
    assert energies.mean() / 64 == pytest.approx(-17.19 * HARTREE, abs=0.2)
    assert 0.3 < energies.std() < 1.5  # eV: of 64 molecules near 300 K
    assert np.abs(forces.sum(1)).max() < 0.4  # eV/Å, its note
    for j in (1, 2):  # of bulk water: softer than 8.4 mdyn/Å = 52 eV/Å² of a free one
        pairs = [(3 * m, 3 * m + j) for m in range(64)]
        stiffness = [bond_stiffness(positions, forces, *pair) for pair in pairs]
        assert 30 < np.mean(stiffness) < 55
    mixed = np.random.default_rng(0).permutation(360)
    random = nearest_frames(*([frames[i] for i in m] for m in (mixed[:60], mixed[60:])))
    block = nearest_frames(splits["test"], splits["pool"])
    assert block.min() > random.max()
    assert np.median(block) > 50 * np.median(random)


METHANE = """5
gdb {}\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\
\t0.044749\t-40.47893\t-40.476062\t-40.475117\t-40.498597\t6.469\t
C\t-0.0126981359\t 1.0858041578\t 8.0009958*^-3\t-0.535689
H\t 2.150416*^-3\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923
1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\
\t3151.7078
C\tC\t
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""
LIST = """# Index   GDB17 SMILES    SMILES for B3LYP XYZ        D_IJ
=======================================================================
       2              N                     [N]    6.036217
"""


def packed(folder: Path, texts: list[str]) -> tuple[Path, Path]:
    """An archive and a list like those of QM9, in `folder`."""
    archive, listed = folder / "dsgdb9nsd.xyz.tar.bz2", folder / "uncharacterized.txt"
    with tarfile.open(archive, "w:bz2") as tar:
        for i, text in enumerate(texts):
            member = tarfile.TarInfo(f"dsgdb9nsd_{i + 1:06d}.xyz")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    listed.write_text(LIST)
    return archive, listed


def test_qm9_in_its_own_dialect(tmp_path, capfd):
    archive, listed = packed(tmp_path, [METHANE.format(i) for i in (1, 2, 3)])
    frames = qm9.qm9(archive, listed)["pool"]
    assert "133885" in capfd.readouterr().err  # the progress bar
    assert len(frames) == 2  # number 2 is on the list
    check(frames, labelled=False)
    energy = frames[0].get_potential_energy()
    assert energy == pytest.approx(-40.47893 * HARTREE, abs=1e-9)  # U0, not U or zpve
    assert frames[0].get_chemical_symbols() == list("CHHHH")
    assert frames[0].positions[0, 2] == pytest.approx(0.0080009958)
    assert frames[0].get_all_distances()[0, 1:] == pytest.approx(1.092, abs=1e-3)
    assert frames[0].info["smiles"] == "C"
    assert frames[0].info["zpve"] == pytest.approx(0.044749 * HARTREE, abs=1e-9)
    electronic = (-40.47893 - 0.044749) * HARTREE
    assert frames[0].info["electronic_energy"] == pytest.approx(electronic, abs=1e-9)


ROW = (
    """"dsgdb9nsd_000001.xyz",1,"C","InChI=1S/CH4/h1H4",5,"[4,1,0,0,0]","""
    """"['C','H','H','H','H']","[[-0.0126981359,1.0858041578,0.0080009958],"""
    """[0.002150416,-0.0060313176,0.0019761204],[1.0117308433,1.4637511618,0.0002765748],"""
    """[-0.540815069,1.4475266138,-0.8766437152],[-0.5238136345,1.4379326443,0.9063972942]]","""
    """0.044749,-40.47893"""
)
HEADER = "XYZ_file,Index,SMILES,InChi,N_atoms,Stoichiometry,Elements,XYZ_Ang,"
HEADER += "ZPVE_au,InternalEnergy_0K_au"


def installed(folder: Path, rows: list[str]) -> Path:
    """A package like qm9pack, with one molecule a table."""
    (folder / "data").mkdir(exist_ok=True)
    for k, row in enumerate(rows, 1):
        (folder / f"data/qm9_part{k}.csv").write_text(f"{HEADER}\n{row}\n")
    return folder


def test_the_package_says_what_the_archive_says(tmp_path, monkeypatch):
    monkeypatch.setattr(qm9, "CHARACTERISED", 3)
    (ours,) = qm9.qm9(*packed(tmp_path, [METHANE.format(1)]))["pool"]
    (tmp_path / "qm9pack").mkdir()
    package = installed(tmp_path / "qm9pack", [ROW] * 3)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("TPAINN_MIRROR", raising=False)
    other = datasets.load("qm9")["pool"][0]
    assert other.info.items() > ours.info.items()
    with pytest.raises(FileNotFoundError):  # a mirror comes first
        datasets.load("qm9", mirror=tmp_path)
    assert other.get_potential_energy() == ours.get_potential_energy()
    np.testing.assert_array_equal(other.positions, ours.positions)


def test_a_package_with_other_content_is_refused(tmp_path):
    for k, (rows, words) in enumerate(
        (
            ([ROW] * 3, "needs 130831 molecules, got 3; install"),
            ([ROW, ROW.replace("-40.47893", "nan")], "part2.csv, line 2: not as in"),
            ([ROW.replace("1.0858041578,", "")], "part1.csv, line 2: not as in"),
            ([ROW.replace("['C',", "['Xy',")], "part1.csv, line 2: not as in"),
        )
    ):
        folder = tmp_path / str(k)
        folder.mkdir()
        with pytest.raises(ValueError, match=words):
            qm9.qm9pack(installed(folder, rows))


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("qm9pack"), reason="qm9pack (extra qm9) is missing")
def test_all_of_qm9():
    (frames,) = datasets.load("qm9").values()
    assert len(frames) == qm9.CHARACTERISED
    known = {a.info["index"]: a for a in frames}
    for index, formula, U0, zpve in (  # published, Hartree
        (1, "CH4", -40.47893, 0.044749),
        (2, "H3N", -56.525887, 0.034358),
        (3, "H2O", -76.404702, 0.021375),
    ):
        a = known[index]
        assert a.get_chemical_formula() == formula
        assert a.get_potential_energy() == pytest.approx(U0 * HARTREE, abs=1e-9)
        electronic = (U0 - zpve) * HARTREE
        assert a.info["electronic_energy"] == pytest.approx(electronic, abs=1e-9)
    free = {1: -0.500273, 6: -37.846772, 7: -54.583861, 8: -75.064579, 9: -99.71873}
    for a in frames[::50]:  # atoms are bound, by less than `data.CHEMISTRY`
        bound = a.get_potential_energy() - HARTREE * sum(free[z] for z in a.numbers)
        assert -7 < bound / len(a) < -2.5


def test_a_malformed_molecule_is_named(tmp_path):
    text = METHANE.replace("{}", "3")
    for right, wrong in (
        ("5\n", "6\n"),
        ("\t-40.47893\t", "\tnan\t"),
        ("1.4637511618", "1.46*-3"),
        ("C\t-0.01", "Xy\t-0.01"),
        ("\t-0.535689", ""),
    ):
        files = packed(tmp_path, [METHANE.format(1), text.replace(right, wrong, 1)])
        with pytest.raises(ValueError, match=r"bz2, dsgdb9nsd_000002.xyz: not a mol"):
            qm9.qm9(*files)


def test_an_npz_that_is_none(tmp_path):
    path = tmp_path / "a.npz"
    for array, words in (
        (dict(z=[1]), r"has no arrays \['E', 'F', 'R'\]"),
        (
            dict(z=[1], R=np.zeros((1, 1, 3)), E=[np.nan], F=np.zeros((1, 1, 3))),
            "needs a finite number, got nan",
        ),
    ):
        np.savez(path, **array)
        with pytest.raises(ValueError, match=words):
            formats.pool_and_test(path)
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        formats.pool_and_test(path)


def test_an_archive_that_ends_early(tmp_path):
    archive, listed = packed(tmp_path, [METHANE.format(i) for i in range(1, 300)])
    whole, plain = archive.read_bytes(), bz2.decompress(archive.read_bytes())
    for part in (whole[:-200], bz2.compress(plain[:70_000]), b"<html>", b""):
        archive.write_bytes(part)
        with pytest.raises(ValueError, match="not a whole tar.bz2 archive"):
            qm9.qm9(archive, listed)
