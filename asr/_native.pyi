"""Native decoders of asr."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.decoding.hypothesis import Hypothesis, Word

PHONE_END: str

class NGramModel:
    @staticmethod
    def from_arpa(text: bytes, name: str) -> NGramModel: ...
    @staticmethod
    def from_binary(path: str) -> NGramModel: ...
    def to_binary(self) -> bytes: ...
    @property
    def order(self) -> int: ...
    @property
    def num_words(self) -> int: ...
    def word(self, id: int, /) -> str: ...
    def score_words(self, words: Sequence[str], bos: bool, eos: bool) -> float: ...

class Lexicon:
    def __init__(
        self,
        entries: Sequence[tuple[str, str]],
        lm: NGramModel | None,
        allow_homophones: bool = False,
    ) -> None: ...
    @property
    def most_homophones(self) -> int: ...

class Hotwords:
    def __init__(self, phrases: Sequence[str], weight: float) -> None: ...

class Grammar:
    def __init__(
        self, num_states: int, arcs: Sequence[tuple[int, int, int]], accepting: Sequence[bool]
    ) -> None: ...

class Alphabet:
    def __init__(self, tokens: Sequence[str], blank: int, num_homophones: int = 0) -> None: ...

class HypothesisFactory:
    def __init__(
        self, tokens: list[str], hypothesis: type[Hypothesis], word: type[Word]
    ) -> None: ...

class GreedyDecoder:
    def __init__(self, alphabet: Alphabet, factory: HypothesisFactory, /) -> None: ...
    def decode(
        self, log_probs: NDArray[np.floating], lengths: NDArray[np.int64] | None, /
    ) -> list[list[Hypothesis]]: ...

class PrefixSearchDecoder:
    def __init__(
        self,
        alphabet: Alphabet,
        factory: HypothesisFactory,
        max_expansions: int,
        section_log_blank: float,
        /,
    ) -> None: ...
    def decode(
        self, log_probs: NDArray[np.floating], lengths: NDArray[np.int64] | None, num_threads: int, /
    ) -> list[list[Hypothesis]]: ...

class BeamSearchDecoder:
    def __init__(
        self,
        alphabet: Alphabet,
        factory: HypothesisFactory,
        lm: NGramModel | None,
        lexicon: Lexicon | None,
        hotwords: Hotwords | None,
        grammar: Grammar | None,
        lm_scores_tokens: bool,
        lm_alpha: float,
        lm_beta: float,
        unk_score: float,
        beam_width: int,
        n_best: int,
        token_min_logp: float,
        token_top_n: int,
        beam_prune_logp: float,
        max_delay: int,
        blank_skip_logp: float,
    ) -> None: ...
    def decode(
        self, log_probs: NDArray[np.floating], lengths: NDArray[np.int64] | None, num_threads: int, /
    ) -> list[list[Hypothesis]]: ...

class BeamSearchStream:
    def __init__(self, decoder: BeamSearchDecoder, /) -> None: ...
    def push(self, log_probs: NDArray[np.floating], /) -> None: ...
    def partial(self) -> tuple[Hypothesis, int]: ...
    def finish(self) -> list[Hypothesis]: ...
