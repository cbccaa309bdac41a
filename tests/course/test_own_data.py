"""Other people's files: each ends as structures, or in a sentence that helps."""

import re
from pathlib import Path

import ase.io
import ase.units
import nbformat
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from rdkit import Chem

from tpainn_lite import data, datasets, dynamics, molecules, units
from tpainn_lite.course import lessons, own_data
from tpainn_lite.data import with_labels
from tpainn_lite.model import Potential, PotentialConfig

BOHR, HARTREE = ase.units.Bohr, ase.units.Hartree


@pytest.fixture
def frames():
    """Twelve labelled ethanols."""
    return datasets.load("ethanol-dft")["pool"][:12]


@pytest.fixture
def student():
    return datasets.checkpoint("molecules-mmff94")


def written(tmp_path, frames, name="mine.extxyz"):
    ase.io.write(tmp_path / name, frames)
    return tmp_path / name


def relabelled(atoms, energy=None, forces=None):
    return with_labels(
        atoms,
        atoms.get_potential_energy() if energy is None else energy,
        atoms.get_forces() if forces is None else forces,
    )


def in_units(frames, force, energy):
    return [
        relabelled(a, a.get_potential_energy() / energy, a.get_forces() / force)
        for a in frames
    ]


def in_kcal(frames):
    return in_units(frames, units.KCAL_MOL, units.KCAL_MOL)


def same(found, frames, rtol=1e-9):
    assert len(found) == len(frames)
    for a, b in zip(found, frames, strict=True):
        np.testing.assert_array_equal(a.numbers, b.numbers)
        np.testing.assert_array_equal(a.pbc, b.pbc)
        np.testing.assert_allclose(a.positions, b.positions, rtol=rtol, atol=1e-7)
        np.testing.assert_allclose(a.get_forces(), b.get_forces(), rtol, atol=1e-6)
        energies = a.get_potential_energy(), b.get_potential_energy()
        np.testing.assert_allclose(*energies, rtol)


def test_good_files(tmp_path, frames, student):
    path = written(tmp_path, frames)
    found = own_data.read(path)
    assert found.forces
    assert found.notes == []
    same(found.frames, frames)
    assert own_data.doubt_units(found.frames, student) is None
    path.write_text(path.read_text()[:-4])
    last = "The last line does not end: is its last number whole?"
    assert own_data.read(path).notes == [last]


@pytest.mark.parametrize("unit", ["kcal/mol/Å", "kJ/mol/Å", "Hartree/Bohr"])
def test_wrong_units_are_seen_and_can_be_named(unit, tmp_path, frames, student):
    path = written(tmp_path, in_units(frames, *units.LABEL_UNITS[unit]))
    assert f"unit='{unit}'" in own_data.doubt_units(own_data.read(path).frames, student)
    mended = own_data.read(path, unit).frames
    assert own_data.doubt_units(mended, student) is None
    same(mended, frames, 1e-6)
    turned = [relabelled(a, forces=-a.get_forces()) for a in mended]
    assert "gradients" in own_data.doubt_units(turned, student)


def test_what_is_odd_becomes_a_note(tmp_path, frames, student, monkeypatch):
    found = own_data.read(written(tmp_path, [*frames, frames[0][:], frames[1]]))
    assert len(found.frames) == 12
    assert found.notes == [
        "1 frames without energy left out: mine.extxyz, frame 12.",
        "1 copies of other structures left out.",
    ]
    torn = [*frames[:4], relabelled(frames[4]), *frames[5:]]
    torn[4].calc.results["forces"][2, 1] = np.nan
    found = own_data.read(written(tmp_path, torn, "nan.traj"))
    assert found.notes == ["1 frames without forces left out: nan.traj, frame 4."]
    plain = [with_labels(a, a.get_potential_energy()) for a in frames]
    found = own_data.read(written(tmp_path, plain))
    assert not found.forces
    assert "energies alone" in found.notes[0]
    fixed = [relabelled(a) for a in frames]
    for atoms in fixed:
        atoms.set_constraint(FixAtoms([0, 1, 2]))
    found = own_data.read(written(tmp_path, fixed))
    assert "12 structures had ASE constraints" in found.notes[0]
    same(found.frames, frames)
    for atoms in fixed:
        atoms.set_constraint(FixAtoms(range(9)))  # ASE's forces: all zero
    assert own_data.doubt_units(fixed, student) is None
    monkeypatch.setattr(own_data.intake, "MOST", 7)
    found = own_data.read(written(tmp_path, frames))
    assert len(found.frames) == 7
    assert found.notes == ["12 structures: 7 of them are used, evenly spaced."]
    same(found.frames, [frames[i] for i in (0, 1, 3, 5, 6, 8, 10)])


