"""Motion against closed forms: random walks of known D, a spring of known frequency."""

import numpy as np
import pytest
from ase import Atoms

from tpainn_lite import analysis, dynamics, units


def walk(D, n, steps, interval, seed, length=10.0, drift=0.0):
    """Wrapped frames of `n` oxygens that diffuse with D (1e-9 m²/s)."""
    rng = np.random.default_rng(seed)
    sigma = np.sqrt(2 * D / analysis.A2_PER_PS * interval / units.PS)  # Å a step
    R = rng.uniform(0, length, (n, 3)) + np.cumsum(
        rng.normal(0, sigma, (steps, n, 3)) + drift, axis=0
    )
    frames = [Atoms(f"O{n}", r, cell=[length] * 3, pbc=True) for r in R]
    for atoms in frames:
        atoms.wrap()
    return frames


def test_diffusion_of_random_walks():
    found, errors = [], []
    for seed in range(12):
        frames = walk(2.3, 60, 400, 50.0, seed, drift=0.02)
        result = analysis.self_diffusion(frames, 50.0, (0.5, 4.0))
        found.append(result.value)
        errors.append(result.error)
    exact = 2.3 * (1 - 1 / 60)  # the common drift that is taken out is a 60th of it
    assert np.mean(found) == pytest.approx(exact, rel=0.03)
    assert np.mean(errors) == pytest.approx(np.std(found, ddof=1), rel=0.6)


def test_msd_by_fourier_transform_is_the_sum(rng):
    R = rng.normal(size=(17, 3, 3)).cumsum(axis=0)
    expected = [
        ((R[lag:] - R[: len(R) - lag]) ** 2).sum(axis=2).mean(axis=0)
        for lag in range(len(R))
    ]
    found = analysis.mean_square_displacements(R)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_free_flight_is_quadratic():
    R = np.arange(10.0)[:, None, None] * np.array([[[0.1, 0, 0]]])
    msd = analysis.mean_square_displacements(R)[:, 0]
    np.testing.assert_allclose(msd, (0.1 * np.arange(10)) ** 2, atol=1e-12)


def test_unwrapping_in_a_skewed_cell(rng):
    cell = np.array([[8.0, 0, 0], [2.5, 7.0, 0], [-2.0, 1.5, 9.0]])
    R = rng.uniform(size=(4, 3)) @ cell + rng.normal(0, 0.4, (50, 4, 3)).cumsum(axis=0)
    frames = [Atoms("O4", r, cell=cell, pbc=True) for r in R]
    for atoms in frames:
        atoms.wrap()
    found = analysis.unwrap(frames)
    np.testing.assert_allclose(found - found[0], R - R[0], atol=1e-9)


def test_open_structures_need_no_unwrapping():
    """An unwrapped trajectory without its box diffuses as it did in the box."""
    boxed = walk(2.3, 20, 100, 50.0, 0)
    R = analysis.unwrap(boxed)
    frames = [Atoms("O20", r) for r in R]
    np.testing.assert_array_equal(analysis.unwrap(frames), R)
    frames[3].cell = [10] * 3  # a cell alone makes no images
    np.testing.assert_array_equal(analysis.unwrap(frames), R)
    found = [analysis.self_diffusion(f, 50.0, (0.5, 2.0)) for f in (boxed, frames)]
    assert found[0].value == pytest.approx(found[1].value, rel=1e-12)
    exact = 2.3 * (1 - 1 / 20)
    assert found[1].value == pytest.approx(exact, abs=4 * found[1].error)


def _changed(frames, **changes):
    for name, value in changes.items():
        setattr(frames[2], name, value)
    return frames


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(pbc=False), "all periodic or all open"),
        (dict(pbc=[True, True, False]), "all three directions or in none"),
        (dict(numbers=[8, 8, 8, 8, 1]), "frame 2 is O4H and frame 0 O5|same atoms"),
        (dict(positions=np.full((5, 3), np.nan)), "frame 2 is NaN"),
        (dict(cell=np.zeros((3, 3))), "cell: needs three vectors that span"),
    ],
)
def test_frames_that_do_not_belong_together_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        analysis.unwrap(_changed(walk(1.0, 5, 20, 50.0, 0), **change))


def test_frequency_of_a_spring():
    def spring(numbers, positions, cell):
        apart = positions[1] - positions[0]
        r = np.linalg.norm(apart)
        pull = 30.0 * (r - 0.74) * apart / r
        return 15.0 * (r - 0.74) ** 2, np.array([pull, -pull])

    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.78]])
    frames = dynamics.simulate(
        spring, atoms, steps=8000, timestep=0.1, every=10, temperature=None
    )
    wavenumber, weight = analysis.spectrum(frames, 1.0)
    omega = np.sqrt(30.0 / (atoms.get_masses()[0] / 2)) * units.ASE_FS  # rad/fs
    expected = omega * 1e15 / (2 * np.pi * 2.99792458e10)  # 1/cm: 4030
    peak = (wavenumber * weight).sum() / weight.sum()
    assert peak == pytest.approx(expected, rel=5e-3)
    assert weight.sum() == pytest.approx(1)
    assert weight[np.abs(wavenumber - expected) < 100].sum() > 0.99


