"""CTC with label priors: posteriors that are less peaky, so that labels have ends, not only starts.

A network trained with CTC learns to spend nearly every frame on the blank, and a single one on each
label. Dividing the posteriors by the priors of their classes while training takes the blank's
advantage away: labels then last about as long as their sounds. Decoding and alignment use the
network's output as it is.
"""

import math

import torch
from torch import Tensor, nn

from asr.ctc.loss import Reduction, ctc_loss
from asr.ctc.targets import IntegerArray


class LabelPriorCTCLoss(nn.Module):
    """`ctc_loss` of scores ln p_t(k) - scale * ln prior(k), for training; takes logits.

    The prior of a class is its mean posterior over the frames of the batch, taken as a constant.
    The scores of a frame do not sum to 1, so that losses may be negative: only their gradient
    means something, softmax minus occupancy as ever.

    Args:
        scale: of the priors, 0 (plain CTC) .. 1.
        blank: class of the blank.
        reduction: as `ctc_loss`.
        zero_infinity: as `ctc_loss`.

    Raises:
        ValueError: `scale` is out of range.

    Source: Huang et al. 2024, "Less peaky and more accurate CTC forced alignment by label priors",
        section 3, whose priors are those of the last epoch. The batch's need no state, and are
        never out of date; docs/results.md compares.
    """

    def __init__(
        self,
        scale: float,
        blank: int = 0,
        reduction: Reduction = "mean",
        zero_infinity: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= scale <= 1:
            raise ValueError(f"scale must be in 0..1, got {scale}")
        self.scale = scale
        self.blank = blank
        self.reduction: Reduction = reduction
        self.zero_infinity = zero_infinity

    def forward(
        self,
        logits: Tensor,
        targets: IntegerArray,
        input_lengths: IntegerArray,
        target_lengths: IntegerArray,
    ) -> Tensor:
        """Return the loss of a batch; arguments are those of `ctc_loss`, (T, N, C) logits."""
        log_probs = logits.log_softmax(-1)
        scores = log_probs - self.scale * log_priors(log_probs.detach(), input_lengths)
        return ctc_loss(
            scores,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )


def log_priors(log_probs: Tensor, input_lengths: IntegerArray) -> Tensor:
    """Compute the natural log of each class's mean posterior over the frames of a batch.

    Args:
        log_probs: (T, N, C). Frames that hold NaN are left out.
        input_lengths: (N,) frames.

    Returns:
        (C,) nats; 0 for a class that is impossible throughout.
    """
    times = torch.arange(len(log_probs), device=log_probs.device)
    lengths = torch.as_tensor(input_lengths, device=log_probs.device)
    counted = (times[:, None] < lengths) & ~log_probs.isnan().any(-1)  # (T, N)
    rows = log_probs[counted]  # (frames, C)
    return (rows.logsumexp(0) - math.log(max(1, len(rows)))).nan_to_num(neginf=0.0)
