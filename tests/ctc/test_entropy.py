"""The entropy of a target's paths against every path, and the loss that rewards it."""

import math

import numpy as np
import pytest
import torch
from ctc_batches import fit, random_batch

from asr.ctc import EntropyRegularizedCTCLoss, ctc_loss, path_entropy
from asr.ctc.entropy import STEPS
from tests.oracles import ctc as oracle


def enumerate_scores(log_probs, target, blank=0):
    """Summed log-probabilities of every path, differentiable; log_probs (T, C)."""
    num_frames, num_classes = log_probs.shape
    paths = torch.tensor(oracle.paths_of(target, num_frames, num_classes, blank))  # (paths, T)
    return log_probs[torch.arange(num_frames), paths].sum(1)


def enumerate_entropy(log_probs, target, blank=0):
    log_q = enumerate_scores(log_probs, target, blank).log_softmax(0)
    return -(log_q.exp() * log_q).sum()


def value_and_gradient(function, x):
    x = x.clone().requires_grad_()
    value = function(x)
    value.sum().backward()
    return value.detach(), x.grad


def random_log_probs(rng, *shape):
    return torch.from_numpy(oracle.log_softmax(2 * rng.normal(size=shape)))


def test_entropy_of_fair_coins_is_ln_of_the_number_of_paths():
    # Of two frames: (0, 1), (1, 0) and (1, 1).
    entropy = path_entropy(torch.full((2, 2), 0.5, dtype=torch.float64).log(), [1], [2], [1])

    assert entropy == pytest.approx(math.log(3), abs=1e-8)


def test_entropy_of_a_single_path_is_0(rng):
    entropy, grad = value_and_gradient(
        lambda x: path_entropy(x, [1, 1], [3], [2]), random_log_probs(rng, 3, 4)
    )

    assert entropy == pytest.approx(0, abs=1e-9)
    assert grad.abs().max() < 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("blank", [0, 3])
@pytest.mark.parametrize("target", [[], [1], [2, 1], [1, 1], [1, 2, 1], [2, 2, 1]])
def test_entropy_and_its_gradient_equal_enumeration(rng, target, blank, dtype):
    log_probs = random_log_probs(rng, 6, 4)

    entropy, grad = value_and_gradient(
        lambda x: path_entropy(x, target, [6], [len(target)], blank, "none"), log_probs.to(dtype)
    )

    expected = value_and_gradient(lambda x: enumerate_entropy(x, target, blank), log_probs)
    near = {torch.float32: 5e-4, torch.float64: 1e-7}[dtype]
    torch.testing.assert_close(entropy.double(), expected[0], rtol=near, atol=near)
    torch.testing.assert_close(grad.double(), expected[1], rtol=0, atol=near)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_float32_is_near_float64(rng, scale):
    logits, *rest = random_batch(rng, 400, 3, 29, 60, scale)

    found, expected = (
        value_and_gradient(
            lambda x: path_entropy(x, *rest, reduction="none"), logits.to(dtype).log_softmax(-1)
        )
        for dtype in (torch.float32, torch.float64)
    )

    torch.testing.assert_close(found[0].double(), expected[0], rtol=1e-3, atol=1e-3)
    largest = expected[1].abs().max()
    torch.testing.assert_close(
        found[1].double() / largest, expected[1] / largest, rtol=0, atol=4e-4
    )


def test_float32_loses_no_digits_to_the_losses_it_is_made_of(rng, monkeypatch):
    # The losses are near 5,000 nats, where float32 resolves 5e-4, and are divided by 1 / 64.
    monkeypatch.setitem(STEPS, torch.float64, STEPS[torch.float32])
    log_probs = random_log_probs(rng, 1000, 3, 29).float()
    rest = torch.from_numpy(rng.integers(1, 29, (3, 200))), [1000] * 3, [200] * 3

    entropies = path_entropy(log_probs, *rest, reduction="none")

    expected = path_entropy(log_probs.double(), *rest, reduction="none")
    torch.testing.assert_close(entropies.double(), expected, rtol=0, atol=2e-3)