def overlapping(frames):
    frames[4].positions[1] = frames[4].positions[0] + 0.1
    return frames


def mixed(frames):
    frames[4].set_cell([7, 7, 7])
    frames[4].pbc = True


def without_a_hydrogen(frames):
    frames[4] = with_labels(frames[4][:-1], -4200.0, np.zeros((8, 3)))


def with_info(**more):
    return lambda frames: frames[4].info.update(more)


def with_initial(kind):
    return lambda frames: getattr(frames[4], f"set_initial_{kind}")([0, 0, 1, *[0] * 6])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (overlapping, "frame 4: atoms 0 and 1 are 0.17 Å apart"),
        (mixed, "some structures are periodic and some are not"),
        (lambda frames: frames.__setitem__(np.s_[1:], frames[:1]), "at least 2 differ"),
        (without_a_hydrogen, "25 electrons, an odd number.: mine.traj, frame 4"),
        (with_info(charge=1), "charge=1.: mine.traj, frame 4"),
        (with_info(net_charge="+1 e"), "net_charge=.1 e"),
        *(
            (with_info(**{key: value}), f"{key}={value}")
            for key, value in dict(
                multiplicity=3, q=-1, Mult=2, spin_mult=3, uhf=1
            ).items()
        ),
        (with_initial("charges"), "initial charges add up to 1"),
        (with_initial("magnetic_moments"), "initial magnetic moments add up to 1"),
        (lambda some: [setattr(a, "calc", None) for a in some], "no frame has energy"),
    ],
)
def test_hostile_structures_are_named(spoil, words, tmp_path, frames):
    frames = [relabelled(a) for a in frames]
    spoil(frames)
    # extxyz has no initial charges, and a trajectory one pbc for all frames
    path = written(tmp_path, frames, "mine.extxyz" if spoil is mixed else "mine.traj")
    with pytest.raises(ValueError, match=f"{path.name}.*{words}"):
        own_data.read(path)


def test_declared_neutral_singlets_and_boxes_pass(tmp_path, frames):
    for atoms in frames:
        atoms.info |= dict(charge=0, spin=1, multiplicity=1, total_spin=0)
        atoms.info |= dict(q=0, mult=1, uhf=0, qm=5, multi=3)
    assert own_data.read(written(tmp_path, frames)).notes == []
    boxes = datasets.load("water-dft")["pool"][:3]
    assert own_data.read(written(tmp_path, boxes, "w.extxyz")).notes == []
    odd = [
        with_labels(a[:-1], a.get_potential_energy(), a.get_forces()[:-1])
        for a in boxes
    ]
    alone = with_labels(Atoms("H", cell=[9] * 3, pbc=True), -13.6, np.zeros((1, 3)))
    found = own_data.read(written(tmp_path, [*odd, alone], "odd.extxyz"))
    assert "3 periodic structures have an odd number of electrons" in found.notes[0]


def test_folds_do_not_leak(frames):
    some = [relabelled(a) for a in datasets.load("molecules-dft")["pool"][:60]]
    plain, how = own_data.folds(some)
    assert how == "5 folds by smiles"
    for atoms in some[::2]:  # two spellings, one molecule
        mol = molecules.parse(atoms.info["smiles"])
        atoms.info["smiles"] = Chem.MolToSmiles(mol)  # with every hydrogen
    for part, same in zip(own_data.folds(some)[0], plain, strict=True):
        np.testing.assert_array_equal(part, same)
    for a in some:
        a.info = {}
    parts, how = own_data.folds(some)
    assert how == "5 folds by composition"
    formulas = [{some[i].get_chemical_formula() for i in part} for part in parts]
    assert not formulas[0] & formulas[1]


def arrays_of(frames, energy=1.0, length=1.0, **more):
    """What an npz holds, in units of `energy` (eV) and `length` (Å)."""
    return dict(
        z=frames[0].numbers,
        R=np.array([a.positions for a in frames]) / length,
        E=np.array([a.get_potential_energy() for a in frames]) / energy,
        F=np.array([a.get_forces() for a in frames]) / (energy / length),
        **more,
    )


