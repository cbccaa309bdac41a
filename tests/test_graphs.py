"""Neighbour lists against brute force, and batches of mixed structures."""

import numpy as np
import pytest
import torch
from ase import Atoms

from tpainn_lite import data
from tpainn_lite.graphs import Samples, batches, collate, graph, vectors


def brute_force(atoms, cutoff):
    """All (i, j, r_ij rounded) with 0 < |r_ij| < cutoff, by trying many images."""
    reach = range(-4, 5) if atoms.pbc.any() else [0]
    shifts = [(a, b, c) for a in reach for b in reach for c in reach]
    wrapped = atoms.get_positions(wrap=bool(atoms.pbc.any()))
    found = []
    for shift in shifts:
        r = wrapped[None] - wrapped[:, None] + shift @ np.asarray(atoms.cell)
        d = np.linalg.norm(r, axis=-1)
        for i, j in np.argwhere((d < cutoff) & (d > 1e-9)):
            found.append((int(i), int(j), *np.round(r[i, j], 6) + 0.0))
    return sorted(found)


def listed(atoms, cutoff):
    g = graph(atoms, cutoff)
    pairs = g["idx_i"].tolist(), g["idx_j"].tolist()
    rows = zip(*pairs, vectors(g).numpy(), strict=True)
    return sorted((i, j, *np.round(v, 6) + 0.0) for i, j, v in rows)


CELLS = {
    "open": None,
    "cubic": np.diag([9.0, 9.0, 9.0]),
    "smaller than the cutoff": np.diag([3.1, 2.9, 3.3]),
    "triclinic": [[6, 0, 0], [2.5, 5.5, 0], [-1.5, 2, 5]],
    "small and triclinic": [[3.2, 0, 0], [1.1, 3, 0], [-0.9, 0.7, 3.4]],
}


@pytest.mark.parametrize("name", CELLS)
def test_brute_force(rng, name):
    box = CELLS[name]
    size = 12 if box is not None else 3
    atoms = Atoms("CHONCH", rng.uniform(-size, size, (6, 3)))
    if box is not None:
        atoms.set_cell(box)
        atoms.pbc = True
    pairs = listed(atoms, 4.0)
    assert pairs == brute_force(atoms, 4.0)
    assert len(pairs) > 5
    assert {(i, j) for i, j, *_ in pairs} == {(j, i) for i, j, *_ in pairs}


def test_open_structures_ignore_their_cell(ethanol):
    boxed = ethanol.copy()
    boxed.cell = [2, 2, 2]
    assert listed(boxed, 4.0) == listed(ethanol, 4.0)
    assert "offsets" not in graph(boxed, 4.0)


def test_collate_mixes_open_and_periodic(ethanol, ice):
    frames = [ethanol, ice, Atoms("O"), ethanol]
    graphs = [graph(a, 4.0) for a in frames]
    batch = collate(graphs, torch.float64)
    assert batch["n_atoms"].tolist() == [9, 6, 1, 9]
    assert batch["Z"].tolist() == [z for a in frames for z in a.numbers]
    assert batch["idx_m"].tolist() == [0] * 9 + [1] * 6 + [2] + [3] * 9
    r = torch.cat([vectors(g) for g in graphs])
    torch.testing.assert_close(batch["r_ij"], r, rtol=0, atol=0)
    assert r.norm(dim=1).max() < 4.0
    of_pairs = batch["idx_m"][batch["idx_i"]]
    assert torch.equal(of_pairs, batch["idx_m"][batch["idx_j"]])
    counts = torch.bincount(of_pairs, minlength=4)
    assert counts.tolist() == [len(g["idx_i"]) for g in graphs]
    assert collate(graphs)["r_ij"].dtype == torch.float32


def test_batches_hold_every_frame_once_in_order():
    graphs = [{"Z": torch.ones(n)} for n in (3, 5, 2, 30, 4, 4)]
    found = list(batches(iter(graphs), 10))
    assert [id(g) for batch in found for g in batch] == [id(g) for g in graphs]
    sizes = [[len(g["Z"]) for g in batch] for batch in found]
    assert sizes == [[3, 5, 2], [30], [4, 4]]
    assert list(batches([], 10)) == []


@pytest.mark.parametrize("cutoff", [0, float("nan")])
def test_bad_cutoff(ethanol, cutoff):
    with pytest.raises(ValueError, match="cutoff"):
        graph(ethanol, cutoff)


def test_samples_subtract_references_in_float64(ethanol):
    pulls = np.ones((9, 3))
    frames = [data.with_labels(ethanol, -1e6 + 1e-4 * k, pulls) for k in (1, 2)]
    samples = Samples(frames, 4.0, np.array([-1e6, -1e6]))
    batch, energies, forces = samples.batch([1, 0])
    np.testing.assert_allclose(energies, [2e-4, 1e-4], rtol=1e-4)
    assert energies.dtype == forces.dtype == torch.float32
    assert forces.shape == (18, 3)
    assert batch["n_atoms"].tolist() == [9, 9]
