"""The steps of the normaliser, each a function of a text, in the order in which they are taken.

No step drops a letter or a digit, but for `remarks` and `speakers`, which remove what was not said
as speech and count it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from asr.text.abbreviations import Expander
from asr.text.characters import APOSTROPHE, APOSTROPHES
from asr.text.letters import WITHOUT_SPACES
from asr.text.numbers import NumberSpeller

# Read aloud, or standing for something left out: no step takes them for punctuation.
_SPOKEN_SIGNS = frozenset("%&@#*/\\\u00a7\u2030\u2020\u2021\u2033\u2034[]{}<>")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SOFT_HYPHEN = "\u00ad"
_MINUS = "\u2212"
_REMARK = re.compile(r"\[[^\[\]]*\]|<[^<>]*>|\{[^{}]*\}|\u3010[^\u3010\u3011]*\u3011")
_SPEAKER = re.compile(r"\s*(?:>>+\s*)?(?:(?:speaker|spk|spkr)[ _]?\w+\s*:(?=\s|$))", re.IGNORECASE)
_CAPITALS_SPEAKER = re.compile(
    r"\s*(?:>>+\s*)?[^\W\d_a-z][^\W_a-z.]*(?: [^\W_a-z.]+){0,2}\s*:(?=\s)"
)
_ARROWS = re.compile(r"\s*>>+")
_QUOTED = re.compile(r"(?<!\w)'(\w(?:[^\n]*?[\w.,!?\u2026])?)'(?!\w)")
# Forms of letters that Unicode keeps for other encodings' sake.
_FORMS = ("<wide>", "<narrow>", "<initial>", "<medial>", "<final>", "<isolated>")


@dataclass(frozen=True)
class Rules:
    """What steps ask.

    Attributes:
        alphabet: characters that may come out; None before they are known.
        language: code, or None where nobody said it.
        speller: of the language's numbers, where there are rules for them.
        expander: of abbreviations.
    """

    alphabet: frozenset[str] | None
    language: str | None
    speller: NumberSpeller | None
    expander: Expander

    def keeps(self, character: str) -> bool:
        """Whether the alphabet has the character."""
        return self.alphabet is not None and character in self.alphabet


@dataclass
class Notes:
    """What was done to a text: how often what was changed, and what could not be spelled."""

    changes: Counter[str] = field(default_factory=Counter)
    unspelled: list[str] = field(default_factory=list)

    def count(self, change: str, times: int) -> None:
        """Count a change, unless there was none."""
        if times:
            self.changes[change] += times


class Step(NamedTuple):
    """One step: what it does, in words, and the function that does it."""

    summary: str
    take: Callable[[str, Rules, Notes], str]


def compose(text: str, rules: Rules, notes: Notes) -> str:
    """Bring letters into one form: NFC, and plain ones for wide, narrow and joined forms."""
    folded = unicodedata.normalize("NFC", "".join(fold(c) for c in text))
    notes.count("unicode NFC (texts)", folded != text)
    return folded


def fold(character: str) -> str:
    """Return the plain form of a wide, narrow or joined letter, such as "fi" for U+FB01."""
    form = unicodedata.decomposition(character).partition(" ")[0]
    # Thai and Lao vowels and Korean letters have decompositions that nobody writes.
    joined = form == "<compat>" and unicodedata.category(character)[0] == "L"
    own = "\u0e00" <= character <= "\u0eff" or "\u3130" <= character <= "\u318f"
    if form in _FORMS or (joined and not own):
        return unicodedata.normalize("NFKC", character)
    return character


def remove_remarks(text: str, rules: Rules, notes: Notes) -> str:
    """Remove what stands in square, angle and curly brackets; round ones enclose speech."""
    without, count = _REMARK.subn(" ", text)
    notes.count("remarks in brackets removed", count)
    return without


def remove_speakers(text: str, rules: Rules, notes: Notes) -> str:
    """Remove "Speaker 1:", "ANNA:" before small letters, and ">>" at the beginning."""
    match = _SPEAKER.match(text)
    if match is None and text != text.upper():
        match = _CAPITALS_SPEAKER.match(text)
    match = match or _ARROWS.match(text)
    if match is None:
        return text
    notes.count("speaker labels removed", 1)
    return text[match.end() :]


def straighten_apostrophes(text: str, rules: Rules, notes: Notes) -> str:
    """Write one apostrophe for all kinds; an alphabet without any has none between letters."""
    plain = "".join(APOSTROPHE if c in APOSTROPHES and not rules.keeps(c) else c for c in text)
    notes.count("straightened apostrophes", sum(a != b for a, b in zip(text, plain, strict=True)))
    return plain


def expand_abbreviations(text: str, rules: Rules, notes: Notes) -> str:
    """Write out what the table of abbreviations holds."""
    expanded, count = rules.expander.expand(text)
    notes.count("abbreviations written out", count)
    return expanded


def spell_numbers(text: str, rules: Rules, notes: Notes) -> str:
    """Spell numbers, unless the alphabet has digits."""
    if rules.speller is None or rules.keeps("1"):
        return text
    spelled, count, unspelled = rules.speller.spell(text)
    notes.count("numbers spelled out", count)
    notes.unspelled += unspelled
    return spelled


def change_case(text: str, rules: Rules, notes: Notes) -> str:
    """Give letters the case of the alphabet, by the rules of the language."""
    alphabet = rules.alphabet or frozenset()
    if not any(c.isupper() for c in alphabet):
        notes.count("lower-cased", sum(c.isupper() or c.istitle() for c in text))
        return lower(text, rules.language)
    if not any(c.islower() for c in alphabet):
        notes.count("upper-cased", sum(c.islower() for c in text))
        return upper(text, rules.language, has_sharp_s="\u1e9e" in alphabet)
    changed = "".join(_other_case(c, alphabet, rules.language) for c in text)
    notes.count(
        "case changed", sum(c not in alphabet and (c.isupper() or c.islower()) for c in text)
    )
    return changed


def lower(text: str, language: str | None) -> str:
    """Return small letters; Turkish and Azerbaijani have two kinds of i."""
    if language in ("tr", "az"):
        text = text.replace("I\u0307", "i").replace("\u0130", "i").replace("I", "\u0131")
    return text.lower()


def upper(text: str, language: str | None, *, has_sharp_s: bool) -> str:
    """Return large letters; a sharp s becomes its large form where there is one, otherwise SS."""
    if language in ("tr", "az"):
        text = text.replace("i", "\u0130")
    if has_sharp_s:
        text = text.replace("\u00df", "\u1e9e")
    return text.upper()


def _other_case(character: str, alphabet: frozenset[str], language: str | None) -> str:
    if character in alphabet:
        return character
    for other in (
        lower(character, language),
        upper(character, language, has_sharp_s="\u1e9e" in alphabet),
    ):
        if alphabet.issuperset(other):
            return other
    return character


def open_hyphens(text: str, rules: Rules, notes: Notes) -> str:
    """Put a space for hyphens and dashes; soft hyphens, which nobody sees, go."""
    is_dash = [
        not rules.keeps(c) and (unicodedata.category(c) == "Pd" or c == _MINUS) for c in text
    ]
    spaced = "".join(" " if dash else c for c, dash in zip(text, is_dash, strict=True))
    notes.count("hyphens and dashes made spaces", sum(is_dash))
    notes.count("soft hyphens removed", spaced.count(_SOFT_HYPHEN))
    return spaced.replace(_SOFT_HYPHEN, "")


def remove_punctuation(text: str, rules: Rules, notes: Notes) -> str:
    """Put a space for punctuation; quotation marks that look like apostrophes are told apart."""
    if not rules.keeps(APOSTROPHE) and rules.alphabet is not None:
        notes.count("apostrophes removed", text.count(APOSTROPHE))
        text = text.replace(APOSTROPHE, "")
    text, count = _QUOTED.subn(r" \1 ", text)
    marks = [not rules.keeps(c) and is_punctuation(c) for c in text]
    notes.count("punctuation made spaces", 2 * count + sum(marks))
    return "".join(" " if mark else c for c, mark in zip(text, marks, strict=True))


def is_punctuation(character: str) -> bool:
    """Whether a character is punctuation that nobody says; dashes are another step's."""
    if character == APOSTROPHE or character in _SPOKEN_SIGNS:
        return False
    category = unicodedata.category(character)
    return category[0] == "P" and category != "Pd"


