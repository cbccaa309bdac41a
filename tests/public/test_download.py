"""Public sets: fetched once and whole or not at all, from a server on this host."""

import hashlib
import io
import resource
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tpainn_lite import datasets
from tpainn_lite.public import download
from tpainn_lite.public.download import SETS, File, PublicSet
from tpainn_lite.units import KCAL_MOL

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
        site = self.server
        body, length = site.answers[min(site.asked, len(site.answers) - 1)]
        site.asked += 1
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    with Site() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


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
    about = ("pool_and_test", "toy", "nobody", "CC0", "molecules-dft")
    monkeypatch.setitem(SETS, "tiny", PublicSet("tiny", files, *about))
    return body


def contents(folder: Path) -> dict[str, bytes]:
    paths = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def test_downloaded_once_whole_and_in_ev(site, published, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 1)
    site.answers.insert(0, (b"<html>please log in</html>", 26))  # and tried again
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
    assert site.asked == 2
    assert datasets.load("tiny", mirror=tmp_path)  # a cache is laid out like a mirror
    (tmp_path / "tiny_package").mkdir()  # a folder, no package that brings the data
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    about = replace(SETS["tiny"], package="tiny_package")
    monkeypatch.setitem(SETS, "tiny", about)
    assert len(datasets.load("tiny")["pool"]) == 3000


def test_a_set_that_is_none_is_named():
    with pytest.raises(ValueError, match="name: needs one of"):
        download.load("nothing")


def test_what_is_not_the_file_is_refused(site, published, tmp_path, monkeypatch):
    monkeypatch.setitem(SETS, "tiny", replace(SETS["tiny"], package="missing_package"))
    altered, half = published[:-1] + b"?", published[:5000]
    for body, length, kind, words in (
        (altered, len(altered), ValueError, "not the published .*checksum"),
        (half, len(published), ConnectionError, "could not download"),
        (b"", 0, ConnectionError, "404"),
    ):
        site.answers, cache = [(body, length)], tmp_path / words[:3]
        with pytest.raises(kind, match=words) as refusal:
            datasets.load("tiny", cache=cache)
        for part in ("tpainn-lite[tiny]", site.url, str(cache), "'molecules-dft'"):
            assert part in str(refusal.value)
        assert contents(cache) == {}
        (cache / FILE).write_bytes(b"an older file")
        with pytest.raises(kind, match=words):
            datasets.load("tiny", cache=cache)
        assert contents(cache) == {FILE: b"an older file"}


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
def test_no_room_halfway_and_no_folder(published, tmp_path):
    with (
        files_at_most(60_000),
        pytest.raises(OSError, match="cannot keep tiny/tiny.npz .*File too large"),
    ):
        datasets.load("tiny", cache=tmp_path)
    assert contents(tmp_path) == {}
    assert datasets.load("tiny", cache=tmp_path)
    with pytest.raises(OSError, match="cannot keep .*TPAINN_CACHE"):
        datasets.load("tiny", cache=tmp_path / FILE)
    assert contents(tmp_path) == {FILE: published}


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


def test_what_is_said_about_each_set():
    shipped = {path.stem for path in datasets.SHIPPED.glob("*.json")}
    for about in SETS.values():
        assert all([about.files, about.level, about.citation, about.licence])
        assert about.note
        assert about.instead in shipped
        assert callable(getattr(download.formats, about.read))
        for file in about.files:
            kind, digits = file.hash.split(":")
            assert len(bytes.fromhex(digits)) == {"sha256": 32, "md5": 16}[kind]
            assert file.url.startswith("https://")
            if "githubusercontent" in file.url:  # pinned to a commit, not to a branch
                assert len(bytes.fromhex(file.url.split("/")[5])) == 20
            assert (kind == "md5") == (about.name == "qm9")
