"""The acoustic model: front end and network, from waveforms to log-probabilities of tokens."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from asr.features import FRONT_ENDS, FrontEnd
from asr.models import NETWORKS, Network
from asr.text import Tokenizer

Part = TypeVar("Part")


@dataclass
class AcousticModel:
    """Turns waveforms into log-probabilities; trained or not yet.

    Attributes:
        config: the resolved configuration that it was built from.
        tokenizer: texts to classes and back.
        features: waveforms to features.
        network: features to class scores.
    """

    config: dict
    tokenizer: Tokenizer
    features: FrontEnd
    network: Network

    @property
    def sample_rate(self) -> int:
        """Hz that waveforms must have."""
        return self.features.sample_rate

    @property
    def samples_per_frame(self) -> int:
        """Samples between two frames of the output."""
        return self.features.hop_length * self.network.subsampling_factor

    @property
    def seconds_per_frame(self) -> float:
        """Time between two frames of the output."""
        return self.samples_per_frame / self.sample_rate

    def num_frames(self, num_samples: int) -> int:
        """Output frames for that many samples."""
        frames = self.features.num_frames(torch.tensor([num_samples]))
        return int(self.network.output_lengths(frames))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> "AcousticModel":
        """Move weights and feature tables."""
        self.features.to(device)
        self.network.to(device)
        return self

    @torch.inference_mode()
    def log_probs(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-probabilities in evaluation mode.

        Args:
            waveforms: (N, L) float32 in [-1, 1] at `sample_rate`.
            lengths: (N,) samples.

        Returns:
            log_probs (N, T, C) float32 and their lengths (N,) int64, on the CPU.
        """
        self.features.eval()
        self.network.eval()
        # Lengths on the CPU: sizes are read from them without waiting for a GPU.
        waveforms = waveforms.to(self.device, non_blocking=True)
        features, feature_lengths = self.features(waveforms, lengths)
        logits, output_lengths = self.network(features, feature_lengths)
        log_probs = logits.float().log_softmax(-1).transpose(0, 1)  # (N, T, C)
        return log_probs.contiguous().cpu(), output_lengths.cpu()


def build_model(config: dict, tokenizer: Tokenizer) -> AcousticModel:
    """Build an untrained model from a resolved configuration.

    Raises:
        ValueError: a `_target_` is none of the project's classes, or refuses its arguments.
    """
    features = _build(config["features"], FRONT_ENDS)
    sizes = {"num_features": features.num_features, "num_classes": len(tokenizer.tokens)}
    network = _build(config["model"], NETWORKS, **sizes)
    return AcousticModel(config, tokenizer, features, network)


def _build(config: dict, classes: dict[str, type[Part]], **sizes: int) -> Part:
    arguments = dict(config)
    target = arguments.pop("_target_", None)
    if target not in classes:
        raise ValueError(f"_target_ must be one of {sorted(classes)}, got {target!r}")
    try:
        return classes[target](**arguments, **sizes)
    except TypeError as error:
        raise ValueError(f"{target}: {error}") from error
