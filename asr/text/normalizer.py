"""The normaliser: a visible list of steps that bring texts into an alphabet.

The same steps make training texts, the text of a language model and the references of a test set
alike. They are written beside the manifests and kept in every checkpoint.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

from asr.files import parse_json, read_text, write_atomically
from asr.text.abbreviations import ABBREVIATIONS, Expander
from asr.text.characters import is_digit, is_sound, name_character, shorten
from asr.text.letters import LETTERS, WITHOUT_SPACES
from asr.text.numbers import NumberSpeller, spoken_languages
from asr.text.steps import STEPS, Notes, Rules, fold

Unknown = Literal["refuse", "remove"]
FILE_NAME = "normalizer.json"
FORMAT = 1
MAX_FILE_BYTES = 4 * 2**20
_KEYS = ("alphabet", "unknown", "language", "steps", "abbreviations")


class TextError(ValueError):
    """A text that does not fit; `reason` is one of few, so that they can be counted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TextNormalizer:
    """Brings texts into an alphabet and counts what that changed.

    The steps are those of `asr.text.steps.STEPS`, always in its order. Then every character must be
    in the alphabet. A letter, a digit or a mark is never dropped: a text that holds one which the
    alphabet does not have is refused.

    Args:
        alphabet: the characters that may come out; None for any.
        unknown: what to do with another sign that is no letter, digit or mark: refuse the text, or
            remove the sign.
        language: code such as "de", for numbers, case, abbreviations and spaces; None for what all
            languages have in common.
        steps: names of the steps that are taken.
        abbreviations: what is said, by abbreviation; None for the language's table.

    Attributes:
        changes: how often what was changed, over all calls.
        unspelled: numbers that could not be spelled, over all calls, those of refused texts
            included.

    Raises:
        ValueError: an argument is none of these, or the alphabet holds a character that the step
            "unicode" rewrites.
    """

    def __init__(
        self,
        alphabet: str | None,
        unknown: Unknown = "refuse",
        *,
        language: str | None = None,
        steps: Iterable[str] = tuple(STEPS),
        abbreviations: Mapping[str, str] | None = None,
    ) -> None:
        if unknown not in ("refuse", "remove"):
            raise ValueError(f"unknown must be 'refuse' or 'remove', got {unknown!r}")
        for character in alphabet or "":
            if fold(character) != character:
                raise ValueError(f"alphabet must hold plain forms, got {name_character(character)}")
        if language is not None and language not in known_languages():
            raise ValueError(
                f"language must be one of {' '.join(sorted(known_languages()))}, got {language!r}"
            )
        chosen = list(steps)
        if wrong := [name for name in chosen if name not in STEPS]:
            raise ValueError(f"steps must be of {', '.join(STEPS)}, got {wrong[0]!r}")
        self.alphabet = alphabet
        self.unknown: Unknown = unknown
        self.language = language
        self.steps = [name for name in STEPS if name in chosen]
        if abbreviations is None:
            abbreviations = ABBREVIATIONS.get(language or "", {})
        self.abbreviations = dict(abbreviations)
        has_numbers = language is not None and language in spoken_languages() | {"nb"}
        self._rules = Rules(
            None if alphabet is None else frozenset(alphabet),
            language,
            NumberSpeller(language) if language is not None and has_numbers else None,
            Expander(self.abbreviations),
        )
        self.changes: Counter[str] = Counter()
        self.unspelled: Counter[str] = Counter()

    @property
    def separates_words(self) -> bool:
        """Whether texts come out with spaces between their words."""
        if self.alphabet is not None:
            return " " in self.alphabet
        return self.language not in WITHOUT_SPACES

    def __call__(self, text: str) -> str:
        """Return the text in the alphabet.

        Raises:
            TextError: a character cannot be brought into the alphabet; no change is counted then.
        """
        normal, notes = self._take_steps(text)
        normal = self._fit(normal, text, notes)
        self.changes.update(notes.changes)
        return normal

    def normalize_reference(self, text: str) -> str:
        """Return what the steps make of a text that must not be lost, as a test set's must not.

        What cannot be brought into the alphabet stays and counts as an error of the recogniser.
        """
        normal, notes = self._take_steps(text)
        self.changes.update(notes.changes)
        return normal

    def with_alphabet(self, alphabet: str) -> Self:
        """Return a normaliser of the same steps, with nothing counted yet."""
        return type(self)(
            alphabet,
            self.unknown,
            language=self.language,
            steps=self.steps,
            abbreviations=self.abbreviations,
        )

    def state(self) -> dict[str, object]:
        """Return all that `normalizer_from_state` needs, as JSON holds it."""
        return {key: getattr(self, key) for key in _KEYS}

    def _take_steps(self, text: str) -> tuple[str, Notes]:
        notes = Notes()
        text = text.strip("\r\n")  # the end of a file's line is no part of what was said
        for name in self.steps:
            text = STEPS[name].take(text, self._rules, notes)
        self.unspelled.update(notes.unspelled)
        return text, notes

    def _fit(self, normal: str, text: str, notes: Notes) -> str:
        alphabet = self._rules.alphabet
        if alphabet is None or alphabet.issuperset(normal):
            return normal
        others = [c for c in normal if c not in alphabet]
        refused = [c for c in others if is_sound(c) or c.isspace() or self.unknown == "refuse"]
        if refused:
            raise self._refuse(refused, text, notes)
        for character in others:
            notes.count(f"removed {character!r}", 1)
        kept = "".join(c for c in normal if c in alphabet)
        if "spaces" in self.steps:
            kept = STEPS["spaces"].take(kept, self._rules, notes)
        return kept

    def _refuse(self, refused: list[str], text: str, notes: Notes) -> TextError:
        digits = [c for c in refused if is_digit(c)]
        if not digits or "numbers" not in self.steps:
            # A letter says more about a text than a sign does.
            worst = next((c for c in refused if is_sound(c)), refused[0])
            return TextError(
                "text outside the alphabet",
                f"character {name_character(worst)} is not in the alphabet: {shorten(text)}",
            )
        if self._rules.speller is None:
            why = "no language was given" if self.language is None else "no rules"
            return TextError(
                "number that cannot be spelled",
                f"numbers cannot be spelled ({why}): {shorten(text)}",
            )
        what = ", ".join(notes.unspelled or sorted(set(digits)))
        return TextError(
            "number that cannot be spelled",
            f"cannot spell {what!r} ({self.language}): {shorten(text)}",
        )


