"""Phones of a pronouncing dictionary as labels."""

import base64
import logging
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

from asr.text.characters import WORD_START, shorten
from asr.text.labels import BLANK_TOKEN, look_up_words
from asr.text.pronunciations import (
    MAX_DICTIONARY_BYTES,
    Pronunciations,
    parse_pronunciations,
    read_pronunciations,
)

logger = logging.getLogger(__name__)


class PhoneTokenizer:
    """One label a phone; a text is said as the first pronunciations of its words, in a row.

    A phone opens with U+2581, so that decoders take every phone for a word: hypotheses are phones
    with spaces between them, with a time each, and errors of words are errors of phones. There is
    no label for the boundary of words.

    Args:
        phones_of: phones of each word, the words in small letters.
        further: other pronunciations of these words, for searches that find words.

    Raises:
        ValueError: there is no word.
    """

    def __init__(
        self,
        phones_of: Mapping[str, Sequence[str]],
        further: Sequence[tuple[str, Sequence[str]]] = (),
    ) -> None:
        if not phones_of:
            raise ValueError("phones_of must hold at least one word, got none")
        self._phones_of, self._further = phones_of, further
        phones = sorted({phone for phones in phones_of.values() for phone in phones})
        self.tokens = [BLANK_TOKEN, *(WORD_START + phone for phone in phones)]
        self._ids = {phone: i for i, phone in enumerate(phones, start=1)}

    @classmethod
    def from_file(cls, dictionary: str | Path) -> Self:
        """Read a dictionary in the format of CMUdict.

        Raises:
            ValueError: the file is missing or no dictionary; names file and line.
        """
        phones_of, further = read_pronunciations(dictionary)
        tokenizer = cls(phones_of, further)
        logger.info(
            "dictionary: %s, %d words, %d phones; %d further pronunciations not trained",
            *(dictionary, len(phones_of), len(tokenizer.tokens) - 1, len(further)),
        )
        return tokenizer

    @classmethod
    def from_state(cls, state: str) -> Self:
        """Rebuild a tokenizer from the dictionary that its state holds.

        Raises:
            ValueError: it holds none, or more than a dictionary may have.
        """
        try:
            unpacking = zlib.decompressobj()
            packed = base64.b64decode(state, validate=True)
            content = unpacking.decompress(packed, MAX_DICTIONARY_BYTES)
            if not unpacking.eof:
                raise ValueError(f"cut short, or over {MAX_DICTIONARY_BYTES} bytes")
            text = content.decode()
        except (ValueError, zlib.error) as error:
            raise ValueError(f"tokenizer state holds no dictionary: {error}") from error
        return cls(*parse_pronunciations(text, "dictionary of the model"))

    def encode(self, text: str) -> list[int]:
        """Return the labels of the phones of every word.

        Raises:
            ValueError: the dictionary lacks a word; names all that it lacks.
        """
        return [self._ids[phone] for phone in self._say(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the phones of labels 1..C-1, with spaces between them.

        Raises:
            ValueError: a label is the blank or no label at all.
        """
        return look_up_words(self.tokens, ids)

    def reference(self, text: str) -> str:
        """Return the phones of a text, with spaces between them; raises as `encode`."""
        return " ".join(self._say(text))

    def as_words(self) -> "PhoneTokenizer":
        """Return a tokenizer for searches that find words among phones: references are words."""
        return _WordTokenizer(self._phones_of, self._further)

    def pronounce(self, words: Iterable[str] | None = None) -> dict[str, list[Sequence[str]]]:
        """Return all pronunciations of words, or of all words of the dictionary.

        Raises:
            ValueError: the dictionary lacks a word; names all that it lacks.
        """
        asked = self._phones_of if words is None else tuple(words)
        found = dict(self._look_up(asked))
        return Pronunciations(found, [row for row in self._further if row[0] in found]).all_of()

    def state(self) -> dict[str, str]:
        """Return all that `tokenizer_from_state` needs: the whole dictionary, packed.

        A model's file so scores any text without the dictionary's file; CMUdict takes 1.1 MB of it.
        """
        return {"type": "phones", "dictionary": self._packed}

    @cached_property
    def _packed(self) -> str:
        rows = (*self._phones_of.items(), *self._further)
        lines = "\n".join(" ".join((word, *phones)) for word, phones in rows)
        return base64.b64encode(zlib.compress(lines.encode())).decode("ascii")

    def _say(self, text: str) -> list[str]:
        words = text.lower().split()
        try:
            return [phone for _, phones in self._look_up(words) for phone in phones]
        except ValueError as error:
            raise ValueError(f"{error}: {shorten(text)}") from None

    def _look_up(self, words: Collection[str]) -> list[tuple[str, Sequence[str]]]:
        unknown = sorted({word for word in words if word not in self._phones_of})
        if unknown:
            raise ValueError(f"the pronouncing dictionary lacks {shorten(' '.join(unknown))}")
        return [(word, self._phones_of[word]) for word in words]


class _WordTokenizer(PhoneTokenizer):
    """Says words as phones, and writes them as words."""

    def reference(self, text: str) -> str:
        """Return the words of a text, which the dictionary may lack."""
        return " ".join(text.lower().split())
