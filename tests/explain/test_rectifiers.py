"""Guided backpropagation and deconvolution of a network of two layers, against their formulas."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from asr.explain.methods import METHODS, compute_maps
from asr.explain.rectifiers import Rectifiers, clip, deconvolve, guide
from asr.explain.score import WordScore
from tests.explain.toys import Function, linear, scored

FIRST = torch.tensor([[1.0, -2.0], [0.5, 1.0], [-1.0, 0.3]], dtype=torch.float64)
SECOND = torch.tensor([[0.0, 0.0, 0.0], [1.0, -1.0, 2.0]], dtype=torch.float64)
INPUT = torch.tensor([[[1.5, 0.4]]], dtype=torch.float64)
RELUS = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "function": Function(functional.relu),
    "torch": Function(torch.relu),
    "method": Function(lambda x: x.relu()),
}


def layers(relu):
    return linear(FIRST), relu, linear(SECOND)


def by_formula(ceiling, rule):
    """The map of Q = ln y_1: back from the logits through W2, the rectifier and W1."""
    f = FIRST @ INPUT[0, 0]
    y = (SECOND @ f.clamp(0, ceiling)).softmax(-1)
    back = SECOND.T @ (torch.tensor([0.0, 1.0], dtype=torch.float64) - y)
    open_gate, positive = (f > 0) & (f < ceiling), back > 0
    kept = {"gradient": open_gate, "guide": open_gate & positive, "deconvolve": positive}[rule]
    return FIRST.T @ (back * kept)


def by_code(relu, rule):
    network = scored(*layers(relu), score=WordScore(torch.tensor([[0.0, 1.0]])))
    if rule == "gradient":
        return network.gradient(INPUT)[0, 0], 1
    with Rectifiers({"guide": guide, "deconvolve": deconvolve}[rule]) as rectifiers:
        return network.gradient(INPUT)[0, 0], rectifiers.count


@pytest.mark.parametrize("rule", ["gradient", "guide", "deconvolve"])
@pytest.mark.parametrize("relu", RELUS)
def test_rule_is_followed_whoever_computes_the_rectifier(relu, rule):
    found, count = by_code(RELUS[relu], rule)

    assert count == 1
    assert torch.allclose(found, by_formula(torch.inf, rule))


def test_the_three_rules_differ_here():
    maps = [by_formula(torch.inf, rule) for rule in ("gradient", "guide", "deconvolve")]

    assert not any(torch.allclose(a, b) for a, b in zip(maps, [*maps[1:], maps[0]], strict=True))


@pytest.mark.parametrize("rule", ["gradient", "guide", "deconvolve"])
@pytest.mark.parametrize("ceiling", [0.5, 20.0])
def test_rectifier_with_a_ceiling_is_shut_above_it(ceiling, rule):
    found, count = by_code(nn.Hardtanh(0.0, ceiling), rule)

    assert count == 1
    assert torch.allclose(found, by_formula(ceiling, rule))


@pytest.mark.parametrize("layer", [nn.Sigmoid(), nn.Hardtanh(-1, 1), nn.LeakyReLU(), nn.SiLU()])
def test_other_activations_are_no_rectifiers(layer):
    network = scored(*layers(layer), score=WordScore(torch.tensor([[0.0, 1.0]])))

    maps = compute_maps(network, INPUT)

    for name in ("guided_backpropagation", "deconvolution"):
        assert maps[name].values is None
        assert maps[name].remark == "does not apply: the network has no rectifier (ReLU)"
    assert set(maps) == set(METHODS) - {"integrated_gradients"}


def test_a_rectifier_forward_is_itself_by_every_rule():
    x = torch.linspace(-3, 30, 20)

    for rule in (clip, guide, deconvolve):
        assert torch.equal(rule(x, 20.0), nn.functional.hardtanh(x, 0.0, 20.0))


def test_rules_end_with_their_block():
    network = scored(*layers(nn.ReLU()), score=WordScore(torch.tensor([[0.0, 1.0]])))
    before = network.gradient(INPUT)

    with Rectifiers(guide):
        network.gradient(INPUT)

    assert torch.equal(network.gradient(INPUT), before)
