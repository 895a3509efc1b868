"""Pronouncing dictionaries, as CMUdict: a word and its phones a line.

    ;;; a comment
    HELLO  HH AH0 L OW1
    HELLO(2)  HH EH0 L OW1        # another pronunciation

Words are compared in small letters. A pronunciation after a word's first one has a number, or its
word stands there again. The stress of ARPAbet's vowels (0, 1, 2) is left away; phones of other
alphabets stay as they are written.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from asr.files import read_text
from asr.text.characters import WORD_START, shorten

# CMUdict has 4 MB; the longest of its words has 28 phones.
MAX_DICTIONARY_BYTES = 64 * 2**20
MAX_LINE = 2000  # characters
MAX_LETTERS_OF_PHONE = 16
# More than any language has, tones included: what has more is a list of something else.
MAX_PHONES = 1000
_COMMENT = ";;;"
_ALTERNATIVE = re.compile(r"(.+?)(?:\([0-9]+\))+")
_STRESSED = re.compile(r"([A-Z]+)[012]")


class Pronunciations(NamedTuple):
    """What a dictionary holds, in the order of the file.

    Attributes:
        phones_of: phones of each word, as it is first pronounced.
        further: words with the phones of their other pronunciations.
    """

    phones_of: Mapping[str, Sequence[str]]
    further: Sequence[tuple[str, Sequence[str]]]

    def all_of(self) -> dict[str, list[Sequence[str]]]:
        """Return all pronunciations of each word."""
        found = {word: [phones] for word, phones in self.phones_of.items()}
        for word, phones in self.further:
            found[word].append(phones)
        return found


def read_pronunciations(path: str | Path) -> Pronunciations:
    """Read a dictionary, in UTF-8.

    Raises:
        ValueError: the file cannot be read or holds no dictionary; names file and line.
    """
    return parse_pronunciations(read_text(path, MAX_DICTIONARY_BYTES), str(path))


def parse_pronunciations(text: str, name: str) -> Pronunciations:
    """Parse the lines of a dictionary.

    Args:
        text: the lines.
        name: of the file, for messages.

    Raises:
        ValueError: a line is none of a dictionary, or there is no word; names file and line.
    """
    phones_of: dict[str, tuple[str, ...]] = {}
    folded: dict[str, str] = {}  # phones as written, without stress: few, repeated a million times
    further = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            word, phones = _split_line(line)
            if not word:
                continue
            for phone in phones:
                if phone not in folded:
                    folded[phone] = _fold(phone, len(folded))
        except ValueError as error:
            raise ValueError(f"{name}:{number}: {error}") from None
        spelled = tuple([folded[phone] for phone in phones])
        if word in phones_of:
            further.append((word, spelled))
        else:
            phones_of[word] = spelled
    if not phones_of:
        raise ValueError(f"{name}: must hold at least one word with its phones")
    return Pronunciations(phones_of, further)


def _split_line(line: str) -> tuple[str, list[str]]:
    """Return a line's word, in small letters, and phones as written; "" where it has none."""
    if len(line) > MAX_LINE:
        raise ValueError(f"a line must have at most {MAX_LINE} characters, got {len(line)}")
    columns = [] if line.startswith(_COMMENT) else line.split()
    if "#" in columns:
        columns = columns[: columns.index("#")]
    if not columns:
        return "", []
    word, *phones = columns
    if not phones:
        raise ValueError(f"word {shorten(word)} has no phones")
    alternative = _ALTERNATIVE.fullmatch(word) if word.endswith(")") else None
    return (alternative[1] if alternative else word).lower(), phones


def _fold(phone: str, num_known: int) -> str:
    """Leave the stress of a phone away; refuse what is none, or one too many."""
    if WORD_START in phone or not phone.isprintable() or len(phone) > MAX_LETTERS_OF_PHONE:
        raise ValueError(f"{shorten(phone)} is no phone")
    if num_known == MAX_PHONES:
        raise ValueError(
            f"more than {MAX_PHONES} different phones: is it a pronouncing dictionary "
            "(WORD  P H O N E S)?"
        )
    stressed = _STRESSED.fullmatch(phone)
    return stressed[1] if stressed else phone
