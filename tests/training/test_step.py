from copy import deepcopy

import pytest
import torch
from bfloat16 import needs_bfloat16
from tiny import overrides

from asr.acoustic.model import build_model
from asr.cli.hydra_config import build, compose_config
from asr.data.loading import Batch
from asr.text import CharTokenizer
from asr.training.step import Stepper, explain_losses


@pytest.fixture
def stepper(tmp_path):
    config = compose_config("train", overrides(tmp_path, tmp_path / "run"))
    torch.manual_seed(0)
    model = build_model(config, CharTokenizer(" abc"))
    optimizer = torch.optim.SGD(model.network.parameters(), lr=0.1)
    return Stepper(
        model,
        optimizer,
        augment=build(config["augment"], "features"),
        loss=build(config, "loss"),
        precision="float32",
        grad_clip=5.0,
    )


@pytest.fixture
def batch():
    torch.manual_seed(0)
    targets = torch.tensor([[2, 3, 4], [4, 4, 0]])
    lengths = torch.tensor([16000, 9000])
    waveforms = torch.randn(2, 16000) * 0.1
    return Batch(["one", "two"], ["abc", "cc"], waveforms, lengths, targets, torch.tensor([3, 2]))


def snapshot(stepper):
    return [p.detach().clone() for p in stepper.model.network.parameters()]


def test_step_lowers_the_loss(stepper, batch):
    stepper.augment = None
    losses = [stepper(batch, 0.05, 0).loss_sum for _ in range(15)]

    assert losses[-1] < 0.7 * losses[0]


def test_step_is_a_function_of_its_seed(stepper, batch):
    before = deepcopy(stepper)
    results = []
    for seed in (1, 1, 2):
        copy = deepcopy(before)
        copy.optimizer = torch.optim.SGD(copy.model.network.parameters(), lr=0.1)
        copy(batch, 0.1, seed)
        results.append(snapshot(copy))

    assert all(map(torch.equal, results[0], results[1]))
    assert not all(map(torch.equal, results[0], results[2]))


def test_step_without_utterances_changes_nothing(stepper, batch):
    empty = Batch([], [], torch.zeros(0, 0), *[torch.zeros(0, dtype=torch.int64)] * 3)
    before = snapshot(stepper)

    outcome = stepper(empty, 0.1, 0)

    assert outcome.num_utterances == 0
    assert all(map(torch.equal, before, snapshot(stepper)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_waveform_names_the_utterance_and_changes_nothing(stepper, batch, value):
    batch.waveforms[1, 100] = value
    before = snapshot(stepper)

    outcome = stepper(batch, 0.1, 0)

    assert outcome.num_utterances == 0
    assert any(p.startswith("two: loss nan, T=14, S=2, repeats=1: ") for p in outcome.problems)
    assert any("holds NaN" in problem for problem in outcome.problems)
    assert all(map(torch.equal, before, snapshot(stepper)))
    assert all(buffer.isfinite().all() for buffer in stepper.model.network.buffers())


def test_too_long_text_is_explained(batch):
    logits = torch.zeros(2, 2, 5)
    losses = torch.tensor([float("inf"), 1.0])

    (line,) = explain_losses(losses, logits, torch.tensor([2, 2]), batch)

    assert line.startswith("one: loss inf, T=2, S=3, repeats=0: ")
    assert "3" in line.split("repeats=0: ")[1]


def test_broken_gradient_is_skipped(stepper, batch):
    exact = stepper.loss

    class Poison(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * float("nan")

    stepper.loss = lambda logits, *rest: exact(Poison.apply(logits), *rest)
    before = snapshot(stepper)

    outcome = stepper(batch, 0.1, 0)

    assert "the gradient's norm is nan" in outcome.problems
    assert all(map(torch.equal, before, snapshot(stepper)))


def test_stopwatch_knows_every_stage(stepper, batch):
    stepper(batch, 0.1, 0)

    assert set(stepper.stopwatch.seconds) == {
        "features",
        "forward",
        "loss",
        "backward",
        "optimizer",
    }


@needs_bfloat16
def test_bfloat16_agrees_with_float32_roughly(stepper, batch):
    stepper.augment = None
    stepper.model.network.eval()
    exact, _ = stepper.forward(batch, 0)
    stepper.precision = "bfloat16"
    rounded, _ = stepper.forward(batch, 0)

    torch.testing.assert_close(rounded.float(), exact, atol=0.1, rtol=0.1)
