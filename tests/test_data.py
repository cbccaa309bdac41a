"""Labels, checks in words, splits without leaks, reference energies."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import CalculationFailed, Calculator
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import write

from tpainn_lite import data, units

WATER, METHANE = molecule("H2O"), molecule("CH4")


def labelled(atoms, energy=-1.0, forces=None):
    """Label as a file or a calculator may: with anything."""
    forces = np.zeros((len(atoms), 3)) if forces is None else forces
    found = atoms.copy()
    found.calc = SinglePointCalculator(found, energy=energy)
    found.calc.results["forces"] = forces
    return found


def test_label_and_a_stale_label(dimer):
    atoms, spring = dimer
    (frame,) = data.label([atoms], spring)
    energy, forces = data.labels(frame)
    assert energy == pytest.approx(15 * 0.06**2)
    np.testing.assert_allclose(forces, [[0, 0, 1.8], [0, 0, -1.8]])
    assert atoms.calc is None  # the original is left as it was
    frame.positions[0, 0] += 0.1
    with pytest.raises(ValueError, match="needs an energy and forces"):
        data.labels(frame)


class Failing(Calculator):
    """A calculator that was asked to compute, and could not."""

    implemented_properties = ("energy", "forces")

    def calculate(self, *args):
        raise self.parameters["error"]


@pytest.mark.parametrize(
    "error",  # the last as ASE's EMT says it
    [CalculationFailed("no SCF"), KeyError("charge"), NotImplementedError("No Si")],
)
def test_a_calculator_that_fails_is_heard(error):
    frames = [labelled(WATER), WATER.copy()]
    frames[1].calc = Failing(error=error)
    words = f"mine, frame 1: its calculator failed.*{error.args[0]}"
    with pytest.raises(RuntimeError, match=words):
        data.check(frames, "mine")


def test_label_passes_the_cell():
    seen, box = [], WATER.copy()

    def spy(numbers, positions, cell):
        seen.append(cell)
        return 0.0, np.zeros_like(positions)

    box.set_cell([4, 5, 6])
    for pbc in (False, True):
        box.pbc = pbc
        data.label([box], spy)
    assert seen[0] is None
    np.testing.assert_array_equal(seen[1], np.diag([4, 5, 6]))
    box.pbc = [True, True, False]
    with pytest.raises(ValueError, match="periodic in all three directions or in none"):
        data.label([box], spy)
    for wrong in (EMT, "mmff94", labelled(WATER).calc):
        with pytest.raises(ValueError, match="needs a Potential, an ASE calculator"):
            data.label([WATER], wrong)


@pytest.mark.parametrize(
    "bad",
    [
        (np.nan, np.zeros((3, 3))),
        (0.0, np.full((3, 3), np.inf)),
        (0.0, np.zeros((1, 3))),  # NumPy would give each atom this force
        (True, np.zeros((3, 3))),
        (0.0, None),
        0.0,
    ],
)
def test_labels_that_are_none_are_not_written(bad):
    with pytest.raises(ValueError, match=r"frames, frame 0 \(OH2\): "):
        data.label([WATER], lambda n, x, cell: bad)
    with pytest.raises(ValueError, match="energy: needs a finite number"):
        data.with_labels(WATER, True)
    with pytest.raises(ValueError, match=r"forces: .*\(3, 3\), got .*\(1, 3\)"):
        data.with_labels(WATER, 0.0, np.zeros((1, 3)))


def test_constraints_do_not_hide_forces(tmp_path):
    fixed = labelled(WATER, forces=np.ones((3, 3)))
    fixed.set_constraint(FixAtoms([0]))
    assert (fixed.get_forces()[0] == 0).all()
    np.testing.assert_array_equal(data.labels(fixed)[1], 1)
    relabelled = data.with_labels(fixed, -1.0, np.ones((3, 3)))
    np.testing.assert_array_equal(relabelled.get_forces(), 1)
    assert len(fixed.constraints) == 1  # the original is left as it was
    write(tmp_path / "fixed.extxyz", [fixed, labelled(METHANE), fixed])
    with pytest.warns(UserWarning, match=r"(?s)fixed\.extxyz:.*2 structures .*constr"):
        frames = data.read(tmp_path / "fixed.extxyz")
    assert [a.constraints for a in frames] == [[], [], []]
    np.testing.assert_array_equal(frames[0].get_forces(), 1)


def test_the_library_never_lets_a_constraint_hide_forces():
    package = Path(data.__file__).parent
    files = package.rglob("*.py")
    hiding = [p.name for p in files if "get_forces()" in p.read_text("utf-8")]
    assert hiding == []


def in_cell(atoms, cell, pbc=True):
    return labelled(Atoms(atoms, cell=cell, pbc=pbc))


BAD = [
    (WATER, "needs an energy and forces"),
    (data.with_labels(WATER, -1.0), "needs an energy and forces"),
    (labelled(WATER, np.nan), "its energy: needs a finite number"),
    (labelled(WATER, True), "its energy: needs a finite number, got True"),
    (labelled(WATER, 0, np.full((3, 3), np.inf)), "its forces: needs a finite"),
    (labelled(WATER, 0, np.zeros((1, 3))), r"its forces: .*\(3, 3\), got .*\(1, 3\)"),
    (labelled(Atoms("H", [[1e300, 0, 0]])), "or beyond 1e.06 Å"),
    (labelled(Atoms("XH", [[0, 0, 0], [0, 0, 1]])), "one of no element"),
    (labelled(Atoms("H", [[0, 0, np.nan]])), "position is NaN"),
    (labelled(Atoms("OH", [[0, 0, 0], [0, 0, 0.49]])), "atoms 0 and 1 are 0.49 Å"),
    # across the boundary, and with its own image
    (in_cell(Atoms("OH", [[0.1, 0, 0], [4.8, 0, 0]]), [5] * 3), "0 and 1 are 0.30 Å"),
    (in_cell(Atoms("H"), [0.4, 5, 5]), "atoms 0 and 0 are 0.40 Å apart"),
    (in_cell(Atoms("H"), [0.05] * 3), "atoms 0 and 0 are 0.05 Å apart"),
    (in_cell(WATER, [5, 5, 5], [1, 1, 0]), "all three directions"),
    (in_cell(WATER, [0, 0, 0]), "span a volume"),
    (in_cell(WATER, [np.nan, 5, 5]), "span a volume"),
    (in_cell(WATER, [[5, 0, 0], [0, 5, 0], [5, 0, 1e-10]]), "span a volume"),
    (in_cell(Atoms("H"), [1, 1, 1e-4]), "atoms and their images crowd"),
    (in_cell(Atoms("H"), [1e10] * 3), "span a volume"),
    (Atoms(), "has no atoms"),
]


@pytest.mark.parametrize(("frame", "words"), BAD, ids=[words for _, words in BAD])
def test_check_names_the_frame(frame, words):
    with pytest.raises(ValueError, match=f"mine, frame 2.*{words}"):
        data.check([labelled(WATER), labelled(METHANE), frame], "mine")


def test_check_lets_good_frames_pass():
    data.check([labelled(WATER), in_cell(WATER, [4, 4, 4])])
    data.check([WATER, Atoms("OH", [[0, 0, 0], [0, 0, 0.51]])], labelled=False)
    with pytest.raises(ValueError, match="at least one structure"):
        data.check([])
    with pytest.raises(ValueError, match="frame 0: needs an ase.Atoms, got 'p'"):
        data.check("path")


def announcing(columns="3", atoms=1):
    return f"{atoms}\nProperties=species:S:1:pos:R:{columns}\nH 0 0 0\n"


def test_a_file_that_announces_more_than_it_holds(tmp_path):
    """ASE counts up to the number of atoms or columns in the file: hours."""
    for text, words in (
        (
            announcing() + announcing(atoms=10**11),
            "frame 1 is cut off: it needs 1000000000",
        ),
        (announcing(columns=10**9), "frame 0 .*has 4 of 1000000001 columns"),
    ):
        (tmp_path / "a.extxyz").write_text(text)
        with pytest.raises(ValueError, match=words):
            data.read(tmp_path / "a.extxyz", labelled=False)
    (tmp_path / "a.extxyz").write_text(announcing() * 3 + "2\n")
    with pytest.raises(ValueError, match="frame 3 is cut off.* before line 10"):
        data.read(tmp_path / "a.extxyz", labelled=False)


def test_text_is_utf8_in_any_locale(tmp_path):
    """A child of the C locale; Python's own UTF-8 mode is off."""
    frame = labelled(WATER)
    frame.info["name"] = "Äthanol"
    write(tmp_path / "ä.extxyz.gz", frame)
    plain = gzip.decompress((tmp_path / "ä.extxyz.gz").read_bytes())
    (tmp_path / "ä.extxyz").write_bytes(plain)
    code = (
        "import sys, pathlib; from tpainn_lite import data, datasets\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    assert data.read(path)[0].info['name'] == '\\xc4thanol'\n"
        "for card in datasets.SHIPPED.glob('*.json'): datasets.card(card.stem)"
    )
    env = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, tmp_path], env=env, check=True)