@pytest.mark.parametrize(
    ("e_unit", "r_unit", "energy", "length"),
    [
        ("kJ/mol", "nm", ase.units.kJ / ase.units.mol, 10.0),
        ("Hartree", "bohr", HARTREE, BOHR),
        (b"Eh", b"au", HARTREE, BOHR),
        ("meV", "angstrom", 1e-3, 1.0),
    ],
)
def test_an_npz_is_read_in_the_units_it_names(
    e_unit, r_unit, energy, length, tmp_path, frames
):
    named = arrays_of(frames, energy, length, e_unit=e_unit, r_unit=r_unit)
    np.savez(tmp_path / "mine.npz", **named)
    found = own_data.read(tmp_path / "mine.npz")
    assert found.notes == []
    same(found.frames, frames, 1e-5)  # CODATA of other years


def test_an_npz_is_converted_once(tmp_path, frames):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays_of(frames, units.KCAL_MOL))
    found = own_data.read(path)
    same(found.frames, frames)
    assert "kcal/mol" in found.notes[0]
    told = own_data.read(path, "kcal/mol/Å")
    same(told.frames, frames)
    assert told.notes == []
    np.savez(path, **arrays_of(frames))
    same(own_data.read(path, "eV/Å").frames, frames)
    np.savez(path, **arrays_of(frames, r_unit="Ang"))
    same(own_data.read(path, "eV/Å").frames, frames)
    assert "no unit of energy" in own_data.read(path).notes[0]
    mixed = arrays_of(frames, HARTREE, e_unit="Hartree")
    mixed["F"] = mixed["F"] * BOHR  # of Hartree/Bohr, positions in Å
    np.savez(path, **mixed)
    same(own_data.read(path, "Hartree/Bohr").frames, frames, 1e-5)
    np.savez(path, **arrays_of(frames, e_unit="eV"))
    same(own_data.read(path, "eV/Å").frames, frames)
    with pytest.raises(ValueError, match=r"unit: the file says"):
        own_data.read(path, "kcal/mol/Å")


def test_an_npz_of_boxes(tmp_path):
    boxes = datasets.load("water-dft")["pool"][:4]
    path, cells = tmp_path / "boxes.npz", np.array([a.cell for a in boxes])
    for more in (
        dict(cell=cells, pbc=[True, True, True]),
        dict(cell=cells[0]),
        dict(lattice=cells[0]),
        dict(cell=cells.reshape(4, 9), pbc=np.ones((4, 3), bool)),
    ):
        np.savez(path, **arrays_of(boxes, e_unit="eV", **more))
        found = own_data.read(path).frames
        same(found, boxes)
        np.testing.assert_allclose(found[0].cell, boxes[0].cell)
    np.savez(path, **arrays_of(boxes, e_unit="eV", cell=cells, pbc=[False] * 3))
    assert not own_data.read(path).frames[0].pbc.any()
    bohr = dict(e_unit="eV", r_unit="bohr", cell=cells / BOHR)
    np.savez(path, **arrays_of(boxes, length=BOHR, **bohr))
    found = own_data.read(path).frames
    same(found, boxes, 1e-5)
    np.testing.assert_allclose(found[1].cell, boxes[1].cell, rtol=1e-6)


def test_an_npz_with_numbers_per_frame(tmp_path, frames):
    plain = arrays_of(frames, e_unit="eV")
    numbers = np.tile(frames[0].numbers, (len(frames), 1))
    padded = {k: np.pad(plain[k], ((0, 0), (0, 2), (0, 0))) for k in "RF"}
    padded["z"] = np.pad(numbers, ((0, 0), (0, 2)))
    for more in (dict(z=numbers), padded):
        np.savez(tmp_path / "mine.npz", **plain | more)
        same(own_data.read(tmp_path / "mine.npz").frames, frames)


