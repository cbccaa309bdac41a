"""Public sets: fetched once and whole or not at all; labels that a stranger can check.

Downloads are tested against a real server on this computer. What needs the published
files themselves reads a mirror, the optional folder ../shared/data beside the
repository, and is skipped where there is none.
"""

import bz2
import hashlib
import io
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from scipy.spatial.distance import pdist

from tpainn_lite import datasets
from tpainn_lite.data import check
from tpainn_lite.public import download, formats
from tpainn_lite.public.sets import SETS, File, PublicSet
from tpainn_lite.units import HARTREE, KCAL_MOL

MIRROR = Path(__file__).parents[3] / "shared" / "data"
needs_mirror = pytest.mark.skipif(
    not MIRROR.is_dir(), reason="no mirror of the public sets in ../shared/data"
)
MOLECULES = ["rmd17-ethanol", "rmd17-aspirin", "rmd17-malonaldehyde"]
FILE = "tiny/tiny.npz"


@pytest.fixture(autouse=True)
def only_this_computer(monkeypatch):
    """No proxy to 127.0.0.1, nothing from the reader's settings, no waiting."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("TPAINN_MIRROR", raising=False)
    monkeypatch.delenv("TPAINN_CACHE", raising=False)
    monkeypatch.setattr(download, "RETRIES", 0)


class Site(ThreadingHTTPServer):
    """Gives `answers` in turn, the last for ever: (bytes, the length it claims)."""

    def __init__(self):
        self.answers, self.asked = [], 0
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/{FILE}"

    def handle_error(self, request, client_address):
        """A client that hangs up is what some tests want."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answers = self.server.answers
        body, length = answers[min(self.server.asked, len(answers) - 1)]
        self.server.asked += 1
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def published(site, monkeypatch):
    """The bytes of a public set called "tiny": 3,000 frames of H2 in rMD17's npz."""
    rng, file = np.random.default_rng(0), io.BytesIO()
    np.savez(
        file,
        nuclear_charges=np.array([1, 1], np.uint8),
        coords=[0.7, 0, 0] * np.arange(2)[:, None] + 0.01 * rng.random((3000, 2, 3)),
        energies=np.full(3000, -731.0),  # kcal/mol
        forces=rng.normal(size=(3000, 2, 3)),
    )
    body = file.getvalue()
    site.answers = [(body, len(body))]
    files = (File(FILE, "sha256:" + hashlib.sha256(body).hexdigest(), site.url),)
    tiny = PublicSet(
        "tiny", files, formats.pool_and_test, "toy", "nobody", "CC0", "molecules-dft"
    )
    monkeypatch.setitem(SETS, "tiny", tiny)
    return body


def contents(folder: Path) -> dict[str, bytes]:
    paths = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def test_downloaded_once_whole_and_in_ev(site, published, tmp_path, capfd, monkeypatch):
    frames = datasets.load("tiny", cache=tmp_path)["pool"]
    assert "100%" in capfd.readouterr().err  # the progress bar
    assert contents(tmp_path) == {FILE: published}
    assert len(frames) == 3000
    assert frames[0].get_potential_energy() == pytest.approx(-31.699, abs=1e-3)  # eV
    with np.load(io.BytesIO(published)) as arrays:
        forces = arrays["forces"][7] * KCAL_MOL
    assert frames[7].get_forces() == pytest.approx(forces)
    assert frames[0].info == {"split": "pool", "level": "toy", "citation": "nobody"}
    monkeypatch.setenv("TPAINN_CACHE", str(tmp_path))
    datasets.load("tiny")
    assert site.asked == 1
    assert datasets.load("tiny", mirror=tmp_path)  # a cache is laid out like a mirror


def test_a_failed_download_is_tried_again(site, published, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 1)
    site.answers.insert(0, (b"<html>please log in</html>", 26))
    assert datasets.load("tiny", cache=tmp_path)
    assert site.asked == 2
    assert contents(tmp_path) == {FILE: published}


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda b: (b[:-1] + b"?", len(b)), ValueError, "not the published .*checksum"),
        (lambda b: (b[:5000], 5000), ValueError, "not the published file"),
        (lambda b: (b[:5000], len(b)), ConnectionError, "could not download"),
        (lambda b: (b"", 0), ConnectionError, "404"),
    ],
    ids=["altered", "truncated", "broken off", "gone"],
)
def test_what_is_not_the_file_is_refused(
    site, published, tmp_path, answer, kind, words
):
    site.answers = [answer(published)]
    with pytest.raises(kind, match=words) as refusal:
        datasets.load("tiny", cache=tmp_path)
    for part in ("tiny", site.url, str(tmp_path), "'molecules-dft'"):
        assert part in str(refusal.value)
    assert contents(tmp_path) == {}
    (tmp_path / FILE).write_bytes(b"an older file")
    with pytest.raises(kind, match=words):
        datasets.load("tiny", cache=tmp_path)
    assert contents(tmp_path) == {FILE: b"an older file"}