def test_split_by_group_never_leaks(rng):
    frames = [Atoms("H", info={"run": str(k)}) for k in rng.integers(0, 12, 80)]
    parts = data.split(frames, 5, 4, 2, seed=0, group="run")
    names = [{a.info["run"] for a in part} for part in parts]
    assert [len(n) for n in names] == [5, 4, 2]
    assert len(set.union(*names)) == 11
    for part, wanted in zip(parts, names, strict=True):  # a group comes whole
        assert len(part) == sum(a.info["run"] in wanted for a in frames)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CCO", "[H]OC([H])([H])C"),
        ("c1ccccc1", "C1=CC=CC=C1"),
        ("C[C@H](N)O", "C[C@@H](N)O"),  # a mirror image has the same energies
    ],
)
def test_one_molecule_in_two_spellings_is_one_group(one, other):
    names = [one, "CCN", other, "COC", one, "no SMILES"]
    frames = [Atoms("H", info={"smiles": n, "k": k}) for k, n in enumerate(names)]
    parts = data.split(frames, 1, 1, 1, 1, seed=0, group="smiles")
    parts = sorted([a.info["k"] for a in part] for part in parts)
    assert parts == [[0, 2, 4], [1], [3], [5]]


def test_split():
    frames = [Atoms("H", info={"k": k}) for k in range(10)]

    def numbers(*sizes, seed):
        parts = data.split(frames, *sizes, seed=seed)
        return [[a.info["k"] for a in part] for part in parts]

    a, b = numbers(6, 4, seed=0)
    assert sorted(a + b) == list(range(10))
    assert numbers(6, 4, seed=0) == [a, b]
    assert numbers(6, 4, seed=1) != [a, b]
    assert numbers(3, seed=0)[0] == a[:3]  # small sets are parts of larger ones
    for sizes in ((0,), (-1, 2), (8, 3), ()):
        with pytest.raises(ValueError, match="sizes"):
            data.split(frames, *sizes, seed=0)
    with pytest.raises(ValueError, match="'smiles'"):
        data.split(frames, 1, seed=0, group="smiles")
    frames[0].info["k"] = np.ones(2)
    with pytest.raises(ValueError, match="group: .* needs a name or number"):
        data.split(frames, 1, seed=0, group="k")
    with pytest.raises(ValueError, match="seed: .* at least 0"):  # of all public doors
        data.split(frames, 1, seed=-1)


