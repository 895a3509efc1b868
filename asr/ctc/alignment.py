"""Best paths and occupancies: which frame belongs to which label."""

import numpy as np
import torch
from torch import Tensor

from asr.ctc import cpu_kernels
from asr.ctc.explanation import explain
from asr.ctc.loss import check_batch, fit, flat_memory
from asr.ctc.targets import IntegerArray
from asr.ctc.threads import run_on_threads, thread_count


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
        ValueError: as `ctc_loss`; or a target is impossible, or log_probs holds NaN on its path.

    Source: the recursion of Graves et al. 2006, equations 6 and 7, with maxima in place of sums.
    """
    single = log_probs.dim() == 2
    batched = log_probs.unsqueeze(1) if single else log_probs
    batch = check_batch(batched, targets, input_lengths, target_lengths, blank)
    max_frames, num_utterances, num_classes = batched.shape
    x = batched.detach()
    if x.dtype not in (torch.float32, torch.float64):
        x = x.float()
    paths = np.full((num_utterances, max_frames), blank)
    scores = np.zeros((num_utterances, max_frames), x.numpy().dtype)
    totals = np.zeros(num_utterances)
    cost = batch.input_lengths * (batch.targets.lengths + 20)
    arguments = (
        np.zeros(1, np.int64), np.argsort(-cost), flat_memory(x), np.array(x.stride(), np.uint64),
        batch.targets.labels, batch.targets.starts, batch.input_lengths, batch.targets.lengths,
        blank, num_classes, paths, scores, totals,
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

    Arguments and errors are those of `ctc_loss`.

    Returns:
        (N, T, S) float32, or (T, S) for (T, C). What a frame's labels leave to 1 is the
        blanks'. Zero beyond lengths, and throughout an utterance whose loss is not finite.

    Source: Graves et al. 2006, equation 14.
    """
    single = log_probs.dim() == 2
    batched = log_probs.unsqueeze(1) if single else log_probs
    batch = check_batch(batched, targets, input_lengths, target_lengths, blank)
    num_labels = int(batch.targets.lengths.max(initial=0))
    posterior = np.zeros((batched.shape[1], batched.shape[0], num_labels), np.float32)
    losses, _ = fit(batched, batch, np.ones(batched.shape[1]), False, from_logits, False, posterior)
    posterior[~np.isfinite(losses)] = 0.0
    return torch.from_numpy(posterior[0] if single else posterior)
