"""Features of one utterance whose samples arrive in pieces.

Frames come as soon as their last sample is there, and are those that the front end gives of the
whole utterance, whatever the pieces.
"""

import copy

import torch
from torch import Tensor

from asr.features.deltas import WINDOW, join_neighbours, join_slopes
from asr.features.framing import cut_windows, slide_windows
from asr.features.front_end import FrontEnd
from asr.features.spectral import SpectralFrontEnd


class FeatureStream:
    """One utterance; memory does not grow with it.

    Args:
        front_end: whose features are normalised by a corpus or by the past, or not at all.

    Raises:
        ValueError: features of this front end need the whole utterance; says what to train with.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = spectral = check_front_end(front_end)
        self._windows = _WindowStream(spectral)
        self._for_slopes = _Margins(WINDOW * spectral.deltas)
        self._for_neighbours = _Margins(spectral.context)
        self._running = spectral.corpus_mean.new_zeros(1, len(spectral.corpus_mean))

    def copy(self) -> "FeatureStream":
        """Make another that goes on from here; what follows in one leaves the other as it is."""
        other = copy.copy(self)
        other._windows = copy.copy(self._windows)
        other._for_slopes = copy.copy(self._for_slopes)
        other._for_neighbours = copy.copy(self._for_neighbours)
        return other

    @torch.no_grad()
    def push(self, samples: Tensor) -> Tensor:
        """Map the next samples (L,), L >= 0, to the frames that they complete, (T, F)."""
        return self._complete(self._windows.push(samples[None]), is_last=False)

    @torch.no_grad()
    def finish(self) -> Tensor:
        """Return the frames (T, F) that the utterance's end completes; nothing may follow."""
        return self._complete(self._windows.finish(), is_last=True)

    def _complete(self, windows: Tensor, *, is_last: bool) -> Tensor:
        front_end = self._front_end
        if not (windows.shape[1] or is_last):
            return windows.new_zeros(0, front_end.num_features)
        padded = self._for_slopes.push(front_end.statics(windows), is_last=is_last)
        values = windows.new_zeros(1, 0, self._running.shape[1])
        if padded is not None:
            values = join_slopes(padded, front_end.deltas)
        values, self._running = front_end.normalized_piece(values, self._running)
        padded = self._for_neighbours.push(values, is_last=is_last)
        if padded is None:
            return windows.new_zeros(0, front_end.num_features)
        return join_neighbours(padded, front_end.context)[0]


def check_front_end(front_end: FrontEnd) -> SpectralFrontEnd:
    """Return a front end whose features need no more than the past and a little of the future.

    Raises:
        ValueError: it is another; says what to train with.
    """
    if not isinstance(front_end, SpectralFrontEnd):
        raise ValueError(
            f"features of {type(front_end).__name__} do not stream: train with features=logmel"
        )
    if front_end.normalize == "utterance":
        raise ValueError(
            "features.normalize=utterance needs the whole utterance: train with "
            "features.normalize=corpus or running to stream"
        )
    return front_end


def frames_ahead(front_end: SpectralFrontEnd) -> int:
    """Count the frames after it that a frame of features waits for."""
    return WINDOW * front_end.deltas + front_end.context


def window_end(front_end: SpectralFrontEnd) -> int:
    """Count the samples from the beginning of a frame to the end of its window."""
    return front_end.hop_length // 2 - front_end.win_length // 2 + front_end.win_length


class _WindowStream:
    """Windows as `cut_windows` has them, (1, L) to (1, T, win_length)."""

    def __init__(self, front_end: SpectralFrontEnd) -> None:
        self._front_end = front_end
        self._size, self._hop = front_end.win_length, front_end.hop_length
        # Samples before the first that its window has: the first ones, mirrored.
        self._mirrored = self._size // 2 - self._hop // 2
        self._held = front_end.window.new_zeros(1, 0)
        self._behind = 0  # samples held before the next window: a mirrored end may reach them
        self._num_samples = 0
        self._num_frames = 0

    def push(self, samples: Tensor) -> Tensor:
        self._num_samples += samples.shape[1]
        self._held = torch.cat([self._held, samples], dim=1)
        if not self._num_frames:
            if self._num_samples < self._size - self._mirrored:
                return samples.new_zeros(1, 0, self._size)
            self._held = torch.cat([self._held[:, : self._mirrored].flip(1), self._held], dim=1)
        return self._cut()

    def finish(self) -> Tensor:
        num_frames = self._front_end.num_frames(self._num_samples)
        if not self._num_frames:
            lengths = torch.tensor([self._num_samples], device=self._held.device)
            return cut_windows(self._held, lengths, num_frames, self._size, self._hop)
        num_left = num_frames - self._num_frames
        if num_left <= 0:
            return self._held.new_zeros(1, 0, self._size)
        missing = self._behind + (num_left - 1) * self._hop + self._size - self._held.shape[1]
        mirrored = self._held[:, self._held.shape[1] - missing :].flip(1)
        self._held = torch.cat([self._held, mirrored], dim=1)
        return self._cut()

    def _cut(self) -> Tensor:
        ready = self._held[:, self._behind :]
        if ready.shape[1] < self._size:
            return ready.new_zeros(1, 0, self._size)
        windows = slide_windows(ready, self._size, self._hop)
        self._num_frames += windows.shape[1]
        self._held = ready[:, (windows.shape[1] - 1) * self._hop :]
        self._behind = self._hop
        return windows


class _Margins:
    """Joins pieces so that every frame has `margin` frames on both sides; ends are repeated."""

    def __init__(self, margin: int) -> None:
        self._margin = margin
        self._held: Tensor | None = None

    def push(self, frames: Tensor, *, is_last: bool) -> Tensor | None:
        """Map the next (1, T, F) to (1, T' + 2 margin, F), T' >= 1; None where T' is 0."""
        if self._held is None:
            if not frames.shape[1]:
                return None
            self._held = frames[:, :1].expand(-1, self._margin, -1)
        padded = torch.cat([self._held, frames], dim=1)
        if is_last:
            padded = torch.cat([padded, padded[:, -1:].expand(-1, self._margin, -1)], dim=1)
        self._held = padded[:, max(0, padded.shape[1] - 2 * self._margin) :]
        return padded if padded.shape[1] > 2 * self._margin else None
