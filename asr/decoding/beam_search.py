"""Prefix beam search: log-probabilities (N, T, C) -> n-best hypotheses with a language model."""

import math
from collections.abc import Sequence

from asr import _native
from asr.decoding.hypothesis import (
    Hypothesis,
    Lengths,
    LogProbs,
    as_batch,
    as_hypotheses,
    check_at_least,
    check_tokens,
)
from asr.decoding.language_model import NGramLM


class BeamSearchDecoder:
    """Search for the labellings W of the best fused score, summing all alignments of each.

        score(W) = ln P_ctc(W | X) + lm_alpha * ln P_lm(W) + lm_beta * |W|,   |W| in words

    P_lm includes the end of the sentence; the last word counts without a closing separator, and
    separators that enclose no word change nothing. Without a language model the score is
    ln P_ctc(W | X). Native code, one utterance per thread, interpreter lock released.

    Args:
        tokens: C strings in the order of the classes; " " separates words, or pieces that begin
            with U+2581 start them.
        blank: index of the blank, 0..C-1.
        beam_width: prefixes kept after each frame, >= 1.
        lm: word n-gram model.
        lm_alpha: weight of ln P_lm, >= 0; no effect without `lm`.
        lm_beta: nats per word; no effect without `lm`.
        n_best: hypotheses returned, >= 1, each with another text.
        token_min_logp: tokens below this ln probability start no new prefix at a frame, but for
            the best one; -inf: all may.
        beam_prune_logp: prefixes that score this much less than the best are dropped, <= 0; -inf:
            none is.
        num_threads: utterances decoded at the same time; 0 means one per processor.

    Raises:
        ValueError: an argument is out of its range.

    Source: Hannun et al. 2014 (arXiv:1408.2873), Algorithm 1.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        blank: int = 0,
        beam_width: int = 64,
        lm: NGramLM | None = None,
        lm_alpha: float = 0.5,
        lm_beta: float = 1.0,
        n_best: int = 1,
        token_min_logp: float = -5.0,
        beam_prune_logp: float = -10.0,
        num_threads: int = 0,
    ) -> None:
        _check_weights(lm_alpha, lm_beta, token_min_logp, beam_prune_logp)
        self.tokens = check_tokens(tokens)
        self.blank = blank
        self.beam_width = check_at_least("beam_width", beam_width, 1)
        self.lm = lm
        self.lm_alpha = lm_alpha
        self.lm_beta = lm_beta
        self.n_best = check_at_least("n_best", n_best, 1)
        self.token_min_logp = token_min_logp
        self.beam_prune_logp = beam_prune_logp
        self.num_threads = check_at_least("num_threads", num_threads, 0)
        self._native = _native.BeamSearchDecoder(
            _native.Alphabet(self.tokens, blank),
            None if lm is None else lm._native,
            lm_alpha,
            lm_beta,
            self.beam_width,
            self.n_best,
            token_min_logp,
            beam_prune_logp,
        )

    def __call__(self, log_probs: LogProbs, lengths: Lengths = None) -> list[list[Hypothesis]]:
        """Decode a batch.

        Args:
            log_probs: (N, T, C) or (T, C) natural logarithms; numpy, torch or lists, any float
                type.
            lengths: (N,) frames of each utterance, 0..T; None means T for all.

        Returns:
            N lists of 1 to `n_best` hypotheses, best first. Input that gives no labelling a
            positive probability has the one empty hypothesis with score -inf.

        Raises:
            ValueError: NaN or +inf, a wrong number of classes, a length out of range.
        """
        batch, num_frames = as_batch(log_probs, lengths, len(self.tokens))
        return as_hypotheses(self._native.decode(batch, num_frames, self.num_threads), self.tokens)

    def __reduce__(self) -> tuple[type["BeamSearchDecoder"], tuple[object, ...]]:
        arguments = (
            self.tokens,
            self.blank,
            self.beam_width,
            self.lm,
            self.lm_alpha,
            self.lm_beta,
            self.n_best,
            self.token_min_logp,
            self.beam_prune_logp,
            self.num_threads,
        )
        return type(self), arguments


def _check_weights(
    lm_alpha: float, lm_beta: float, token_min_logp: float, beam_prune_logp: float
) -> None:
    if not 0 <= lm_alpha < math.inf:
        raise ValueError(f"lm_alpha must be >= 0, got {lm_alpha}")
    if not math.isfinite(lm_beta):
        raise ValueError(f"lm_beta must be finite, got {lm_beta}")
    if not token_min_logp < math.inf:
        raise ValueError(f"token_min_logp must be a number or -inf, got {token_min_logp}")
    if not beam_prune_logp <= 0:
        raise ValueError(f"beam_prune_logp must be <= 0, got {beam_prune_logp}")
