"""Recordings with their texts -> alignments: reads, runs the model, aligns; nothing is lost."""

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from asr.acoustic.model import AcousticModel
from asr.acoustic.recordings import Piece, process_recordings
from asr.alignment.spans import Alignment, align_labels, time_alignment
from asr.data.loading import Speech
from asr.data.unusable import Unusable


def align_each(
    model: AcousticModel, utterances: Iterable[Speech], max_table_gb: float
) -> Iterator[Alignment | Unusable]:
    """Align utterances with their texts, in order; results come as they are done.

    Some minutes of audio are in memory at a time, and long recordings go through the model in
    chunks. An empty text is aligned with silence: no words.

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
    recordings = (_Recording(model, utterance, 1e9 * max_table_gb) for utterance in utterances)
    for recording, result in process_recordings(model, recordings, partial(_align, model)):
        if isinstance(result, ValueError):
            yield Unusable(recording.utterance.id, str(result))
        else:
            yield result


class _Recording:
    """One utterance with the labels of its text."""

    def __init__(self, model: AcousticModel, utterance: Speech, most_bytes: float) -> None:
        self.utterance = utterance
        self.labels: list[int] = []
        self._model = model
        self._most_bytes = most_bytes

    def blocks(self) -> list[np.ndarray]:
        """Read and encode the utterance, and refuse what the aligner cannot hold."""
        self.labels = self._model.tokenizer.encode(self.utterance.text)
        waveform = self.utterance.waveform(self._model.sample_rate)
        frames, most_bytes = self._model.num_frames(len(waveform)), self._most_bytes
        if frames * len(self.labels) > most_bytes:
            raise ValueError(
                f"{frames} frames x {len(self.labels)} labels need a table of "
                f"{frames * len(self.labels) / 1e9:.3g} GB, more than max_table_gb="
                f"{most_bytes / 1e9:g}: raise it, or cut the recording"
            )
        return [waveform]


def _align(model: AcousticModel, group: list[Piece[_Recording]]) -> list[Alignment | Unusable]:
    framed = align_labels(
        [piece.log_probs for piece in group],
        [piece.recording.labels for piece in group],
        model.tokenizer.tokens,
    )
    results: list[Alignment | Unusable] = []
    for piece, aligned in zip(group, framed, strict=True):
        utterance = piece.recording.utterance
        if isinstance(aligned, str):
            results.append(Unusable(utterance.id, aligned))
            continue
        duration_s = piece.num_samples / model.sample_rate
        alignment = time_alignment(aligned, model.seconds_per_frame, duration_s)
        words = [word.word for word in alignment.words]
        if words == model.tokenizer.reference(utterance.text).split():
            results.append(alignment)
        else:
            results.append(
                Unusable(utterance.id, "a token of the model reaches over several words")
            )
    return results