CELL = np.diag([9.0, 9.0, 9.0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plain: dict(z=plain["z"][:-1]), "z: needs the shape"),
        (lambda plain: dict(F=plain["F"][:, :-1]), "F: needs the shape"),
        (lambda plain: dict(E=plain["E"][:-1]), "E: needs the shape"),
        (lambda _: dict(e_unit="furlong"), "e_unit=furlong: tell it.*needs one of"),
        (lambda _: dict(lattice=CELL + np.triu(np.ones((3, 3)), 1)), "rows or columns"),
        (lambda _: dict(cell=CELL[0]), r"cell: needs the shape \(3, 3\)"),
        (lambda _: dict(pbc=True), "pbc: the file has no cell"),
    ],
)
def test_an_npz_that_does_not_fit_is_refused(change, words, tmp_path, frames):
    plain = arrays_of(frames, e_unit="eV")
    np.savez(tmp_path / "mine.npz", **plain | change(plain))
    with pytest.raises(ValueError, match=words):
        own_data.read(tmp_path / "mine.npz")
    np.savez(tmp_path / "odd.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"odd.npz: needs arrays .*coords"):
        own_data.read(tmp_path / "odd.npz")


def lesson(path):
    """Run the cells of lesson 10 that bring, start and doubt, for a file."""
    file = Path(__file__).parents[2] / "notebooks/10_your_own_data.ipynb"
    cells = [c.source for c in nbformat.read(file, 4).cells if c.cell_type == "code"]
    cells = [source for source in cells if "google.colab" not in source]
    last = next(k for k, source in enumerate(cells) if "doubt_units" in source)
    cells[0] = cells[0].replace('PATH = ""', f"PATH = {str(path)!r}")
    names = {}
    for source in cells[: last + 1]:
        exec(compile(source, file.name, "exec"), names)
    return names


def test_lesson_10_takes_a_readers_file(tmp_path, frames):
    names = lesson(written(tmp_path, frames))
    assert names["own"]
    assert names["start"].name == "molecules-mmff94"
    assert (len(names["found"].frames), names["doubt"]) == (12, None)
    boxes = written(tmp_path, datasets.load("water-dft")["pool"][:12], "w.extxyz")
    assert lesson(boxes)["start"].name == "water-qtip4pf-longer"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (overlapping, "0.17 Å apart"),
        (in_kcal, "unit='kcal/mol/Å'.*Put this into HOW"),
    ],
)
def test_lesson_10_stops_in_a_sentence(spoil, words, tmp_path, frames):
    path = written(tmp_path, spoil([relabelled(a) for a in frames]))
    with pytest.raises(lessons.Stop, match=words):
        lesson(path)


def test_frames_of_one_atom_are_free_atoms(tmp_path, frames):
    """Beside molecules, without forces, in the unit of the file."""
    some = frames[:4]
    free = [with_labels(Atoms(s), e) for s, e in (("H", -13.6), ("O", -2042.5))]
    path = written(tmp_path, [free[0], *some, free[1]])
    found = own_data.read(path)
    assert found.atomic_energies == {1: -13.6, 8: -2042.5}
    assert found.forces
    assert [len(a) for a in found.frames] == [9] * 4
    assert "H -13.6000 eV, O -2042.5000 eV" in " ".join(found.notes)
    found = own_data.read(path, "kcal/mol/Å")
    assert found.atomic_energies[1] == pytest.approx(-13.6 * units.KCAL_MOL)
    with pytest.raises(ValueError, match="mine.extxyz: has free atoms only"):
        own_data.read(written(tmp_path, free))
    path = written(tmp_path, [*some, *free, with_labels(Atoms("H"), -12.0)])
    with pytest.raises(ValueError, match="mine.extxyz: of its frames of one atom"):
        own_data.read(path)


def in_box(edge, shift, apart=3.0):
    """Two waters in a cubic box, wrapped."""
    pair = molecule("H2O") + Atoms("OH2", molecule("H2O").positions + [apart, 0, 0])
    pair.rattle(0.02, seed=edge + int(shift))
    pair.set_cell([edge] * 3)
    pair.center()
    pair.positions += shift
    pair.pbc = True
    pair.wrap()
    return with_labels(pair, -4160.0, np.zeros((6, 3)))


def test_molecules_alone_in_boxes_are_opened_in_one_piece():
    boxes = [in_box(20, 0.0), in_box(20, 8.6), in_box(20, 0.0, apart=3.2)]
    found = own_data.look(boxes)
    assert not any(a.pbc.any() for a in found.frames)
    for box, atoms in zip(boxes, found.frames, strict=True):
        expected = box.get_all_distances(mic=True)
        np.testing.assert_allclose(atoms.get_all_distances(), expected, atol=1e-9)
    found = own_data.look([*boxes, in_box(7, 0.0)])  # near its images
    assert all(a.pbc.all() for a in found.frames)
    assert "3 structures are alone" in " ".join(found.notes)


