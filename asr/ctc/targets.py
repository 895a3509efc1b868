"""Targets and lengths of a batch: one flat form, checked once, and what makes a target impossible.

A target of S labels of which `repeats` equal their predecessor needs at least S + repeats frames:
one for each label, and one blank between two equal ones.
"""

from collections.abc import Sequence, Sized
from typing import NamedTuple

import numpy as np
import torch

from asr.ctc import cpu_kernels

IntegerArray = torch.Tensor | np.ndarray | Sequence[int]


class Targets(NamedTuple):
    """Labels of N utterances: utterance n has labels[starts[n] : starts[n] + lengths[n]]."""

    labels: np.ndarray  # int64, flat
    starts: np.ndarray  # (N,) int64
    lengths: np.ndarray  # (N,) int64


def minimum_input_length(target: IntegerArray) -> int:
    """Return the least number of frames that `target` fits in: its length plus its repeats."""
    labels = integers("target", target).reshape(-1)
    return len(labels) + int(np.count_nonzero(labels[1:] == labels[:-1]))


def is_on_gpu(values: object) -> bool:
    """Say whether `values` is a tensor in a GPU's memory."""
    return isinstance(values, torch.Tensor) and values.is_cuda


def integers(name: str, values: IntegerArray) -> np.ndarray:
    """Return `values` as a contiguous int64 array, of the same memory where it is one already."""
    try:
        array = values.numpy(force=True) if isinstance(values, torch.Tensor) else np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} must be one array: pad lists of different lengths, or concatenate them"
        ) from error
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got {array.dtype}")
    return np.ascontiguousarray(array, dtype=np.int64)


def flatten_targets(
    targets: IntegerArray, target_lengths: IntegerArray, lengths_known: bool = True
) -> Targets:
    """Bring padded (N, S) or concatenated (sum of lengths,) targets to the flat form.

    Without `lengths_known` the lengths stand for others that are not looked at.

    Raises:
        ValueError: lengths are negative, beyond what `targets` holds, or do not sum to what
            concatenated ones hold: every label after a wrong length would be another utterance's.
    """
    labels, lengths = integers("targets", targets), integers("target_lengths", target_lengths)
    lengths = lengths.reshape(-1)
    numbers = lengths.tolist()  # a list is compared faster than a short array
    if min(numbers, default=0) < 0:
        n = int(np.argmax(lengths < 0))
        raise ValueError(f"target_lengths[{n}] must be >= 0, got {lengths[n]}")
    if labels.ndim == 1:
        ends = np.cumsum(lengths)
        needed = int(lengths.sum())
        if needed != len(labels) and lengths_known:
            raise ValueError(
                f"concatenated targets hold {len(labels)} labels, target_lengths sum to {needed}"
            )
        return Targets(labels, ends - lengths, lengths)
    if labels.ndim != 2:
        raise ValueError(f"targets must have 1 or 2 dimensions, got {labels.ndim}")
    if len(labels) != len(lengths):
        raise ValueError(
            f"padded targets must have {len(lengths)} rows, one an utterance, got {len(labels)}"
        )
    width = labels.shape[1]
    if max(numbers, default=0) > width:
        n = int(np.argmax(lengths > width))
        raise ValueError(
            f"target_lengths[{n}] must be <= {width} (targets' width), got {lengths[n]}"
        )
    return Targets(labels.reshape(-1), np.arange(len(lengths)) * width, lengths)


def check_tensor(log_probs: object) -> None:
    """Raise a TypeError unless `log_probs` is a tensor."""
    if not isinstance(log_probs, torch.Tensor):
        kind = type(log_probs).__name__
        raise TypeError(f"log_probs must be a torch tensor, got {kind}")


def check_log_probs(log_probs: torch.Tensor, blank: int) -> None:
    """Raise unless `log_probs` is floating (T, N, C), N >= 1, and `blank` one of its classes."""
    if log_probs.dim() != 3:
        raise ValueError(f"log_probs must have shape (T, N, C) or (T, C), got {log_probs.dim()}-D")
    if not log_probs.is_floating_point():
        raise TypeError(f"log_probs must be floating, got {log_probs.dtype}")
    if log_probs.shape[1] == 0:
        raise ValueError(f"log_probs must hold an utterance, got shape {tuple(log_probs.shape)}")
    num_classes = log_probs.shape[2]
    if not 0 <= blank < num_classes:
        raise ValueError(f"blank must be in 0..{num_classes - 1}, got {blank}")


def check_lengths(name: str, lengths: Sized, num_utterances: int) -> None:
    """Raise a ValueError unless there is one length an utterance."""
    if len(lengths) != num_utterances:
        raise ValueError(f"{name} must have {num_utterances} entries, got {len(lengths)}")


def check_frames(input_lengths: np.ndarray, max_frames: int) -> None:
    """Raise a ValueError that names the first input length which is not in 0..max_frames."""
    frames = input_lengths.tolist()
    if frames and not 0 <= min(frames) <= max(frames) <= max_frames:
        n = int(np.argmax((input_lengths < 0) | (input_lengths > max_frames)))
        raise ValueError(f"input_lengths[{n}] must be in 0..{max_frames}, got {input_lengths[n]}")


def check_labels(targets: Targets, num_classes: int, blank: int) -> None:
    """Raise a ValueError that names the first label which is no class, or is the blank."""
    if cpu_kernels.holds_only_labels(*targets, num_classes, blank):
        return
    for n, (start, length) in enumerate(zip(targets.starts, targets.lengths, strict=True)):
        for s, label in enumerate(targets.labels[start : start + length]):
            if label == blank or not 0 <= label < num_classes:
                rule = label_rule(label, num_classes, blank)
                raise ValueError(f"target of utterance {n}: {rule} at position {s}")


def label_rule(label: int, num_classes: int, blank: int) -> str:
    """Say which rule a label that must not be in a target breaks."""
    if label == blank:
        return f"the blank {blank} must not occur in a target, got {label}"
    return f"a label must be in 0..{num_classes - 1}, got {label}"


def check_feasible(
    input_lengths: IntegerArray, targets: IntegerArray, target_lengths: IntegerArray
) -> list[tuple[int, str]]:
    """List the utterances whose target cannot be aligned with their frames.

    Args:
        input_lengths: (N,) frames of each utterance at the output of the model.
        targets: (N, S) padded or (sum of target_lengths,) concatenated labels.
        target_lengths: (N,) labels of each utterance.

    Returns:
        (utterance, reason) in the order of utterances, empty when every target fits.

    Raises:
        ValueError: lengths are negative, beyond the targets, or not as many as each other.
    """
    flat = flatten_targets(targets, target_lengths)
    frames = integers("input_lengths", input_lengths).reshape(-1)
    if len(frames) != len(flat.lengths):
        raise ValueError(
            f"input_lengths and target_lengths must be as many, got {len(frames)} and "
            f"{len(flat.lengths)}"
        )
    problems = []
    for n, (start, length) in enumerate(zip(flat.starts, flat.lengths, strict=True)):
        labels = flat.labels[start : start + length]
        needed = minimum_input_length(labels)
        if frames[n] < needed:
            problems.append((n, describe_shortage(int(frames[n]), int(length), needed)))
    return problems


def describe_shortage(num_frames: int, num_labels: int, needed: int) -> str:
    """Say why a target does not fit."""
    return (
        f"T = {num_frames} frames are too few for S = {num_labels} labels with "
        f"{needed - num_labels} repeats: at least {needed} needed"
    )
