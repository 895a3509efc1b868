"""What a network learns from: a loss of each utterance, and what training needs to know of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from asr.acoustic.model import AcousticModel
from asr.data.loading import Batch

# (logits (T, N, C), targets, input_lengths, target_lengths) -> (N,) nats, as those of asr.ctc.
OfTexts = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class TrainingLoss(nn.Module, ABC):
    """A loss of each utterance of a batch, with what training must know of it beside.

    Its buffers are on the model's device, and a resumed run has them again. The optimizer has none
    of its parameters.
    """

    def prepare(self, model: AcousticModel) -> None:
        """Get ready for the model that learns, on its device; `Stepper` does it, once.

        Raises:
            ValueError: they do not go together, or a file cannot be read.
        """
        self.model = model
        self.to(model.device)

    @abstractmethod
    def forward(self, logits: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
        """Compute the loss of each utterance.

        Args:
            logits: (T, N, C).
            lengths: (N,) frames, on the CPU.
            batch: what was heard.

        Returns:
            (N,) nats; a step with one that is not finite is skipped.
        """

    def num_frames(self, num_samples: int) -> int:
        """Frames that a text must fit in, of so many samples."""
        return self.model.num_frames(num_samples)

    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of the files that it reads, by their keys in the configuration.

        A resumed run may find them elsewhere, but not changed.
        """
        return {}


class TextLoss(TrainingLoss):
    """One that needs no more than the texts.

    Args:
        compute: the loss; where it is a module, its buffers are kept like any.
    """

    def __init__(self, compute: OfTexts) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, logits: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
        """Compute the loss of each utterance, as `TrainingLoss` says."""
        return self.compute(logits, batch.targets, lengths, batch.target_lengths)
