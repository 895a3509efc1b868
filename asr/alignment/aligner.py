"""Recordings with their texts -> alignments: reads, runs the model, aligns; nothing is lost."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from asr.acoustic.model import AcousticModel
from asr.acoustic.posteriors import batch_by_frames, recordings_log_probs
from asr.alignment.spans import Alignment, align_labels, time_alignment
from asr.data.loading import Speech, Unusable

# Audio that is read before any of it is aligned, so that similar lengths meet in a batch.
WINDOW_S = 600.0


class _Readied(NamedTuple):
    """One utterance ready for the model."""

    id: str
    text: str
    waveform: np.ndarray  # (L,) float32 at the model's rate
    labels: list[int]


def align_each(
    model: AcousticModel, utterances: Iterable[Speech], max_table_gb: float
) -> Iterator[Alignment | Unusable]:
    """Align utterances with their texts, in order; results come as they are done.

    Some minutes of audio are in memory at a time, and long recordings go through the model in
    overlapping chunks. An empty text is aligned with silence: no words.

    Args:
        model: the model.
        utterances: recordings with texts in the model's alphabet.
        max_table_gb: gigabytes (1e9 bytes), > 0, that aligning one utterance may take: one byte
            for each frame and label.

    Yields:
        An alignment, or why there is none: the audio cannot be read, a character is not in the
        alphabet, there are too few frames, or the table would be too large.

    Raises:
        ValueError: `max_table_gb` is not > 0.
    """
    if not max_table_gb > 0:
        raise ValueError(f"max_table_gb must be > 0, got {max_table_gb}")
    window: list[_Readied | Unusable] = []
    seconds = 0.0
    for utterance in utterances:
        readied = _ready(model, utterance, 1e9 * max_table_gb)
        window.append(readied)
        if isinstance(readied, _Readied):
            seconds += len(readied.waveform) / model.sample_rate
        if seconds >= WINDOW_S:
            yield from _align_window(model, window)
            window, seconds = [], 0.0
    yield from _align_window(model, window)


def _ready(model: AcousticModel, utterance: Speech, most_bytes: float) -> _Readied | Unusable:
    """Read and encode one utterance, and refuse what the aligner cannot hold."""
    try:
        labels = model.tokenizer.encode(utterance.text)
        waveform = utterance.waveform(model.sample_rate)
    except ValueError as error:
        return Unusable(utterance.id, str(error))
    frames = model.num_frames(len(waveform))
    if frames < 1:
        reason = f"{len(waveform)} samples at {model.sample_rate} Hz are too short for a frame"
        return Unusable(utterance.id, reason)
    if frames * len(labels) > most_bytes:
        return Unusable(
            utterance.id,
            f"{frames} frames x {len(labels)} labels need a table of "
            f"{frames * len(labels) / 1e9:.3g} GB, more than max_table_gb="
            f"{most_bytes / 1e9:g}: raise it, or cut the recording",
        )
    return _Readied(utterance.id, utterance.text, waveform, labels)


def _align_window(
    model: AcousticModel, window: Sequence[_Readied | Unusable]
) -> Iterator[Alignment | Unusable]:
    """Align what could be read and put the failures where they were."""
    usable = [item for item in window if isinstance(item, _Readied)]
    log_probs = recordings_log_probs(model, [item.waveform for item in usable])
    found: dict[int, Alignment | Unusable] = {}
    for group in batch_by_frames(model, log_probs):
        chosen = [usable[i] for i in group]
        aligned = _align_batch(model, chosen, [log_probs[i] for i in group])
        found |= dict(zip(group, aligned, strict=True))
    done = iter(found[i] for i in range(len(usable)))
    for item in window:
        yield next(done) if isinstance(item, _Readied) else item


def _align_batch(
    model: AcousticModel, items: Sequence[_Readied], log_probs: Sequence[Tensor]
) -> list[Alignment | Unusable]:
    framed = align_labels(log_probs, [item.labels for item in items], model.tokenizer.tokens)
    results: list[Alignment | Unusable] = []
    for item, aligned in zip(items, framed, strict=True):
        if isinstance(aligned, str):
            results.append(Unusable(item.id, aligned))
            continue
        duration_s = len(item.waveform) / model.sample_rate
        alignment = time_alignment(aligned, model.seconds_per_frame, duration_s)
        words = [word.word for word in alignment.words]
        if words == item.text.split():
            results.append(alignment)
        else:
            results.append(Unusable(item.id, "a token of the model reaches over several words"))
    return results
