"""Front ends as parts of a graph: what a trace or a runtime has no operator for is said otherwise.

Values are those of `asr.features`; sizes come from shapes, never from the example's lengths.
"""

import copy
import math

import torch
from torch import Tensor, nn

from asr.features import FrontEnd, Raw, Samples, length_mask
from asr.features.deltas import add_deltas
from asr.features.framing import PREEMPHASIS, mirror_ends
from asr.features.samples import normalize_samples
from asr.features.spectral import SpectralFrontEnd


class StaticsInput(nn.Module):
    """Statics (N, T, S) and (N,) frames in: deltas, normalisation and context are in the graph.

    Args:
        front_end: of the model.
    """

    def __init__(self, front_end: SpectralFrontEnd) -> None:
        super().__init__()
        self.front_end = copy.deepcopy(front_end)
        self.runs = front_end.normalize == "running"
        if self.runs:  # which takes the corpus's statistics first
            self.front_end.normalize = "corpus"

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features (N, T, F) and (N,) frames."""
        values = add_deltas(x, lengths, self.front_end.deltas)
        values = self.front_end.normalized(values, lengths)
        if self.runs:
            mask = length_mask(lengths, values.shape[1])[..., None]  # (N, T, 1)
            mean = running_mean_at_once(values, self.front_end.running_frames)
            values = (values - mean).masked_fill(~mask, 0.0)
        return self.front_end.with_context(values, lengths), lengths


class SpectralInput(nn.Module):
    """Samples (N, L) and (N,) lengths in, for front ends that see spectra.

    Args:
        front_end: of the model.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, front_end: SpectralFrontEnd) -> None:
        super().__init__()
        self.rest = StaticsInput(front_end)
        sample = torch.arange(front_end.win_length, dtype=torch.float64)[:, None]
        angle = 2 * math.pi / front_end.n_fft * sample * torch.arange(front_end.n_fft // 2 + 1)
        self.register_buffer("cosines", angle.cos().float())
        self.register_buffer("sines", angle.sin().float())
        self.rest.front_end.power = self.power

    def power(self, windows: Tensor) -> Tensor:
        """Power of windows by a matrix: (N, T, win_length) to (N, T, n_fft / 2 + 1)."""
        previous = torch.cat([windows[..., :1], windows[..., :-1]], dim=-1)
        weighted = (windows - PREEMPHASIS * previous) * self.rest.front_end.window
        return (weighted @ self.cosines).square() + (weighted @ self.sines).square()

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features (N, T, F) and (N,) frames."""
        front_end = self.rest.front_end
        hop, size = front_end.hop_length, front_end.win_length
        num_frames = front_end.num_frames(x.shape[1])
        # A window is some steps side by side, cut at its length.
        steps = -(-size // hop)
        span = (num_frames + steps - 1) * hop
        samples = mirror_ends(x, lengths, span, hop // 2 - size // 2).unflatten(1, (-1, hop))
        parts = [samples[:, step : step + num_frames] for step in range(steps)]
        windows = torch.cat(parts, dim=-1)[..., :size]  # (N, T, win_length)
        windows = windows - windows.mean(dim=-1, keepdim=True)
        return self.rest(front_end.statics(windows), front_end.num_frames(lengths))


class RawInput(nn.Module):
    """Samples (N, L) and (N,) lengths in, for `Raw`.

    Args:
        front_end: of the model.
    """

    def __init__(self, front_end: Raw) -> None:
        super().__init__()
        self.front_end = front_end

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute frames (N, T, hop_length) and (N,) frames."""
        hop = self.front_end.hop_length
        samples = self.front_end.normalized(x[..., None], lengths)[..., 0]  # (N, L)
        num_frames = self.front_end.num_frames(x.shape[1])
        # Not padded by what is missing: the exporter would take that for a constant.
        samples = nn.functional.pad(samples, (0, hop))[:, : num_frames * hop]
        frames = samples.reshape(x.shape[0], num_frames, hop)
        return frames, self.front_end.num_frames(lengths)


class SamplesInput(nn.Module):
    """Samples (N, L) and (N,) lengths in, for `Samples`.

    Args:
        front_end: of the model.
    """

    def __init__(self, front_end: Samples) -> None:
        super().__init__()
        self.normalize = front_end.normalize

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute samples (N, L, 1) and (N,) lengths."""
        mask = length_mask(lengths, x.shape[1])
        samples = x.masked_fill(~mask, 0.0)
        if self.normalize:
            samples = normalize_samples(samples, lengths, mask)
        return samples[..., None], lengths


def graph_front_end(front_end: FrontEnd, *, takes_samples: bool) -> nn.Module:
    """Make the part of a graph that stands in for a front end.

    Args:
        front_end: of the model, in evaluation, on the CPU.
        takes_samples: whether it takes samples, else statics; front ends that have none always
            take samples.
    """
    if isinstance(front_end, SpectralFrontEnd):
        return (SpectralInput if takes_samples else StaticsInput)(front_end)
    if isinstance(front_end, Raw):
        return RawInput(front_end)
    assert isinstance(front_end, Samples)
    return SamplesInput(front_end)


def running_mean_at_once(values: Tensor, num_frames: float) -> Tensor:
    """`running_mean` from zero, by one product with a (T, T) matrix: (N, T, C) to the same."""
    step = torch.arange(values.shape[1], dtype=values.dtype)
    age = step[:, None] - step  # (T, T)
    weights = (1.0 - 1.0 / num_frames) ** age.clamp_min(0.0) / num_frames
    return weights.masked_fill(age < 0, 0.0) @ values
