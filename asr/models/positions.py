"""What tells a transformer where a frame is: convolutions over its neighbours."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.models.options import check_choice, check_counts, check_divides, check_entries

PositionNorm = Literal["weight", "layer"]


class PositionConvs(nn.ModuleList):
    """Grouped convolutions over frames; what they give is added to the frames.

    Args:
        size: H.
        kernels: frames of each convolution, one after the other.
        groups: of channels.
        norm: "weight" for weight norm of each offset within the kernel; "layer" for a layer norm
            of every frame after the convolution, with nothing learnt.

    Raises:
        ValueError: an option of the network, whose name begins with position, is out of range.

    Source: Baevski et al. 2020 (arXiv:2006.11477), section 2; several of them with layer norm:
    Baevski et al. 2022 (arXiv:2202.03555), section 4.2.
    """

    def __init__(self, size: int, kernels: Sequence[int], groups: int, norm: PositionNorm) -> None:
        check_entries("convolution", position_kernels=kernels)
        check_counts(position_kernels=kernels)
        check_divides("position_groups", groups, size)
        check_choice("position_norm", norm, "weight", "layer")
        conv = WeightNormConv if norm == "weight" else LayerNormConv
        super().__init__(conv(size, kernel, groups) for kernel in kernels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map frames (N, T, H), anything where `mask` (N, T, 1) is False, to (N, T, H)."""
        for conv in self:
            # What stands beyond a length must not leak into speech, in no layer.
            x = functional.gelu(conv(x.masked_fill(~mask, 0.0)))
        return x


class WeightNormConv(nn.Module):
    """A convolution whose weight is g v / |v|, with a norm for each offset within the kernel."""

    def __init__(self, size: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        weight = torch.empty(size, size // groups, kernel)
        nn.init.normal_(weight, std=2 / (kernel * size) ** 0.5)
        self.weight_v = nn.Parameter(weight)  # (H, H / groups, K)
        self.weight_g = nn.Parameter(_norms(weight))  # (1, 1, K)
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, H) to the same."""
        weight = self.weight_v * (self.weight_g / _norms(self.weight_v))
        return _convolve(x, weight, self.bias, self.groups)


class LayerNormConv(nn.Module):
    """A convolution, and a layer norm without scale and shift."""

    def __init__(self, size: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(size, size, kernel, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, H) to the same."""
        x = _convolve(x, self.conv.weight, self.conv.bias, self.conv.groups)
        return functional.layer_norm(x, (self.conv.out_channels,))


def _norms(weight: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weight, dim=(0, 1), keepdim=True)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    """Convolve frames (N, T, H); T stays, and an even kernel is longer at the front."""
    half = weight.shape[-1] // 2
    y = functional.conv1d(x.transpose(1, 2), weight, bias, padding=half, groups=groups)
    return y[..., : x.shape[1]].transpose(1, 2)
