"""Normalisation of features, a channel by itself; padding never enters a statistic.

Why a running mean leaves the deviation to the corpus: within a long silence a running deviation
falls towards zero, and what divides by it turns faint noise into speech.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from asr.features.front_end import length_mask

KINDS = ("utterance", "corpus", "running", "none")
# Added to a standard deviation, so that digital silence stays finite.
STD_FLOOR = 1e-5
# Frames whose running means one matrix product gives.
BLOCK = 128


class Normalized(nn.Module):
    """What front ends share that normalise their values.

    "utterance" gives every channel mean 0 and deviation 1 within each utterance; "corpus" with the
    statistics that `fit` measured; "running" as "corpus", then subtracts the mean of the past
    (`running_mean`), which starts at that of the corpus, in every chunk of a long recording anew;
    "none" leaves values as they are.

    Args:
        num_channels: C.
        normalize: one of `kinds`.
        kinds: what this front end offers.
        running_frames: how many frames of the past the running mean is of; >= 1 if it is used.
    """

    corpus_mean: Tensor
    corpus_std: Tensor

    def __init__(
        self,
        num_channels: int,
        normalize: str,
        kinds: Sequence[str] = KINDS,
        running_frames: float = 0.0,
    ) -> None:
        super().__init__()
        if normalize not in kinds:
            known = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
            raise ValueError(f"normalize must be {known}, got {normalize!r}")
        if normalize == "running" and not running_frames >= 1:
            raise ValueError(
                f"running_s must be at least one hop_length, got {running_frames:g} of them"
            )
        self.normalize = normalize
        self.running_frames = running_frames
        self.register_buffer("corpus_mean", torch.zeros(num_channels))
        self.register_buffer("corpus_std", torch.ones(num_channels))

    def values(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what is normalised: (N, X, C), of which (N,) belong to each utterance."""
        raise NotImplementedError

    @property
    def needs_fit(self) -> bool:
        """Whether normalisation takes statistics that `fit` measures."""
        return self.normalize in ("corpus", "running")

    @torch.no_grad()
    def fit(
        self,
        batches: Iterable[tuple[Tensor, Tensor]],
        reduce: Callable[[Tensor], Tensor] = lambda sums: sums,
    ) -> None:
        """Measure the corpus statistics on (waveforms, lengths) batches.

        Args:
            batches: on any device; they are computed where this module is.
            reduce: adds sums (3, C) float64 on the CPU up over processes that have a share each.

        Raises:
            ValueError: there is nothing in them.
        """
        sums = torch.zeros(3, len(self.corpus_mean), dtype=torch.float64)
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
        """Sum values, their squares and their number in a batch: (3, C) float64 on the CPU."""
        waveforms = waveforms.to(self.corpus_mean.device, non_blocking=True)
        values, value_lengths = self.values(waveforms, lengths)
        mask = length_mask(value_lengths, values.shape[1])[..., None]  # (N, X, 1)
        speech = values.masked_fill(~mask, 0.0).cpu().double()  # (N, X, C)
        count = value_lengths.sum().cpu().double().expand(values.shape[-1])
        return torch.stack([speech.sum((0, 1)), speech.square().sum((0, 1)), count])

    def normalized(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Normalise (N, X, C), of which (N,) are speech; zero beyond."""
        mask = length_mask(lengths, values.shape[1])[..., None]  # (N, X, 1)
        if self.normalize == "utterance":
            values = normalize_utterances(values, lengths, mask)
        else:
            # The running mean needs finite values beyond lengths too.
            start = values.new_zeros(len(values), values.shape[-1])
            values = self.normalized_piece(values.masked_fill(~mask, 0.0), start)[0]
        return values.masked_fill(~mask, 0.0)

    def normalized_piece(self, values: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise a piece of an utterance, but not by the utterance.

        Args:
            values: (N, X, C), all of them speech.
            before: running means at the end of the piece before, (N, C); zeros at first.

        Returns:
            (N, X, C), and the running means at its end; `before` where there are none.
        """
        if self.needs_fit:
            values = (values - self.corpus_mean) / (self.corpus_std + STD_FLOOR)
        if self.normalize == "running" and values.shape[1]:
            means = running_mean(values, before, self.running_frames)
            values, before = values - means, means[:, -1]
        return values, before


def normalize_utterances(values: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
    """Give (N, X, C) mean 0 and deviation 1 over where `mask` (N, X, 1) is True."""
    count = lengths.clamp_min(1)[:, None, None]
    mean = values.masked_fill(~mask, 0.0).sum(1, keepdim=True) / count  # (N, 1, C)
    centred = (values - mean).masked_fill(~mask, 0.0)
    std = (centred.square().sum(1, keepdim=True) / count).sqrt()
    return centred / (std + STD_FLOOR)


def running_mean(values: Tensor, before: Tensor, num_frames: float) -> Tensor:
    """Compute means of the past that forget exponentially.

    m[t] = m[t - 1] + (x[t] - m[t - 1]) / R.  A recording in pieces has the means of the whole if
    each piece starts with the last of the one before.

    Args:
        values: x, (N, T, C), finite also beyond lengths.
        before: m[-1], (N, C).
        num_frames: R >= 1.

    Returns:
        m, (N, T, C).
    """
    decay = 1.0 - 1.0 / num_frames
    step = torch.arange(BLOCK, device=values.device, dtype=values.dtype)
    weights = (decay ** (step[:, None] - step).clamp_min(0)).tril() / num_frames  # (B, B)
    fading = (decay ** (step + 1))[:, None]  # (B, 1)
    means = []
    for block in values.split(BLOCK, dim=1):
        size = block.shape[1]
        if size:
            past = fading[:size] * before[:, None]  # (N, B, C)
            means.append(weights[:size, :size] @ block + past)
            before = means[-1][:, -1]
    return torch.cat(means, dim=1) if means else values
