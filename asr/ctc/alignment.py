"""Best paths and occupancies: which frame belongs to which label."""

import numpy as np
import torch
from torch import Tensor

from asr.ctc import cpu_kernels
from asr.ctc.explanation import explain
from asr.ctc.loss import check_batch, fit
from asr.ctc.memory import flat_memory
from asr.ctc.targets import IntegerArray, check_tensor
from asr.ctc.threads import run_on_threads, thread_count

ROWS_CHECKED = 16  # of each utterance: logits and probabilities are wrong in all of them
SUM_TOLERANCE = 0.1  # of a row's probabilities: bfloat16 rounds logarithms by 0.4 %


def forced_align(
    log_probs: Tensor,
    targets: IntegerArray,
    input_lengths: IntegerArray,
    target_lengths: IntegerArray,
    blank: int = 0,
) -> tuple[Tensor, Tensor]:
    """Find the most probable alignment of each utterance with its target (Viterbi).

    Args:
        log_probs: (T, N, C) or (T, C) natural logs of the class probabilities, of any strides.
        targets: (N, S) padded, or (sum of target_lengths,) concatenated; (S,) for (T, C).
        input_lengths: (N,) frames of each utterance, 0..T.
        target_lengths: (N,) labels of each utterance.
        blank: class of the blank.

    Returns:
        paths: (N, T) int64 class of each frame; the blank beyond an utterance's length.
        scores: (N, T) log_probs at those classes, in nats; 0 beyond an utterance's length.
        For (T, C) both are (T,).

    Raises:
        ValueError: as `ctc_loss`; or a target is impossible, or log_probs holds NaN on its path, or
            rows of it are no log-probabilities (16 of each utterance are looked at).

    Source: the recursion of Graves et al. 2006, equations 6 and 7, with maxima in place of sums.
    """
    check_tensor(log_probs)
    single = log_probs.dim() == 2
    batched = log_probs.unsqueeze(1) if single else log_probs
    batch = check_batch(batched, targets, input_lengths, target_lengths, blank)
    max_frames, num_utterances, _ = batched.shape
    x = batched.detach()
    if x.dtype not in (torch.float32, torch.float64):
        x = x.float()
    _check_normalised(x, batch.input_lengths)
    paths = np.full((num_utterances, max_frames), blank)
    scores = np.zeros((num_utterances, max_frames), x.numpy().dtype)
    totals = np.zeros(num_utterances)
    cost = batch.input_lengths * (batch.targets.lengths + 20)
    arguments = (
        np.zeros(1, np.int64), np.argsort(-cost), flat_memory(x), np.array(x.stride(), np.uint64),
        batch.targets.labels, batch.targets.starts, batch.input_lengths, batch.targets.lengths,
        blank, paths, scores, totals,
    )  # fmt: skip
    run_on_threads(
        lambda: cpu_kernels.align_utterances(*arguments),
        thread_count(num_utterances, 0.3 * float(cost.sum())),
    )
    if not np.isfinite(totals).all():
        problems = explain(log_probs, targets, input_lengths, target_lengths, blank)
        raise ValueError(
            "; ".join(f"utterance {n} cannot be aligned: {why}" for n, why in problems)
        )
    found = torch.from_numpy(paths), torch.from_numpy(scores).to(log_probs.dtype)
    return (found[0][0], found[1][0]) if single else found


def _check_normalised(log_probs: Tensor, input_lengths: np.ndarray) -> None:
    """Raise a ValueError that names a row of (T, N, C) that is no distribution's logarithm."""
    x = log_probs if log_probs.dtype in (torch.float32, torch.float64) else log_probs.float()
    strides, num_classes = np.array(x.stride(), np.uint64), x.shape[2]
    n, t = cpu_kernels.find_unnormalised_row(
        flat_memory(x), strides, input_lengths, num_classes, ROWS_CHECKED, SUM_TOLERANCE
    )
    if n >= 0:
        total = float(x[t, n].double().exp().sum())
        raise ValueError(
            f"log_probs of utterance {n} are no log-probabilities: those of frame {t} sum to "
            f"{total:.4g} instead of 1; apply log_softmax to logits, log to probabilities"
        )


def occupancies(
    log_probs: Tensor,
    targets: IntegerArray,
    input_lengths: IntegerArray,
    target_lengths: IntegerArray,
    blank: int = 0,
    *,
    from_logits: bool = False,
) -> Tensor:
    """Compute the probability that frame t belongs to label s, given the whole target.

    Arguments and errors are those of `ctc_loss`, and those of `forced_align` without `from_logits`.

    Returns:
        (N, T, S) float32, or (T, S) for (T, C). What a frame's labels leave to 1 is the
        blanks'. Zero beyond lengths, and throughout an utterance whose loss is not finite.

    Source: Graves et al. 2006, equation 14.
    """
    single = log_probs.dim() == 2
    batched = log_probs.unsqueeze(1) if single else log_probs
    batch = check_batch(batched, targets, input_lengths, target_lengths, blank)
    if not from_logits:
        _check_normalised(batched.detach(), batch.input_lengths)
    num_labels = int(batch.targets.lengths.max(initial=0))
    posterior = np.zeros((batched.shape[1], batched.shape[0], num_labels), np.float32)
    losses, _ = fit(batched, batch, np.ones(batched.shape[1]), False, from_logits, False, posterior)
    posterior[~np.isfinite(losses)] = 0.0
    return torch.from_numpy(posterior[0] if single else posterior)
