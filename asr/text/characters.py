"""Characters: their kinds, and how messages name them."""

import unicodedata

WORD_START = "\u2581"
APOSTROPHE = "'"
_IDEOGRAPHIC_ZERO = "\u3007"  # a word, as the other figures of Chinese are
# Every sign that is typed where an apostrophe is meant.
APOSTROPHES = frozenset("\u2018\u2019\u201b\u02bc\u02bb\u02b9\u2032\uff07\u0060\u00b4\ua78c\u055a")


def is_sound(character: str) -> bool:
    """Whether a character is a letter, a digit or a mark on a letter: something that is said."""
    return unicodedata.category(character)[0] in "LNM"


def is_digit(character: str) -> bool:
    """Whether a character is a digit or another sign for a number, such as a half."""
    return unicodedata.category(character)[0] == "N" and character != _IDEOGRAPHIC_ZERO


def name_character(character: str) -> str:
    """Name a character in a message: itself and its code point."""
    codes = " ".join(f"U+{ord(c):04X}" for c in character)
    return f"{character!r} ({codes})"


def shorten(text: str, limit: int = 80) -> str:
    """Quote a text in a message, cut at a limit."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def refuse_character(character: str, text: str) -> ValueError:
    """Make the error of a text with a character that its alphabet does not have."""
    return ValueError(
        f"character {name_character(character)} is not in the alphabet: {shorten(text)}"
    )
