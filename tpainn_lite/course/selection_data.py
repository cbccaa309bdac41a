"""Describe and label the candidates of lesson 09, and learn in closed form.

What is slow is computed once in a process.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from .. import calibrate, datasets, molecules, ridge_head
from ..data import fit_reference_energies, label
from ..model import Potential
from ..public.download import File, PublicSet, located
from ..select import standardised

COMPONENTS = 8  # principal ones of the descriptor: what "alike" means
TESTED = 1 / 3  # of the molecules
LENGTHS, RIDGES = (2.0, 6.0), (1e-3, 1e-2, 1e-1, 1.0)  # by leave-one-out
MEMBERS = 10  # of a committee
PM25 = """beijing-pm25/pm25_X_y.csv
sha256:9b6a53fe7623f257dcaacfd21ca7a596696ed9e5aebb9ed887a1c29c684494d9
https://media.githubusercontent.com/media/MuhichLab/active_transfer_bagging/\
c359f7327663b97a1dc599b3a126ba4956aba6ef/pm25_X_y.csv"""


def pm25(mirror: str | Path | None = None) -> np.ndarray:
    """Load hourly weather and PM2.5 of Beijing, (41757, 14), downloaded once.

    Columns: hour since the start of 2010, year, month, day, hour, dew point (°C),
    temperature (°C), pressure (hPa), wind (m/s, summed), snow, rain (h), wind direction
    (x, y), PM2.5 (µg/m³). UCI data (Chen 2015, doi 10.24432/C5JS49, CC BY 4.0), as the
    authors of ATBagging have them.
    """
    names = "beijing-pm25", (File(*PM25.split()),), "", "", "Chen 2015", "CC BY 4.0"
    (path,) = located(PublicSet(*names, instead="qm9-sample"), mirror)
    return np.loadtxt(path, delimiter=",", skiprows=1)


@cache
def frames(name: str) -> tuple[list[Atoms], list[Atoms]]:
    """Return the candidates, and the structures to be judged on."""
    sets = datasets.load(name)
    return sets["pool"], sets["test"]


def descriptors(potential: Potential, structures: list[Atoms]) -> np.ndarray:
    """Find principal components (frames, COMPONENTS) of scalars averaged over atoms."""
    scalars = ridge_head.atom_scalars(potential, structures)
    return _components(np.array([h.mean(dim=0).numpy() for h in scalars]))


def counts(structures: list[Atoms]) -> np.ndarray:
    """Find principal components of counts of elements, bonds and rings."""
    found = [calibrate.count(a.info["smiles"]) for a in structures]
    names = sorted(set().union(*found))
    return _components(np.array([[c[name] for name in names] for c in found], float))


def _components(X: np.ndarray) -> np.ndarray:
    rank = min(COMPONENTS, *X.shape)
    return PCA(rank, random_state=0).fit_transform(standardised(X))


def left_over(structures: list[Atoms], energies: Sequence | None = None) -> np.ndarray:
    """Return energies less the best sum over elements, (frames,) meV/atom."""
    if energies is None:
        energies = [a.get_potential_energy() for a in structures]
    reference = fit_reference_energies(structures, np.array(energies), None)
    sums = [sum(reference[int(z)] for z in a.numbers) for a in structures]
    return 1e3 * (np.array(energies) - sums) / [len(a) for a in structures]


def _mmff94(structures: list[Atoms]) -> np.ndarray:
    labelled = [label([a], molecules.mmff94(a.info["smiles"]))[0] for a in structures]
    return left_over(labelled)


@cache
def energies(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return descriptors, MMFF94 and quantum energies (meV/atom) of all."""
    both = [a for part in frames(name) for a in part]
    X = descriptors(datasets.checkpoint("molecules-mmff94"), both)
    return X, _mmff94(both), left_over(both)


def held_out(name: str, seed: int) -> np.ndarray:
    """Draw a third of the molecules to be judged on, (frames,) bool."""
    names = np.array([a.info["smiles"] for part in frames(name) for a in part])
    known = np.unique(names)
    drawn = np.random.default_rng(seed).permutation(known)
    return np.isin(names, drawn[: round(TESTED * len(known))])


@cache
def candidates(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return descriptors and MMFF94 energies (meV/atom) of the pool."""
    pool, _ = frames(name)
    return descriptors(datasets.checkpoint("molecules-mmff94"), pool), _mmff94(pool)


class Ridges:
    """Kernel ridge regression in closed form, and a committee of bootstrap samples.

    X (n, d) should be standardised. Leaving out one row at a time chooses the length of
    the Gaussian kernel and the ridge (in units of y's variance).
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, seed: int, how=None):
        """Fit to y (n,); `how`: (length, ridge), else chosen."""
        self.X, self.y, self.seed, best = X, y - y.mean(), seed, np.inf
        self.mean, squares = y.mean(), cdist(X, X, "sqeuclidean")
        for length in LENGTHS if how is None else ():
            values, U = np.linalg.eigh(np.exp(-squares / (2 * length**2)))
            for ridge in RIDGES:
                share = U / (values + ridge)
                gaps = share @ (U.T @ self.y) / (share * U).sum(1)  # from the others
                if (error := float(gaps @ gaps)) < best:
                    best, how = error, (length, ridge)
        self.how = length, ridge = how
        kernel = np.exp(-squares / (2 * length**2))
        self.w = np.linalg.solve(kernel + ridge * np.eye(len(X)), self.y)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predict y of X (N, d)."""
        kernel = np.exp(-cdist(X, self.X, "sqeuclidean") / (2 * self.how[0] ** 2))
        return kernel @ self.w + self.mean

    @cached_property
    def estimators_(self) -> list["Ridges"]:
        """Fit the committee, with the same length and ridge."""
        rng, n, y = np.random.default_rng(self.seed), len(self.y), self.y + self.mean
        drawn = [rng.integers(0, n, n) for _ in range(MEMBERS)]
        return [Ridges(self.X[k], y[k], self.seed, self.how) for k in drawn]


def ridges(X: np.ndarray, y: np.ndarray, seed: int) -> Ridges:
    """Fit `Ridges`, a learner as `select.forest` is one."""
    return Ridges(X, y, seed)
