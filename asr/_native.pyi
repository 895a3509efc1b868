"""Native decoders of asr."""

from collections.abc import Sequence
from typing import Annotated, overload

import numpy
from numpy.typing import NDArray


class NGramModel:
    @staticmethod
    def from_arpa(text: bytes, name: str) -> NGramModel: ...

    @property
    def order(self) -> int: ...

    @property
    def num_words(self) -> int: ...

    def score_words(self, words: Sequence[str], bos: bool, eos: bool) -> float: ...

class Alphabet:
    def __init__(self, tokens: Sequence[str], blank: int) -> None: ...

class GreedyDecoder:
    def __init__(self, arg: Alphabet, /) -> None: ...

    @overload
    def decode(self, arg0: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), device='cpu', writable=False)], arg1: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], /) -> list: ...

    @overload
    def decode(self, arg0: Annotated[NDArray[numpy.float64], dict(shape=(None, None, None), device='cpu', writable=False)], arg1: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], /) -> list: ...

class PrefixSearchDecoder:
    def __init__(self, arg0: Alphabet, arg1: int, arg2: float, /) -> None: ...

    @overload
    def decode(self, arg0: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), device='cpu', writable=False)], arg1: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], arg2: int, /) -> list: ...

    @overload
    def decode(self, arg0: Annotated[NDArray[numpy.float64], dict(shape=(None, None, None), device='cpu', writable=False)], arg1: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], arg2: int, /) -> list: ...

class BeamSearchDecoder:
    def __init__(self, alphabet: Alphabet, lm: NGramModel | None, lm_alpha: float, lm_beta: float, beam_width: int, n_best: int, token_min_logp: float, beam_prune_logp: float) -> None: ...

    @overload
    def decode(self, arg0: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), device='cpu', writable=False)], arg1: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], arg2: int, /) -> list: ...

    @overload
    def decode(self, arg0: Annotated[NDArray[numpy.float64], dict(shape=(None, None, None), device='cpu', writable=False)], arg1: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], arg2: int, /) -> list: ...
