"""Text: the normaliser, alphabets, and tokenizers from texts to labels and back.

What it offers is imported on first use: a pronouncing dictionary is read without the libraries that
numbers and pieces need.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr.text.characters import WORD_START
    from asr.text.labels import BLANK, BLANK_TOKEN
    from asr.text.normalizer import (
        TextError,
        TextNormalizer,
        normalizer_from_state,
        read_normalizer,
        write_normalizer,
    )
    from asr.text.phones import PhoneTokenizer
    from asr.text.symbols import SymbolTokenizer
    from asr.text.tokenizers import (
        MAX_MODEL_BYTES,
        CharTokenizer,
        LabelTokenizer,
        SentencePieceTokenizer,
        Tokenizer,
        spelling,
        tokenizer_from_state,
    )

__all__ = [
    "BLANK",
    "BLANK_TOKEN",
    "MAX_MODEL_BYTES",
    "WORD_START",
    "CharTokenizer",
    "LabelTokenizer",
    "PhoneTokenizer",
    "SentencePieceTokenizer",
    "SymbolTokenizer",
    "TextError",
    "TextNormalizer",
    "Tokenizer",
    "normalizer_from_state",
    "read_normalizer",
    "spelling",
    "tokenizer_from_state",
    "write_normalizer",
]

_HOMES = {
    "characters": ("WORD_START",),
    "labels": ("BLANK", "BLANK_TOKEN"),
    "normalizer": (
        *("TextError", "TextNormalizer", "normalizer_from_state", "read_normalizer"),
        "write_normalizer",
    ),
    "phones": ("PhoneTokenizer",),
    "symbols": ("SymbolTokenizer",),
    "tokenizers": (
        *("MAX_MODEL_BYTES", "CharTokenizer", "LabelTokenizer", "SentencePieceTokenizer"),
        *("Tokenizer", "spelling", "tokenizer_from_state"),
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'asr.text' has no attribute {name!r}")
    return getattr(import_module(f"asr.text.{_HOME_OF[name]}"), name)
