"""Recordings of any number and length through the model, in bounded memory and in their order.

Recordings are read block by block and cut while they are read; some minutes of chunks are held at
a time, whoever they belong to, so that similar lengths meet in a batch. A recording that cannot be
used has its error where its result would be, and the others are not lost. What is done with
log-probabilities is done as soon as a window of chunks went through the model, on whole recordings
or on pieces of them, so that a long recording need not be held.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from asr.acoustic.chunks import Chunk, cut_chunks, map_batches
from asr.acoustic.model import BATCH_S, AcousticModel
from asr.acoustic.silences import EnergySilences, MakeFinder

# Audio that is read before any of it goes through the model.
WINDOW_S = 600.0


class Recording(Protocol):
    """A recording ready for the model."""

    def blocks(self) -> Iterable[np.ndarray]:
        """Consecutive pieces (L,) float32 in [-1, 1] at the model's rate.

        Raises:
            ValueError: now or at any piece: the recording cannot be used.
        """
        ...


AnyRecording = TypeVar("AnyRecording", bound=Recording)
Result = TypeVar("Result")


class Splitter(Protocol):
    """Decides which log-probabilities of a recording are worked on together."""

    def push(self, rows: Tensor, ends_in_silence: bool, is_last: bool) -> list[Tensor]:
        """Take the next (T, C) and return what is complete; with the last, all that is left."""
        ...


class Whole:
    """Keeps a recording together."""

    def __init__(self) -> None:
        self._held: list[Tensor] = []

    def push(self, rows: Tensor, ends_in_silence: bool, is_last: bool) -> list[Tensor]:
        """Return all with the last."""
        self._held.append(rows)
        if not is_last:
            return []
        return self._held if len(self._held) == 1 else [torch.cat(self._held)]


@dataclass
class Piece(Generic[AnyRecording]):
    """What the model made of a recording or of a part of it.

    Attributes:
        recording: the recording.
        log_probs: (T, C) float32 on the CPU.
        first_frame: place of `log_probs` in the recording.
        num_samples: samples of the recording that were read; with the last piece, all.
        is_last: whether the recording ends with it.
    """

    recording: AnyRecording
    log_probs: Tensor
    first_frame: int
    num_samples: int
    is_last: bool


class _Reading(Generic[AnyRecording]):
    """A recording while it is read."""

    def __init__(self, recording: AnyRecording, splitter: Splitter) -> None:
        self.recording = recording
        self.num_samples = 0
        self.error: ValueError | None = None
        self._splitter = splitter
        self._num_frames = 0

    def cut(self, model: AcousticModel, make_finder: MakeFinder) -> Iterator[Chunk]:
        """Cut the recording while it is read, and count its samples."""
        blocks = self._counted(model)
        yield from cut_chunks(blocks, model.sample_rate, model.samples_per_frame, make_finder)

    def split(self, core: Tensor, chunk: Chunk) -> list[Piece[AnyRecording]]:
        """Add the log-probabilities of the next chunk's core."""
        pieces = []
        for rows in self._splitter.push(core, chunk.ends_in_silence, chunk.is_last):
            pieces.append(
                Piece(self.recording, rows, self._num_frames, self.num_samples, is_last=False)
            )
            self._num_frames += len(rows)
        if chunk.is_last:
            pieces[-1].is_last = True
        return pieces

    def _counted(self, model: AcousticModel) -> Iterator[np.ndarray]:
        for block in self.recording.blocks():
            self.num_samples += len(block)
            # What is refused below is only counted.
            if model.max_samples is None or self.num_samples <= model.max_samples:
                yield block
        model.check_length(self.num_samples)


# What is done with pieces of similar length.
Work = Callable[[list[Piece[AnyRecording]]], Sequence[Result]]
_Window = list[tuple[_Reading[AnyRecording], Chunk | None]]


def process_recordings(
    model: AcousticModel,
    recordings: Iterable[AnyRecording],
    work: Work[AnyRecording, Result],
    make_splitter: Callable[[], Splitter] = Whole,
    make_finder: MakeFinder = EnergySilences,
) -> Iterator[tuple[AnyRecording, Result | ValueError]]:
    """Give log-probabilities to `work`, several recordings or pieces of them at a time.

    Args:
        model: the model.
        recordings: read once, no further than needed.
        work: from pieces of similar length to as many results.
        make_splitter: called for each recording; by default it stays whole.
        make_finder: what finds the silences where long recordings are cut; by their energy.

    Yields:
        Every recording with its result, or with those of its pieces, in order; one that cannot be
        read ends with the error.
    """
    window: _Window[AnyRecording] = []
    for recording in recordings:
        reading = _Reading(recording, make_splitter())
        try:
            for chunk in reading.cut(model, make_finder):
                window.append((reading, chunk))
                if _is_full(window, model.sample_rate):
                    yield from _run(model, window, work)
                    window = []
        except ValueError as error:
            reading.error = error
            window = [(owner, chunk) for owner, chunk in window if owner is not reading]
            window.append((reading, None))
    yield from _run(model, window, work)


def _is_full(window: _Window, sample_rate: int) -> bool:
    """Whether enough was read; chunks of one recording need no others of their length."""
    alone = window[0][0] is window[-1][0]
    seconds = min(BATCH_S, WINDOW_S) if alone else WINDOW_S
    size = sum(len(chunk.samples) for _, chunk in window if chunk is not None)
    return size >= seconds * sample_rate


def _run(
    model: AcousticModel, window: _Window[AnyRecording], work: Work[AnyRecording, Result]
) -> Iterator[tuple[AnyRecording, Result | ValueError]]:
    """Work on what could be read and put the failures where they were."""
    chunks = [chunk for _, chunk in window if chunk is not None]
    cores = iter(model.chunk_log_probs(chunks))
    split = [
        [] if chunk is None else reading.split(next(cores), chunk) for reading, chunk in window
    ]
    pieces = [piece for parts in split for piece in parts]
    lengths = [len(piece.log_probs) for piece in pieces]
    most = int(BATCH_S * model.sample_rate / model.samples_per_frame)
    done = iter(map_batches(work, pieces, lengths, most))
    for (reading, _), parts in zip(window, split, strict=True):
        for _ in parts:
            yield reading.recording, next(done)
        if reading.error is not None:
            yield reading.recording, reading.error