def test_relaxed_structures_are_no_doubt(frames, student):
    # at a minimum of the labels' method forces say nothing of the network's
    rng = np.random.default_rng(0)
    weak = [relabelled(a, forces=rng.normal(0, 0.01, (9, 3))) for a in frames]
    assert own_data.doubt_units(weak, student) is None


def atomised(frames):
    """Take the free atoms' energies from the labels."""
    atoms = datasets.atomic_energies("molecules-dft")
    return [
        relabelled(a, a.get_potential_energy() - sum(atoms[z] for z in a.numbers))
        for a in frames
    ]


def test_energies_of_atomisation_have_free_atoms_at_zero(tmp_path, frames):
    found = own_data.read(written(tmp_path, atomised(frames)))
    assert found.atomic_energies == {1: 0.0, 6: 0.0, 8: 0.0}
    assert "-3.87 eV an atom" in found.notes[0]
    again = own_data.look(found.frames)
    assert again.atomic_energies == found.atomic_energies
    lowest = min(a.get_potential_energy() for a in frames)
    shifted = [relabelled(a, a.get_potential_energy() - lowest) for a in frames]
    assert set(own_data.look(shifted).atomic_energies.values()) == {0.0}
    free = [with_labels(Atoms("H"), -1.1), with_labels(Atoms("O"), -1.5)]  # VASP's
    found = own_data.look([*free, *atomised(frames)])
    assert found.atomic_energies == {1: -1.1, 6: 0.0, 8: -1.5}
    for unit in ("Hartree", "Ry", "kcal/mol"):  # totals, whatever their size
        factor = units.ENERGIES[unit]
        methane = Atoms("CH4", molecule("CH4").positions)
        some = [with_labels(methane, (-1101 + k / 9) / factor) for k in range(3)]
        for k, a in enumerate(some):
            a.calc.atoms.positions[0, 0] = a.positions[0, 0] = k / 50
        assert own_data.look(some).atomic_energies == {}


def test_composition_alone_is_right_to_a_bond_with_atoms_at_zero(frames):
    """3,696 kcal/mol with ten labels, when all-electron atoms were taken."""
    some = atomised(datasets.load("molecules-dft")["pool"][:110])
    few, test = some[:10], some[10:]
    found = own_data.look(few)
    energies = np.array([a.get_potential_energy() for a in few])
    fitted = data.fit_reference_energies(few, energies, found.atomic_energies)
    sums = [sum(fitted.get(z, 0.0) for z in a.numbers) for a in test]
    away = np.array([a.get_potential_energy() for a in test]) - sums
    assert np.sqrt(np.mean(np.square(away))) / units.KCAL_MOL < 60


def test_total_energies_decide_between_units(frames, student):
    """Ry/Bohr and Hartree/Å are 6 % apart; eV/Å and eV/Bohr a factor of 1.9."""
    for unit in ("Ry/Bohr", "Hartree/Å", "eV/Bohr"):
        some = in_units(frames, *units.LABEL_UNITS[unit])
        assert f"unit='{unit}'" in own_data.doubt_units(some, student)
    mixed = in_units(frames, units.HARTREE / units.BOHR, 1.0)
    words = r"unit=\('eV', 'Hartree/Bohr'\)"
    assert re.search(words, own_data.doubt_units(mixed, student))
    mixed = in_units(frames, units.HARTREE / 2 / units.BOHR, HARTREE)
    words = "unit='Hartree/Å' or unit=('Hartree', 'Ry/Bohr')."
    assert words in own_data.doubt_units(mixed, student)
    plain = [with_labels(a, a.get_potential_energy() / HARTREE) for a in frames]
    assert "Hartree" in own_data.doubt_units(plain)
    assert "Hartree" in own_data.doubt_units(plain, student)
    turned = [with_labels(a, -a.get_potential_energy()) for a in atomised(frames)]
    assert "turn the sign" in own_data.doubt_units(turned, student)
    alone = [with_labels(a, a.get_potential_energy()) for a in atomised(frames)]
    assert own_data.doubt_units(alone, student) is None
    same = [with_labels(a, -4200.0) for a in frames]
    assert "All energies are the same" in own_data.doubt_units(same)


