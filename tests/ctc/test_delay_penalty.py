"""CTC that prefers labels early against every path, and its edges."""

import numpy as np
import pytest
import torch
from ctc_batches import FRAMES, LABELS, TARGETS, fit, random_batch

from asr.ctc.delay_penalty import DelayPenalizedCTCLoss
from tests.oracles import ctc as oracle


def losses_and_gradient(logits, penalty):
    x = logits.clone().requires_grad_()
    losses = DelayPenalizedCTCLoss(penalty, reduction="none")(x, TARGETS, FRAMES, LABELS)
    losses.nansum().backward()
    return losses.detach(), x.grad


def scores_of(logits, n, penalty):
    """Log-probabilities of an utterance without padding, and labels' scores of their time."""
    num_frames = int(FRAMES[n])
    scores = oracle.log_softmax(logits[:num_frames, n])
    scores[:, 1:] -= penalty * np.arange(num_frames)[:, None]
    return scores


@pytest.mark.parametrize("penalty", [0.02, 0.7])
def test_loss_is_that_of_every_path_by_its_labels_times(logits, penalty):
    losses, _ = losses_and_gradient(logits, penalty)

    for n, target in enumerate(([1, 2, 2], [3, 1])):
        scores = np.exp(scores_of(logits, n, penalty))
        total = sum(
            np.prod([scores[t, k] for t, k in enumerate(path)])
            for path in oracle.paths_of(target, len(scores), 4)
        )
        assert losses[n] == pytest.approx(-np.log(total), rel=1e-9)


def test_loss_of_one_label_in_three_even_frames_is_hand_computed():
    logits = torch.zeros(3, 1, 2, dtype=torch.float64)

    loss = DelayPenalizedCTCLoss(np.log(2))(logits, [[1]], [3], [1])

    # Eighths of the paths, a label counts 1, 1/2, 1/4 in frames 0, 1, 2:
    # 1--, -1-, --1, 11-, -11, 111 are 1, 1/2, 1/4, 1/2, 1/8, 1/8.
    assert loss == pytest.approx(-np.log(2.5 / 8))


def test_gradient_is_softmax_minus_occupancy(logits):
    _, grad = losses_and_gradient(logits, 0.5)

    for n, target in enumerate(([1, 2, 2], [3, 1])):
        _, occupancy, _ = oracle.forward_backward(scores_of(logits, n, 0.5), target)
        softmax = np.exp(oracle.log_softmax(logits[: FRAMES[n], n]))
        np.testing.assert_allclose(grad[: FRAMES[n], n], softmax - occupancy, atol=1e-9)
    assert (grad[4:, 1] == 0).all()


def learnt_frames(penalty):
    """Frames of labels that free logits learn, which may be anywhere in 20."""
    logits = torch.zeros(20, 1, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=1.0)
    for _ in range(300):
        optimizer.zero_grad()
        DelayPenalizedCTCLoss(penalty)(logits, [[1, 2]], [20], [2]).backward()
        optimizer.step()
    return logits.argmax(-1)[:, 0].nonzero()[:, 0].tolist()


def test_labels_that_may_be_anywhere_are_learnt_early():
    assert max(learnt_frames(0.1)) < 5 < max(learnt_frames(0.0))


def test_penalty_0_is_plain_ctc(rng):
    batch = random_batch(rng, 50, 3, 9, 8)
    x = batch[0].clone().requires_grad_()

    losses = DelayPenalizedCTCLoss(0.0, reduction="none")(x, *batch[1:])
    losses.sum().backward()

    expected = fit(*batch)
    torch.testing.assert_close(losses.detach(), expected[0])
    torch.testing.assert_close(x.grad, expected[1], atol=1e-5, rtol=0)


def test_padding_changes_nothing(logits):
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


def test_no_frames_at_all():
    assert DelayPenalizedCTCLoss(0.5)(torch.zeros(3, 1, 4), [[]], [0], [0]) == 0


@pytest.mark.parametrize("penalty", [-0.1, float("inf"), float("nan")])
def test_penalty_is_checked(penalty):
    with pytest.raises(ValueError, match="penalty must be >= 0 and finite, got"):
        DelayPenalizedCTCLoss(penalty)
