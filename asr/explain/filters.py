"""Filters that a network learnt on samples: their frequency responses beside the mel scale."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from asr.explain.recording import modules_of
from asr.models import Network

# Points of a response, from 0 Hz to half the sample rate.
NUM_POINTS = 257
# Filters over samples are longer than those over frames.
MIN_SIZE = 16


@runtime_checkable
class FilterBank(Protocol):
    """A module that knows its filters."""

    def impulse_responses(self) -> Tensor:
        """Filters (K, W) as they are now."""
        ...


class Responses(NamedTuple):
    """Frequency responses of K filters, the lowest first.

    Attributes:
        name: of the module that has the filters.
        frequencies: (P,) Hz.
        magnitudes: (K, P), the largest of each filter 1.
        centres: (K,) Hz, where a filter is loudest.
        mel_centres: (K,) Hz, of as many bands side by side on the mel scale up to half the rate.
    """

    name: str
    frequencies: np.ndarray
    magnitudes: np.ndarray
    centres: np.ndarray
    mel_centres: np.ndarray


def learnt_filters(network: Network, sample_rate: int) -> Responses | None:
    """Find the filters that a network has over samples; None where it has none.

    They are those of a module that gives `impulse_responses`, or of a convolution over time from
    one channel.
    """
    for name, module in modules_of(network).items():
        taps = _taps(module)
        if taps is not None:
            return describe_filters(name, taps, sample_rate)
    return None


@torch.no_grad()
def _taps(module: nn.Module) -> Tensor | None:
    if isinstance(module, FilterBank):
        return module.impulse_responses()
    if not isinstance(module, nn.Conv1d) or module.in_channels > 1:
        return None
    return module.weight[:, 0] if module.kernel_size[0] >= MIN_SIZE else None


def describe_filters(name: str, taps: Tensor, sample_rate: int) -> Responses:
    """Transform filters (K, W) and sort them by the frequency at which they are loudest."""
    size = max(2 * (NUM_POINTS - 1), taps.shape[1])
    magnitudes = torch.fft.rfft(taps.detach().double().cpu(), n=size).abs().numpy()
    frequencies = np.linspace(0, sample_rate / 2, magnitudes.shape[1])
    centres = frequencies[magnitudes.argmax(1)]
    order = np.argsort(centres, kind="stable")
    largest = np.maximum(magnitudes.max(1, keepdims=True), np.finfo(float).tiny)
    top = 1127 * np.log1p(sample_rate / 2 / 700)
    mels = top * np.arange(1, len(taps) + 1) / (len(taps) + 1)
    mel_centres = 700 * np.expm1(mels / 1127)
    return Responses(name, frequencies, (magnitudes / largest)[order], centres[order], mel_centres)