def test_slabs_are_looked_at_as_boxes():
    slabs = []
    for k in range(3):
        slab = fcc111("Cu", (2, 2, 2), vacuum=8.0)
        slab.pbc = True, True, False
        slab.rattle(0.1, seed=k)
        slab.calc = EMT()
        slab.get_forces()
        slabs.append(slab)
    found = own_data.look(slabs)
    assert all(a.pbc.all() for a in found.frames)
    assert "boxes with a vacuum of 10 Å" in found.notes[0]
    potential = Potential(PotentialConfig(features=8), {29: 0.0}, seed=0)
    higher = [a.copy() for a in found.frames]
    for a in higher:
        a.center(vacuum=20.0, axis=2)
    one, other = potential.predict(found.frames), potential.predict(higher)
    np.testing.assert_allclose(one[0], other[0], atol=1e-5)
    np.testing.assert_allclose(one[1], other[1], atol=1e-5)


def moved(atoms, order, turn):
    """Write a structure in another order of atoms, turned (°) and elsewhere."""
    copy = with_labels(atoms[order], atoms.get_potential_energy(), None)
    copy.calc.results["forces"] = atoms.get_forces()[order]
    calc, copy.calc = copy.calc, None
    copy.rotate(turn, (1, 2, 3))
    copy.positions += [1.0, -2.0, 5.0]
    copy.wrap()
    copy.calc = calc
    calc.atoms = copy.copy()
    return copy


def test_copies_that_were_moved_are_left_out(tmp_path, frames):
    order = np.random.default_rng(0).permutation(9)
    copies = [moved(a, order, 70) for a in frames[:5]]
    path = written(tmp_path, [*frames, *copies])
    found = own_data.read(path)
    assert found.notes == ["5 copies of other structures left out."]
    same(found.frames, frames)
    boxes = datasets.load("water-dft")["pool"][:4]
    order = np.random.default_rng(0).permutation(len(boxes[0]))
    found = own_data.look([*boxes, moved(boxes[2], order, 0)])
    same(found.frames, boxes)


def test_neighbours_in_a_run_are_no_copies():
    """A step of 0.5 fs; an atom of a crystal that moved by 0.01 Å, either one."""
    crystal = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (2, 2, 2)
    some = [crystal.copy() for _ in range(3)]
    for atoms, k in zip(some, (0, 1), strict=False):
        atoms.positions[k, 0] += 0.01
    assert not own_data.intake._copies(some)
    start = datasets.load("ethanol-dft")["pool"][0]
    potential = datasets.checkpoint("molecules-mmff94")
    how = dict(steps=20, every=1, timestep=0.5, temperature=300.0, seed=0)
    assert not own_data.intake._copies(dynamics.simulate(start, potential, **how))


def test_moves_out_of_a_plane_are_no_copies(student):
    """They change distances in second order only: by 3e-5 Å for 0.01 Å."""
    acid = molecule("HCOOH")
    normal = np.linalg.svd(acid.positions - acid.positions.mean(0))[2][2]
    some = [acid.copy() for _ in range(len(acid) + 1)]
    for k, atoms in enumerate(some[1:]):
        atoms.positions[k] += 0.01 * normal
    some = data.label(some, student)
    same(own_data.look(some).frames, some)


def test_two_molecules_are_not_of_two_units(student):
    """A start may be more wrong of one molecule than of another."""
    sets = datasets.load("molecules-dft")
    frames = [*sets["pool"], *sets["test"]]
    some = [a for a in frames if a.info["smiles"] in ("C=O", "CCCC=O")]
    assert own_data.doubt_units(some, student) is None


def test_short_keys_may_mean_something_else(frames):
    for other in dict(q=0.6), dict(Q="0.9 0.1"), dict(uhf=-76.0):
        some = [relabelled(a) for a in frames]
        for atoms in some:
            atoms.info |= other
        assert len(own_data.look(some).frames) == len(frames)


@pytest.mark.parametrize("unit", ["kcal/mol/Å", "eV/Bohr"])
@pytest.mark.parametrize("turn", [2, 5])
def test_frames_in_two_units_are_told(unit, turn, frames, student):
    mixed = in_units(frames, units.LABEL_UNITS[unit][0], 1.0)
    mixed[::turn] = frames[::turn]
    assert "different units" in own_data.doubt_units(mixed, student)


@pytest.mark.parametrize("name", ["ethanol-dft", "molecules-dft", "water-dft"])
def test_frames_in_one_unit_are_not_doubted(name):
    pool = datasets.load(name)["pool"]
    student = own_data.start(pool, seed=0).potential
    for n in (6, 12, 50):
        some = np.random.default_rng(n).permutation(len(pool))[:n]
        assert own_data.doubt_units([pool[i] for i in some], student) is None
