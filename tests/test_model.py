"""PaiNN as a potential: exact symmetries, limits, and files that cannot lie."""

import copy
import json
import threading
from dataclasses import asdict, replace

import numpy as np
import pytest
import safetensors.torch
import schnetpack.properties as P
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.fd import calculate_numerical_stress
from ase.optimize import BFGS
from ase.stress import voigt_6_to_full_3x3_stress
from conftest import REFERENCES, SMALL
from schnetpack.atomistic import Forces, PairwiseDistances
from schnetpack.model import NeuralNetworkPotential

from tpainn_lite import datasets, graphs, model
from tpainn_lite.graphs import Graphs, collate, graph, vectors
from tpainn_lite.model import Potential, PotentialConfig

EXACT = {"rtol": 0, "atol": 1e-10}


@pytest.fixture(params=model.RADIAL)
def potential(request):
    """Untrained, in float64, of each kind of radial functions."""
    config = replace(SMALL, radial=request.param)
    return Potential(config, REFERENCES, seed=1).double().eval()


def energy_and_forces(potential, atoms):
    energies, forces = potential.predict([atoms])
    return energies[0], forces[0]


def orthogonal(rng, determinant):
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) * determinant > 0 else -q


@pytest.mark.parametrize("name", ["ethanol", "ice"])
def test_symmetries(potential, rng, request, name):
    atoms = request.getfixturevalue(name)
    energy, forces = energy_and_forces(potential, atoms)
    assert np.abs(forces).max() > 0.01  # or the test would say nothing
    order = rng.permutation(len(atoms))
    moved = atoms.copy()
    moved.positions += [1.7, -2.2, 0.9]
    cases = dict(shift=(moved, forces), permutation=(atoms[order], forces[order]))
    for kind, determinant in (("rotation", 1), ("reflection", -1)):
        Q = orthogonal(rng, determinant)
        turned = atoms.copy()
        turned.positions, turned.cell = atoms.positions @ Q.T, atoms.cell @ Q.T
        cases[kind] = turned, forces @ Q.T
    for kind, (changed, expected) in cases.items():
        found = energy_and_forces(potential, changed)
        np.testing.assert_allclose(found[0], energy, **EXACT, err_msg=kind)
        np.testing.assert_allclose(found[1], expected, **EXACT, err_msg=kind)


@pytest.mark.parametrize("name", ["ethanol", "ice"])
def test_forces_are_the_derivative(potential, numeric_forces, request, name):
    atoms = request.getfixturevalue(name)
    _, forces = energy_and_forces(potential, atoms)
    numeric = numeric_forces(potential.energy_forces, atoms, chosen=[0, 2, 5])
    np.testing.assert_allclose(forces[[0, 2, 5]], numeric, rtol=0, atol=1e-6)
    np.testing.assert_allclose(forces.sum(0), 0, atol=1e-10)


def test_stress_is_the_derivative_by_strain(potential, ice):
    """By ASE's numbers: its order, its sign, and its volume."""
    found = potential.predict([ice], stress=True)[2][0]
    ice.calc = potential.calculator()
    numeric = calculate_numerical_stress(ice, 1e-5, force_consistent=False)
    np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-9)
    assert np.abs(found).min() > 1e-6  # eV/Å³, each of six


def test_stress_of_a_larger_box_and_in_a_batch(potential, ice):
    alone = potential.predict([ice], stress=True)[2][0]
    graphs = [graph(a, 4.0) for a in (ice, molecule("H2O"), ice * (2, 1, 1))]
    *_, stress = potential(collate(graphs, torch.float64), stress=True)
    full = voigt_6_to_full_3x3_stress(alone)
    np.testing.assert_allclose(stress[0], full, rtol=0, atol=1e-12)
    np.testing.assert_allclose(stress[2], full, rtol=0, atol=1e-12)
    assert not stress[1].any()  # nothing holds an open structure


def test_what_has_no_stress_and_what_is_unknown(potential, ethanol, ice):
    potential.train()
    with pytest.raises(ValueError, match="frames: needs boxes.*got Atoms"):
        potential.predict([ice, ethanol], stress=True)
    ice.numbers[0] = 9
    with pytest.raises(ValueError, match=r"\[9\] are unknown"):
        potential.predict([ice], stress=True)
    assert potential.training  # a refused frame changes nothing


