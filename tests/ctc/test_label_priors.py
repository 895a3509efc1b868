"""CTC with label priors against every path, and its edges."""

import numpy as np
import pytest
import torch
from ctc_batches import FRAMES, LABELS, TARGETS, fit, random_batch

from asr.ctc.label_priors import LabelPriorCTCLoss, log_priors
from tests.oracles import ctc as oracle


def losses_and_gradient(logits, scale, blank=0):
    x = logits.clone().requires_grad_()
    losses = LabelPriorCTCLoss(scale, blank, "none")(x, TARGETS, FRAMES, LABELS)
    losses.nansum().backward()
    return losses.detach(), x.grad


def rows_of(logits):
    """Log-probabilities of each utterance, without padding."""
    return [oracle.log_softmax(logits[:num_frames, n]) for n, num_frames in enumerate(FRAMES)]


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_loss_is_that_of_every_path_over_its_priors(logits, scale):
    losses, _ = losses_and_gradient(logits, scale)

    rows = rows_of(logits)
    prior = np.exp(np.concatenate(rows)).mean(0)
    for n, target in enumerate(([1, 2, 2], [3, 1])):
        score = sum(
            np.prod([np.exp(rows[n][t, k]) / prior[k] ** scale for t, k in enumerate(path)])
            for path in oracle.paths_of(target, len(rows[n]), 4)
        )
        assert losses[n] == pytest.approx(-np.log(score), rel=1e-9)


def test_gradient_is_softmax_minus_occupancy(logits):
    _, grad = losses_and_gradient(logits, 0.5)

    rows = rows_of(logits)
    prior = np.exp(np.concatenate(rows)).mean(0)
    for n, target in enumerate(([1, 2, 2], [3, 1])):
        _, occupancy, _ = oracle.forward_backward(rows[n] - 0.5 * np.log(prior), target)
        np.testing.assert_allclose(grad[: FRAMES[n], n], np.exp(rows[n]) - occupancy, atol=1e-9)
    assert (grad[4:, 1] == 0).all()


def test_priors_are_hand_computed():
    log_probs = torch.tensor(
        [[[0.5, 0.5], [0.9, 0.1]], [[0.1, 0.9], [1.0, 0.0]]]
    ).log()  # (2, 2, 2)

    priors = log_priors(log_probs, [2, 1])

    torch.testing.assert_close(priors.exp(), torch.tensor([0.5, 0.5]))


def test_scale_0_is_plain_ctc(rng):
    batch = random_batch(rng, 50, 3, 9, 8)
    x = batch[0].clone().requires_grad_()

    losses = LabelPriorCTCLoss(0.0, reduction="none")(x, *batch[1:])
    losses.sum().backward()

    expected = fit(*batch)
    torch.testing.assert_close(losses.detach(), expected[0])
    torch.testing.assert_close(x.grad, expected[1], atol=1e-5, rtol=0)


def test_padding_has_no_part_in_the_priors(logits):
    padded = logits.clone()
    padded[4:, 1] = 100 * torch.randn(2, 4)

    for found, expected in zip(
        losses_and_gradient(padded, 0.5), losses_and_gradient(logits, 0.5), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_nan_spoils_its_own_utterance_only(logits):
    logits[2, 0, 1] = np.nan

    losses, grad = losses_and_gradient(logits, 0.5)

    assert losses.isnan().tolist() == [True, False]
    assert grad[:, 1].isfinite().all()


def test_a_masked_class_stays_impossible(logits):
    logits[:, :, 3] = -np.inf

    losses, grad = losses_and_gradient(logits, 0.5)

    assert losses.isinf().tolist() == [False, True]  # the second target has the class
    assert grad[:, 0].isfinite().all()
    assert (grad[:, 0, 3] == 0).all()


def test_no_frames_at_all():
    loss = LabelPriorCTCLoss(0.5)(torch.zeros(3, 1, 4), [[]], [0], [0])

    assert loss == 0


@pytest.mark.parametrize("scale", [-0.1, 1.1, float("nan")])
def test_scale_is_checked(scale):
    with pytest.raises(ValueError, match=r"scale must be in 0\.\.1, got"):
        LabelPriorCTCLoss(scale)
