"""What keeps a network from learning its training set by heart, beside dropout and augmentation.

Whatever is drawn follows from the step: a resumed training draws the same. What all ranks must
draw alike (noise on weights and on gradients, dropped units) follows from numbers that they share.
"""

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from asr.features.front_end import length_mask


class Regularization:
    """Options of all of it; 0 is none of one.

    "Weights" are parameters of two dimensions and more: biases and scales of norms are left alone.

    Args:
        weight_noise: deviation of the Gaussian noise that weights have while a step is computed,
            >= 0 (Graves 2013, "Speech recognition with deep recurrent neural networks": 0.075).
        gradient_noise: eta of the noise on gradients, >= 0, whose variance at step t, from 0, is
            eta / (1 + t)^gradient_noise_decay (Neelakantan et al. 2015, arXiv:1511.06807).
        gradient_noise_decay: >= 0.
        activation_noise: deviation of the Gaussian that activations are multiplied with, around 1,
            wherever the network has dropout, >= 0 (Srivastava et al. 2014, "Dropout", section 10).
        recurrent_dropout: how likely a unit of a recurrent layer is dropped from what the layer
            hears of its last output, in [0, 1): the same units at all times (Gal and Ghahramani
            2016, arXiv:1512.05287), and for all utterances of a step: cuDNN's layers take no mask,
            but a matrix of weights without the columns of these units.
        l1: weight of the sum of the weights' magnitudes in the objective, >= 0.
        l2: weight of half the sum of their squares, >= 0.
        label_smoothing: a in [0, 1): the objective becomes
            (1 - a) loss + a sum over frames of D(P_t || uniform)  (Kim et al. 2017,
            arXiv:1711.02212). Losses that are reported stay as they are without it.
        average_decay: in [0, 1): above 0, a moving average of the weights is validated and kept
            as the model, see `asr.training.averaging.MovingAverage`.
    """

    def __init__(
        self,
        *,
        weight_noise: float,
        gradient_noise: float,
        gradient_noise_decay: float,
        activation_noise: float,
        recurrent_dropout: float,
        l1: float,
        l2: float,
        label_smoothing: float,
        average_decay: float,
    ) -> None:
        for name, value in (
            ("weight_noise", weight_noise),
            ("gradient_noise", gradient_noise),
            ("gradient_noise_decay", gradient_noise_decay),
            ("activation_noise", activation_noise),
            ("l1", l1),
            ("l2", l2),
        ):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be >= 0 and finite, got {value}")
        for name, value in (
            ("recurrent_dropout", recurrent_dropout),
            ("label_smoothing", label_smoothing),
            ("average_decay", average_decay),
        ):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be in [0, 1), got {value}")
        self.weight_noise = weight_noise
        self.gradient_noise = gradient_noise
        self.gradient_noise_decay = gradient_noise_decay
        self.activation_noise = activation_noise
        self.recurrent_dropout = recurrent_dropout
        self.l1 = l1
        self.l2 = l2
        self.label_smoothing = label_smoothing
        self.average_decay = average_decay

    @classmethod
    def none(cls) -> "Regularization":
        """Nothing of it."""
        names = inspect.signature(cls).parameters
        return cls(**dict.fromkeys(names, 0.0))

    def prepare(self, network: nn.Module) -> None:
        """Lay noise on a network's activations, where that is asked for.

        Raises:
            ValueError: the network has no place for something that is asked for.
        """
        dropouts = [module for module in network.modules() if isinstance(module, nn.Dropout)]
        if self.activation_noise and not dropouts:
            raise ValueError("activation_noise: this network has no dropout, where noise would be")
        if self.recurrent_dropout and not recurrent_weights(network):
            raise ValueError("recurrent_dropout: this network has no recurrent layer of PyTorch's")
        if self.activation_noise:
            for module in dropouts:
                module.register_forward_hook(ActivationNoise(self.activation_noise))

    @contextmanager
    def disturb(self, network: nn.Module, seed: int) -> Iterator[None]:
        """Inside, weights have their noise, and lack what is dropped; after it, they are as before.

        Gradients that were computed inside are then those of the weights.

        Args:
            network: what learns.
            seed: of the step, the same on every rank.
        """
        if not (self.weight_noise or self.recurrent_dropout):
            yield
            return
        generator = torch.Generator().manual_seed(seed)
        weights = [p for p in network.parameters() if p.requires_grad and p.dim() > 1]
        kept = [p.detach().clone() for p in weights]
        masks: list[tuple[nn.Parameter, Tensor]] = []
        with torch.no_grad():
            if self.weight_noise:
                for weight in weights:
                    weight.add_(draw_normal(weight, generator), alpha=self.weight_noise)
            if self.recurrent_dropout:
                masks = list(self._drop_units(network, generator))
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, mask in masks:
                    if weight.grad is not None:
                        weight.grad.mul_(mask)
                for weight, value in zip(weights, kept, strict=True):
                    weight.copy_(value)

    def _drop_units(
        self, network: nn.Module, generator: torch.Generator
    ) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Multiply what comes out of a unit by 0 or 1 / (1 - p); yield weights and masks."""
        stays = 1 - self.recurrent_dropout
        for weight in recurrent_weights(network):
            units = torch.rand(weight.shape[1], generator=generator) < stays  # (H,)
            mask = (units / stays).to(weight)
            weight.mul_(mask)
            yield weight, mask

    def penalize(self, weights: Sequence[nn.Parameter]) -> None:
        """Add the gradient of the penalties: l1 sign(w) + l2 w."""
        for weight in weights:
            if weight.grad is None or weight.dim() < 2:
                continue
            if self.l1:
                weight.grad.add_(weight.detach().sign(), alpha=self.l1)
            if self.l2:
                weight.grad.add_(weight.detach(), alpha=self.l2)

    def disturb_gradient(self, weights: Sequence[nn.Parameter], step: int, seed: int) -> None:
        """Add noise to the gradients of all parameters; after clipping, which would undo it."""
        if not self.gradient_noise:
            return
        generator = torch.Generator().manual_seed(seed + 1)  # other numbers than the weights had
        deviation = (self.gradient_noise / (1 + step) ** self.gradient_noise_decay) ** 0.5
        for weight in weights:
            if weight.grad is not None:
                weight.grad.add_(draw_normal(weight, generator), alpha=deviation)


class ActivationNoise:
    """A hook that multiplies what comes out of a module by Gaussian noise around 1, in training.

    Multiplied, what is zero beyond an utterance's length stays zero.
    """

    def __init__(self, deviation: float) -> None:
        self.deviation = deviation

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        """Return the output with noise; drawn from PyTorch's generator, as dropout is."""
        if not module.training:
            return output
        return output * (1 + self.deviation * torch.randn_like(output))


