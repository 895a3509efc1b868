"""Numbers, as they are said.

Spelling follows Unicode's rules for each language (CLDR's RBNF, by `unicode_rbnf`). What has more
than one reading that the digits alone do not tell (times, dates, ranges, telephone numbers, numbers
inside names) is left as it is: whoever asked lists it.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from unicode_rbnf import FormatPurpose, RbnfEngine

from asr.text.characters import is_digit
from asr.text.letters import WITHOUT_SPACES

# Beyond, numbers are read digit by digit as often as not.
MAX_DIGITS = 12
# Said in hundreds where no separator stands in them; the languages in which CLDR has rules for it.
_YEARS = range(1100, 2100)
_YEARS_IN_HUNDREDS = frozenset({"da", "de", "en", "nb", "nl", "nn", "no", "sv"})
# Whose words differed from those of ICU 78 on 160 numbers up to five milliards.
_UNTRUSTED = frozenset({"bg", "ca", "cs", "lt", "my", "ro", "sk", "sl", "sr", "sr_Latn", "zu"})
_POINT = frozenset(
    {
        "en",
        "he",
        "hi",
        "ja",
        "km",
        "ko",
        "lo",
        "ms",
        "my",
        "ne",
        "sw",
        "ta",
        "te",
        "th",
        "yue",
        "zh",
    }
)
# What is read digit by digit after it. Elsewhere decimals are fractions, in cases and genders.
_POINT_WORDS = {
    "af": "komma", "da": "komma", "de": "Komma", "en": "point", "es": "coma", "fi": "pilkku",
    "fr": "virgule", "id": "koma", "it": "virgola", "ja": "点", "nb": "komma", "nl": "komma",
    "nn": "komma", "pt": "vírgula", "sv": "komma", "th": "จุด", "tr": "virgül", "zh": "点",
}  # fmt: skip
_MASCULINE, _FEMININE, _NEUTER = (
    ("spellout-cardinal-masculine", "spellout-cardinal"),
    ("spellout-cardinal-feminine", "spellout-cardinal"),
    ("spellout-cardinal-neuter", "spellout-cardinal"),
)


class _Money(NamedTuple):
    one: str
    many: str
    gender: tuple[str, ...] = _MASCULINE


# Units by their signs, and what is said between units and cents, and after those.
_MONEY: dict[str, tuple[dict[str, _Money], str, str]] = {
    "de": (
        {"€": _Money("Euro", "Euro"), "$": _Money("Dollar", "Dollar"),
         "£": _Money("Pfund", "Pfund", _NEUTER)}, " ", "",
    ),
    "en": (
        {"€": _Money("euro", "euros"), "$": _Money("dollar", "dollars"),
         "£": _Money("pound", "pounds"), "¥": _Money("yen", "yen")}, " ", "cents",
    ),
    "es": (
        {"€": _Money("euro", "euros"), "$": _Money("dólar", "dólares"),
         "£": _Money("libra", "libras", _FEMININE)}, " con ", "",
    ),
    "fr": (
        {"€": _Money("euro", "euros"), "$": _Money("dollar", "dollars"),
         "£": _Money("livre", "livres", _FEMININE)}, " ", "",
    ),
    "it": (
        {"€": _Money("euro", "euro"), "$": _Money("dollaro", "dollari"),
         "£": _Money("sterlina", "sterline", _FEMININE)}, " e ", "",
    ),
}  # fmt: skip
_PENCE = ("penny", "pence")
_CENT = ("cent", "cents")
# Ordinals by their endings: which of CLDR's rules say them.
_ORDINALS: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {"st|nd|rd|th": ("spellout-ordinal",)},
    "es": {"\\.?º": ("spellout-ordinal-masculine",), "\\.?ª": ("spellout-ordinal-feminine",)},
    "fr": {
        "er|e|ème|eme": ("spellout-ordinal-masculine",),
        "re|ère": ("spellout-ordinal-feminine",),
    },
    "it": {"º": ("spellout-ordinal-masculine",), "ª": ("spellout-ordinal-feminine",)},
    "nl": {"e|de|ste": ("spellout-ordinal",)},
    "pt": {"\\.?º": ("spellout-ordinal-masculine",), "\\.?ª": ("spellout-ordinal-feminine",)},
    "sv": {":e|:a": ("spellout-ordinal-neuter",)},
}
# Where "3." is "third", in a case that figures do not tell; at the end of a text it is a number.
_POINT_IS_ORDINAL = frozenset(
    {
        "bs",
        "cs",
        "da",
        "de",
        "et",
        "fi",
        "hr",
        "hu",
        "is",
        "lv",
        "nb",
        "nn",
        "pl",
        "sk",
        "sl",
        "sr",
        "tr",
    }
)
_SCALES = "thousand|million|billion|trillion"
# A run without white space that holds a digit: it is spelled whole or not at all. Where no spaces
# stand between words, it ends at the first character of the script.
_RUN = re.compile(r"\S*\d\S*")
_ASCII_RUN = re.compile(r"[!-~]*\d[!-~]*")
_SPACED_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?!\d)")
_OPENING, _CLOSING = "([{<\"'“„«‘¿¡", ")]}>\"'”“»’,;:!?.…。，！？、"


class NumberSpeller:
    """Spells the numbers of a language.

    Args:
        language: its code, such as "de".

    Raises:
        ValueError: there are no rules for it.
    """

    def __init__(self, language: str) -> None:
        known = "no" if language == "nb" else language
        if known not in spoken_languages():
            raise ValueError(f"numbers of the language '{language}' cannot be spelled")
        self.language = language
        self._engine = RbnfEngine.for_language(known)
        decimal, group = (r"\.", ",") if language in _POINT else (",", r"[.'\u00a0\u202f]")
        whole = rf"(?P<whole>[1-9]\d{{0,2}}(?:{group}\d{{3}})+|0|[1-9]\d*)"
        self._number = rf"{whole}(?:{decimal}(?P<part>\d+))?"
        self._forms = [*self._build_forms()]

    def _build_forms(self) -> list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]:
        forms = [
            (re.compile(rf"(?P<minus>[-\u2212]?){self._number}"), self._spell_number),
        ]
        for ending, rules in _ORDINALS.get(self.language, {}).items():
            pattern = re.compile(rf"(?P<whole>\d+)(?:{ending})", re.IGNORECASE)
            forms.append((pattern, lambda match, rules=rules: self._say(match["whole"], rules)))
        if self.language in _MONEY:
            signs = "".join(_MONEY[self.language][0])
            forms.append((re.compile(rf"(?P<sign>[{signs}]){self._number}"), self._spell_money))
            forms.append((re.compile(rf"{self._number}(?P<sign>[{signs}])"), self._spell_money))
        return forms

    def spell(self, text: str) -> tuple[str, int, list[str]]:
        """Spell the numbers of a text.

        Returns:
            The text, how many were spelled, and what could not be.
        """
        unspelled: list[str] = []
        count = 0

        def replace(match: re.Match[str]) -> str:
            nonlocal count
            spelled = self._spell_run(match[0], match.string[match.end() :])
            if spelled is None:
                unspelled.append(match[0])
                return match[0]
            count += 1
            return spelled

        plain = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
        run = _ASCII_RUN if self.language in WITHOUT_SPACES else _RUN
        return run.sub(replace, self._join(plain)), count, unspelled

    def _join(self, text: str) -> str:
        """Make one run of groups of digits, and of a sign and its number."""
        if self.language not in _POINT:
            text = _SPACED_GROUPS.sub(lambda match: "".join(match[0].split()), text)
        if self.language not in _MONEY:
            return text
        units = _MONEY[self.language][0]
        signs = "".join(units)
        if self.language == "en":
            text = re.sub(
                rf"([{signs}])\s?([\d.,]*\d) ({_SCALES})\b",
                lambda m: f"{m[2]} {m[3]} {units[m[1]].many}",
                text,
            )
        text = re.sub(rf"(?<=\d)\s(?=[{signs}](?!\d))", "", text)
        return re.sub(rf"(?<!\d)([{signs}])\s(?=\d)", r"\1", text)

    def _spell_run(self, run: str, rest: str) -> str | None:
        """Spell a number between punctuation; None for what is no single number."""
        if self._depends_on_rest(run, rest):
            return None
        core = run.lstrip(_OPENING)
        before = run[: len(run) - len(core)]
        kept = core.rstrip(_CLOSING)
        after = core[len(kept) :]
        for pattern, spell in self._forms:
            if match := pattern.fullmatch(kept):
                spelled = spell(match).replace("\u00ad", "").replace("\u200b", "")
                # A rule that has no words gives figures back.
                usable = spelled and not any(map(is_digit, spelled))
                return f"{before}{spelled}{after}" if usable else None
        return None

    def _depends_on_rest(self, run: str, rest: str) -> bool:
        """Whether what follows decides how a number is said, which the rules do not know."""
        if self.language in _POINT_IS_ORDINAL and run.endswith("."):
            return not run.endswith("..") and bool(rest.strip())
        # Two of something is another word than two; years are read figure by figure.
        return self.language in ("zh", "yue") and (
            (run == "2" and rest[:1].isalpha()) or (len(run) == 4 and rest[:1] == "\u5e74")
        )

    def _spell_number(self, match: re.Match[str]) -> str:
        whole, part = match["whole"], match["part"]
        is_year = part is None and not match["minus"] and whole.isdigit() and int(whole) in _YEARS
        if is_year and self.language in _YEARS_IN_HUNDREDS:
            return self._engine.format_number(int(whole), FormatPurpose.YEAR).text
        words = [self._say("-1", ())[: -len(self._say("1", ()))].strip()] if match["minus"] else []
        words.append(self._say(whole, ()))
        if part is not None:
            point = _POINT_WORDS.get(self.language)
            if point is None:
                return ""
            words += [point, *(self._say(digit, ()) for digit in part)]
        return " ".join(words)

    def _spell_money(self, match: re.Match[str]) -> str:
        units, between, after = _MONEY[self.language]
        unit, part = units[match["sign"]], match["part"]
        if part is not None and len(part) != 2:
            return ""
        whole = self._say(match["whole"], unit.gender)
        text = f"{whole} {unit.one if match['whole'] == '1' else unit.many}"
        if part is None or part == "00":
            return text
        cents = self._say(str(int(part)), ())
        if after:
            one, many = _PENCE if match["sign"] == "£" else _CENT
            return f"{text}{between}{cents} {one if int(part) == 1 else many}"
        return f"{text}{between}{cents}"

    def _say(self, number: str, rules: tuple[str, ...]) -> str:
        """Say a whole number by the first of some rules that the language has; "" for too long."""
        digits = re.sub(r"[^\d-]", "", number)
        if len(digits) > MAX_DIGITS:
            return ""
        said = self._engine.format_number(int(digits), FormatPurpose.CARDINAL)
        if rules and rules[0].startswith("spellout-ordinal"):
            said = self._engine.format_number(int(digits), FormatPurpose.ORDINAL)
        by_rule = said.text_by_ruleset
        for rule in (*rules, "spellout-numbering"):
            if rule in by_rule:
                return by_rule[rule]
        return said.text


def spoken_languages() -> frozenset[str]:
    """Codes of the languages whose numbers can be spelled."""
    return frozenset(RbnfEngine.get_supported_languages()) - _UNTRUSTED
