"""The public data sets there are: files, level of theory, citation, licence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ase import Atoms

from . import formats


class File(NamedTuple):
    """One file of a public set; a `hash` is written like ``sha256:0123…``."""

    path: str  # below the cache folder, and below a mirror
    hash: str
    url: str


@dataclass(frozen=True)
class PublicSet:
    """A public data set: its files, and what a reader of its labels must know.

    `read` makes splits of the files, in their order; `instead` names a shipped set that
    needs no network.
    """

    name: str
    files: tuple[File, ...]
    read: Callable[..., dict[str, list[Atoms]]]
    level: str
    citation: str
    licence: str
    instead: str
    note: str = ""


def listed(start: str) -> tuple[File, ...]:
    """The files of `public-files.txt` whose path starts so."""
    lines = (formats.SHIPPED / "public-files.txt").read_text().splitlines()
    return tuple(File(*line.split()) for line in lines if line.startswith(start))


def rmd17(molecule: str, instead: str) -> PublicSet:
    """The first train and test files of one molecule of rMD17."""
    return PublicSet(
        f"rmd17-{molecule}",
        listed(f"rmd17/rmd17_{molecule}_"),
        formats.pool_and_test,
        "PBE/def2-SVP",
        "Christensen and von Lilienfeld 2020, doi 10.1088/2632-2153/abba6f",
        "CC0",
        instead,
        "The split is the source's, random over one trajectory. Its authors ask to "
        "train on no more than 1,000 structures.",
    )


QM9_CITATION = "Ramakrishnan et al. 2014, doi 10.1038/sdata.2014.22"
TABLE = (
    PublicSet(
        "water-pbe0ts",
        listed("water-pbe0ts/"),
        formats.water_blocks,
        "PBE0+TS",
        "Zhang et al. 2018, doi 10.1103/PhysRevLett.120.143001",
        "LGPL-3.0",
        "water-dft",
        "64 H2O in 12.44 Å, pool and test split by block of estimated time. Energies "
        "come in steps of 2 meV a frame (single precision); the forces of a frame do "
        "not sum to zero (up to 0.4 eV/Å).",
    ),
    rmd17("ethanol", instead="ethanol-dft"),
    rmd17("aspirin", instead="molecules-dft"),
    rmd17("malonaldehyde", instead="molecules-dft"),
    PublicSet(
        "ethanol-ccsdt-sgdml",
        listed("ethanol-ccsdt/"),
        formats.pool_and_test,
        "CCSD(T)/cc-pVTZ",
        "Chmiela et al. 2018, doi 10.1038/s41467-018-06169-2",
        "not stated (MIT for the repository)",
        "ethanol-ccsdt",
        "The source's training set, as one pool. Some geometries are also in "
        "rmd17-ethanol (7 in its test split): drop them where both are used.",
    ),
    PublicSet(
        "qm9",
        listed("qm9/"),
        formats.qm9,
        "B3LYP/6-31G(2df,p)",
        QM9_CITATION,
        "CC0",
        "molecules-dft",
        "Relaxed geometries with U0, no forces; 3,054 uncharacterised ones left out.",
    ),
    PublicSet(
        "qm9-500",
        listed("qm9-500/"),
        formats.qm9_sample,
        "B3LYP/6-31G(2df,p)",
        f"{QM9_CITATION}; a sample of 500 molecules only",
        "MIT (SchNetPack's test data)",
        "molecules-dft",
        "The first 500 molecules of QM9, for a try without 86 MB; no forces. Nine of "
        "them are uncharacterised (58, 61, 80, 185, 186, 245, 267, 280 and 286).",
    ),
)
SETS = {about.name: about for about in TABLE}
