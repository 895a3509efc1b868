"""Mel-frequency cepstra: (N, L) float32 samples in [-1, 1] -> (N, T, F) float32."""

import math
from typing import Literal

import torch
from torch import Tensor

from asr.features.framing import log_energy
from asr.features.mel import check_mel, log_bands, mel_filterbank
from asr.features.spectral import SpectralFrontEnd


class Mfcc(SpectralFrontEnd):
    """Cosine transform of log-mel energies, liftered; Kaldi's `mfcc` with `snip_edges=False`.

    Args:
        sample_rate: as the following, of `SpectralFrontEnd`.
        n_mels: bands that are transformed, >= 1.
        num_ceps: cepstra that are kept, with the first, 1..n_mels.
        lifter: L; cepstrum i is multiplied by 1 + L / 2 sin(pi i / L). 0 for none.
        use_energy: whether the first cepstrum is replaced by the log energy of the window, taken
            before emphasis. Kaldi floors it at 1 for samples in +-32768; here samples are in
            [-1, 1] and the floor is that of the bands, Kaldi's `--energy-floor=0`.
        win_length: see there.
        hop_length: see there.
        n_fft: see there.
        f_min: Hz, lower edge of the first band.
        f_max: Hz, upper edge of the last band, <= sample_rate / 2.
        normalize: see there.
        running_s: see there.
        deltas: see there.
        context: see there.

    Source: Kaldi, src/feat/feature-mfcc.cc.
    """

    # Neighbouring cepstra are no neighbouring frequencies.
    num_bands = 0
    filterbank: Tensor
    cosines: Tensor

    def __init__(
        self,
        *,
        sample_rate: int,
        n_mels: int,
        num_ceps: int,
        lifter: float,
        use_energy: bool,
        win_length: int,
        hop_length: int,
        n_fft: int,
        f_min: float,
        f_max: float,
        normalize: Literal["utterance", "corpus", "running", "none"],
        running_s: float,
        deltas: int,
        context: int,
    ) -> None:
        check_mel(n_mels, sample_rate, f_min, f_max)
        if not 1 <= num_ceps <= n_mels:
            raise ValueError(f"num_ceps must be 1..n_mels={n_mels}, got {num_ceps}")
        if not lifter >= 0:
            raise ValueError(f"lifter must be >= 0, got {lifter}")
        super().__init__(
            num_ceps,
            sample_rate=sample_rate,
            win_length=win_length,
            hop_length=hop_length,
            n_fft=n_fft,
            normalize=normalize,
            running_s=running_s,
            deltas=deltas,
            context=context,
        )
        self.use_energy = use_energy
        bank = mel_filterbank(n_mels, n_fft, sample_rate, f_min, f_max)
        cosines = cosine_transform(n_mels, num_ceps) * liftering(num_ceps, lifter)
        self.register_buffer("filterbank", bank.float(), persistent=False)
        self.register_buffer("cosines", cosines.float(), persistent=False)

    def statics(self, windows: Tensor) -> Tensor:
        """Compute cepstra, (N, T, num_ceps)."""
        cepstra = self.picture(windows) @ self.cosines
        if self.use_energy:
            cepstra[..., 0] = log_energy(windows)
        return cepstra

    def picture(self, windows: Tensor) -> Tensor:
        """Compute log energies of the bands, (N, T, n_mels)."""
        return log_bands(self.power(windows), self.filterbank)


def cosine_transform(n_mels: int, num_ceps: int) -> Tensor:
    """Orthonormal DCT-II, (n_mels, num_ceps) float64: what follows is multiplied from the right.

    c[k] = s[k] sum_m cos(pi k (m + 1/2) / M) x[m],   s[0] = sqrt(1 / M), otherwise sqrt(2 / M)
    """
    band = torch.arange(n_mels, dtype=torch.float64)[:, None] + 0.5
    order = torch.arange(num_ceps, dtype=torch.float64)
    scale = torch.where(order == 0, 1.0, 2.0).div(n_mels).sqrt()
    return scale * torch.cos(math.pi / n_mels * band * order)


def liftering(num_ceps: int, lifter: float) -> Tensor:
    """Factors of cepstra, 1 + L / 2 sin(pi i / L) for i = 0..num_ceps - 1; float64."""
    order = torch.arange(num_ceps, dtype=torch.float64)
    if lifter == 0:
        return torch.ones_like(order)
    return 1.0 + 0.5 * lifter * torch.sin(math.pi * order / lifter)