@contextmanager
def files_at_most(size: int):
    """No process like this one may write more into a file: a real OSError comes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# pooch leaves the connection to the garbage collector when a write fails
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_room_halfway(published, tmp_path):
    with (
        files_at_most(60_000),
        pytest.raises(OSError, match="cannot keep tiny/tiny.npz .*File too large"),
    ):
        datasets.load("tiny", cache=tmp_path)
    assert contents(tmp_path) == {}
    assert datasets.load("tiny", cache=tmp_path)


def test_full_disk(site, published, tmp_path):
    """The cache is a file system of 64 kB, seen by one subprocess only."""
    script = (
        "import sys, dataclasses; from tpainn_lite.public import download as public\n"
        "about = public.SETS['rmd17-ethanol']\n"
        f"file = about.files[0]._replace(path={FILE!r}, url={site.url!r})\n"
        "try: public.fetch(about, file, public.Path(sys.argv[1]))\n"
        "except OSError as error: print(error)\n"
        "print(sorted(p.name for p in public.Path(sys.argv[1]).rglob('*')))"
    )
    mount = 'mount -t tmpfs -o size=64k tmpfs "$1" && touch "$1/ready" && '
    run = ["unshare", "-rm", "sh", "-c", mount + 'exec "$0" -c "$2" "$1"']
    if not shutil.which("unshare"):
        pytest.skip("no unshare, so no small file system can be made")
    out = subprocess.run(
        [*run, sys.executable, tmp_path, script], capture_output=True, text=True
    )
    if "ready" not in out.stdout:
        pytest.skip(f"no small file system can be made here: {out.stderr[-200:]}")
    assert "cannot keep tiny/tiny.npz in the cache" in out.stdout
    assert "No space left on device" in out.stdout
    assert out.stdout.endswith("\n['ready', 'tiny']\n")  # nothing half-written


@contextmanager
def an_ordinary_user():
    """Root may write everywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_read_only_cache(site, published):
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        (cache / "tiny").mkdir(parents=True)
        for path in (cache / "tiny", cache):
            path.chmod(0o555)
        Path(folder).chmod(0o755)
        with (
            an_ordinary_user(),
            pytest.raises(OSError, match=f"cannot keep .*{cache}.*Permission denied"),
        ):
            datasets.load("tiny", cache=cache)
        assert contents(cache) == {}
        (cache / "tiny").chmod(0o755)
        (cache / FILE).write_bytes(published)
        (cache / "tiny").chmod(0o555)
        with an_ordinary_user():
            assert datasets.load("tiny", cache=cache)  # reading needs no writing
        for path in (cache, cache / "tiny"):
            path.chmod(0o755)
    assert site.asked == 0


def test_cache_that_is_no_folder(published, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="cannot keep .*TPAINN_CACHE"):
        datasets.load("tiny", cache=tmp_path / "file")
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("name", SETS)
def test_without_a_network(name, tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens
    with pytest.raises(ConnectionError) as refusal:
        datasets.load(name, cache=tmp_path / "cache")
    about = SETS[name]
    for part in (name, about.files[0].url, str(tmp_path / "cache"), about.instead):
        assert part in str(refusal.value)
    assert contents(tmp_path) == {}


def test_a_mirror_is_checked_too(site, published, tmp_path, monkeypatch):
    monkeypatch.setenv("TPAINN_MIRROR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="mirror: .* has no tiny/tiny.npz"):
        datasets.load("tiny")
    (tmp_path / "tiny").mkdir()
    (tmp_path / FILE).write_bytes(published[:-1])
    with pytest.raises(ValueError, match="altered or truncated"):
        datasets.load("tiny")
    (tmp_path / FILE).write_bytes(published)
    assert datasets.load("tiny")
    assert site.asked == 0


def test_a_mirror_without_qm9_gives_no_sample_for_it(tmp_path):
    (tmp_path / "qm9-500").mkdir()
    (tmp_path / "qm9-500/qm9_500.db").touch()
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="no qm9/.*load 'qm9-500' instead"):
            datasets.load("qm9", mirror=tmp_path)
        (tmp_path / "qm9").mkdir(exist_ok=True)  # empty


def test_what_is_said_about_each_set():
    for name, about in SETS.items():
        assert name == about.name
        assert about.files
        assert all([about.level, about.citation, about.licence, about.note])
        for file in about.files:
            kind, digits = file.hash.split(":")
            assert len(bytes.fromhex(digits)) == {"sha256": 32, "md5": 16}[kind]
            assert file.url.startswith("https://")
            if "githubusercontent" in file.url:  # pinned to a commit, not to a branch
                assert len(bytes.fromhex(file.url.split("/")[5])) == 20
            assert (kind == "md5") == (name == "qm9")


def test_the_shipped_time_order_is_one():
    order = np.loadtxt(formats.SHIPPED / "water-pbe0ts-order.txt", dtype=int)
    assert sorted(order.ravel()) == list(range(400))


def test_waters_made_whole():
    """Shuffled hydrogens and molecules across the boundaries, in a skewed cell."""
    rng = np.random.default_rng(1)
    cell = np.array([[9.0, 0, 0], [1.5, 8.5, 0], [-1.0, 0.7, 9.5]])
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) / 2
    oxygens = corners @ cell + 0.2 * rng.random((8, 3))
    shape = np.array([[0.96, 0, 0], [-0.24, 0.93, 0]])
    hydrogens = (oxygens[:, None] + shape).reshape(-1, 3)
    shuffle = rng.permutation(16)
    positions = np.concatenate([oxygens, hydrogens[shuffle]])
    positions += rng.integers(-2, 3, (24, 3)) @ cell
    numbers = np.repeat([8, 1], [8, 16])
    order, whole = formats.whole_waters(numbers, positions, cell)
    assert numbers[order].tolist() == [8, 1, 1] * 8
    for molecule, atoms in enumerate(whole.reshape(8, 3, 3)):
        assert atoms[0] == pytest.approx(positions[molecule])
        assert sorted(pdist(atoms)) == pytest.approx(sorted(pdist([[0] * 3, *shape])))
    moved = (whole - positions[order]) @ np.linalg.inv(cell)
    assert moved == pytest.approx(moved.round(), abs=1e-9)  # by cell vectors only
    positions[8:10] = positions[0] + [[0, 0, 0.9], [0, 0.9, 0]]
    with pytest.raises(ValueError, match="exactly two hydrogens"):
        formats.whole_waters(numbers, positions, cell)


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
    pbe, cc = (
        datasets.load(name, mirror=MIRROR)
        for name in ("rmd17-ethanol", "ethanol-ccsdt-sgdml")
    )
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
    return np.array(
        [((s - side * np.round(s / side)) ** 2).sum(2).mean(1).min() for s in steps]
    )


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


