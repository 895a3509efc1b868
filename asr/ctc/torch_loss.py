"""The CTC loss of tensors on a device without kernels of ours: PyTorch's, with the meaning of ours.

PyTorch's gradient with respect to log-probabilities presumes a log-softmax before them, it is NaN
where a class is masked, and an impossible target's depends on the device. Here it is the honest
one, masked classes have none, and what is not finite is what `ctc_loss` says.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from asr.ctc.loss import Batch, check_on_host
from asr.ctc.targets import Targets, minimum_input_length

# Lengths and targets are looked at on the host: where they are on a GPU, it is waited for.
check_batch = check_on_host

# Stands for -inf, whose differences are NaN; the sum of those of a path is within float32.
_MASKED = -1e30
_IMPOSSIBLE = 1e29  # a loss above it has passed a masked class


def fit_and_reduce(
    log_probs: Tensor,
    batch: Batch,
    reduction: Literal["none", "mean", "sum"],
    zero_infinity: bool,
    from_logits: bool,
    needs_grad: bool,
) -> tuple[Tensor, Tensor | None]:
    """Return the reduced loss, and its gradient if it is wanted, in float32 or float64."""
    x = log_probs.detach()
    x = x if x.dtype == torch.float64 else x.float()
    times = np.arange(len(x))[:, None]
    beyond = _to(times >= batch.input_lengths, x)[:, :, None]  # (T, N, 1)
    with torch.set_grad_enabled(needs_grad):
        x = x.masked_fill(beyond, 0.0).requires_grad_(needs_grad)  # not NaN, whatever was there
        scores = x.log_softmax(-1) if from_logits else x
        losses, ill, impossible = _fit(scores, batch)
        grad = torch.autograd.grad(losses, x, torch.ones_like(losses))[0] if needs_grad else None
    losses = losses.detach().masked_fill(impossible, 0.0 if zero_infinity else torch.inf)
    losses = losses.masked_fill(ill, torch.nan)
    lengths = np.maximum(batch.targets.lengths, 1) * len(batch.input_lengths)
    weights = _to(1.0 / lengths, losses) if reduction == "mean" else torch.ones_like(losses)
    if grad is not None:
        if not from_logits:
            grad = grad - x.detach().exp()  # of the log-softmax that PyTorch presumes
        grad = grad * weights[:, None].to(grad.dtype)
        grad = grad.masked_fill(impossible[:, None], 0.0 if zero_infinity else torch.nan)
        grad = grad.masked_fill(ill[:, None], torch.nan).masked_fill(beyond, 0.0)
    return losses if reduction == "none" else (losses * weights).sum(), grad


def _fit(scores: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Losses of log-probabilities, (N,) each; which are ill, and which of the others impossible."""
    labels, needed = _pad(batch.targets)
    short = _to(batch.input_lengths < needed, scores)
    if scores.numel() == 0:
        return scores.sum((0, 2)), torch.zeros_like(short), short
    losses = torch.nn.functional.ctc_loss(
        scores.clamp(min=_MASKED),
        _to(labels, scores),
        tuple(np.maximum(batch.input_lengths, 1).tolist()),  # pyright: ignore[reportArgumentType]
        tuple(batch.targets.lengths.tolist()),  # pyright: ignore[reportArgumentType]
        batch.blank,
        "none",
    )
    losses = losses.masked_fill(_to(batch.input_lengths == 0, losses), 0.0)
    ill = (scores.isnan() | (scores == torch.inf)).any(2).any(0) & ~short
    return losses, ill, (short | (losses > _IMPOSSIBLE)) & ~ill


def _pad(targets: Targets) -> tuple[np.ndarray, np.ndarray]:
    """Labels as (N, S) with S >= 1, and the least number of frames that each target fits in."""
    rows = [
        targets.labels[start : start + length]
        for start, length in zip(targets.starts, targets.lengths, strict=True)
    ]
    padded = np.zeros((len(rows), max(1, targets.lengths.max(initial=0))), np.int64)
    for row, labels in zip(padded, rows, strict=True):
        row[: len(labels)] = labels
    return padded, np.array([minimum_input_length(labels) for labels in rows], np.int64)


def _to(values: np.ndarray, like: Tensor) -> Tensor:
    """Values of the host on a tensor's device, without anybody's waiting for the copy."""
    return torch.from_numpy(values).to(like.device, non_blocking=True)
