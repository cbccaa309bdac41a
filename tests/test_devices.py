"""Nothing is made on a device of its own choice: a GPU is used where there is one."""

import numpy as np
import pytest
import torch
from conftest import REFERENCES, SMALL
from devices import META, SecondDevice

from tpainn_lite import model, ridge_head, train, tune
from tpainn_lite.graphs import Samples, best_device
from tpainn_lite.model import Potential

CONFIG = train.FitConfig(steps=4, batch_size=3, lr=2e-3, ema_decay=0.5, l2_sp=0.1)
FEW = ridge_head.HeadConfig(features=6)
CPU = torch.device("cpu")


@pytest.fixture
def used(monkeypatch):
    """A second device; what ran on it is noted."""
    seen = []

    def outputs(self, batch, r_ij):
        seen.append({self.device.type, r_ij.device.type})
        return was(self, batch, r_ij)

    was = Potential.outputs
    monkeypatch.setattr(Potential, "outputs", outputs)
    for module in (model, train, ridge_head):
        monkeypatch.setattr(
            module, "best_device", lambda now: META if now == CPU else now
        )
    with SecondDevice():
        yield seen


def test_the_second_device_refuses_the_first():
    with SecondDevice():
        a, b = torch.ones(2, device="meta"), torch.ones(2)
        assert (a + a).cpu().tolist() == [2, 2]
        assert (a + torch.tensor(1.0)).device == META  # one number may join
        with pytest.raises(RuntimeError, match="two devices"):
            a + b
        with pytest.raises((RuntimeError, TypeError)):
            a.numpy()


def equal(a, b, atol=1e-9):
    """Energies and forces of the same frames."""
    np.testing.assert_allclose(a[0], b[0], rtol=0, atol=atol)
    for f, g in zip(a[1], b[1], strict=True):
        np.testing.assert_allclose(f, g, rtol=0, atol=atol)


def everything(start, frames):
    """Predictions of `start`, of a trained copy, of one with a head, and errors."""
    trained, history = train.fit(start, frames, CONFIG, seed=0, valid=frames[:3])
    zero = dict.fromkeys(REFERENCES, 0.0)
    headed, _ = tune.autotune(start, frames, zero, FEW, seed=0)
    potentials = [start, trained, headed]
    return [p.predict(frames) for p in potentials], history, potentials


@pytest.mark.parametrize("dense", [0.0, np.inf], ids=["padded", "pairs"])
def test_all_goes_on_where_the_gpu_is(start, ethanols, dense, monkeypatch, request):
    monkeypatch.setattr(model, "DENSE", dense)
    expected, rows, _ = everything(start, ethanols[:4])
    used = request.getfixturevalue("used")
    found, history, potentials = everything(start, ethanols[:4])
    assert used
    assert all(where == {"meta"} for where in used)
    for a, b in zip(expected, found, strict=True):
        equal(a, b)
    for name in ("loss", "force_mae"):
        np.testing.assert_allclose(history.column(name), rows.column(name), rtol=1e-9)
    for potential in potentials:  # all that comes back can go on anywhere
        state = potential.state_dict().values()
        assert {value.device for value in state} == {CPU}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is to be seen")
def test_a_gpu(start, ethanols, monkeypatch, tmp_path):
    def goes_on():  # after a stop in its first epoch
        options = {"seed": 0, "checkpoint": tmp_path / "s.pt", "checkpoint_every": 1}
        train.fit(start, ethanols, CONFIG, on_epoch=lambda *_: True, **options)
        return train.fit(start, ethanols, CONFIG, **options)[0].predict(ethanols)

    found, resumed = everything(start, ethanols[:4])[0], goes_on()
    for module in (model, train, ridge_head):
        monkeypatch.setattr(module, "best_device", lambda now: now)
    (tmp_path / "s.pt").unlink()
    expected, again = everything(start, ethanols[:4])[0], goes_on()
    for a, b in zip([*expected, again], [*found, resumed], strict=True):
        equal(a, b, atol=1e-6)


def test_one_that_is_elsewhere_stays_there(start, ethanols, used):
    expected = start.predict(ethanols[:4])
    away = start.to("meta")
    found, _, potentials = everything(away, ethanols[:4])
    equal(found[0], expected)
    assert {p.device for p in potentials} == {META}
    a = ethanols[0]
    assert potentials[2].energy_forces(a.numbers, a.positions)[0] == pytest.approx(
        found[2][0][0], abs=1e-9
    )


def test_torchs_default_device_changes_nothing(ethanols, ice, tmp_path):
    def said():
        start = Potential(SMALL, REFERENCES, seed=0)
        found = ridge_head.instant(start, ethanols[:2], FEW, seed=0)
        found.save(tmp_path / "h")
        found = Potential.load(tmp_path / "h")
        quick = found.frozen()(ice.numbers, ice.positions, ice.cell.array)
        samples = Samples(ethanols[:2], 4.0, np.zeros(2)).batch([1, 0])
        return found.predict([ethanols[0], ice]), quick, samples[1:]

    expected = said()
    with torch.device("meta"):  # what is made without a device has no values
        found = said()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_best_device(monkeypatch):
    for there, name in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert best_device(CPU).type == name
        assert best_device(torch.device("cuda:1")) == torch.device("cuda:1")
        assert best_device(META) == META