def known_languages() -> frozenset[str]:
    """Codes of the languages that the normaliser has letters, numbers or abbreviations for."""
    return frozenset(LETTERS) | WITHOUT_SPACES | {"ko"} | set(ABBREVIATIONS)


def normalizer_from_state(state: object) -> TextNormalizer:
    """Rebuild the normaliser whose `state()` this is.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(state, dict):
        raise ValueError("not a normaliser")
    if missing := [key for key in _KEYS if key not in state]:
        raise ValueError(f"not a normaliser: lacks {missing[0]!r}")
    alphabet, unknown, language, steps, abbreviations = (state[key] for key in _KEYS)
    for key, value, is_right in (
        ("alphabet", alphabet, alphabet is None or isinstance(alphabet, str)),
        ("language", language, language is None or isinstance(language, str)),
        ("steps", steps, _are_strings(steps)),
        (
            "abbreviations",
            abbreviations,
            isinstance(abbreviations, dict)
            and _are_strings([*abbreviations, *abbreviations.values()]),
        ),
    ):
        if not is_right:
            raise ValueError(f"not a normaliser: {key} must not be {shorten(str(value))}")
    return TextNormalizer(
        alphabet, unknown, language=language, steps=steps, abbreviations=abbreviations
    )


def write_normalizer(path: Path, normalizer: TextNormalizer) -> None:
    """Write a normaliser as JSON."""
    content = {"format": FORMAT} | normalizer.state()
    write_atomically(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_normalizer(path: Path) -> TextNormalizer:
    """Read what `write_normalizer` wrote.

    Raises:
        ValueError: the file cannot be read or is none; names it.
    """
    text = read_text(path, MAX_FILE_BYTES)
    try:
        content = parse_json(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"format must be {FORMAT}")
        return normalizer_from_state(content)
    except ValueError as error:
        raise ValueError(f"{path}: not a normaliser's file: {error}") from error


def _are_strings(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
