"""Recordings of any number and length through the model, in bounded memory and in their order.

Recordings are read block by block and cut while they are read; some minutes of chunks are held at
a time, whoever they belong to, so that similar lengths meet in a batch. A recording that cannot be
used has its error where its result would be, and the others are not lost.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from asr.acoustic.chunks import Chunk, cut_chunks, map_batches
from asr.acoustic.model import BATCH_S, AcousticModel

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


@dataclass
class Emitted(Generic[AnyRecording]):
    """What the model made of a recording."""

    recording: AnyRecording
    cores: list[Tensor] = field(default_factory=list)
    num_samples: int = 0
    error: ValueError | None = None

    @property
    def log_probs(self) -> Tensor:
        """(T, C) float32 on the CPU."""
        if len(self.cores) > 1:
            self.cores = [torch.cat(self.cores)]
        return self.cores[0]


# What is done with log-probabilities, of recordings of similar length.
Work = Callable[[list[Emitted[AnyRecording]]], Sequence[Result]]


def process_recordings(
    model: AcousticModel, recordings: Iterable[AnyRecording], work: Work[AnyRecording, Result]
) -> Iterator[tuple[AnyRecording, Result | ValueError]]:
    """Give each recording's log-probabilities to `work`, several recordings at a time.

    Args:
        model: the model.
        recordings: read once, no further than needed.
        work: from recordings with log-probabilities, of similar length, to as many results.

    Yields:
        Every recording with its result, or with the error of reading it, in order.
    """
    budget = int(WINDOW_S * model.sample_rate)
    waiting: list[Emitted[AnyRecording]] = []
    window: list[tuple[Emitted[AnyRecording], Chunk]] = []
    for recording in recordings:
        emitted = Emitted(recording)
        waiting.append(emitted)
        try:
            for chunk in _cut(model, emitted):
                window.append((emitted, chunk))
                if _size(window) >= budget:
                    _run(model, window)
                    window = []
        except ValueError as error:
            emitted.error = error
            window = [(owner, chunk) for owner, chunk in window if owner is not emitted]
        if sum(emitted.num_samples for emitted in waiting) >= budget:
            _run(model, window)
            yield from _finish(model, waiting, work)
            waiting, window = [], []
    _run(model, window)
    yield from _finish(model, waiting, work)


def _size(window: Sequence[tuple[Emitted, Chunk]]) -> int:
    return sum(len(chunk.samples) for _, chunk in window)


def _cut(model: AcousticModel, emitted: Emitted) -> Iterator[Chunk]:
    """Cut a recording while it is read, and count its samples."""

    def counted() -> Iterator[np.ndarray]:
        for block in emitted.recording.blocks():
            emitted.num_samples += len(block)
            # What is refused below is only counted.
            if model.max_samples is None or emitted.num_samples <= model.max_samples:
                yield block
        model.check_length(emitted.num_samples)

    return cut_chunks(counted(), model.sample_rate, model.samples_per_frame)


def _run(model: AcousticModel, window: Sequence[tuple[Emitted, Chunk]]) -> None:
    for (owner, _), core in zip(
        window, model.chunk_log_probs([chunk for _, chunk in window]), strict=True
    ):
        owner.cores.append(core)


def _finish(
    model: AcousticModel,
    waiting: Sequence[Emitted[AnyRecording]],
    work: Work[AnyRecording, Result],
) -> Iterator[tuple[AnyRecording, Result | ValueError]]:
    """Work on what could be read and put the failures where they were."""
    usable = [emitted for emitted in waiting if emitted.error is None]
    lengths = [len(emitted.log_probs) for emitted in usable]
    done = iter(map_batches(work, usable, lengths, int(BATCH_S / model.seconds_per_frame)))
    for emitted in waiting:
        result = next(done) if emitted.error is None else emitted.error
        yield emitted.recording, result
