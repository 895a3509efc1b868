"""Layers that honour lengths: padding never changes a result and never enters a statistic.

Every layer takes and returns zero beyond an utterance's length.
"""

from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function

from asr.features.front_end import length_mask
from asr.models.cells import CoupledLSTM, IdentityRNN, PeepholeLSTM

Cell = Literal["lstm", "gru", "rnn", "lstm_peephole", "lstm_coupled", "irnn"]

CELLS = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
    "lstm_peephole": PeepholeLSTM,
    "lstm_coupled": CoupledLSTM,
    "irnn": IdentityRNN,
}


class ClippedReLU(nn.Hardtanh):
    """min(max(x, 0), 20). Source: Hannun et al. 2014 (arXiv:1412.5567), section 2."""

    def __init__(self) -> None:
        super().__init__(0.0, 20.0)


class MaskedBatchNorm(nn.Module):
    """Batch normalisation whose mean and variance count speech only.

    Args:
        num_features: size of the normalised dimension.
        feature_dim: which dimension of the input that is.

    Source: Amodei et al. 2016 (arXiv:1512.02595), equation 7, "sequence-wise".
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, feature_dim: int) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        self.momentum = 0.1
        self.eps = 1e-5
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalise `x`, zero beyond lengths, where the broadcastable bool `mask` is True."""
        x = x.float()
        if self.training:
            mean, var = self._measure(x, mask)
        else:
            mean, var = self.running_mean, self.running_var
        shape = [1] * x.dim()
        shape[self.feature_dim] = -1
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        return torch.addcmul(shift.view(shape), x, scale.view(shape)).masked_fill(~mask, 0.0)

    def _measure(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance over speech; padding is zero, so plain sums leave it out."""
        dims = [d for d in range(x.dim()) if d != self.feature_dim % x.dim()]
        cells = x.numel() // x.shape[self.feature_dim]
        count = (mask.sum() * (cells // mask.numel())).float()
        total, squares, count = sum_over_ranks(x.sum(dims), x.square().sum(dims), count)
        mean = total / count.clamp_min(1)
        # E[x^2] - mean^2 loses digits where |mean| >> deviation; float32 inputs here are
        # convolution and recurrent outputs of order one, where it does not.
        var = (squares / count.clamp_min(1) - mean.square()).clamp_min(0.0)
        with torch.no_grad():
            unbiased = var * (count / (count - 1).clamp_min(1))
            # Nothing to learn from no speech, or from a broken batch. No branch: it would wait
            # for a GPU.
            usable = (count > 0) & torch.isfinite(mean) & torch.isfinite(unbiased)
            for running, value in ((self.running_mean, mean), (self.running_var, unbiased)):
                running.lerp_(torch.where(usable, value, running), self.momentum)
        return mean, var


def sum_over_ranks(*sums: Tensor) -> tuple[Tensor, ...]:
    """Sum over the processes of a distributed training, differentiably; alone, do nothing.

    Statistics are those of the whole batch, so that ranks learn what one process would.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return sums
    flat: Tensor = _SumOverRanks.apply(torch.cat([part.reshape(-1) for part in sums]))  # type: ignore[assignment]
    parts = flat.split([part.numel() for part in sums])
    return tuple(part.view(old.shape) for part, old in zip(parts, sums, strict=True))


class _SumOverRanks(Function):
    """A sum over ranks; its gradient is the sum of the ranks' gradients."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: object, grad_output: Tensor
    ) -> Tensor:
        return _SumOverRanks.forward(ctx, grad_output)


class ConvBlock(nn.Module):
    """2-D convolution over time and frequency, batch norm, clipped ReLU.

    Output lengths are ceil(length / stride). Kernels are odd, so that frames stay centred.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel: tuple[int, int], stride: tuple[int, int]
    ) -> None:
        super().__init__()
        if any(k < 1 or k % 2 == 0 for k in kernel):
            raise ValueError(f"kernel sizes must be odd, got {tuple(kernel)}")
        if any(s < 1 for s in stride):
            raise ValueError(f"strides must be >= 1, got {tuple(stride)}")
        self.stride = stride
        padding = (kernel[0] // 2, kernel[1] // 2)
        # The batch norm that follows has the bias.
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False)
        self.norm = MaskedBatchNorm(channels, feature_dim=1)
        self.activation = ClippedReLU()

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, C, T, F), (N,) to (N, C', ceil(T / s), ceil(F / s')), (N,)."""
        x = self.conv(x)
        lengths = self.output_lengths(lengths)
        mask = length_mask(lengths, x.shape[2])[:, None, :, None]  # (N, 1, T, 1)
        x = self.norm(x.masked_fill(~mask, 0.0), mask)
        # Clipped ReLU maps zero to zero: padding stays zero.
        return self.activation(x), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames after the time stride."""
        return torch.div(lengths + self.stride[0] - 1, self.stride[0], rounding_mode="floor")