def recurrent_weights(network: nn.Module) -> list[nn.Parameter]:
    """Weights (gates H, H) from a layer's last output to its next, of those layers that learn."""
    return [
        cast(nn.Parameter, parameter)
        for module in network.modules()
        if isinstance(module, nn.RNNBase)
        for name, parameter in module.named_parameters(recurse=False)
        if name.startswith("weight_hh") and parameter.requires_grad
    ]


def draw_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal values; on the CPU, so that every device has the same."""
    return torch.randn(like.shape, generator=generator).to(like)


def divergence_from_uniform(logits: Tensor, lengths: Tensor) -> Tensor:
    """How far the posteriors are from knowing nothing, summed over frames.

        sum over t < T_n of D(P_t || uniform) = sum over t < T_n of ln C + sum_c p_tc ln p_tc

    Args:
        logits: (T, N, C).
        lengths: (N,) frames T_n; what stands beyond is not looked at.

    Returns:
        (N,) nats.
    """
    log_probs = logits.log_softmax(-1)
    divergence = (log_probs.exp() * log_probs).sum(-1) + math.log(logits.shape[-1])  # (T, N)
    mask = length_mask(lengths.to(logits.device), len(logits)).T  # (T, N)
    return divergence.masked_fill(~mask, 0.0).sum(0)
