"""What front ends share that see spectra: windows, deltas, normalisation, context."""

from typing import TypeVar

import torch
from torch import Tensor

from asr.features.deltas import add_deltas, check_neighbours, splice
from asr.features.framing import check_analysis, cut_windows, povey_window, power_spectra
from asr.features.front_end import Augment, length_mask
from asr.features.normalization import Normalized

Size = TypeVar("Size", int, Tensor)


class SpectralFrontEnd(Normalized):
    """Statics of each frame, their deltas, all normalised, and the frames around each.

    Args:
        num_statics: features of a frame before deltas and context.
        sample_rate: Hz; waveforms of another rate must be resampled before.
        win_length: samples of the analysis window, <= n_fft.
        hop_length: samples between frames.
        n_fft: points of the transform, a power of two in Kaldi.
        normalize: "utterance", "corpus", "running" or "none" (`Normalized`).
        running_s: seconds of the past that "running" takes the mean of.
        deltas: 1 adds the slopes of the statics over time, 2 the slopes of these too, 0 none.
        context: frames on each side that are joined to each frame.
    """

    window: Tensor

    def __init__(
        self,
        num_statics: int,
        *,
        sample_rate: int,
        win_length: int,
        hop_length: int,
        n_fft: int,
        normalize: str,
        running_s: float,
        deltas: int,
        context: int,
    ) -> None:
        check_analysis(sample_rate, win_length, hop_length, n_fft)
        check_neighbours(deltas, context)
        num_channels = num_statics * (1 + deltas)
        running_frames = running_s * sample_rate / hop_length
        super().__init__(num_channels, normalize, running_frames=running_frames)
        self.sample_rate = sample_rate
        self.win_length = win_length
        self.hop_length = hop_length
        self.n_fft = n_fft
        self.deltas = deltas
        self.context = context
        self.num_features = num_channels * (2 * context + 1)
        self.register_buffer("window", povey_window(win_length), persistent=False)

    def statics(self, windows: Tensor) -> Tensor:
        """Compute the features of windows (N, T, win_length) by themselves, (N, T, statics)."""
        raise NotImplementedError

    def picture(self, windows: Tensor) -> Tensor:
        """Compute log energies of bands, low ones first: the statics, where they are that."""
        return self.statics(windows)

    def num_frames(self, num_samples: Size) -> Size:
        """Frames of that many samples: samples / hop_length, half rounded up."""
        return (num_samples + self.hop_length // 2) // self.hop_length

    def forward(
        self, waveforms: Tensor, lengths: Tensor, augment: Augment | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute normalised features of a padded batch.

        Args:
            waveforms: (N, L) in [-1, 1]; samples at and beyond a length are ignored.
            lengths: (N,) samples of each utterance, 0..L.
            augment: changes normalised frames before their neighbours are joined to them.

        Returns:
            features (N, T, F), zero beyond each length, and feature_lengths (N,).
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            features, feature_lengths = self.values(waveforms.float(), lengths)
            features = self.normalized(features, feature_lengths)
            if augment is not None:
                features = augment(features)
            return self.with_context(features, feature_lengths), feature_lengths

    def values(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute statics and their deltas; values beyond a length are undefined."""
        windows, feature_lengths = self._windows(waveforms, lengths)
        return add_deltas(self.statics(windows), feature_lengths, self.deltas), feature_lengths

    def with_context(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Join the frames around each: (N, T, C), of which (N,) are speech, to (N, T, F)."""
        if not self.context:
            return features
        features = splice(features, lengths, self.context)
        mask = length_mask(lengths, features.shape[1])[..., None]  # (N, T, 1)
        return features.masked_fill(~mask, 0.0)

    def log_energies(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what a picture of the speech shows; values beyond a length are undefined."""
        windows, feature_lengths = self._windows(waveforms, lengths)
        return self.picture(windows), feature_lengths

    def power(self, windows: Tensor) -> Tensor:
        """Power of windows, (N, T, n_fft / 2 + 1)."""
        return power_spectra(windows, self.window, self.n_fft)

    def _windows(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        num_frames = self.num_frames(max(lengths.tolist(), default=0))
        lengths = lengths.to(waveforms.device, non_blocking=True)
        windows = cut_windows(waveforms, lengths, num_frames, self.win_length, self.hop_length)
        return windows, self.num_frames(lengths)