PRIOR = {1: -13.0, 6: -1030.0, 7: -1480.0, 8: -2040.0}
TRUE = {1: -13.7, 6: -1031.5, 7: -1479.0, 8: -2043.0}
FRAMES = [*map(molecule, ["H2O", "CH4", "NH3", "CH3OH", "C2H6", "HCN", "H2CO", "C2H4"])]


def total(atoms, energies):
    return sum(energies[z] for z in atoms.numbers)


def test_references_know_that_each_bond_binds():
    # All energies are -2 eV a bond: one molecule is enough to find that.
    bonds = {"CH4": 4, "H2O": 2, "CH3OH": 5, "C2H6": 7, "NH3": 3}
    frames = [*map(molecule, bonds)]
    energies = [total(molecule(m), PRIOR) - 2.0 * n for m, n in bonds.items()]
    fitted = data.fit_reference_energies(frames[:1], energies[:1], PRIOR)
    found = [total(a, fitted) for a in frames]
    np.testing.assert_allclose(found, energies, atol=1e-5)


def test_water_determines_only_its_sum():
    prior = {1: -13.0, 8: -2040.0}
    energy = 2 * prior[1] + prior[8] - 10.0
    loose = data.fit_reference_energies([WATER] * 3, [energy] * 3, prior)
    assert total(WATER, loose) == pytest.approx(energy, abs=1e-6)
    shift = np.array([loose[z] - prior[z] for z in (1, 8)])
    np.testing.assert_allclose(shift, [-2.5, -5.0], atol=1e-5)  # two bonds, shared


