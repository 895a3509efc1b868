"""Words as they are pronounced, for networks whose tokens are phones: nothing separates words.

    BeamSearchDecoder(phones, lexicon={"to": [["T", "UW"], ["T", "AH"]], "two": [["T", "UW"]]})
    BeamSearchDecoder(phones, lexicon=Path("cmudict.dict"))

Source: Miao, Gowayyed & Metze 2015 (EESEN, arXiv:1507.08240), section 3, whose graph of tokens,
lexicon and grammar searches the same words.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asr import _native
from asr.decoding.hypothesis import WORD_START

Pronunciations = Mapping[str, Sequence[Sequence[str]]]

_log = logging.getLogger(__name__)


def is_dictionary(lexicon: str | os.PathLike[str]) -> bool:
    """Whether a lexicon's file is a pronouncing dictionary, in CMUdict's format, by its name."""
    return os.fspath(lexicon).lower().endswith(".dict")


def find_pronunciations(lexicon: Any) -> Pronunciations | None:  # noqa: ANN401
    """Return a lexicon that says how words are pronounced; None for one that spells them.

    Raises:
        ValueError: a dictionary's file breaks a rule; names file and line.
    """
    if isinstance(lexicon, os.PathLike):
        if not is_dictionary(lexicon):
            return None
        # The package of texts is not needed to decode other tokens.
        from asr.text.pronunciations import read_pronunciations

        return read_pronunciations(Path(lexicon)).all_of()
    if not isinstance(lexicon, Mapping):
        return None
    first = next(iter(lexicon.values()), "")
    is_nested = not isinstance(first, str) and any(not isinstance(x, str) for x in first)
    return lexicon if is_nested else None


def compile_pronunciations(
    pronunciations: Pronunciations,
    tokens: Sequence[str],
    blank: int,
    lm: _native.NGramModel | None,
) -> _native.Lexicon:
    """Compile the words that may be said.

    Args:
        pronunciations: phones of each word, one sequence for each way to say it.
        tokens: strings of the classes; U+2581 before a phone makes no difference.
        blank: index of the blank.
        lm: word model that scores the words.

    Raises:
        TypeError: a word or phone is no string, a pronunciation no sequence of them.
        ValueError: a token separates words, a word holds white space, or no word can be said with
            the tokens.
    """
    if " " in (token for index, token in enumerate(tokens) if index != blank):
        raise ValueError("lexicon: pronunciations are for tokens that are phones, got a separator")
    phones = {t.removeprefix(WORD_START) for i, t in enumerate(tokens) if i != blank}
    entries, strange = [], []
    for word, ways in pronunciations.items():
        _check_word(word, ways)
        for way in ways:
            unknown = [phone for phone in way if phone not in phones]
            if unknown or not way:
                strange.append(f"{' '.join(unknown) or 'no phones'} of '{word}'")
            else:
                entries.append((word, "".join(phone + _native.PHONE_END for phone in way)))
    check_usable(len(entries), strange, "say", "pronunciations need phones that no token is")
    return _native.Lexicon(entries, lm, allow_homophones=True)


def check_usable(num_usable: int, strange: Sequence[str], verb: str, need: str) -> None:
    """Refuse a lexicon of which the tokens can write nothing; count what of another they cannot.

    Args:
        num_usable: entries that they can.
        strange: each of the others, as it is shown.
        verb: what tokens do with a word: spell or say it.
        need: what the others need.

    Raises:
        ValueError: no entry can be used.
    """
    if not num_usable:
        but = f", got {strange[0]}" if strange else ""
        raise ValueError(f"lexicon must hold a word that the tokens can {verb}{but}")
    if strange:
        num_entries = num_usable + len(strange)
        _log.warning(
            "lexicon: %d of %d %s, such as %s", len(strange), num_entries, need, strange[0]
        )


def _check_word(word: Any, ways: Any) -> None:  # noqa: ANN401
    if not isinstance(word, str):
        raise TypeError(f"lexicon: words must be strings, got {word!r}")
    if word.split() != [word]:
        raise ValueError(f"lexicon: a word must be one word without spaces, got '{word}'")
    for way in [ways] if isinstance(ways, str) else ways:
        if isinstance(way, str) or not isinstance(way, Sequence):
            raise TypeError(f"lexicon: a pronunciation must be a sequence of phones, got {way!r}")
        if not all(isinstance(phone, str) for phone in way):
            raise TypeError(f"lexicon: phones must be strings, got {list(way)!r}")