def test_periodic_images(potential, ice, rng):
    energy, forces = energy_and_forces(potential, ice)
    images = ice.copy()
    images.positions += rng.integers(-3, 4, (len(ice), 3)) @ ice.cell.array
    energy_images, forces_images = energy_and_forces(potential, images)
    np.testing.assert_allclose(energy_images, energy, **EXACT)
    np.testing.assert_allclose(forces_images, forces, **EXACT)
    double, _ = energy_and_forces(potential, ice * (1, 2, 1))
    np.testing.assert_allclose(double, 2 * energy, rtol=0, atol=1e-8)


def test_batch_is_one_by_one(potential, ethanol, ice):
    frames = [ethanol, ice, molecule("CH4"), Atoms("O"), ice, ethanol]
    energies, forces = potential.predict(frames)
    halves, _ = potential.predict(frames, batch_atoms=24)
    for i, atoms in enumerate(frames):
        energy, force = energy_and_forces(potential, atoms)
        np.testing.assert_allclose([energies[i], halves[i]], energy, **EXACT)
        np.testing.assert_allclose(forces[i], force, **EXACT)


def pair(distance):
    return Atoms("CO", [[0, 0, 0], [0, 0, distance]])


def test_nothing_beyond_the_cutoff_and_smooth_at_it(potential):
    apart = sum(potential.predict([Atoms("C"), Atoms("O")])[0])
    energy, forces = energy_and_forces(potential, pair(4.0 + 1e-9))
    np.testing.assert_allclose(energy, apart, **EXACT)
    np.testing.assert_array_equal(forces, 0)
    gaps = np.array([1e-2, 1e-3, 1e-4])  # Å inside
    energies, forces = potential.predict([pair(4.0 - gap) for gap in gaps])
    slopes = np.array([f[1, 2] for f in forces])
    np.testing.assert_allclose(energies, apart, rtol=0, atol=1e-3)
    # The cosine cutoff ends with a parabola: the force falls with the gap itself, and
    # with its square where the radial functions end there too.
    order = {"gaussian": 1, "bessel": 2}[potential.config.radial]
    np.testing.assert_allclose(slopes[:-1] / slopes[1:], 10**order, rtol=0.05)


def test_a_lone_atom_has_its_reference_energy_and_no_force(potential):
    for z, energy in potential.reference_energies.items():
        alone = [Atoms([z]), Atoms([z], [[7, 8, 9]]), Atoms([z], cell=[9] * 3, pbc=1)]
        energies, forces = potential.predict(alone)
        np.testing.assert_allclose(energies, energy, rtol=0, atol=1e-12)
        assert not np.concatenate(forces).any()


def test_large_references_cost_no_digits(ethanol):
    config = PotentialConfig(features=8, layers=1, cutoff=4.0, n_rbf=6)
    near = Potential(config, dict.fromkeys((1, 6, 8), 0.0), seed=0)
    far = Potential(config, dict.fromkeys((1, 6, 8), -1e5), seed=0)
    a, b = near.predict([ethanol])[0][0], far.predict([ethanol])[0][0]
    assert b + 9e5 == pytest.approx(a, abs=1e-9)


