"""Waveforms to features: (N, L) float32 samples in [-1, 1] -> (N, T, F) float32.

Why Kaldi's definition: a model trained on it runs unchanged in the runtimes that compute
features the Kaldi way (sherpa-onnx among them), so frames are centred with mirrored edges
(`snip_edges=False`) and every constant below is Kaldi's.
"""

from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from asr.features.front_end import length_mask

Size = TypeVar("Size", int, Tensor)
PREEMPHASIS = 0.97
# Kaldi floors mel energies at float32's epsilon before the logarithm.
ENERGY_FLOOR = torch.finfo(torch.float32).eps
# A second at the highest rates, and more bands than anybody uses: the tables grow with both.
MAX_N_FFT = 2**16
MAX_N_MELS = 1024
# Added to a standard deviation, so that digital silence stays finite.
STD_FLOOR = 1e-5


class LogMel(nn.Module):
    """Logarithms of mel band energies, equal to Kaldi's `fbank` with `snip_edges=False`.

    Args:
        sample_rate: Hz; waveforms of another rate must be resampled before.
        n_mels: bands, >= 1.
        win_length: samples of the analysis window, <= n_fft.
        hop_length: samples between frames.
        n_fft: points of the transform, a power of two in Kaldi.
        f_min: Hz, lower edge of the first band.
        f_max: Hz, upper edge of the last band, <= sample_rate / 2.
        normalize: "utterance" gives every band mean 0 and deviation 1 within each utterance,
            "corpus" with the statistics that `fit` measured, "none" leaves logarithms as they are.

    Source: Kaldi, src/feat/feature-window.cc, feature-fbank.cc, mel-computations.cc.
    """

    window: Tensor
    filterbank: Tensor
    corpus_mean: Tensor
    corpus_std: Tensor

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
        normalize: Literal["utterance", "corpus", "none"],
    ) -> None:
        super().__init__()
        _check_log_mel(sample_rate, n_mels, win_length, hop_length, n_fft, f_min, f_max)
        if normalize not in ("utterance", "corpus", "none"):
            raise ValueError(f"normalize must be utterance, corpus or none, got {normalize!r}")
        self.sample_rate = sample_rate
        self.num_features = n_mels
        self.win_length = win_length
        self.hop_length = hop_length
        self.n_fft = n_fft
        self.normalize = normalize
        povey_window = torch.hann_window(win_length, periodic=False, dtype=torch.float64) ** 0.85
        bank = mel_filterbank(n_mels, n_fft, sample_rate, f_min, f_max)
        self.register_buffer("window", povey_window.float(), persistent=False)
        self.register_buffer("filterbank", bank.float(), persistent=False)
        self.register_buffer("corpus_mean", torch.zeros(n_mels))
        self.register_buffer("corpus_std", torch.ones(n_mels))

    @property
    def needs_fit(self) -> bool:
        """Whether normalisation takes statistics that `fit` measures."""
        return self.normalize == "corpus"

    def num_frames(self, num_samples: Size) -> Size:
        """Frames of that many samples: samples / hop_length, half rounded up."""
        return (num_samples + self.hop_length // 2) // self.hop_length

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute normalised features of a padded batch.

        Args:
            waveforms: (N, L) in [-1, 1]; samples at and beyond a length are ignored.
            lengths: (N,) samples of each utterance, 0..L.

        Returns:
            features (N, T, F), zero beyond each length, and feature_lengths (N,).
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            features, feature_lengths = self.log_energies(waveforms.float(), lengths)
            mask = length_mask(feature_lengths, features.shape[1])[..., None]  # (N, T, 1)
            features = self._normalized(features, feature_lengths, mask)
            return features.masked_fill(~mask, 0.0), feature_lengths

    def log_energies(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Like `forward`, before normalisation; values beyond a length are undefined."""
        num_frames = self.num_frames(max(lengths.tolist(), default=0))
        lengths = lengths.to(waveforms.device, non_blocking=True)
        feature_lengths = self.num_frames(lengths)
        if num_frames == 0:
            return waveforms.new_zeros(len(waveforms), 0, self.num_features), feature_lengths
        frames = self._frames(waveforms, lengths, num_frames)  # (N, T, win_length)
        frames = frames - frames.mean(dim=-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = (frames - PREEMPHASIS * previous) * self.window
        power = torch.fft.rfft(frames, n=self.n_fft).abs().square()  # (N, T, n_fft / 2 + 1)
        return (power @ self.filterbank).clamp_min(ENERGY_FLOOR).log(), feature_lengths

    @torch.no_grad()
    def fit(
        self,
        batches: Iterable[tuple[Tensor, Tensor]],
        reduce: Callable[[Tensor], Tensor] = lambda sums: sums,
    ) -> None:
        """Measure the corpus statistics on (waveforms, lengths) batches, for "corpus".

        Args:
            batches: on any device; they are computed where this module is.
            reduce: adds sums (3, F) float64 on the CPU up over processes that have a share each.
        """
        sums = torch.zeros(3, self.num_features, dtype=torch.float64)
        for waveforms, lengths in batches:
            sums += self.measure(waveforms, lengths)
        total, squares, count = reduce(sums)
        if not count.all():
            raise ValueError("corpus normalisation needs at least one frame of speech, got none")
        mean = total / count
        self.corpus_mean.copy_(mean)
        self.corpus_std.copy_((squares / count - mean.square()).clamp_min(0).sqrt())

    @torch.no_grad()
    def measure(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Sum log energies, their squares and frames of a batch: (3, F) float64 on the CPU."""
        waveforms = waveforms.to(self.window.device, non_blocking=True)
        features, feature_lengths = self.log_energies(waveforms, lengths)
        mask = length_mask(feature_lengths, features.shape[1])[..., None]  # (N, T, 1)
        speech = features.masked_fill(~mask, 0.0).cpu().double()  # (N, T, F)
        count = feature_lengths.sum().cpu().double().expand(self.num_features)
        return torch.stack([speech.sum((0, 1)), speech.square().sum((0, 1)), count])

    def _frames(self, waveforms: Tensor, lengths: Tensor, num_frames: int) -> Tensor:
        """Cut (N, T, win_length) windows; samples outside an utterance mirror its own ends."""
        span = (num_frames - 1) * self.hop_length + self.win_length
        start = self.hop_length // 2 - self.win_length // 2
        position = torch.arange(start, start + span, device=waveforms.device)  # (P,)
        period = 2 * lengths.clamp_min(1)[:, None]
        position = torch.remainder(position[None], period)  # (N, P)
        position = torch.minimum(position, period - 1 - position)
        return waveforms.gather(1, position).unfold(1, self.win_length, self.hop_length)

    def _normalized(self, features: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        if self.normalize == "none":
            return features
        if self.normalize == "corpus":
            return (features - self.corpus_mean) / (self.corpus_std + STD_FLOOR)
        count = lengths.clamp_min(1)[:, None, None]
        mean = features.masked_fill(~mask, 0.0).sum(1, keepdim=True) / count  # (N, 1, F)
        centred = (features - mean).masked_fill(~mask, 0.0)
        std = (centred.square().sum(1, keepdim=True) / count).sqrt()
        return centred / (std + STD_FLOOR)


def mel_filterbank(n_mels: int, n_fft: int, sample_rate: int, f_min: float, f_max: float) -> Tensor:
    """Build Kaldi's triangular filters, (n_fft / 2 + 1, n_mels) float64.

    Triangles are linear on the mel scale 1127 ln(1 + f / 700); the Nyquist bin has no weight.
    """
    bins = torch.arange(n_fft // 2, dtype=torch.float64) * sample_rate / n_fft
    mel = 1127.0 * torch.log1p(bins / 700.0)[:, None]  # (n_fft / 2, 1)
    low, high = 1127.0 * torch.log1p(torch.tensor([f_min, f_max], dtype=torch.float64) / 700.0)
    edges = low + (high - low) * torch.arange(n_mels + 2, dtype=torch.float64) / (n_mels + 1)
    rising = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    bank = torch.minimum(rising, falling).clamp_min(0.0)
    return torch.cat([bank, bank.new_zeros(1, n_mels)])


def _check_log_mel(
    sample_rate: int,
    n_mels: int,
    win_length: int,
    hop_length: int,
    n_fft: int,
    f_min: float,
    f_max: float,
) -> None:
    for name, value in (
        ("sample_rate", sample_rate),
        ("n_mels", n_mels),
        ("hop_length", hop_length),
    ):
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")
    if not hop_length <= win_length <= n_fft:
        raise ValueError(
            f"hop_length <= win_length <= n_fft must hold, got {hop_length}, {win_length}, {n_fft}"
        )
    for name, value, most in (("n_fft", n_fft, MAX_N_FFT), ("n_mels", n_mels, MAX_N_MELS)):
        if value > most:
            raise ValueError(f"{name} must be <= {most}, got {value}")
    if not 0 <= f_min < f_max <= sample_rate / 2:
        raise ValueError(
            f"0 <= f_min < f_max <= sample_rate / 2 must hold, got {f_min}, {f_max}, {sample_rate}"
        )