class RecurrentBlock(nn.Module):
    """Batch norm, then one recurrent layer over time, in one or both directions.

    The backward direction runs an ordinary layer over each utterance reversed within its own
    length. This equals packed sequences and is faster: the kernels stay dense.

    Args:
        input_size: features in.
        hidden_size: features out of each direction; outputs are concatenated.
        cell: "lstm", "gru", "rnn" (tanh), or a layer of `cells`: "lstm_peephole", "lstm_coupled" or
            "irnn".
        bidirectional: whether a backward layer is added.
        batch_norm: whether the input is normalised sequence-wise.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        cell: Cell,
        *,
        bidirectional: bool,
        batch_norm: bool,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {sorted(CELLS)}, got {cell!r}")
        self.norm = MaskedBatchNorm(input_size, feature_dim=-1) if batch_norm else None
        self.forwards = CELLS[cell](input_size, hidden_size)
        self.backwards = CELLS[cell](input_size, hidden_size) if bidirectional else None
        self.output_size = hidden_size * (2 if bidirectional else 1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (T, N, F) to (T, N, output_size)."""
        mask = length_mask(lengths, len(x)).T[..., None]  # (T, N, 1)
        if self.norm is not None:
            x = self.norm(x, mask)
        y = self.forwards(x)[0]
        if self.backwards is not None:
            order = reversal(lengths, len(x))[..., None]  # (T, N, 1)
            z = self.backwards(x.gather(0, order.expand(x.shape)))[0]
            y = torch.cat([y, z.gather(0, order.expand(z.shape))], dim=-1)  # (T, N, 2H)
        return y.masked_fill(~mask, 0.0)


class Lookahead(nn.Module):
    """Row convolution: y[t, f] = sum_j w[f, j] x[t + j, f], j = 0..context.

    Gives a one-directional network a glimpse of the future at a bounded delay.

    Source: Wang et al. 2016, "Lookahead convolution layer for unidirectional RNNs"; Amodei et
    al. 2016, section 3.7.
    """

    def __init__(self, num_features: int, context: int) -> None:
        super().__init__()
        if context < 1:
            raise ValueError(f"lookahead context must be >= 1 frame, got {context}")
        self.context = context
        self.conv = nn.Conv1d(
            num_features, num_features, context + 1, groups=num_features, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (T, N, F), zero beyond lengths, to (T, N, F)."""
        x = x.permute(1, 2, 0)  # (N, F, T)
        x = self.conv(nn.functional.pad(x, (0, self.context)))
        return x.permute(2, 0, 1)  # (T, N, F)


class ClassHead(nn.Module):
    """Batch norm and a linear layer to classes.

    Args:
        num_features: features in.
        num_classes: C.
        frames_out: R, output frames for one that comes in.
    """

    def __init__(self, num_features: int, num_classes: int, frames_out: int) -> None:
        super().__init__()
        self.frames_out = frames_out
        self.norm = MaskedBatchNorm(num_features, feature_dim=-1)
        self.linear = nn.Linear(num_features, num_classes * frames_out)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (T, N, F), zero where `mask` (T, N, 1) is False, to (R T, N, C)."""
        return split_frames(
            self.linear(self.norm(x.masked_fill(~mask, 0.0), mask)), self.frames_out
        )


def split_frames(logits: Tensor, count: int) -> Tensor:
    """Lay out frames that stand beside each other: (T, N, R C) to (R T, N, C)."""
    if count == 1:
        return logits
    frames, num, _ = logits.shape
    logits = logits.view(frames, num, count, -1)  # (T, N, R, C)
    return logits.transpose(1, 2).flatten(0, 1)  # (R T, N, C)


def reversal(lengths: Tensor, size: int) -> Tensor:
    """Index that reverses each utterance within its length: (N,) -> (size, N) int64.

    Frames beyond a length stay where they are, so the map is its own inverse.
    """
    frame = torch.arange(size, device=lengths.device)[:, None]  # (T, 1)
    return torch.where(frame < lengths, lengths - 1 - frame, frame)
