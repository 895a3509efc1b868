"""Decoding of one utterance that arrives in pieces."""

import math
from typing import NamedTuple

import numpy as np

from asr import _native
from asr.decoding.hypothesis import WORD_START, Hypothesis, Word
from asr.decoding.inputs import Input, LogProbs, as_batch


class Partial(NamedTuple):
    """What is known before the end.

    Attributes:
        text: the best text so far; its last word may be incomplete.
        stable_text: its first words, as far as no later frame can change them. It only grows.
        words: the words of `text` with frames and confidence.
        best: all that is known of the best text, as at the end, but for what the end adds.
    """

    text: str
    stable_text: str
    words: tuple[Word, ...]
    best: Hypothesis


class BeamSearchStream:
    """One utterance, made by `BeamSearchDecoder.stream`.

    Whatever the pieces, the result is that of one call with all frames. With the decoder's
    `max_delay` memory grows with the text alone. Every method raises ValueError while another
    thread is in one of them, and after a `push` that failed on its values.
    """

    def __init__(self, decoder: _native.BeamSearchDecoder, tokens: list[str]) -> None:
        self._native = _native.BeamSearchStream(decoder)
        self._tokens = tokens
        self._num_frames = 0

    def push(self, log_probs: LogProbs, *, input: Input = "log_probs") -> None:
        """Add the next frames.

        Args:
            log_probs: (T, C) natural logarithms, T >= 0; numpy, torch or lists, any float type.
            input: "logits" or "probs" if `log_probs` are such.

        Raises:
            ValueError: a wrong number of classes; values that are no log-probabilities: the stream
                must be given up; or the stream has been finished.
        """
        batch, _ = as_batch(log_probs, None, len(self._tokens), input, self._num_frames)
        if len(batch) != 1:
            raise ValueError(f"log_probs must be (T, C) in a stream, got {len(batch)} utterances")
        self._native.push(batch)
        self._num_frames += batch.shape[1]

    def partial(self) -> Partial:
        """Describe the best prefix so far."""
        best, num_stable = self._native.partial()
        stable_text = " ".join(word.word for word in best.words[:num_stable])
        return Partial(best.text, stable_text, best.words, best)

    def finish(self) -> list[Hypothesis]:
        """End the utterance: return 1 to `n_best` hypotheses of all that was pushed, best first."""
        return self._native.finish()


class GreedyStream:
    """One utterance, made by `GreedyDecoder.stream`, for one thread at a time.

    Whatever the pieces, the result is that of one call with all frames. Of the frames in a row that
    say the same, only one is kept: memory grows with the text alone.
    """

    def __init__(self, decoder: _native.GreedyDecoder, tokens: list[str], blank: int) -> None:
        self._native = decoder
        self._tokens = tokens
        self._blank = blank
        # A frame for each stretch of one class: of a token its spike, of blanks the first.
        self._rows = np.empty((0, len(tokens)), np.float32)
        self._frames = np.empty(0, np.int64)
        self._score = 0.0
        self._num_frames = 0
        self._is_finished = False

    def push(self, log_probs: LogProbs, *, input: Input = "log_probs") -> None:
        """Add the next frames; as `BeamSearchStream.push`, but what fails is not added."""
        if self._is_finished:
            raise ValueError(
                "nothing can be pushed after finish(): another stream begins another utterance"
            )
        batch, _ = as_batch(log_probs, None, len(self._tokens), input, self._num_frames)
        if len(batch) != 1:
            raise ValueError(f"log_probs must be (T, C) in a stream, got {len(batch)} utterances")
        try:
            self._native.decode(batch, None)  # refuses what are no log-probabilities
        except ValueError as error:
            raise ValueError(f"{error}, counted from frame {self._num_frames}") from error
        self._score += float(batch.max(axis=-1).sum(dtype=np.float64))
        frames = np.arange(self._num_frames, self._num_frames + batch.shape[1])
        self._rows = np.concatenate([self._rows, batch[0]])
        self._frames = np.concatenate([self._frames, frames])
        self._num_frames += len(frames)
        self._keep_spikes()

    def partial(self) -> Partial:
        """Describe the best path so far: all its words are stable but one that may go on."""
        best = self._decode()
        closed = bool(best.tokens) and best.tokens[-1] in (" ", WORD_START)
        num_stable = len(best.words) if closed else max(0, len(best.words) - 1)
        stable_text = " ".join(word.word for word in best.words[:num_stable])
        return Partial(best.text, stable_text, best.words, best)

    def finish(self) -> list[Hypothesis]:
        """End the utterance: return the one hypothesis of all that was pushed."""
        self._is_finished = True
        return [self._decode()]

    def _keep_spikes(self) -> None:
        """Keep the most probable frame of each stretch, the first of equals."""
        best = self._rows.argmax(axis=1)
        heights = np.where(best == self._blank, 0.0, self._rows.max(axis=1))
        stretch = np.cumsum(np.diff(best, prepend=best[:1]) != 0)
        order = np.lexsort((np.arange(len(best)), -heights, stretch))
        first = np.diff(stretch[order], prepend=-1) != 0
        kept = order[first]
        self._rows, self._frames = self._rows[kept], self._frames[kept]

    def _decode(self) -> Hypothesis:
        if self._score == -math.inf:  # which the frames that were kept may not show
            impossible = np.full((1, 1, len(self._tokens)), -math.inf, np.float32)
            return self._native.decode(impossible, None)[0][0]
        best = self._native.decode(self._rows[None], None)[0][0]
        at = self._frames.tolist()
        words = tuple(
            word._replace(start_frame=at[word.start_frame], end_frame=at[word.end_frame - 1] + 1)
            for word in best.words
        )
        return best._replace(
            words=words,
            token_frames=tuple(at[frame] for frame in best.token_frames),
            score=self._score,
            acoustic_score=self._score,
        )
