"""Linear spectrograms: (N, L) float32 samples in [-1, 1] -> (N, T, F) float32."""

from typing import Literal

from torch import Tensor

from asr.features.framing import ENERGY_FLOOR, log_energy
from asr.features.spectral import SpectralFrontEnd


class Spectrogram(SpectralFrontEnd):
    """Logarithms of the power at n_fft / 2 + 1 frequencies; Kaldi's `spectrogram`, edges mirrored.

    As in Kaldi the first, whose frequency 0 windows without their mean do not have, is the log
    energy of the window before emphasis; its floor is that of `Mfcc`.

    Args:
        sample_rate: as the following, of `SpectralFrontEnd`.
        win_length: see there.
        hop_length: see there.
        n_fft: see there; bins are sample_rate / n_fft Hz apart.
        normalize: see there.
        running_s: see there.
        deltas: see there.
        context: see there.

    Source: Kaldi, src/feat/feature-spectrogram.cc.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        win_length: int,
        hop_length: int,
        n_fft: int,
        normalize: Literal["utterance", "corpus", "running", "none"],
        running_s: float,
        deltas: int,
        context: int,
    ) -> None:
        super().__init__(
            n_fft // 2 + 1,
            sample_rate=sample_rate,
            win_length=win_length,
            hop_length=hop_length,
            n_fft=n_fft,
            normalize=normalize,
            running_s=running_s,
            deltas=deltas,
            context=context,
        )
        self.num_bands = n_fft // 2 + 1

    def statics(self, windows: Tensor) -> Tensor:
        """Compute log power, (N, T, n_fft / 2 + 1)."""
        bins = self.power(windows).clamp_min(ENERGY_FLOOR).log()
        bins[..., 0] = log_energy(windows)
        return bins