def test_far_from_the_origin(potential, far):
    moved, near = far
    energy, forces = energy_and_forces(potential, near)  # float64, near the origin
    copies = len(moved) // len(near)
    for close, dtype in ((1e-8, torch.float64), (1e-5, torch.float32)):
        found, pushed = energy_and_forces(potential.to(dtype), moved)
        assert found == pytest.approx(copies * energy, abs=close)
        np.testing.assert_allclose(pushed, np.tile(forces, (copies, 1)), atol=close)
    losses = []
    for dtype in (torch.float64, torch.float32):  # and in training
        _, forces = potential.to(dtype).train()(collate([graph(moved, 4.0)], dtype))
        losses.append(forces.square().sum().item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("radial", model.RADIAL)
@pytest.mark.parametrize("layout", ["molecule", "liquid"])  # of both passes
def test_torchs_default_type_changes_nothing(radial, layout, ethanol, request):
    config = replace(SMALL, radial=radial, n_rbf=6 if layout == "molecule" else 2)
    before = Potential(config, REFERENCES, seed=1)
    energy, forces = energy_and_forces(before, ethanol)
    batch = collate([graph(ethanol, 4.0)])
    trained = before.train()(batch)[1].square().sum()
    request.getfixturevalue("double_by_default")
    after = Potential(config, REFERENCES, seed=1)
    assert after.dtype == torch.float32
    for potential in (before.eval(), after):
        found = energy_and_forces(potential, ethanol)
        assert found[0] == energy
        np.testing.assert_array_equal(found[1], forces)
    assert after.train()(batch)[1].square().sum() == trained


def test_the_batch_is_not_changed(potential, ethanol, ice):
    batch = collate([graph(a, 4.0) for a in (ethanol, ice)], torch.float64)
    before = copy.deepcopy(batch)
    for training in (False, True):
        potential.train(training)(batch)
        potential.train(training)(batch, forces=False)
    assert batch.keys() == before.keys()
    for key, value in before.items():
        assert torch.equal(batch[key], value)
        assert not batch[key].requires_grad


def test_predict_takes_frames_whose_graphs_are_built(potential, ethanol, ice, counted):
    frames = [ethanol, ice]
    known = Graphs(frames, 4.0, labelled=False)
    expected, none = potential.predict(frames, forces=False)
    assert none is None
    assert counted == {"graphs": 4, "checks": 4, "derivatives": 0}
    energies, forces = potential.predict(known)
    assert counted == {"graphs": 4, "checks": 4, "derivatives": 1}
    assert energies.tolist() == expected.tolist()
    assert [f.shape for f in forces] == [(9, 3), (6, 3)]
    other = Graphs(frames, 3.0, labelled=False)  # of another potential: built anew
    assert potential.predict(other)[0].tolist() == energies.tolist()


@pytest.mark.parametrize("dense", [0.0, np.inf], ids=["padded", "pairs"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_schnetpack(potential, ethanol, ice, dtype, dense, monkeypatch):
    monkeypatch.setattr(model, "DENSE", dense)  # both ways, whichever is the faster
    potential = potential.to(dtype)
    theirs = NeuralNetworkPotential(
        representation=copy.deepcopy(potential.representation),
        input_modules=[PairwiseDistances()],
        output_modules=[
            copy.deepcopy(potential.readout),
            Forces(energy_key="energy", force_key="forces"),
        ],
    )
    frames = [ethanol, ice, Atoms("H"), Atoms("C"), Atoms("O")]
    graphs = [graph(a, 4.0) for a in frames]
    batch = collate(graphs, dtype)
    names = {"Z": P.Z, "idx_i": P.idx_i, "idx_j": P.idx_j, "idx_m": P.idx_m}
    inputs = {names[key]: batch[key].clone() for key in names}
    open_pairs = torch.zeros_like(vectors(graphs[0]))  # the ethanol's
    inputs[P.offsets] = torch.cat([open_pairs, graphs[1]["offsets"]]).to(dtype)
    inputs[P.R] = torch.cat([g["R"] for g in graphs]).to(dtype)
    out = theirs.eval()(inputs | {P.n_atoms: batch["n_atoms"]})
    raw = out["energy"].detach()
    alone = dict(zip((1, 6, 8), raw[2:], strict=True))  # ours leaves these out
    less = [sum(alone[int(z)] for z in a.numbers) for a in frames]
    expected = raw - torch.stack(less)
    energies, forces = potential(batch)
    tolerance = {"rtol": 0, "atol": 1e-6 if dtype == torch.float64 else 1e-4}
    torch.testing.assert_close(energies, expected, **tolerance)
    torch.testing.assert_close(forces, out["forces"].detach(), **tolerance)
    predicted = potential.predict(frames)[0] - potential.reference_sum(frames)
    np.testing.assert_allclose(predicted, expected.double().numpy(), **tolerance)


def test_both_passes_train_alike(potential, ethanol, ice, monkeypatch):
    batch = collate([graph(a, 4.0) for a in (ethanol, Atoms("O"), ice)], torch.float64)
    potential = potential.double().train()
    gradients = []
    for dense in (0.0, np.inf):
        monkeypatch.setattr(model, "DENSE", dense)
        potential.zero_grad()
        energy, forces = potential(batch)
        (energy.square().sum() + forces.square().sum()).backward()
        gradients.append([p.grad.clone() for p in potential.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_seed_decides_the_weights_and_nothing_else():
    config = PotentialConfig(features=8, layers=1, n_rbf=6)
    before = torch.random.get_rng_state(), torch.get_num_threads()
    a, b, c = (Potential(config, {1: 0.0}, seed=s).state_dict() for s in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)
    default = Potential(PotentialConfig(), {1: 0.0}, seed=0)
    assert sum(p.numel() for p in default.parameters()) == 157_313  # as it says


@pytest.mark.parametrize("radial", model.RADIAL)
def test_weights_are_those_that_torchs_seed_gave(radial):
    config = replace(SMALL, radial=radial)
    found = Potential(config, {1: 0.0}, seed=7).state_dict()
    with torch.random.fork_rng():
        torch.manual_seed(7)
        rbf = model.RADIAL[radial](config.n_rbf, config.cutoff)
        cutoff = model.CosineCutoff(config.cutoff)
        painn = model.PaiNN(config.features, config.layers, rbf, cutoff).state_dict()
        readout = model.Atomwise(n_in=config.features, output_key="energy").state_dict()
    known = {f"representation.{key}": value for key, value in painn.items()}
    known |= {f"readout.{key}": value for key, value in readout.items()}
    assert found.keys() == known.keys()
    assert all(torch.equal(found[key], known[key]) for key in found)


def test_other_threads_draw_meanwhile():
    expected = Potential(SMALL, {1: 0.0}, seed=0).state_dict()
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            torch.rand(3)

    other = threading.Thread(target=draw)
    other.start()
    try:
        for _ in range(100):
            found = Potential(SMALL, {1: 0.0}, seed=0).state_dict()
            assert all(torch.equal(found[key], expected[key]) for key in found)
    finally:
        stop.set()
        other.join()


@pytest.mark.parametrize(
    "bad",
    [{"features": 0}, {"layers": -1}, {"cutoff": np.nan}, {"cutoff": np.inf}]
    + [{"n_rbf": 0}, {"radial": "linear"}, {"n_rbf": 1, "radial": "gaussian"}],
    ids=str,
)
def test_impossible_sizes(bad):
    with pytest.raises(ValueError, match=f"{[*bad][0]}: needs"):
        PotentialConfig(**bad)


def test_sizes_as_numpy_has_them(tmp_path):
    sizes = {"features": 8, "layers": 2, "cutoff": 4, "n_rbf": 6}
    config = PotentialConfig(**{name: np.int64(n) for name, n in sizes.items()})
    assert json.dumps(asdict(config)) == json.dumps(asdict(replace(SMALL, cutoff=4.0)))
    made = Potential(config, {np.int64(1): np.float32(2)}, seed=np.int32(3))
    assert Potential.load(made.save(tmp_path / "p")).reference_energies == {1: 2.0}


NO_STRUCTURES = {
    "NaN": (([1], [[np.nan, 0, 0]]), FloatingPointError, "positions: .* NaN"),
    "cell": (([1], [[0, 0, 0]], np.full((3, 3), np.inf)), FloatingPointError, "cell: "),
    "shape": (([1, 1], [[0, 0, 0]]), ValueError, r"positions: .*\(2, 3\)"),
    "numbers": (([1.5], [[0, 0, 0]]), ValueError, "numbers: needs atomic numbers"),
    "none": ((None, None), ValueError, "numbers: needs"),
    "overlap": (([1, 1], [[0, 0, 0]] * 2), FloatingPointError, "gives NaN or inf"),
}


@pytest.mark.parametrize("kind", ["potential", "frozen"])
@pytest.mark.parametrize(("given", "error", "words"), NO_STRUCTURES.values(), ids=str)
def test_what_is_no_structure(potential, kind, given, error, words):
    call = potential.energy_forces if kind == "potential" else potential.frozen()
    numbers, *rest = given
    call([1, 1], np.array([[0.0, 0, 0], [0, 0, 2]]), np.eye(3) * 9)
    rest = [np.array(value, float) if value is not None else value for value in rest]
    with pytest.raises(error, match=words):
        call(numbers, *rest)


def test_calculator(potential, ethanol):
    energy, forces = energy_and_forces(potential, ethanol)
    ethanol.calc = potential.calculator()
    assert ethanol.get_potential_energy() == energy
    np.testing.assert_array_equal(ethanol.get_forces(), forces)
    BFGS(ethanol, logfile=None).run(steps=3)
    assert ethanol.get_potential_energy() < energy


@pytest.fixture
def saved(potential, tmp_path):
    potential.float().save(tmp_path / "deep" / "small", card={"made_by": "a test"})
    return tmp_path / "deep" / "small"


def test_save_and_load(saved, potential, ethanol):
    expected = potential.predict([ethanol])
    for suffix in ("", ".pt", ".safetensors"):
        loaded = Potential.load(f"{saved}{suffix}")
        assert not loaded.training
        assert loaded.config == potential.config
        assert loaded.reference_energies == potential.reference_energies
        found = loaded.predict([ethanol])
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1][0], expected[1][0])
        (file,) = saved.parent.iterdir()  # one file, no ".part" is left
        assert file == potential.save(f"{saved}{suffix}")
        assert file.name == "small.safetensors"


def test_the_same_potential_makes_the_same_file(saved, potential):
    content = saved.with_suffix(".safetensors").read_bytes()
    card = {"made_by": "a test"}
    assert potential.save(saved, card).read_bytes() == content
    with_numpy = potential.save(saved, {"n": np.int64(2), 10: [np.float32(0.5)], 9: 1})
    card = model._read(with_numpy)[1]["card"]
    assert card == {"n": 2, "10": [0.5], "9": 1}


def altered(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def edited(before, after):  # of the same length, so that the file stays readable
    return lambda content: content.replace(before, after, 1)


def redone(**changes):
    """A whole file, digest and all, whose description says something else."""

    def redo(content):
        state = safetensors.torch.load(content)
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])["__metadata__"]
        about = json.loads(header[model.KEY]) | changes
        del about["sha256"]
        about["sha256"] = graphs.digest(state, model._told(about))
        return safetensors.torch.save(state, {model.KEY: json.dumps(about)})

    return redo


NAN = edited(b'\\"1\\":-13.6', b'\\"1\\":  NaN')
DAMAGES = {
    "cut": (lambda content: content[:-100], "incomplete metadata"),
    "altered": (altered, "its SHA-256"),
    "missing": (None, "no such file"),
    "empty": (lambda content: b"", "header too small"),
    "pickle": (lambda content: b"\x80\x02}q\x00." * 9, "header"),
    "cutoff": (edited(b'cutoff\\":4.0', b'cutoff\\":5.0'), "its SHA-256"),
    "NaN": (NAN, "JSON"),
    "no description": (edited(b"tpainn_lite", b"tpainn_life"), "tpainn_lite"),
    "format": (redone(format=99), "format 99, not 2"),
    "no config": (redone(config=None), "mapping"),
    "size": (redone(config={"features": 16}), "Missing key"),
    "unknown": (redone(config={"size": 16}), "unexpected keyword"),
    "element": (redone(reference_energies_eV={"H": 1.0}), "key: needs a whole"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_checkpoints(saved, damage, words):
    file = saved.with_suffix(".safetensors")
    before = file.read_bytes()
    file.unlink()
    if damage is not None:
        assert damage(before) != before
        file.write_bytes(damage(before))
    with pytest.raises(ValueError, match=f"^path: .* is no whole checkpoint .*{words}"):
        Potential.load(saved)


def test_files_of_another_kind(tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(ValueError, match="folder.safetensors is .*no such file"):
        Potential.load(tmp_path / "folder")
    torch.save({"weights": torch.ones(1)}, tmp_path / "old.pt")
    for path in ("old", "old.pt"):
        with pytest.raises(ValueError, match="old.pt is of an older version"):
            Potential.load(tmp_path / path)
    assert not [*datasets.SHIPPED.glob("*.pt")]


@pytest.mark.parametrize(
    "card", [["a", "list"], {"not": {"json"}}, {"a": np.nan}, {(1, 2): 1}], ids=str
)
def test_a_failed_save_leaves_the_old_file(saved, potential, card):
    old = {p.name: p.read_bytes() for p in saved.parent.iterdir()}
    with pytest.raises(ValueError, match="^card: needs"):
        potential.save(saved, card)
    assert {p.name: p.read_bytes() for p in saved.parent.iterdir()} == old
