"""CTC with maximum-entropy regularisation: a reward for spreading over the paths of a target.

A network trained with CTC soon settles on few paths, with one frame a label. Rewarding the entropy
of the paths given their target keeps others alive: labels then last about as long as their sounds.

With Z(b) the sum over a target's paths of exp(b * score), where a path's score is its summed
log-probabilities, paths have the probabilities exp(score) / Z(1) and the entropy

    H = ln Z(1) - E[score] = ln Z(1) - (ln Z)'(1),

which is where the tangent of ln Z at b = 1 meets b = 0. -ln Z(b) is the CTC loss of b times the
log-probabilities. So the losses at two points beside 1 give H, and their gradients its gradient,
minus the Hessian of ln Z times the log-probabilities: no recursion but CTC's own is needed.
"""

import torch
from torch import Tensor, nn

from asr.ctc.loss import Reduction, compute_loss, ctc_loss
from asr.ctc.targets import IntegerArray

# How far the two points are from 1: where truncation, which is its square, and rounding meet.
# Powers of 2, so that float32 has both points exactly. Of the largest entry of a gradient, the
# errors then are 2e-4 in float32 and 3e-8 in float64.
STEPS = {torch.float32: 2.0**-7, torch.float64: 2.0**-13}


class EntropyRegularizedCTCLoss(nn.Module):
    """`ctc_loss` - weight * `path_entropy`, for training; takes logits.

    Losses may be negative.

    Args:
        weight: nats of loss that a nat of entropy is worth, >= 0.
        blank: class of the blank.
        reduction: as `ctc_loss`.
        zero_infinity: as `ctc_loss`. Otherwise an impossible utterance has loss and gradient NaN.

    Raises:
        ValueError: `weight` is out of range.

    Source: Liu, Jin and Zhang 2018, "Connectionist temporal classification with maximum entropy
        regularization".
    """

    def __init__(
        self,
        weight: float,
        blank: int = 0,
        reduction: Reduction = "mean",
        zero_infinity: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= weight < float("inf"):
            raise ValueError(f"weight must be >= 0 and finite, got {weight}")
        self.weight = weight
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
        """Return the loss of a batch; arguments are those of `ctc_loss`, with logits."""
        log_probs = logits.log_softmax(-1)
        arguments = (
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction,
            self.zero_infinity,
        )  # fmt: skip
        return ctc_loss(*arguments) - self.weight * path_entropy(*arguments)


def path_entropy(
    log_probs: Tensor,
    targets: IntegerArray,
    input_lengths: IntegerArray,
    target_lengths: IntegerArray,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Compute the entropy of the paths of each target; arguments and errors are `ctc_loss`'s.

    Returns:
        () or, for "none", (N,) nats: 0 where one path has all the probability, ln of the number of
        paths where all are equally likely, each to rounding. NaN where the loss is not finite,
        0 where `zero_infinity` makes it 0. Can be differentiated once.

    Source: the quantity is that of Liu, Jin and Zhang 2018; the way to it is ours.
    """
    if log_probs.dtype not in STEPS:
        log_probs = log_probs.float()
    step = STEPS[log_probs.dtype]
    rest = targets, input_lengths, target_lengths, blank, reduction, zero_infinity, False
    below, above = 1 - step, 1 + step
    # In float64, because the two are nearly equal.
    loss_below = compute_loss(below * log_probs, *rest, torch.float64)
    loss_above = compute_loss(above * log_probs, *rest, torch.float64)
    return ((below * loss_above - above * loss_below) / (above - below)).to(log_probs.dtype)
