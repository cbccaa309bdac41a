"""MMFF94 against RDKit's own numbers, and SMILES that are no good."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds, rdForceFieldHelpers

from tpainn_lite import data, datasets, dynamics, molecules, units
from tpainn_lite.reproduce import ladder


def mmff94_of(mol):
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    return rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)


UFF = ladder.uff, rdForceFieldHelpers.UFFGetMoleculeForceField
FIELDS = [(molecules.mmff94, mmff94_of), UFF]


@pytest.mark.parametrize(("field", "theirs"), FIELDS)
@pytest.mark.parametrize("smiles", ["CCO", "NCC(=O)O", "C1CC1C=O"])
def test_energy_is_rdkits(smiles, field, theirs):
    (atoms,) = molecules.conformers(smiles, seed=0)
    atoms.rattle(0.05, seed=0)
    mol = molecules.parse(smiles)
    mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    mol.GetConformer().SetPositions(atoms.positions)
    known = theirs(mol)
    energy, forces = field(smiles)(atoms.numbers, atoms.positions, None)
    assert energy == pytest.approx(known.CalcEnergy() / 23.060548, rel=1e-6)  # kcal/mol
    gradient = np.reshape(known.CalcGrad(), (-1, 3)) / 23.060548
    np.testing.assert_allclose(forces, -gradient, rtol=1e-6, atol=1e-9)


def by_seed(smiles, seed=0):
    return molecules.conformers(smiles, seed=seed)[0]


@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("", "a text that is not empty"),
        ("C(C)(C)(C)(C)C", "RDKit cannot read"),
        ("[Na+].[Cl-]", "one molecule.*2 that share no bond"),
        ("[CH3]", "radical.*1 unpaired electron"),
        ("[OH3+]", r"ion.*charge \+1"),
    ],
)
def test_no_nonsense_no_second_molecule_no_radical_no_ion(smiles, words):
    uses = molecules.parse, molecules.skeleton, molecules.mmff94, ladder.uff
    for use in (*uses, by_seed, lambda s: molecules.reorder(molecule("H2O"), s)):
        with pytest.raises(ValueError, match=f"smiles: .*{words}"):
            use(smiles)


def test_formal_charges_of_a_neutral_molecule_pass():
    for smiles in ("C1.C1", "C[N+](=O)[O-]", "[NH3+]CC(=O)[O-]", "[C-]#[O+]"):
        assert molecules.parse(smiles).GetNumAtoms() > 1


ETHANOL, WATER = molecules.mmff94("CCO"), molecule("H2O")
PAIR = WATER + WATER
PAIR.positions[3:, 1] += 5.0


def sample(**options):
    how = {"n": 1, "temperature": 300.0, "spacing": 10.0} | options
    return molecules.sample("CCO", seed=0, **how)


def ethanol(shift=0.0, cell=None):
    atoms = by_seed("CCO")
    atoms.positions[0, 0] += shift  # as a face of a box leaves it
    return ETHANOL(atoms.numbers, atoms.positions, cell)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: molecules.mmff94("B(O)O"), "MMFF94 has no parameters"),
        (lambda: by_seed("B(O)O"), "MMFF94 has no parameters"),
        (lambda: molecules.perceive(molecule("BF3")), "MMFF94 has no parameters"),
        (lambda: molecules.perceive(PAIR), "atoms: needs one molecule, got O.O"),
        (lambda: molecules.perceive(molecule("CH3")), "neutral, closed-shell molecule"),
        (lambda: molecules.reorder(molecule("CH3OH"), "CCO"), "is not the molecule of"),
        (lambda: molecules.reorder(by_seed("CCO"), "COC"), "is not the molecule of"),
        (lambda: molecules.enumerate_smiles(0), "max_heavy"),
        (lambda: molecules.enumerate_smiles(10), "max_heavy"),
        (lambda: molecules.enumerate_smiles(3, keep=0), "keep"),
        (lambda: sample(n=0), "n: needs"),
        (lambda: sample(temperature=-5), "temperature"),
        (lambda: sample(spacing=0), "spacing"),
        (lambda: by_seed("C" * 100), "smiles: .*up to 200 atoms"),  # hours
        (lambda: molecules.mmff94("C" * 400), "smiles: .*more than 600 atoms"),
        (lambda: by_seed("C", -1), "seed"),
        (lambda: molecules.parse(3), "smiles: needs a text"),
        (lambda: molecules.perceive(WATER[[0, 0, 0]]), "0.00 Å apart"),
        (lambda: molecules.perceive(Atoms("X")), "of no element"),
        (lambda: ETHANOL(by_seed("CCO").numbers, np.zeros((1, 3))), "numbers: MMFF94"),
        (lambda: ETHANOL(WATER.numbers, WATER.positions), "structure with atomic numb"),
        (lambda: ethanol(cell=9 * np.eye(3)), "open structure"),
        (lambda: ethanol(shift=8.0), "or torn"),
    ],
)
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def rdkits_own(atoms, theirs):
    """Energy (eV) with bonds that RDKit reads from `atoms`, in their own order."""
    lines = [f"{a.symbol} {a.x} {a.y} {a.z}" for a in atoms]
    mol = Chem.MolFromXYZBlock("\n".join([str(len(atoms)), "", *lines]) + "\n")
    rdDetermineBonds.DetermineBonds(mol)
    return theirs(mol).CalcEnergy() * units.KCAL_MOL


@pytest.mark.parametrize(("field", "theirs"), FIELDS)
def test_another_order_of_the_same_molecule(field, theirs):
    atoms = molecule("CH3CH2OH")  # ASE's: the hydroxyl's hydrogen comes first
    with pytest.raises(ValueError, match=r"bonded in 'CCO'.*reorder\(atoms, 'CCO'\)"):
        field("CCO")(atoms.numbers, atoms.positions, None)
    ordered = molecules.reorder(atoms, "CCO")
    energy, _ = field("CCO")(ordered.numbers, ordered.positions, None)
    assert energy == pytest.approx(rdkits_own(atoms, theirs), abs=1e-9)


def test_every_swap_of_two_atoms(ethanols):
    potential, atoms = molecules.mmff94("CCO"), ethanols[0]
    alike = {0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 3, 6: 6, 7: 6, 8: 8}  # by their bonds
    for i, j in combinations(range(9), 2):
        if atoms.numbers[i] != atoms.numbers[j]:
            continue
        swapped = atoms.positions.copy()
        swapped[[i, j]] = swapped[[j, i]]
        if alike[i] == alike[j]:
            potential(atoms.numbers, swapped, None)
        else:
            with pytest.raises(ValueError, match="another order"):
                potential(atoms.numbers, swapped, None)


def test_stretched_bonds_and_hot_molecules_are_no_other_order():
    field = molecules.mmff94("CO")
    atoms = data.label(datasets.load("methanol-scan")["scan"], field)[0].copy()
    for r in np.arange(0.8, 3.01, 0.1):  # as lesson 01 pulls it
        atoms.set_distance(1, 5, r, fix=0)
        field(atoms.numbers, atoms.positions, None)
    for frame in datasets.load("molecules-dft")["pool"]:  # up to 1000 K
        data.label([frame], molecules.mmff94(frame.info["smiles"]))


def test_reorder_moves_the_labels(ethanols, rng):
    frame, order = ethanols[0], rng.permutation(9)
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    shuffled = data.with_labels(frame[order], energy, forces[order])
    shuffled.new_array("old", order)
    back = molecules.reorder(shuffled, "CCO")
    assert back.info["smiles"] == "CCO"
    old = back.arrays["old"]  # equivalent hydrogens may change places
    np.testing.assert_array_equal(back.positions, frame.positions[old])
    np.testing.assert_array_equal(back.get_forces(), forces[old])
    assert back.get_potential_energy() == energy
    (again,) = data.label([back], molecules.mmff94("CCO"))
    assert again.get_potential_energy() == pytest.approx(energy, abs=1e-6)
    bare = data.with_labels(frame[order], -1.0)
    assert molecules.reorder(bare, "CCO").get_potential_energy() == -1.0
    assert molecules.reorder(frame[order], "CCO").calc is None


def test_another_order_is_no_blow_up_and_a_blow_up_keeps_its_frames():
    start, calls = molecule("CH3CH2OH"), iter(range(100))
    with pytest.raises(ValueError, match="another order"):
        dynamics.simulate(start, molecules.mmff94("CCO"), steps=20, seed=0)

    def falls_apart(numbers, positions, cell=None):
        if next(calls) == 15:
            raise ValueError("positions: atoms 0 and 1 are torn")
        return 0.0, np.zeros_like(positions)

    with pytest.raises(dynamics.BlowUp, match="torn") as caught:
        dynamics.simulate(start, falls_apart, steps=40, every=5, seed=0)
    assert len(caught.value.frames) > 0


def gap(a, b):
    return np.abs(a.positions - b.positions).max()


def test_conformers():
    a, b, c = (molecules.conformers("CCCCO", 5, seed=s) for s in (0, 0, 1))
    assert len(a) == 5
    assert max(map(gap, a, b)) == 0
    assert gap(a[0], c[0]) > 0.01
    # RDKit's own seed 0 would give five times the same
    assert min(gap(x, a[0]) for x in a[1:]) > 0.1
    for atoms in data.label(a, molecules.mmff94("CCCCO")):  # minima
        assert np.abs(atoms.get_forces()).max() < 0.01
        assert atoms.info["smiles"] == "CCCCO"
    data.check(a, labelled=False)


def test_skeletons_join_relatives_and_tell_others_apart():
    for family in (
        ("CC=O", "C=CO", "CCO"),  # keto, enol, alcohol
        ("c1ccccc1", "C1CCCCC1", "C1=CCC=CC1"),
        ("C[C@H](N)O", "C[C@@H](N)O", "CC(N)O", "CC(N)=O"),
        ("NCC(=O)O", "[NH3+]CC(=O)[O-]"),
    ):
        assert len({molecules.skeleton(s) for s in family}) == 1
    others = ["CCO", "COC", "CCN", "CCCO", "CC(C)O", "C1CC1", "CCC"]
    assert len({molecules.skeleton(s) for s in others}) == len(others)


def test_sample():
    options = {"temperature": 600, "spacing": 20, "equilibration": 100}
    a, b, c = (molecules.sample("CO", 4, seed=s, **options) for s in (0, 0, 1))
    data.check(a)
    assert len(a) == 4
    assert max(map(gap, a, b)) == 0
    for x, y in zip(a, data.label(a, molecules.mmff94("CO")), strict=True):
        energy = y.get_potential_energy()
        assert x.get_potential_energy() == pytest.approx(energy, abs=1e-6)
        np.testing.assert_allclose(x.get_forces(), y.get_forces(), atol=1e-6)
        assert x.info == {**x.info, "smiles": "CO", "temperature": 600}
    assert min(gap(a[0], c[0]), gap(a[0], a[1])) > 0.01


def test_sample_is_at_its_temperature():
    # 400 frames 25 fs apart; friction forgets in 20 fs. One frame's kinetic temperature
    # spreads by T sqrt(2 / 3N) = 0.33 T for 6 atoms; the mean of 400 by 0.017 T or so.
    frames = molecules.sample("CO", 400, temperature=500, seed=0, spacing=25.0)
    assert dynamics.temperatures(frames).mean() == pytest.approx(500, rel=0.08)


def test_double_bonds_go_to_the_short_ones():
    """Cyclooctatetraene looks the same without its bond orders."""
    smiles = "C1=CC=CC=CC=C1"
    (atoms,) = molecules.conformers(smiles, 1, seed=1)
    rng = np.random.default_rng(0)
    mixed = [atoms[rng.permutation(len(atoms))] for _ in range(5)]
    back = [molecules.reorder(a, smiles) for a in mixed]
    frames = data.label([atoms, *back], molecules.mmff94(smiles))
    energies = [a.get_potential_energy() for a in frames]
    np.testing.assert_allclose(energies, energies[0], atol=1e-9)


@pytest.fixture(scope="module")
def enumerated():
    small = molecules.enumerate_smiles(4)
    return small, molecules.enumerate_smiles(6, keep=15, seed=3)


def heavy(smiles):
    return Chem.MolFromSmiles(smiles).GetNumAtoms()


def test_enumeration_is_complete_where_small(enumerated):
    expected = {"C", "N", "O", "CC", "C=C", "C#C", "CN", "C=N", "C#N", "CO", "C=O"}
    found = {smiles for smiles in enumerated[0] if heavy(smiles) <= 2}
    assert expected <= found <= expected | {"NN", "NO"}  # MMFF94 may lack these two
    assert molecules.enumerate_smiles(2) == [s for s in enumerated[0] if heavy(s) <= 2]
    for smiles in ("CCO", "COC", "CC(N)=O", "CC(=O)O", "C1CC1", "CC(C)=O", "C=CC=C"):
        assert Chem.CanonSmiles(smiles) in enumerated[0], smiles
    # from hexane's ring by raising bonds alone the aromatic ring has to come out
    found, new = set(), {"C1CCCCC1"}
    while new:
        found |= new
        new = {child for smiles in new for child in molecules._bonded(smiles)} - found
    assert "c1ccccc1" in found


def test_enumerated_molecules_are_sorted_stable_and_reproducible(enumerated):
    for found in enumerated:
        sizes = [heavy(s) for s in found]
        assert sizes == sorted(sizes)
        assert len(set(found)) == len(found)
        assert all(Chem.CanonSmiles(s) == s for s in found)
        for smiles in found:
            mol = molecules.parse(smiles)  # neutral, closed-shell
            assert not mol.HasSubstructMatch(Chem.MolFromSmarts("O~O"))
            assert {a.GetSymbol() for a in mol.GetAtoms()} <= set("CNOH")
            molecules.mmff94(smiles)
    four, six = enumerated
    assert max(map(heavy, six)) == 6
    assert max(Counter(map(heavy, six)).values()) <= 15
    assert molecules.enumerate_smiles(6, keep=15, seed=3) == six
    assert molecules.enumerate_smiles(6, keep=15, seed=4) != six
    assert molecules.enumerate_smiles(4, keep=10**6) == four


@pytest.mark.parametrize(
    "smiles", ["CF", "CS", "FCCF", "CC(=O)Cl", "c1ccsc1", "BrC#C", "CCO"]
)
def test_bonds_are_read_from_positions(smiles):
    (atoms,) = molecules.conformers(smiles, seed=0)
    shuffled = atoms[np.random.default_rng(0).permutation(len(atoms))]
    shuffled.rattle(0.03, seed=0)
    found = molecules.perceive(shuffled)
    assert molecules.skeleton(found) == molecules.skeleton(smiles)
    numbers = molecules.conformers(found, seed=0)[0].numbers
    assert sorted(numbers) == sorted(atoms.numbers)


@pytest.mark.parametrize("smiles", ["C1C2CC1C2", "C1C2CC1N2", "COCC1C2CC1C2O"])
def test_cages_whose_atoms_are_near_without_a_bond(smiles, rng):
    (atoms,) = molecules.conformers(smiles, seed=0)
    mixed = atoms[rng.permutation(len(atoms))]
    ordered = molecules.reorder(mixed, smiles)
    known, field = (atoms, ordered), molecules.mmff94(smiles)
    energies = [field(a.numbers, a.positions)[0] for a in known]
    assert energies[1] == pytest.approx(energies[0], abs=1e-9)
    found = Chem.CanonSmiles(molecules.perceive(mixed), useChiral=False)
    assert found == Chem.CanonSmiles(smiles)


def test_a_ring_is_not_its_open_isomer():
    (ring,) = molecules.conformers("C1=CCC1", seed=0)  # butadiene, and one more bond
    with pytest.raises(ValueError, match="is not the molecule of 'C=CC=C'"):
        molecules.reorder(ring, "C=CC=C")
