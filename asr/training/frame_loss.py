"""Cross entropy of each frame with the class that a trained model's alignment gives it.

The classic recipe of hybrid systems: an aligner hears the batch and says where its text lies, and
the network learns the class of every frame by itself. No path of its own is ever computed.

Source: Bourlard and Morgan 1994, "Connectionist speech recognition"; as the training of the frame
network in Nagamine et al. 2015.
"""

import logging
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel
from asr.alignment.frame_labels import label_frames
from asr.alignment.spans import best_paths, merge_frames
from asr.data.fingerprint import fingerprint_file
from asr.data.loading import Batch
from asr.text import BLANK
from asr.training.loss import TrainingLoss

IGNORED = -100

logger = logging.getLogger(__name__)


class FrameLoss(TrainingLoss):
    """Cross entropy with frame targets, summed over an utterance's frames.

    A frame of the network has the class of the aligner's path at its middle, once the path's labels
    have grown as `asr.alignment.frame_labels` says; frame t of either is [t, t + 1) times its
    model's seconds per frame.

    Args:
        aligner: model file, with the tokens of the network that learns.
        stretch_s: seconds that a label may grow at either end, >= 0.

    Raises:
        ValueError: `stretch_s` is out of range.
    """

    def __init__(self, *, aligner: str, stretch_s: float) -> None:
        super().__init__()
        if not 0 <= stretch_s < float("inf"):
            raise ValueError(f"stretch_s must be >= 0 and finite, got {stretch_s}")
        self.path = aligner
        self.stretch_s = stretch_s

    def prepare(self, model: AcousticModel) -> None:
        """Read the aligner for a model that learns, onto its device.

        Raises:
            ValueError: the file cannot be read, or does not go with the model.
        """
        super().prepare(model)
        aligner = load_checkpoint(self.path).to(model.device)
        for name, clip_model in (("the aligner", aligner), ("the model", model)):
            if clip_model.max_samples is not None:
                raise ValueError(
                    f"loss.aligner={self.path}: {name} gives a clip one label: it has no frames "
                    "to align"
                )
        theirs, ours = aligner.tokenizer.tokens, model.tokenizer.tokens
        if theirs != ours:
            raise ValueError(
                f"loss.aligner={self.path}: its tokens must be those of the model that learns: "
                f"{_differ(theirs, ours)}"
            )
        if aligner.sample_rate != model.sample_rate:
            raise ValueError(
                f"loss.aligner={self.path}: must hear {model.sample_rate} Hz, as the model that "
                f"learns, got {aligner.sample_rate}"
            )
        # No module, whose weights would go into the file of every run.
        self._aligner = aligner
        self._fingerprint = fingerprint_file(Path(self.path))

    def num_frames(self, num_samples: int) -> int:
        """Frames that a text must fit in: the fewer of the aligner's and the model's."""
        return min(self._aligner.num_frames(num_samples), super().num_frames(num_samples))

    def fingerprints(self) -> dict[str, str]:
        """Fingerprint of the aligner's file."""
        return {"loss.aligner": self._fingerprint}

    def forward(self, logits: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
        """Compute the loss of each utterance, as `TrainingLoss` says.

        It is NaN for an utterance that the aligner cannot align, which is logged.
        """
        targets = self.targets(batch, lengths)  # N of (T_n,)
        padded = torch.full((len(logits), len(batch.ids)), IGNORED)
        for n, target in enumerate(targets):
            if target is not None:
                padded[: len(target), n] = target
        losses = functional.cross_entropy(
            logits.flatten(0, 1),  # (T * N, C)
            padded.flatten().to(logits.device, non_blocking=True),
            ignore_index=IGNORED,
            reduction="none",
        )
        losses = losses.view_as(padded).sum(0)
        unknown = torch.tensor([target is None for target in targets])
        return losses.masked_fill(unknown.to(losses.device, non_blocking=True), torch.nan)

    def targets(self, batch: Batch, lengths: Tensor) -> list[Tensor | None]:
        """Compute the class of each frame of utterances with so many frames, (T_n,) each.

        None where there is none; the log says why.
        """
        log_probs, frames = self._aligner.log_probs(batch.waveforms, batch.waveform_lengths)
        rows = [row[:length] for row, length in zip(log_probs, frames.tolist(), strict=True)]
        labels = [
            row[:size].tolist()
            for row, size in zip(batch.targets, batch.target_lengths.tolist(), strict=True)
        ]
        ratio = self._aligner.samples_per_frame / self.model.samples_per_frame
        reach = self.stretch_s / self.model.seconds_per_frame
        targets: list[Tensor | None] = []
        for n, path in enumerate(best_paths(rows, labels)):
            if isinstance(path, str):
                logger.warning("the aligner cannot align %s: %s", batch.ids[n], path)
                targets.append(None)
                continue
            spans = merge_frames(*path, self._aligner.tokenizer.tokens)
            starts = [ratio * span.start_frame for span in spans]
            ends = [ratio * span.end_frame for span in spans]
            size = int(lengths[n])
            found = label_frames(labels[n], starts, ends, size, reach, BLANK)
            targets.append(torch.from_numpy(found))
        return targets


def _differ(theirs: list[str], ours: list[str]) -> str:
    """Say where two lists of tokens first differ."""
    if len(theirs) != len(ours):
        return f"there are {len(theirs)}, not {len(ours)}"
    n = next(n for n, pair in enumerate(zip(theirs, ours, strict=True)) if pair[0] != pair[1])
    return f"number {n} is {theirs[n]!r}, not {ours[n]!r}"
