"""Text: the normaliser, alphabets, and tokenizers from texts to labels and back."""

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
