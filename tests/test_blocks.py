"""Blocks of a network: together they are all of it; rates and freezing act on them."""

import copy
from dataclasses import replace

import pytest
import torch
from conftest import REFERENCES

from tpainn_lite import train
from tpainn_lite.model import Potential, PotentialConfig
from tpainn_lite.train import FitConfig, fit

CONFIG = FitConfig(steps=8, batch_size=4, lr=1e-3, ema_decay=0.0)
NAMES = ["embedding, filters", "layer 0", "layer 1", "read-out"]


@pytest.fixture
def start():
    size = PotentialConfig(features=8, layers=2, cutoff=3.0, n_rbf=6)
    return Potential(size, REFERENCES, seed=0).double()


def test_blocks_are_all_parameters_once(start):
    parts = train.blocks(start)
    assert list(parts) == NAMES
    found = [id(p) for part in parts.values() for p in part]
    assert sorted(found) == sorted(id(p) for p in start.parameters())


def test_rates_fall_from_the_read_out_down(start):
    config = replace(CONFIG, lr_decay=0.5)
    rates = [g["lr"] for g in train.parameter_groups(start, config)]
    assert rates == pytest.approx([1.25e-4, 2.5e-4, 5e-4, 1e-3])
    (group,) = train.parameter_groups(start, CONFIG)
    assert group["lr"] == 1e-3


def test_without_decay_it_is_plain_training(start, ethanols):
    plain, _ = fit(start, ethanols, CONFIG, seed=0)
    nearly, _ = fit(start, ethanols, replace(CONFIG, lr_decay=1 - 1e-12), seed=0)
    for p, q in zip(plain.parameters(), nearly.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-9)


def test_a_small_decay_leaves_the_input_where_it_was(start, ethanols):
    before = copy.deepcopy(start.state_dict())
    plain, _ = fit(start, ethanols, CONFIG, seed=0)
    decayed, _ = fit(start, ethanols, replace(CONFIG, lr_decay=0.1), seed=0)
    far, near = train.moved(start, plain), train.moved(start, decayed)
    # Adam moves every weight by about its rate a step, whatever the gradient's size
    for k, name in enumerate(reversed(NAMES)):
        assert near[name] == pytest.approx(far[name] * 0.1**k, rel=0.7)
    assert all(torch.equal(before[k], v) for k, v in start.state_dict().items())


def test_decay_zero_trains_the_read_out_only(start, ethanols):
    tuned, _ = fit(start, ethanols, replace(CONFIG, lr_decay=0.0), seed=0)
    gone = train.moved(start, tuned)
    assert gone.pop("read-out") > 0
    assert set(gone.values()) == {0.0}


def test_blocks_wait_for_their_turn(start, ethanols):
    awake = []
    for steps in (3, 5, 7):  # of two structures each: a block every second step
        config = replace(CONFIG, steps=steps, unfreeze=2)
        tuned, _ = fit(start, ethanols, config, seed=0)
        awake.append([n for n, d in train.moved(start, tuned).items() if d > 0])
    assert awake == [NAMES[2:], NAMES[1:], NAMES]


@pytest.mark.parametrize(
    "bad", [{"lr_decay": -0.1}, {"lr_decay": 1.1}, {"unfreeze": -1}]
)
def test_values_that_cannot_be(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        replace(CONFIG, **bad)
