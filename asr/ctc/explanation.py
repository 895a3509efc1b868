"""Why the loss of an utterance is not finite."""

import numpy as np
import torch
from torch import Tensor

from asr.ctc.loss import ctc_loss
from asr.ctc.targets import (
    IntegerArray,
    describe_shortage,
    flatten_targets,
    integers,
    label_rule,
    minimum_input_length,
)


def explain(
    log_probs: Tensor,
    targets: IntegerArray,
    input_lengths: IntegerArray,
    target_lengths: IntegerArray,
    blank: int = 0,
) -> list[tuple[int, str]]:
    """Say for each utterance why its loss cannot be finite.

    Arguments are those of `ctc_loss`, but labels may be wrong.

    Returns:
        (utterance, reason), empty when nothing is wrong. A reason holds T, S, the repeats and the
        least T needed; the ids that are no labels; the first frame with NaN, with +inf, or
        without any finite value; the labels that are -inf at every frame.
    """
    batched = log_probs.detach()
    batched = batched.unsqueeze(1) if batched.dim() == 2 else batched
    num_classes = batched.shape[2]
    frames = integers("input_lengths", input_lengths).reshape(-1)
    flat = flatten_targets(targets, target_lengths)
    problems = []
    for n, (start, length) in enumerate(zip(flat.starts, flat.lengths, strict=True)):
        labels = flat.labels[start : start + length]
        reasons = [
            f"{label_rule(label, num_classes, blank)} at position {s}"
            for s, label in enumerate(labels)
            if label == blank or not 0 <= label < num_classes
        ]
        rows = batched[: max(0, frames[n]), n]
        reasons += _of_frames(rows, labels, int(frames[n]))
        if not reasons and (rows == -torch.inf).any():
            loss = ctc_loss(rows, labels, [len(rows)], [length], blank, "sum")
            if not loss.isfinite():
                reasons.append("every alignment passes a class that is -inf at its frame")
        if reasons:
            problems.append((n, "; ".join(reasons)))
    return problems


def _of_frames(rows: Tensor, labels: np.ndarray, num_frames: int) -> list[str]:
    """What is wrong with the frames of an utterance, given its labels."""
    reasons = []
    needed = minimum_input_length(labels)
    if num_frames < needed:
        reasons.append(describe_shortage(num_frames, len(labels), needed))
    if num_frames > len(rows):
        reasons.append(f"T = {num_frames} frames are more than the {len(rows)} given")
    for name, ill in (
        ("holds NaN", rows.isnan().any(1)),
        ("holds +inf", (rows == torch.inf).any(1)),
        ("is -inf throughout", (rows == -torch.inf).all(1)),
    ):
        if ill.any():
            at = ill.nonzero().flatten()
            more = f" (and {len(at) - 1} more)" if len(at) > 1 else ""
            reasons.append(f"frame {int(at[0])} {name}{more}")
    valid = sorted({int(k) for k in labels if 0 <= k < rows.shape[1]})
    masked = [k for k in valid if len(rows) and bool((rows[:, k] == -torch.inf).all())]
    if masked:
        reasons.append(f"labels {masked} are -inf at every frame")
    return reasons
