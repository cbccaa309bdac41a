"""The enumerated molecules: complete where small, sorted, stable, reproducible."""

import pytest
from rdkit import Chem

from tpainn_lite import molecules
from tpainn_lite.molecules import enumerate_smiles


@pytest.fixture(scope="module")
def four():
    return enumerate_smiles(4)


@pytest.fixture(scope="module")
def six():
    return enumerate_smiles(6, keep=15, seed=3)


def heavy(smiles):
    return Chem.MolFromSmiles(smiles).GetNumAtoms()


def test_all_of_two_heavy_atoms():
    expected = [
        "C",
        "N",
        "O",
        "CC",
        "C=C",
        "C#C",
        "CN",
        "C=N",
        "C#N",
        "CO",
        "C=O",
        "NN",
        "NO",
    ]
    found = enumerate_smiles(2)
    assert set(found) <= set(expected)
    assert set(found) >= set(expected) - {"NN", "NO"}  # MMFF94 may lack the last two


def test_the_obvious_is_there(four):
    for smiles in ("CCO", "COC", "CC(N)=O", "CC(=O)O", "C1CC1", "CC(C)=O", "C=CC=C"):
        assert Chem.CanonSmiles(smiles) in four, smiles


def test_benzene_is_found():
    # From hexane's ring by raising bonds alone: the aromatic ring has to come out.
    assert "c1ccccc1" in _carbons_only()


def _carbons_only():
    from tpainn_lite.molecules import _bonded

    found, frontier = set(), {"C1CCCCC1"}
    while frontier:
        found |= frontier
        frontier = {new for smiles in frontier for new in _bonded(smiles)} - found
    return found


def test_sorted_by_size_and_canonical(four, six):
    for found in (four, six):
        sizes = [heavy(s) for s in found]
        assert sizes == sorted(sizes)
        assert len(set(found)) == len(found)
        assert all(Chem.CanonSmiles(s) == s for s in found)
    assert max(map(heavy, six)) == 6


def test_nothing_unstable_or_charged(four, six):
    peroxide = Chem.MolFromSmarts("O~O")
    for smiles in four + six:
        mol = Chem.MolFromSmiles(smiles)
        assert not mol.HasSubstructMatch(peroxide)
        assert Chem.GetFormalCharge(mol) == 0
        assert all(a.GetNumRadicalElectrons() == 0 for a in mol.GetAtoms())
        assert {a.GetSymbol() for a in mol.GetAtoms()} <= set("CNO")


def test_every_molecule_has_a_force_field(four):
    for smiles in four:
        molecules.mmff94(smiles)


def test_reproducible(six):
    assert enumerate_smiles(6, keep=15, seed=3) == six
    assert enumerate_smiles(4, keep=5, seed=3) != enumerate_smiles(4, keep=5, seed=4)


def test_keep_caps_each_size(four):
    small = enumerate_smiles(4, keep=10)
    for size in (2, 3, 4):
        assert sum(heavy(s) == size for s in small) <= 10
    assert set(small) <= set(four)
    assert enumerate_smiles(4, keep=10**6) == four


@pytest.mark.parametrize("size", [0, -1, 10])
def test_bad_sizes(size):
    with pytest.raises(ValueError, match="max_heavy"):
        enumerate_smiles(size)


@pytest.mark.parametrize("keep", [0, -3])
def test_bad_keep(keep):
    with pytest.raises(ValueError, match="keep"):
        enumerate_smiles(3, keep=keep)