def test_size_correction_of_64_waters():
    # 12.43 Å, 298.15 K, 0.890 mPa s: 0.560e-9 m²/s
    assert analysis.yeh_hummer(12.43, 298.15, 0.890) == pytest.approx(0.560, abs=2e-3)


def timed(frames, times):
    for atoms, t in zip(frames, times, strict=True):
        atoms.info["time_fs"] = t
    return frames


def test_the_interval_is_what_the_frames_say():
    frames = walk(2.3, 20, 100, 50.0, 0)
    plain = analysis.self_diffusion(frames, 50.0, (0.5, 2.0))
    timed(frames, 1000 + 50.0 * np.arange(100))
    for interval in (50.0, None):
        found = analysis.self_diffusion(frames, interval, (0.5, 2.0))
        assert (found.value, found.error) == (plain.value, plain.error)
    with pytest.raises(ValueError, match=r"interval: got 0.5 fs, .* 50 fs apart"):
        analysis.self_diffusion(frames, 0.5, (0.005, 0.02))  # the time step
    every_second = analysis.self_diffusion(frames[::2], None, (0.5, 2.0))
    assert every_second.times[1] == 0.1
    with pytest.raises(ValueError, match="got 50 fs, .* 100 fs apart"):
        analysis.self_diffusion(frames[::2], 50.0, (0.5, 2.0))


@pytest.mark.parametrize("call", [analysis.self_diffusion, analysis.spectrum])
@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([*range(10), *range(11, 21)], "evenly spaced .* 1 to 2 fs apart"),  # one gone
        ([*range(10), *range(10)], "evenly spaced .* -9 to 1 fs apart"),  # two runs
        ([5.0] * 20, "evenly spaced .* 0 to 0 fs apart"),
        ([*range(19), np.nan], "evenly spaced"),
    ],
)
def test_frames_that_are_not_evenly_spaced_in_time_are_refused(call, times, words):
    frames = timed(walk(1.0, 5, 20, 1.0, 0), times)
    for atoms in frames:
        atoms.set_momenta(np.ones((5, 3)))
    how = {"fit": (0.0, 0.004)} if call is analysis.self_diffusion else {}
    for interval in (1.0, None):
        with pytest.raises(ValueError, match=words):
            call(frames, interval, **how)


def test_one_atom_has_no_error_over_atoms():
    frames = walk(1.0, 5, 20, 50.0, 0)
    for atoms in frames:
        atoms.numbers[0] = 3
    found = analysis.self_diffusion(frames, 50.0, (0.0, 0.4), element=3)
    assert np.isfinite(found.value)
    assert found.error == np.inf


def breathing(frames):
    for k, atoms in enumerate(frames):
        atoms.set_cell(atoms.cell * (1 + 0.001 * k), scale_atoms=True)
    return frames


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda f: analysis.self_diffusion(f, None, (0.0, 0.4)),
            "interval: needs .* None",
        ),
        (
            lambda f: analysis.self_diffusion(f, -1.0, (0.0, 0.4)),
            "interval: .* positive",
        ),
        (
            lambda f: analysis.self_diffusion(f, np.nan, (0.0, 0.4)),
            "interval: .* positive",
        ),
        (
            lambda f: analysis.self_diffusion(f, 50.0, (0.0, 0.4), element=1),
            "element: atomic number 1 is not in O5",
        ),
        (
            lambda f: analysis.self_diffusion(breathing(f), 50.0, (0.0, 0.4)),
            "constant volume, .* 1.9 % of an edge",
        ),
        (lambda f: analysis.spectrum(f, 1.0), "frames: need velocities"),
        (
            lambda f: analysis.self_diffusion(f, 50.0, (0.0, 9.0)),
            "fit: .* within 0 and 0.475",
        ),
        (lambda f: analysis.self_diffusion(f, 50.0, (0.4, 0.2)), "fit"),
        (lambda f: analysis.spectrum(f[:1], 1.0), "two frames"),
        (lambda f: analysis.spectrum(f, 0.0), "positive"),
        (lambda f: analysis.yeh_hummer(12.0, 300.0, 0.0), "eta"),
    ],
)
def test_words_for_what_cannot_be(call, words):
    with pytest.raises(ValueError, match=words):
        call(walk(1.0, 5, 20, 50.0, 0))


def test_a_start_without_a_time_does_not_switch_the_check_off():
    frames = [Atoms("Ar", info={"time_fs": 50.0 * k}) for k in range(1, 6)]
    some = [Atoms("Ar"), *frames]
    assert analysis.frame_interval(some, 50.0) == 50.0
    with pytest.raises(ValueError, match="interval: got 25 fs, but .* 50 fs apart"):
        analysis.frame_interval(some, 25.0)
    gap = [frames[0], Atoms("Ar"), frames[2]]
    assert analysis.frame_interval(gap, 50.0) == 50.0
