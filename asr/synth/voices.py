"""Speakers: accents of a language x variants of espeak-ng's voice."""

import random
import re
from collections.abc import Sequence

from asr.synth.espeak import data_folder
from asr.synth.grammar import Split

ACCENTS = (
    *("en-us", "en-us-nyc", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan"),
    *("en-gb-x-gbcwmd", "en-029"),
)
# Left out: whispers, croaks, robots, a child's 350 Hz, and copies of these with one value changed.
VARIANTS: dict[Split, tuple[str, ...]] = {
    "train": (
        *("m1", "m2", "m4", "m5", "m7", "m8", "f1", "f3", "f5", "Alex", "Andrea", "Denis", "Diogo"),
        *("Gene2", "Henrique", "Hugo", "Jacky", "Lee", "Mike", "Nguyen", "Reed", "adam", "anika"),
        *("antonio", "aunty", "belinda", "benjamin", "boris", "david", "ed", "grandma", "grandpa"),
        *("iven3", "john", "kaukovalta", "klatt3", "linda", "marcelo", "max", "michel", "miguel"),
        *("norbert", "pablo", "paul", "pedro", "rob", "robert", "sandro", "victor"),
    ),
    "dev": ("m6", "f2", "shelby", "quincy", "gustave", "klatt4"),
    "test": ("m3", "f4", "Annie", "steph", "Andy", "Mario", "travis", "edward"),
}

_LANGUAGE_LINE = re.compile(r"^language (\S+)(?: (\d+))?$", re.MULTILINE)
_SCRIPT = re.compile(r"-[a-z]{4}(?:-|$)")


def voices(split: Split, accents: Sequence[str] = ACCENTS) -> list[str]:
    """List a split's speakers by espeak-ng's names: every variant in every accent."""
    return [f"{accent}+{variant}" for variant in VARIANTS[split] for accent in accents]


def shuffled_voices(split: Split, seed: int, accents: Sequence[str] = ACCENTS) -> list[str]:
    """List a split's speakers in the order in which they take turns."""
    rng = random.Random(f"{seed} {split} voices")
    return sorted(voices(split, accents), key=lambda _: rng.random())


def find_accents(language: str) -> tuple[str, ...]:
    """Find espeak-ng's accents of a language, without loading anything of it.

    Args:
        language: a code as "de", or an accent's as "pt-br"; case does not matter.

    Returns:
        The language's own first. What is the same in another script ("fa-latn") is left out.

    Raises:
        ModuleNotFoundError: the extra `synth` is not installed.
        ValueError: there is none.
    """
    wanted = language.lower()
    if wanted == "en":
        return ACCENTS
    by_code = _read_languages()
    own = [code for code, names in by_code.items() if wanted in names]
    own += [code for code in by_code if code.startswith(f"{wanted}-") and code not in own]
    found = [code for code in own if code == wanted or not _SCRIPT.search(code)]
    if not found:
        known = " ".join(sorted({code.partition("-")[0] for code in by_code}))
        raise ValueError(f"espeak-ng has no voice of '{language}'; its languages: {known}")
    return tuple(found)


def _read_languages() -> dict[str, set[str]]:
    """Map each accent's code to all codes that it answers to with its usual priority."""
    by_code = {}
    for path in sorted((data_folder() / "lang").rglob("*")):
        if path.is_file():
            lines = _LANGUAGE_LINE.findall(path.read_text(encoding="utf-8").lower())
            by_code[lines[0][0]] = {lines[0][0], *(code for code, other in lines if not other)}
    return by_code
