"""CTC that prefers labels early: for networks whose words are shown while they are spoken.

CTC does not say when a label is emitted, and a network that waits knows more. One with look-ahead
learns to keep the end of a word back until the next word begins or the sound ends; where neither
happens for a while, the word is late by as much.
"""

import math

import torch
from torch import Tensor, nn

from asr.ctc.loss import Reduction, ctc_loss
from asr.ctc.targets import IntegerArray


class DelayPenalizedCTCLoss(nn.Module):
    """`ctc_loss` of scores ln p_t(k) - penalty * t for labels k, and ln p_t(blank); takes logits.

    A path loses `penalty` for each frame that a label comes later. Where a label lasts several
    frames each counts, so that short ones are preferred, too. The scores of a frame do not sum to
    1: losses are larger than those of `ctc_loss`, and only their gradient means something, softmax
    minus occupancy as ever.

    Args:
        penalty: nats a label and frame, >= 0; 0 is plain CTC.
        blank: class of the blank.
        reduction: as `ctc_loss`.
        zero_infinity: as `ctc_loss`.

    Raises:
        ValueError: `penalty` is out of range.

    Source: Yao et al. 2023, "Delay-penalized CTC implemented based on finite state transducer",
        who count a label's first frame alone. Times are centred there, which is the same for them;
        here it would reward labels of the first half for lasting long.
    """

    def __init__(
        self,
        penalty: float,
        blank: int = 0,
        reduction: Reduction = "mean",
        zero_infinity: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= penalty < math.inf:
            raise ValueError(f"penalty must be >= 0 and finite, got {penalty}")
        self.penalty = penalty
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
        times = torch.arange(len(logits), device=logits.device)[:, None]  # (T, 1)
        late = -self.penalty * times.to(log_probs.dtype)  # (T, 1)
        is_label = log_probs.new_ones(log_probs.shape[-1])
        is_label[self.blank] = 0
        return ctc_loss(
            log_probs + late[..., None] * is_label,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
