"""Prefix beam search: log-probabilities (N, T, C) -> n-best hypotheses with a language model."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr import _native
from asr.decoding.constraints import (
    Lexicon,
    Words,
    build_grammar,
    build_hotwords,
    build_words,
    check_model_words,
    find_grammar,
)
from asr.decoding.hypothesis import Hypothesis, hypothesis_factory
from asr.decoding.inputs import (
    Input,
    Lengths,
    LogProbs,
    as_batch,
    check_at_least,
    check_tokens,
)
from asr.decoding.streaming import BeamSearchStream
from asr.decoding.vocabulary import read_vocabulary
from asr.ngram.model import NGramLM


class BeamSearchDecoder:
    """Search for the labellings W of the best fused score, summing all alignments of each.

        score(W) = ln P_ctc(W | X) + lm_alpha * ln P_lm(W) + lm_beta * |W|
                 + unk_score * |unknown words of W| + hotwords(W)

    |W| in words, or tokens when those are what the model scores. P_lm includes the end of the
    sentence; the last word counts without a closing separator, and separators that enclose no word
    change nothing. Without language model and hotwords the score is ln P_ctc(W | X). Native code,
    one utterance per thread, interpreter lock released.

    Args:
        tokens: C strings in the order of the classes; " " separates words, or pieces that begin
            with U+2581 start them.
        blank: index of the blank, 0..C-1.
        beam_width: prefixes kept after each frame, >= 1.
        lm: n-gram model of words or, by its `unit`, of tokens.
        lm_alpha: weight of ln P_lm, >= 0; no effect without `lm`.
        lm_beta: nats per word (or token); no effect without `lm`.
        unk_score: nats for every word that `lm` does not know, on top of what the model gives
            <unk>, which is much: it stands for every word there is. 0 lets the model alone decide.
            No effect without a word model.
        lexicon: the only words allowed, spelled as themselves; or a mapping from each word to its
            spelling or spellings; or the path of a file of lines "word" or
            "word<TAB>spelling<TAB>spelling...". The text shows words, not spellings. Where tokens
            are phones: a mapping from each word to its pronunciations, sequences of tokens, or the
            path of a dictionary in CMUdict's format whose name ends in .dict. Words are then found
            where nothing separates them, and of words that sound alike the language model chooses.
            For several decoders of the same tokens and `lm`: what `build_words` made, once.
        hotwords: words and phrases to listen for, in `lm` or not.
        hotword_weight: nats for every word of a hotword, each time the whole phrase is heard; what
            was lent to a phrase that breaks off is given back. > 0 with `hotwords`.
        grammar: JSGF text, the right-hand side of one rule, or the path of a file of either, which
            is a path object or a string that ends in .jsgf or .gram: the result is a sentence of it
            (see `asr.decoding.grammar`). Hotwords and grammar see spellings, where they differ from
            words, but words where tokens are phones.
        n_best: hypotheses returned, >= 1, each with another text. With 1, a full beam keeps only
            the best of the prefixes to which every continuation adds the same text score (the same
            last words, to the order of `lm`), which finds better results more often than not.
        token_min_logp: tokens below this ln probability start no new prefix at a frame, but for
            the best one; -inf: all may.
        token_top_n: and so do, of the others, only this many at a frame, the most probable, >= 1;
            saves most with many classes. None: any number.
        beam_prune_logp: prefixes that score this much less than the best are dropped, <= 0; -inf:
            none is.
        blank_skip_threshold: frames whose blank has at least this probability, in (0, 1], are taken
            to be surely blank, which costs next to nothing: tokens begin or go on in no such frame.
            None: every frame is searched.
        max_delay: frames, >= 1, after which the best prefix's tokens are final and prefixes that
            differ in them are dropped: what bounds a stream's memory and how far its stable text
            lags. None: never, as suits n-best lists.
        num_threads: utterances decoded at the same time; 0 means one per processor.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: an argument is out of its range; lexicon, hotwords or grammar are malformed; the
            tokens can spell no word of `lm`, as where one of them is in upper case.

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
        unk_score: float = -10.0,
        lexicon: Lexicon | Words | None = None,
        hotwords: Sequence[str] | None = None,
        hotword_weight: float = 0.0,
        grammar: str | os.PathLike[str] | None = None,
        n_best: int = 1,
        token_min_logp: float = -5.0,
        token_top_n: int | None = None,
        beam_prune_logp: float = -10.0,
        blank_skip_threshold: float | None = None,
        max_delay: int | None = None,
        num_threads: int = 0,
    ) -> None:
        if not isinstance(lm, NGramLM | None):
            raise TypeError(f"lm must be an NGramLM, such as NGramLM('lm.arpa'), got {lm!r}")
        _check_weights(lm_alpha, lm_beta, unk_score, token_min_logp, beam_prune_logp)
        if blank_skip_threshold is not None and not 0 < blank_skip_threshold <= 1:
            raise ValueError(f"blank_skip_threshold must be in (0, 1], got {blank_skip_threshold}")
        self.tokens = check_tokens(tokens, blank)
        self.lm = lm
        self.num_threads = check_at_least("num_threads", num_threads, 0)
        if lm is not None and lm.unit == "word" and lexicon is None:
            check_model_words(lm, self.tokens, blank)
        grammar = None if grammar is None else find_grammar(grammar)
        chooses = bool(lm or hotwords) or grammar is not None
        words = build_words(lexicon, self.tokens, blank, lm, chooses=chooses)
        self._native = _native.BeamSearchDecoder(
            words.alphabet,
            hypothesis_factory(self.tokens),
            None if lm is None else lm.native,
            words.lexicon,
            build_hotwords(hotwords, hotword_weight, words.writable) if hotwords else None,
            None if grammar is None else build_grammar(grammar, words.writable),
            lm is not None and lm.unit == "token",
            lm_alpha,
            lm_beta,
            unk_score,
            check_at_least("beam_width", beam_width, 1),
            check_at_least("n_best", n_best, 1),
            token_min_logp,
            0 if token_top_n is None else check_at_least("token_top_n", token_top_n, 1),
            beam_prune_logp,
            0 if max_delay is None else check_at_least("max_delay", max_delay, 1),
            math.inf if blank_skip_threshold is None else math.log(blank_skip_threshold),
        )
        self._arguments = (
            *(self.tokens, blank, beam_width, lm, lm_alpha, lm_beta, unk_score),
            *(_as_absolute(lexicon), hotwords, hotword_weight, grammar),
            *(n_best, token_min_logp, token_top_n, beam_prune_logp, blank_skip_threshold),
            *(max_delay, num_threads),
        )

    @classmethod
    def from_pretrained_vocab(
        cls,
        path: str | os.PathLike[str],
        blank: int | None = None,
        **options: Any,  # noqa: ANN401
    ) -> "BeamSearchDecoder":
        """Make a decoder for a published model from its vocabulary file.

        Args:
            path: Hugging Face `vocab.json`, labels in `.json` or `.txt`, SentencePiece `.model` or
                `.vocab`; see `asr.decoding.vocabulary.read_vocabulary`.
            blank: class of the blank; None: as the file says, or the last.
            options: as for the constructor.
        """
        vocabulary = read_vocabulary(path, blank)
        return cls(vocabulary.tokens, vocabulary.blank, **options)

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
            N lists of 1 to `n_best` hypotheses, best first. Input that gives no labelling a
            positive probability has the one empty hypothesis with score -inf.

        Raises:
            ValueError: values that are no log-probabilities (NaN, above 0), a wrong number of
                classes, a length out of range.
        """
        batch, num_frames = as_batch(log_probs, lengths, len(self.tokens), input)
        return self._native.decode(batch, num_frames, self.num_threads)

    def stream(self) -> BeamSearchStream:
        """Begin an utterance that arrives in pieces; any number may be open at a time."""
        return BeamSearchStream(self._native, self.tokens)

    def __reduce__(self) -> tuple[type["BeamSearchDecoder"], tuple[object, ...]]:
        return type(self), self._arguments


def _as_absolute(source: Any) -> Any:  # noqa: ANN401
    """Make a path valid in another process's folder; leave anything else alone."""
    return Path(source).absolute() if isinstance(source, os.PathLike) else source


def _check_weights(
    lm_alpha: float, lm_beta: float, unk_score: float, token_min_logp: float, beam_prune_logp: float
) -> None:
    if not 0 <= lm_alpha < math.inf:
        raise ValueError(f"lm_alpha must be >= 0, got {lm_alpha}")
    if not math.isfinite(lm_beta):
        raise ValueError(f"lm_beta must be finite, got {lm_beta}")
    if not math.isfinite(unk_score):
        raise ValueError(f"unk_score must be finite, got {unk_score}")
    if not token_min_logp < math.inf:
        raise ValueError(f"token_min_logp must be a number or -inf, got {token_min_logp}")
    if not beam_prune_logp <= 0:
        raise ValueError(f"beam_prune_logp must be <= 0, got {beam_prune_logp}")
