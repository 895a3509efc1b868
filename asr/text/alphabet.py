"""Alphabets: of a language, of a file, or of what texts hold."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from asr.files import read_text
from asr.text.characters import APOSTROPHE, is_digit, is_sound, name_character, shorten
from asr.text.letters import LETTERS, WITH_APOSTROPHE, WITHOUT_SPACES
from asr.text.tokenizers import CharTokenizer

ENGLISH = " '" + LETTERS["en"]
MAX_FILE_BYTES = 2**20
# How a file writes the space, which editors take off the ends of lines.
SPACE_NAME = "<space>"
_EXAMPLE_CHARACTERS = 60


class CharacterCount(NamedTuple):
    """A character of some texts: how often it occurs, and a text that it occurs in."""

    character: str
    times: int
    example: str

    @property
    def is_written(self) -> bool:
        """Whether an alphabet takes it: letters and their marks, the apostrophe and the space."""
        if is_digit(self.character):
            return False
        return is_sound(self.character) or self.character in (" ", APOSTROPHE)

    def __str__(self) -> str:
        name = unicodedata.name(self.character, "no name")
        return (
            f"{name_character(self.character)} {name}: {self.times} times, as in "
            f"{shorten(self.example, _EXAMPLE_CHARACTERS)}"
        )


def language_alphabet(language: str) -> str:
    """Return the letters of a language, with the space and the apostrophe where words have them.

    Raises:
        ValueError: there is no table of its letters.
    """
    if language not in LETTERS:
        raise ValueError(
            f"there is no table of the letters of '{language}': give auto, a file or one of "
            f"{' '.join(LETTERS)}"
        )
    space = "" if language in WITHOUT_SPACES else " "
    apostrophe = APOSTROPHE if language in WITH_APOSTROPHE else ""
    return space + apostrophe + LETTERS[language]


def read_alphabet(path: Path) -> str:
    """Read an alphabet: all characters of a text file, its line ends aside.

    A line "<space>" stands for the space.

    Raises:
        ValueError: the file cannot be read, is empty, or repeats a character; names it.
    """
    lines = read_text(path, MAX_FILE_BYTES).split("\n")
    alphabet = "".join(" " if line.strip() == SPACE_NAME else line for line in lines)
    try:
        return CharTokenizer(unicodedata.normalize("NFC", alphabet)).alphabet
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def count_characters(texts: Iterable[str]) -> list[CharacterCount]:
    """Count the characters of texts, the most frequent first."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for text in texts:
        counts.update(text)
        for character in text:
            examples.setdefault(character, text)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [CharacterCount(c, count, examples[c]) for c, count in ordered]


def gather_alphabet(characters: Iterable[CharacterCount]) -> str:
    """Make an alphabet of what is written, in the order of Unicode, the space first."""
    return "".join(sorted(c.character for c in characters if c.is_written))
