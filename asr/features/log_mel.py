"""Log-mel features: (N, L) float32 samples in [-1, 1] -> (N, T, F) float32.

Why Kaldi's definition: a model trained on it runs unchanged in the runtimes that compute
features the Kaldi way (sherpa-onnx among them).
"""

from typing import Literal

from torch import Tensor

from asr.features.mel import check_mel, log_bands, mel_filterbank
from asr.features.spectral import SpectralFrontEnd


class LogMel(SpectralFrontEnd):
    """Logarithms of mel band energies, equal to Kaldi's `fbank` with `snip_edges=False`.

    Args:
        sample_rate: as the following, of `SpectralFrontEnd`.
        n_mels: bands, >= 1.
        win_length: see there.
        hop_length: see there.
        n_fft: see there.
        f_min: Hz, lower edge of the first band.
        f_max: Hz, upper edge of the last band, <= sample_rate / 2.
        normalize: see there.
        running_s: see there.
        deltas: see there.
        context: see there.

    Source: Kaldi, src/feat/feature-fbank.cc.
    """

    filterbank: Tensor

    def __init__(
        self,
        *,
        sample_rate: int,
        n_mels: int,
        win_length: int,
        hop_length: int,
        n_fft: int,
        f_min: float,
        f_max: float,
        normalize: Literal["utterance", "corpus", "running", "none"],
        running_s: float = 0.0,  # these as in model files of before they were options
        deltas: int = 0,
        context: int = 0,
    ) -> None:
        check_mel(n_mels, sample_rate, f_min, f_max)
        super().__init__(
            n_mels,
            sample_rate=sample_rate,
            win_length=win_length,
            hop_length=hop_length,
            n_fft=n_fft,
            normalize=normalize,
            running_s=running_s,
            deltas=deltas,
            context=context,
        )
        self.num_bands = n_mels
        bank = mel_filterbank(n_mels, n_fft, sample_rate, f_min, f_max)
        self.register_buffer("filterbank", bank.float(), persistent=False)

    def statics(self, windows: Tensor) -> Tensor:
        """Compute log energies of bands, (N, T, n_mels)."""
        return log_bands(self.power(windows), self.filterbank)
