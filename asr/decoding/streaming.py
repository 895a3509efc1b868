"""Decoding of one utterance that arrives in pieces."""

from typing import NamedTuple

from asr import _native
from asr.decoding.hypothesis import Hypothesis, Word
from asr.decoding.inputs import Input, LogProbs, as_batch


class Partial(NamedTuple):
    """What is known before the end.

    Attributes:
        text: the best text so far; its last word may be incomplete.
        stable_text: its first words, as far as no later frame can change them. It only grows.
        words: the words of `text` with frames and confidence.
    """

    text: str
    stable_text: str
    words: tuple[Word, ...]


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
        return Partial(best.text, stable_text, best.words)

    def finish(self) -> list[Hypothesis]:
        """End the utterance: return 1 to `n_best` hypotheses of all that was pushed, best first."""
        return self._native.finish()
