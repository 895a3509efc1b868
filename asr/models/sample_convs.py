"""Convolutions on samples that make frames, without padding at the ends."""

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.features.front_end import length_mask
from asr.models.options import check_choice, check_counts, check_entries

ConvNorm = Literal["group", "layer"]
EPS = 1e-5


class SampleConvs(nn.ModuleList):
    """From samples to frames: convolution, norm and GELU, several times.

    Args:
        channels: C of each convolution.
        kernels: its size.
        strides: its stride.
        bias: whether it adds one.
        norm: "layer" for every frame by itself after each convolution; "group" for every channel
            by itself over the whole utterance, after the first one alone.

    Raises:
        ValueError: an option of the network, whose name begins with conv, is out of range.

    Source: Baevski et al. 2020 (arXiv:2006.11477), section 2 and appendix B.
    """

    def __init__(
        self,
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        *,
        bias: bool,
        norm: ConvNorm,
    ) -> None:
        sizes = {"conv_channels": channels, "conv_kernels": kernels, "conv_strides": strides}
        check_entries("convolution", **sizes)
        check_counts(**sizes)
        check_choice("conv_norm", norm, "group", "layer")
        super().__init__()
        before = 1
        for index, (after, kernel, stride) in enumerate(
            zip(channels, kernels, strides, strict=True)
        ):
            conv = nn.Conv1d(before, after, kernel, stride, bias=bias)
            self.append(SampleConv(conv, norm if norm == "layer" or not index else None))
            before = after

    @property
    def least(self) -> int:
        """Samples that give one frame."""
        samples = 1
        for layer in reversed(self._layers()):
            samples = (samples - 1) * layer.conv.stride[0] + layer.conv.kernel_size[0]
        return samples

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Kernel and stride of each convolution."""
        return [(layer.conv.kernel_size[0], layer.conv.stride[0]) for layer in self._layers()]

    def _layers(self) -> list["SampleConv"]:
        return cast(list[SampleConv], [*self])

    def num_frames(self, num_samples: Tensor) -> Tensor:
        """Frames for that many samples: those whose samples are all there."""
        for layer in self._layers():
            num_samples = layer.num_frames(num_samples)
        return num_samples

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Map (N, L), zero beyond (N,) lengths, to (N, T, C)."""
        x = samples[:, None]  # (N, 1, L)
        for layer in self._layers():
            lengths = layer.num_frames(lengths)
            x = layer(x, lengths)
        return x.transpose(1, 2)  # (N, T, C)


class SampleConv(nn.Module):
    """One convolution with its norm, and GELU."""

    def __init__(self, conv: nn.Conv1d, norm: ConvNorm | None) -> None:
        super().__init__()
        self.conv = conv
        self.norm = None
        if norm is not None:
            kinds = {"group": UtteranceNorm, "layer": nn.LayerNorm}
            self.norm = kinds[norm](conv.out_channels)

    def num_frames(self, before: Tensor) -> Tensor:
        """Frames out for so many in."""
        (kernel,), (stride,) = self.conv.kernel_size, self.conv.stride
        return ((before - kernel).div(stride, rounding_mode="floor") + 1).clamp_min(0)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (N, C, T) to (N, C', T'), of which (N,) are speech."""
        x = self.conv(x)
        if isinstance(self.norm, UtteranceNorm):
            x = self.norm(x, lengths)
        elif self.norm is not None:
            x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return functional.gelu(x)


class UtteranceNorm(nn.Module):
    """Gives every channel mean 0 and deviation 1 over an utterance, then a learnt scale and shift.

    That is a group norm of one channel a group which does not count padding: others do, and give
    an utterance in a batch something else than alone.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (N, C, T), of which (N,) are speech, to the same; zero times scale beyond."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        mask = length_mask(lengths, x.shape[-1])[:, None]  # (N, 1, T)
        count = lengths.clamp_min(1)[:, None, None]
        mean = x.masked_fill(~mask, 0.0).sum(-1, keepdim=True) / count  # (N, C, 1)
        centred = (x - mean).masked_fill(~mask, 0.0)
        variance = centred.square().sum(-1, keepdim=True) / count
        scale = self.weight[:, None] * (variance + EPS).rsqrt()
        return centred * scale + self.bias[:, None]
