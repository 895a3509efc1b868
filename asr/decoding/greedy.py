"""Best path decoding: log-probabilities (N, T, C) -> one hypothesis per utterance."""

from collections.abc import Sequence

from asr import _native
from asr.decoding.hypothesis import Hypothesis, hypothesis_factory
from asr.decoding.inputs import Input, Lengths, LogProbs, as_batch, check_tokens
from asr.decoding.streaming import GreedyStream


class GreedyDecoder:
    """Take the most probable class of each frame, merge repeats, drop blanks.

    The score is that of the one best path, a lower bound of its labelling's probability; ties go
    to the lower class.

    Args:
        tokens: C strings in the order of the classes; " " separates words, or pieces that begin
            with U+2581 start them.
        blank: index of the blank, 0..C-1.

    Raises:
        ValueError: `tokens` is empty or `blank` out of range.
    """

    def __init__(self, tokens: Sequence[str], blank: int = 0) -> None:
        self.tokens = check_tokens(tokens, blank)
        self.blank = blank
        self._native = _native.GreedyDecoder(
            _native.Alphabet(self.tokens, blank), hypothesis_factory(self.tokens)
        )

    def __call__(
        self, log_probs: LogProbs, lengths: Lengths = None, *, input: Input = "log_probs"
    ) -> list[list[Hypothesis]]:
        """Decode a batch.

        Args:
            log_probs: (N, T, C) or (T, C) natural logarithms; numpy, torch or lists, any float
                type.
            lengths: (N,) frames of each utterance, 0..T; None means T for all.
            input: "logits" (any scores: they are normalised) or "probs" if `log_probs` are such.

        Returns:
            N lists of one hypothesis.

        Raises:
            ValueError: values that are no log-probabilities (NaN, above 0), a wrong number of
                classes, a length out of range.
        """
        batch, num_frames = as_batch(log_probs, lengths, len(self.tokens), input)
        return self._native.decode(batch, num_frames)

    def stream(self) -> GreedyStream:
        """Begin an utterance that arrives in pieces; any number may be open at a time."""
        return GreedyStream(self._native, self.tokens, self.blank)

    def __reduce__(self) -> tuple[type["GreedyDecoder"], tuple[list[str], int]]:
        return type(self), (self.tokens, self.blank)