@needs_mirror
def test_qm9_sample():
    frames = datasets.load("qm9-500", mirror=MIRROR)["pool"]
    assert len(frames) == 500
    check(frames, labelled=False)
    assert frames[0].get_chemical_formula() == "CH4"
    assert frames[0].get_potential_energy() / HARTREE == pytest.approx(
        -40.478930, abs=2e-6
    )
    assert "500 molecules only" in frames[0].info["citation"]
    with pytest.raises(PropertyNotImplementedError):
        frames[0].get_forces()


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
LIST = """
List of molecules among the 133885 GDB9 molecules for which two geometries differ
=======================================================================
#   Index              GDB17 SMILES    SMILES for B3LYP XYZ        D_IJ
=======================================================================
       2                          N                     [N]    6.036217
      40                          O                     [O]    5.631463
=======================================================================
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
    frames = formats.qm9(archive, listed)["pool"]
    assert "133885" in capfd.readouterr().err  # the progress bar
    assert len(frames) == 2  # number 2 is on the list
    check(frames, labelled=False)
    energy = frames[0].get_potential_energy()
    assert energy == pytest.approx(-40.47893 * HARTREE, abs=1e-9)  # U0, not U or zpve
    assert frames[0].get_chemical_symbols() == list("CHHHH")
    assert frames[0].positions[0, 2] == pytest.approx(0.0080009958)
    assert frames[0].get_all_distances()[0, 1:] == pytest.approx(1.092, abs=1e-3)
    assert frames[0].info["smiles"] == "C"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("5\n", "6\n"),
        ("5\n", "4\n"),
        ("5\n", "five\n"),
        ("\t-40.47893\t", "\t"),
        ("\t-40.47893\t", "\tnan\t"),
        ("1.4637511618", "1.46*-3"),
        ("C\t-0.01", "Xy\t-0.01"),
        ("\t-0.535689", ""),
        (METHANE[120:], ""),
    ],
)
def test_a_malformed_molecule_is_named(tmp_path, right, wrong):
    text = METHANE.replace("{}", "3")
    files = packed(tmp_path, [METHANE.format(1), text.replace(right, wrong, 1)])
    with pytest.raises(ValueError, match=r"tar.bz2, dsgdb9nsd_000002.xyz: not a mol"):
        formats.qm9(*files)


def test_an_archive_that_ends_early(tmp_path):
    archive, listed = packed(tmp_path, [METHANE.format(i) for i in range(1, 300)])
    whole, plain = archive.read_bytes(), bz2.decompress(archive.read_bytes())
    for part in (whole[:-200], bz2.compress(plain[:70_000]), b"<html>", b""):
        archive.write_bytes(part)
        with pytest.raises(ValueError, match="not a whole tar.bz2 archive"):
            formats.qm9(archive, listed)


def test_qm9_by_name_from_a_server(site, tmp_path, monkeypatch):
    archive, listed = packed(tmp_path, [METHANE.format(1)])
    files = []
    for path in (archive, listed):
        body = path.read_bytes()
        site.answers.append((body, len(body)))
        hash = f"md5:{hashlib.md5(body).hexdigest()}"
        files.append(File(f"qm9/{path.name}", hash, site.url))
    monkeypatch.setitem(SETS, "qm9", replace(SETS["qm9"], files=tuple(files)))
    (frame,) = datasets.load("qm9", cache=tmp_path / "cache")["pool"]
    assert frame.info["level"] == "B3LYP/6-31G(2df,p)"
