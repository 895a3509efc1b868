"""What frames gain from their neighbours; beyond its ends an utterance repeats its outermost frame.

Source: Kaldi, src/feat/feature-functions.cc (DeltaFeatures, SpliceFrames).
"""

import torch
from torch import Tensor

# Frames on each side of which a delta is the slope.
WINDOW = 2
MAX_ORDER = 2
# A second on each side, and more than anybody uses: networks grow with it.
MAX_CONTEXT = 100


def add_deltas(features: Tensor, lengths: Tensor, order: int) -> Tensor:
    """Put slopes over time behind features.

    d[t] = sum_n n (x[t + n] - x[t - n]) / (2 sum_n n^2),   n = 1..2

    Deltas of deltas are slopes of d, where d beyond an end is that of the repeated frame.

    Args:
        features: (N, T, F); what stands beyond a length is ignored.
        lengths: (N,) frames.
        order: 0 leaves features alone, 1 adds deltas, 2 their deltas too.

    Returns:
        (N, T, F (1 + order)), undefined beyond a length.
    """
    if order == 0:
        return features
    num, num_frames, size = features.shape
    if num_frames == 0:
        return features.new_zeros(num, 0, size * (1 + order))
    return join_slopes(_with_margins(features, lengths, order * WINDOW), order)


def join_slopes(padded: Tensor, order: int) -> Tensor:
    """As `add_deltas`, of features that have their margins already.

    Args:
        padded: (N, T + 2 order WINDOW, F).
        order: 0, 1 or 2.

    Returns:
        (N, T, F (1 + order)).
    """
    margin = order * WINDOW
    num_frames = padded.shape[1] - 2 * margin
    parts, slope = [padded[:, margin : margin + num_frames]], padded
    for _ in range(order):
        slope = _slope(slope)
        margin -= WINDOW
        parts.append(slope[:, margin : margin + num_frames])
    return torch.cat(parts, dim=-1)


def splice(features: Tensor, lengths: Tensor, context: int) -> Tensor:
    """Join to each frame the `context` frames before and after it, in order of time.

    Args:
        features: (N, T, F); what stands beyond a length is ignored.
        lengths: (N,) frames.
        context: frames on each side, >= 0.

    Returns:
        (N, T, F (2 context + 1)), undefined beyond a length.
    """
    if context == 0:
        return features
    num, num_frames, size = features.shape
    if num_frames == 0:
        return features.new_zeros(num, 0, size * (2 * context + 1))
    return join_neighbours(_with_margins(features, lengths, context), context)


def join_neighbours(padded: Tensor, context: int) -> Tensor:
    """As `splice`, of (N, T + 2 context, F) that have their margins: (N, T, F (2 context + 1))."""
    num_frames = padded.shape[1] - 2 * context
    neighbours = [padded[:, start : start + num_frames] for start in range(2 * context + 1)]
    return torch.cat(neighbours, dim=-1)


def check_neighbours(deltas: int, context: int) -> None:
    """Refuse what is out of range.

    Raises:
        ValueError: names the parameter, the rule and the value.
    """
    if deltas not in range(MAX_ORDER + 1):
        raise ValueError(f"deltas must be 0, 1 or 2, got {deltas}")
    if context not in range(MAX_CONTEXT + 1):
        raise ValueError(f"context must be 0..{MAX_CONTEXT} frames on each side, got {context}")


def _slope(features: Tensor) -> Tensor:
    """Slopes where there are neighbours on both sides: (N, T, F) to (N, T - 2 WINDOW, F)."""
    num_frames = features.shape[1] - 2 * WINDOW
    total = torch.zeros_like(features[:, :num_frames])
    for n in range(1, WINDOW + 1):
        after, before = WINDOW + n, WINDOW - n
        total += n * (
            features[:, after : after + num_frames] - features[:, before : before + num_frames]
        )
    return total / (2 * sum(n * n for n in range(1, WINDOW + 1)))


def _with_margins(features: Tensor, lengths: Tensor, margin: int) -> Tensor:
    """Repeat each utterance's first frame before it and its last after it, `margin` times."""
    num_frames, size = features.shape[1:]
    frame = torch.arange(-margin, num_frames + margin, device=features.device)
    frame = torch.minimum(frame.clamp_min(0), (lengths - 1).clamp_min(0)[:, None])  # (N, T')
    return features.gather(1, frame[..., None].expand(-1, -1, size))