def collapse_spaces(text: str, rules: Rules, notes: Notes) -> str:
    """Leave single spaces between words, or none where the language has none."""
    invisible = [c for c in _INVISIBLE.findall(text) if not rules.keeps(c)]
    notes.count("invisible characters removed", len(invisible))
    for character in set(invisible):
        text = text.replace(character, "")
    joint = "" if rules.language in WITHOUT_SPACES and not rules.keeps(" ") else " "
    collapsed = joint.join(text.split())
    notes.count("white space made a space", sum(c.isspace() and c != " " for c in text))
    notes.count("collapsed spaces", len(text) - len(collapsed))
    return collapsed


STEPS: dict[str, Step] = {
    "unicode": Step("Unicode NFC; wide, narrow and joined forms become plain letters", compose),
    "remarks": Step("remove [remarks], <noises> and {comments}", remove_remarks),
    "speakers": Step('remove speaker labels ("Speaker 1:", "ANNA:", ">>")', remove_speakers),
    "apostrophes": Step("one apostrophe for all kinds", straighten_apostrophes),
    "abbreviations": Step('write abbreviations out ("Dr." is "doctor")', expand_abbreviations),
    "numbers": Step("spell numbers, ordinals, decimals and amounts of money out", spell_numbers),
    "case": Step("give letters the case of the alphabet", change_case),
    "hyphens": Step("hyphens and dashes become spaces", open_hyphens),
    "punctuation": Step("punctuation becomes spaces", remove_punctuation),
    "spaces": Step(
        "single spaces, none outside; none at all where the script has none", collapse_spaces
    ),
}
