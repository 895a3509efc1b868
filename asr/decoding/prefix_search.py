"""Prefix search decoding: log-probabilities (N, T, C) -> the most probable labelling, proven so."""

import logging
import math
from collections.abc import Sequence

from asr import _native
from asr.decoding.hypothesis import Hypothesis, hypothesis_factory
from asr.decoding.inputs import (
    Input,
    Lengths,
    LogProbs,
    as_batch,
    check_at_least,
    check_tokens,
)

_log = logging.getLogger(__name__)


class PrefixSearchDecoder:
    """Search the tree of prefixes best first for the labelling of the highest probability.

    A prefix is worth the probability of all labellings that begin with it; the search ends when no
    open prefix is worth more than the best whole labelling found. It starts from the labelling of
    the best path, so that the result is never less probable than the greedy one. On uncertain
    input the work grows exponentially: `max_expansions` bounds it, and a result that the bound cut
    short says so in `Hypothesis.bound_hit` and in the log.

    Args:
        tokens: C strings in the order of the classes; " " separates words, or pieces that begin
            with U+2581 start them.
        blank: index of the blank, 0..C-1.
        max_expansions: prefixes expanded for one utterance, >= 0.
        section_threshold: frames whose blank has at least this probability, in (0, 1], split the
            utterance into sections that are searched apart: much faster, exact only for each
            section. None: the whole utterance at once.
        num_threads: utterances decoded at the same time; 0 means one per processor.

    Raises:
        ValueError: an argument is out of its range.

    Source: Graves et al. 2006, "Connectionist temporal classification", section 3.2.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        blank: int = 0,
        max_expansions: int = 10_000,
        section_threshold: float | None = None,
        num_threads: int = 0,
    ) -> None:
        if section_threshold is not None and not 0 < section_threshold <= 1:
            raise ValueError(f"section_threshold must be in (0, 1], got {section_threshold}")
        self.tokens = check_tokens(tokens, blank)
        self.blank = blank
        self.max_expansions = check_at_least("max_expansions", max_expansions, 0)
        self.section_threshold = section_threshold
        self.num_threads = check_at_least("num_threads", num_threads, 0)
        log_threshold = math.inf if section_threshold is None else math.log(section_threshold)
        self._native = _native.PrefixSearchDecoder(
            _native.Alphabet(self.tokens, blank),
            hypothesis_factory(self.tokens),
            self.max_expansions,
            log_threshold,
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
        results = self._native.decode(batch, num_frames, self.num_threads)
        num_cut = sum(result[0].bound_hit for result in results)
        if num_cut:
            _log.warning(
                "prefix search stopped at max_expansions=%d in %d of %d utterances: their results "
                "are the best found, not proven the best",
                self.max_expansions,
                num_cut,
                len(results),
            )
        return results

    def __reduce__(self) -> tuple[type["PrefixSearchDecoder"], tuple[object, ...]]:
        arguments = (
            self.tokens,
            self.blank,
            self.max_expansions,
            self.section_threshold,
            self.num_threads,
        )
        return type(self), arguments