def test_labels_come_before_a_prior_that_they_contradict():
    """Least squares where labels determine; its null space keeps the prior."""
    energies = [total(a, TRUE) for a in FRAMES]
    wrong = {z: e + 6.0 * (-1) ** z for z, e in TRUE.items()}  # eV
    for prior in (wrong, None):
        fitted = data.fit_reference_energies(FRAMES, energies, prior)
        assert fitted == pytest.approx(TRUE, abs=1e-6)
    # C2H6, C2H4 and CH4 know C and H, and nothing of N and O
    some = [*map(molecule, ("C2H6", "C2H4", "CH4"))]
    fitted = data.fit_reference_energies(some, [total(a, TRUE) for a in some], wrong)
    assert [fitted[z] for z in (1, 6)] == pytest.approx([TRUE[1], TRUE[6]], abs=1e-6)
    assert fitted[8] - wrong[8] == pytest.approx(2 / 3 * (fitted[7] - wrong[7]))


@pytest.mark.parametrize("unit", [units.HARTREE, units.KCAL_MOL])
def test_energies_that_are_no_chemistry_are_refused(unit):
    energies = [(total(a, PRIOR) - 3.0 * len(a)) / unit for a in FRAMES]
    with pytest.raises(ValueError, match=r"eV an atom from .*not Hartree, Ry or kcal"):
        data.fit_reference_energies(FRAMES, energies, PRIOR)
    energies = [total(a, PRIOR) for a in FRAMES]
    energies[3] /= unit  # one frame of another unit
    with pytest.raises(ValueError, match=r"frame \d+ is .* from any sum"):
        data.fit_reference_energies(FRAMES * 3, energies * 3, None)
    with pytest.raises(ValueError, match=r"prior\[8\]: needs a finite number"):
        data.fit_reference_energies(FRAMES, energies, PRIOR | {8: np.nan})
    with pytest.raises(ValueError, match=r"energies: .*shape \(8\)"):
        data.fit_reference_energies(FRAMES, energies[:2], PRIOR)
    with pytest.raises(ValueError, match=r"missing \[9\]"):
        data.fit_reference_energies([molecule("HF")], [-1.0], PRIOR)


def test_frames_of_one_atom_are_free_atoms():
    atoms = [data.with_labels(Atoms(s), e) for s, e in (("H", -13.6), ("O", -2042.0))]
    water = data.with_labels(WATER, -2080.0, np.zeros((3, 3)))
    structures, free = data.split_free_atoms([atoms[0], water, atoms[1]])
    assert structures == [water]
    assert free == {1: -13.6, 8: -2042.0}
    data.check([*atoms, water])  # without forces: a free atom feels none
    assert not data.labels(atoms[0])[1].any()
    with pytest.raises(ValueError, match="frame 3: a free atom of element 1"):
        data.split_free_atoms([*atoms, water, data.with_labels(Atoms("H"), -12.0)])


def test_an_atom_of_a_crystal_is_not_free():
    crystals = data.label([bulk("Al", a=a) for a in (3.97, 4.05, 4.13)], EMT())
    (alone,) = data.label([Atoms("Al", cell=[12.0] * 3, pbc=True)], EMT())
    structures, free = data.split_free_atoms([*crystals, alone])
    assert structures == crystals
    assert free == {13: pytest.approx(alone.get_potential_energy())}
    assert data.split_free_atoms(crystals) == (crystals, {})