def test_half_is_computed_in_float32(rng):
    log_probs = random_log_probs(rng, 9, 5).bfloat16()

    entropy = path_entropy(log_probs, [1, 2], [9], [2])

    assert entropy == path_entropy(log_probs.float(), [1, 2], [9], [2])


@pytest.mark.parametrize("blank", [0, 3])
def test_loss_equals_enumeration(rng, blank):
    logits = torch.from_numpy(2 * rng.normal(size=(6, 2, 4)))
    targets, frames, labels = torch.tensor([[1, 2, 2], [2, 1, 1]]), [6, 4], [3, 2]

    def enumerated(x):
        losses = []
        for n, target in enumerate(([1, 2, 2], [2, 1])):
            log_probs = x[: frames[n], n].log_softmax(-1)
            scores = enumerate_scores(log_probs, target, blank)
            losses.append(-scores.logsumexp(0) - 0.3 * enumerate_entropy(log_probs, target, blank))
        return torch.stack(losses)

    loss = EntropyRegularizedCTCLoss(0.3, blank, "none")
    found = value_and_gradient(lambda x: loss(x, targets, frames, labels), logits)
    expected = value_and_gradient(enumerated, logits)

    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-7)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-7)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_reduces_as_ctc_loss(rng, reduction):
    logits, *rest = random_batch(rng, 40, 3, 9, 8)
    log_probs = logits.log_softmax(-1)

    loss = EntropyRegularizedCTCLoss(0.5, reduction=reduction)(logits, *rest)

    plain = ctc_loss(log_probs, *rest, reduction=reduction)
    entropies = path_entropy(log_probs, *rest, reduction="none")
    weights = 1 / (rest[2].clamp(min=1) * len(entropies)) if reduction == "mean" else torch.ones(3)
    torch.testing.assert_close(loss, plain - 0.5 * (weights * entropies).sum(), rtol=0, atol=2e-3)


def test_weight_0_is_plain_ctc(rng):
    batch = random_batch(rng, 50, 3, 9, 8)

    found = value_and_gradient(
        lambda x: EntropyRegularizedCTCLoss(0.0, reduction="none")(x, *batch[1:]), batch[0]
    )

    torch.testing.assert_close(found[0], fit(*batch)[0])
    torch.testing.assert_close(found[1], fit(*batch)[1], rtol=0, atol=1e-5)


def test_an_impossible_utterance_spoils_itself_only(rng):
    logits = torch.from_numpy(rng.normal(size=(4, 2, 5)))
    rest = torch.tensor([[1, 1, 1], [2, 3, 0]]), [4, 4], [3, 2]

    for zero_infinity, expected in ((False, np.nan), (True, 0.0)):
        loss = EntropyRegularizedCTCLoss(0.2, 0, "none", zero_infinity)
        losses, grad = value_and_gradient(lambda x, loss=loss: loss(x, *rest), logits)

        np.testing.assert_equal(losses[0].item(), expected)
        np.testing.assert_equal(grad[:, 0].numpy(), np.full((4, 5), expected))
        assert losses[1].isfinite()
        assert grad[:, 1].isfinite().all()


def test_a_masked_class_is_no_harm(rng):
    logits = torch.from_numpy(rng.normal(size=(6, 4)))
    logits[:, 3] = -np.inf

    found = value_and_gradient(
        lambda x: EntropyRegularizedCTCLoss(0.2)(x, [1, 2], [6], [2]), logits
    )
    without = value_and_gradient(
        lambda x: EntropyRegularizedCTCLoss(0.2)(x, [1, 2], [6], [2]), logits[:, :3]
    )

    torch.testing.assert_close(found[0], without[0])
    torch.testing.assert_close(found[1][:, :3], without[1])
    assert (found[1][:, 3] == 0).all()


@pytest.mark.parametrize("weight", [-0.1, math.inf, math.nan])
def test_weight_is_checked(weight):
    with pytest.raises(ValueError, match="weight must be >= 0 and finite, got"):
        EntropyRegularizedCTCLoss(weight)
