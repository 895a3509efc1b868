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
from asr.models.clipped_rnn import ClippedRNN

CELLS = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
    "clipped_rnn": ClippedRNN,
    "lstm_peephole": PeepholeLSTM,
    "lstm_coupled": CoupledLSTM,
    "irnn": IdentityRNN,
}
Cell = Literal["lstm", "gru", "rnn", "clipped_rnn", "lstm_peephole", "lstm_coupled", "irnn"]
Norm = Literal["batch", "layer", "none"]


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
        x = x.to(torch.promote_types(x.dtype, self.weight.dtype))  # bfloat16 is too coarse
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
        count = (mask.sum() * (cells // mask.numel())).to(x.dtype)
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


class MaskedLayerNorm(nn.LayerNorm):
    """Normalisation of each frame over its features; takes anything, returns zero where not speech.

    Source: Ba et al. 2016 (arXiv:1607.06450), equation 4.
    """

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Normalise (..., H) where the broadcastable bool `mask` is True."""
        return super().forward(x).masked_fill(~mask, 0.0)


def frame_norm(norm: Norm, num_features: int) -> MaskedBatchNorm | MaskedLayerNorm | None:
    """Make what normalises frames (..., H); None for "none".

    Raises:
        ValueError: `norm` is none of these.
    """
    if norm == "batch":
        return MaskedBatchNorm(num_features, feature_dim=-1)
    if norm == "layer":
        return MaskedLayerNorm(num_features)
    if norm == "none":
        return None
    raise ValueError(f"norm must be batch, layer or none, got {norm!r}")


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


class RecurrentBlock(nn.Module):
    """A norm, then one recurrent layer over time, in one or both directions.

    The backward direction runs an ordinary layer over each utterance reversed within its own
    length. This equals packed sequences and is faster: the kernels stay dense.

    Args:
        input_size: features in.
        hidden_size: features out of each direction.
        cell: a key of `CELLS`.
        bidirectional: whether there is a backward layer too.
        sum_directions: whether its outputs are added, else they are concatenated.
        norm: of the input: "batch", sequence-wise, "layer" or "none".
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        cell: Cell,
        *,
        bidirectional: bool,
        norm: Norm,
        sum_directions: bool = False,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {sorted(CELLS)}, got {cell!r}")
        self.norm = frame_norm(norm, input_size)
        self.forwards = CELLS[cell](input_size, hidden_size)
        self.backwards = CELLS[cell](input_size, hidden_size) if bidirectional else None
        self.sum_directions = sum_directions
        self.output_size = hidden_size * (2 if bidirectional and not sum_directions else 1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (T, N, F) to (T, N, output_size)."""
        # Not len(x), which a trace takes for a constant; so in other networks.
        mask = length_mask(lengths, x.shape[0]).T[..., None]  # (T, N, 1)
        if self.norm is not None:
            x = self.norm(x, mask)
        y = self.forwards(x)[0]
        if self.backwards is not None:
            order = reversal(lengths, x.shape[0])[..., None]  # (T, N, 1)
            z = self.backwards(x.gather(0, order.expand(x.shape)))[0]
            z = z.gather(0, order.expand(z.shape))  # (T, N, H)
            y = y + z if self.sum_directions else torch.cat([y, z], dim=-1)  # (T, N, H or 2H)
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
    frames, num, size = logits.shape
    logits = logits.view(frames, num, count, size // count)  # (T, N, R, C)
    return logits.transpose(1, 2).flatten(0, 1)  # (R T, N, C)


def reversal(lengths: Tensor, size: int) -> Tensor:
    """Index that reverses each utterance within its length: (N,) -> (size, N) int64.

    Frames beyond a length stay where they are, so the map is its own inverse.
    """
    frame = torch.arange(size, device=lengths.device)[:, None]  # (T, 1)
    return torch.where(frame < lengths, lengths - 1 - frame, frame)
