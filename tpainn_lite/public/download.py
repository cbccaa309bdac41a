"""Public data sets: downloaded once, checked against a known hash, never shipped.

``load("rmd17-ethanol")["pool"]`` is a list of labelled ``ase.Atoms`` (eV, Å). Files are
kept in a cache folder, or read from a mirror: a folder laid out like the cache. Which
sets there are says ``sets.toml``.
"""

import os
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pooch
from ase import Atoms
from requests import RequestException  # what pooch lets through

from ..guards import checked, file, instance, one_of, optional
from . import formats

RETRIES = 2  # after a broken connection or a wrong hash; pooch waits 1 s, then 2 s
TIMEOUT = 30  # s without an answer


class File(NamedTuple):
    """One file of a public set; a `hash` is written like ``sha256:0123…``."""

    path: str  # below the cache folder, and below a mirror
    hash: str
    url: str


@dataclass(frozen=True)
class PublicSet:
    """A public data set: its files, and what a reader of its labels must know."""

    name: str
    files: tuple[File, ...]
    read: str  # the function of `formats` that makes splits of the files
    level: str
    citation: str
    licence: str
    instead: str  # a shipped set that needs no network
    note: str = ""
    package: str = ""  # that brings the data, an extra; `formats` has a reader so named


SETS: dict = tomllib.loads(Path(__file__).with_name("sets.toml").read_text("utf-8"))
for _name, _row in SETS.items():
    _files = tuple(File(*line.split()) for line in _row.pop("files"))
    SETS[_name] = PublicSet(_name, _files, **_row)


def _mirrored(about: PublicSet, file: File, mirror: Path) -> Path:
    """Find `file` in the folder `mirror` and check its hash."""
    path = mirror / file.path
    if not path.is_file():
        raise FileNotFoundError(
            f"mirror: {mirror} has no {file.path}, which {about.name!r} needs; name "
            "another folder, or leave out mirror= and TPAINN_MIRROR to download it"
        )
    algorithm, known = file.hash.split(":")
    if pooch.file_hash(str(path), algorithm) != known:
        raise ValueError(
            f"{path}: altered or truncated (its {algorithm} is not the published "
            f"file's); copy it again from {file.url}"
        )
    return path


def _fetch(about: PublicSet, file: File, cache: Path) -> Path:
    """Find `file` in `cache`, or download it, whole or not at all; errors: `load`."""
    instead = f"without a network, use the shipped set {about.instead!r}"
    if about.package:
        instead += f", or what 'pip install tpainn-lite[{about.name}]' installs"
    downloads = pooch.create(
        cache,
        base_url="",
        registry={file.path: file.hash},
        urls={file.path: file.url},
        retry_if_failed=RETRIES,
    )
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    try:
        return Path(downloads.fetch(file.path, downloader=downloader))
    except RequestException as error:
        raise ConnectionError(
            f"{about.name}: could not download {file.url} ({error}) into the cache "
            f"{cache}; try again with a network, or name a folder that holds "
            f"{file.path} with mirror= or TPAINN_MIRROR; {instead}"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{about.name}: what came from {file.url} is not the published file, by "
            f"its checksum ({error}); the cache {cache} is as it was; try again later, "
            f"perhaps from another network; {instead}"
        ) from error
    except OSError as error:
        raise OSError(
            f"{about.name}: cannot keep {file.path} in the cache {cache} ({error}); "
            "free some space, or name another folder with cache= or TPAINN_CACHE"
        ) from error


FOLDERS = dict(mirror=optional(file), cache=optional(file))


@checked(about=instance(PublicSet), **FOLDERS)
def located(
    about: PublicSet, mirror: str | Path | None = None, cache: str | Path | None = None
) -> list[Path]:
    """Find the files of a set in a mirror or the cache, or download them."""
    if mirror := mirror or os.environ.get("TPAINN_MIRROR"):
        folder = Path(mirror).expanduser()
        return [_mirrored(about, file, folder) for file in about.files]
    cache = cache or os.environ.get("TPAINN_CACHE") or pooch.os_cache("tpainn-lite")
    return [_fetch(about, file, Path(cache).expanduser()) for file in about.files]


@checked(**FOLDERS)
def load(
    name: str, mirror: str | Path | None = None, cache: str | Path | None = None
) -> dict[str, list[Atoms]]:
    """Load the labelled structures of a public set by split, in eV and Å.

    ``atoms.info`` has "split", "level" (of theory) and "citation". `mirror`, or the
    environment variable TPAINN_MIRROR, is a folder read instead of the network;
    `cache`, or TPAINN_CACHE, is where downloads are kept. Without a mirror, a package
    that brings the data ("qm9": the extra of that name) is read where it is installed.

    Raises `OSError` where a file cannot be had or kept: `ConnectionError` without a
    network, `FileNotFoundError` for a gap in the mirror. Raises `ValueError` for files
    with a wrong hash, and for ones that cannot be understood.
    """
    about = SETS[one_of(*SETS)(name, "name")]
    mirror = mirror or os.environ.get("TPAINN_MIRROR")
    package = find_spec(about.package) if about.package and not mirror else None
    if package and package.origin:  # a mere folder of that name has none
        splits = getattr(formats, about.package)(Path(package.origin).parent)
    else:
        splits = getattr(formats, about.read)(*located(about, mirror, cache))
    for split, frames in splits.items():
        for atoms in frames:
            atoms.info |= dict(split=split, level=about.level, citation=about.citation)
    return splits
