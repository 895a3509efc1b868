"""The CTC loss and alignment: see `loss`, `alignment` and `targets`."""

from asr.ctc.alignment import forced_align, occupancies
from asr.ctc.entropy import EntropyRegularizedCTCLoss, path_entropy
from asr.ctc.explanation import explain
from asr.ctc.label_priors import LabelPriorCTCLoss
from asr.ctc.loss import CTCLoss, ctc_loss
from asr.ctc.targets import check_feasible, minimum_input_length

__all__ = [
    "CTCLoss",
    "EntropyRegularizedCTCLoss",
    "LabelPriorCTCLoss",
    "check_feasible",
    "ctc_loss",
    "explain",
    "forced_align",
    "minimum_input_length",
    "occupancies",
    "path_entropy",
]
