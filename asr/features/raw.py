"""No features: samples, a frame's worth at a time, for networks that learn filters."""

from typing import Literal, TypeVar

import torch
from torch import Tensor

from asr.features.framing import ENERGY_FLOOR, MAX_N_FFT, cut_windows, povey_window, power_spectra
from asr.features.front_end import Augment
from asr.features.normalization import Normalized

Size = TypeVar("Size", int, Tensor)


class Raw(Normalized):
    """Frames of `hop_length` samples, side by side, so that lengths stay exact.

    Joined, frames are the waveform; the last one is filled up with zeros.

    Args:
        sample_rate: Hz; waveforms of another rate must be resampled before.
        hop_length: samples of a frame.
        normalize: "utterance", "corpus" or "none"; mean and deviation are of all samples.
    """

    num_bands = 0

    def __init__(
        self,
        *,
        sample_rate: int,
        hop_length: int,
        normalize: Literal["utterance", "corpus", "none"],
    ) -> None:
        super().__init__(1, normalize, kinds=("utterance", "corpus", "none"))
        if sample_rate < 1:
            raise ValueError(f"sample_rate must be >= 1, got {sample_rate}")
        if not 1 <= hop_length <= MAX_N_FFT:
            raise ValueError(f"hop_length must be 1..{MAX_N_FFT}, got {hop_length}")
        self.sample_rate = sample_rate
        self.hop_length = hop_length
        self.num_features = hop_length

    def num_frames(self, num_samples: Size) -> Size:
        """Frames that hold that many samples: samples / hop_length, rounded up."""
        return (num_samples + self.hop_length - 1) // self.hop_length

    def forward(
        self, waveforms: Tensor, lengths: Tensor, augment: Augment | None = None
    ) -> tuple[Tensor, Tensor]:
        """Normalise a padded batch and cut it into frames.

        Args:
            waveforms: (N, L) in [-1, 1]; samples at and beyond a length are ignored.
            lengths: (N,) samples of each utterance, 0..L.
            augment: changes normalised frames.

        Returns:
            frames (N, T, hop_length), zero beyond each length, and their number (N,).
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            num_samples = self.num_frames(max(lengths.tolist(), default=0)) * self.hop_length
            values, lengths = self.values(waveforms.float(), lengths)
            samples = self.normalized(values, lengths)[:, :num_samples, 0]  # (N, L)
            missing = num_samples - samples.shape[1]
            samples = torch.nn.functional.pad(samples, (0, missing))
            frames = samples.unflatten(1, (-1, self.hop_length))  # (N, T, hop_length)
            return frames if augment is None else augment(frames), self.num_frames(lengths)

    def values(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Hand out the samples, (N, L, 1), and lengths on their device."""
        return waveforms[..., None], lengths.to(waveforms.device, non_blocking=True)

    def log_energies(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the log power of windows of two frames; values beyond a length are undefined."""
        size = 2 * self.hop_length
        num_frames = self.num_frames(max(lengths.tolist(), default=0))
        lengths = lengths.to(waveforms.device, non_blocking=True)
        windows = cut_windows(waveforms, lengths, num_frames, size, self.hop_length)
        power = power_spectra(windows, povey_window(size).to(windows), size)
        return power.clamp_min(ENERGY_FLOOR).log(), self.num_frames(lengths)
