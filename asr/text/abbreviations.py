"""Abbreviations and signs, and what is said for them.

The tables hold what has one reading: "St." is a saint or a street, "No." a number or an answer, and
neither is here. A user's own file adds to a table, or says otherwise.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from asr.files import read_text

MAX_FILE_BYTES = 2**20
ABBREVIATIONS: dict[str, dict[str, str]] = {
    "de": {
        "Dr.": "doktor", "Prof.": "professor", "z.B.": "zum beispiel", "z. B.": "zum beispiel",
        "d.h.": "das heißt", "d. h.": "das heißt", "u.a.": "unter anderem",
        "u. a.": "unter anderem", "usw.": "und so weiter", "bzw.": "beziehungsweise",
        "Nr.": "nummer", "ca.": "circa", "vgl.": "vergleiche", "evtl.": "eventuell",
        "ggf.": "gegebenenfalls", "&": "und", "%": "prozent",
    },
    "en": {
        "Mr.": "mister", "Mr": "mister", "Mrs.": "missus", "Mrs": "missus", "Ms.": "miss",
        "Dr.": "doctor", "Dr": "doctor", "Prof.": "professor", "Jr.": "junior", "Sr.": "senior",
        "Capt.": "captain", "Lt.": "lieutenant", "Sgt.": "sergeant", "Rev.": "reverend",
        "Mt.": "mount", "vs.": "versus", "etc.": "et cetera", "e.g.": "for example",
        "i.e.": "that is", "a.m.": "a m", "p.m.": "p m", "&": "and", "%": "percent",
    },
    "es": {
        "Sr.": "señor", "Sra.": "señora", "Srta.": "señorita", "Dr.": "doctor", "Dra.": "doctora",
        "Ud.": "usted", "Uds.": "ustedes", "etc.": "etcétera", "p. ej.": "por ejemplo",
        "p.ej.": "por ejemplo", "&": "y", "%": "por ciento",
    },
    "fr": {
        "M.": "monsieur", "MM.": "messieurs", "Mme": "madame", "Mmes": "mesdames",
        "Mlle": "mademoiselle", "Dr": "docteur", "Pr": "professeur", "etc.": "et cetera",
        "p. ex.": "par exemple", "c.-à-d.": "c'est-à-dire", "&": "et", "%": "pour cent",
    },
    "it": {
        "Sig.": "signor", "Sig.ra": "signora", "Dott.": "dottor", "Dott.ssa": "dottoressa",
        "Prof.": "professor", "ecc.": "eccetera", "&": "e", "%": "per cento",
    },
    "nl": {
        "dhr.": "de heer", "mevr.": "mevrouw", "dr.": "doctor", "prof.": "professor",
        "enz.": "enzovoort", "bijv.": "bijvoorbeeld", "d.w.z.": "dat wil zeggen", "&": "en",
        "%": "procent",
    },
    "pl": {
        "np.": "na przykład", "itd.": "i tak dalej", "itp.": "i tym podobne", "tzn.": "to znaczy",
        "&": "i",
    },
    "pt": {
        "Sr.": "senhor", "Sra.": "senhora", "Dr.": "doutor", "Dra.": "doutora",
        "etc.": "et cetera", "&": "e", "%": "por cento",
    },
    "ru": {
        "т.е.": "то есть", "т. е.": "то есть", "т.д.": "так далее", "т. д.": "так далее",
        "т.п.": "тому подобное", "т. п.": "тому подобное",
    },
    "sv": {
        "t.ex.": "till exempel", "bl.a.": "bland annat", "osv.": "och så vidare", "&": "och",
        "%": "procent",
    },
    "tr": {
        "Dr.": "doktor", "Prof.": "profesör", "vb.": "ve benzeri", "vs.": "vesaire", "&": "ve",
    },
}  # fmt: skip


class Expander:
    """Writes abbreviations out.

    An entry stands for itself, for itself in small and in large letters, and with a large first
    letter; one of a single letter, such as "M.", for itself alone.

    Args:
        table: what is said, by abbreviation.

    Raises:
        ValueError: an entry is empty, or what is said for one holds an abbreviation again.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self._said: dict[str, str] = {}
        for short, said in table.items():
            if not short.strip() or not said.strip():
                raise ValueError(
                    f"an abbreviation and what it says must not be empty: {short!r}, {said!r}"
                )
            for form in _forms(short):
                self._said.setdefault(form, said)
        # An entry of the table counts more than another's form in other letters.
        self._said |= table
        longest_first = sorted(self._said, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_bounded, longest_first))) if table else None
        for short, said in table.items():
            if self.expand(said)[1]:
                raise ValueError(f"what {short!r} says must not hold an abbreviation: {said!r}")

    def expand(self, text: str) -> tuple[str, int]:
        """Return the text written out, and how many abbreviations it held."""
        if self._pattern is None:
            return text, 0
        return self._pattern.subn(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        before, after = match.string[: match.start()], match.string[match.end() :]
        left = " " if before[-1:].isalnum() else ""
        right = " " if after[:1].isalnum() else ""
        return f"{left}{self._said[match[0]]}{right}"


def read_abbreviations(path: Path) -> dict[str, str]:
    """Read a file of lines "abbreviation<TAB>what is said"; "#" begins a comment line.

    Raises:
        ValueError: the file cannot be read, or a line is none of these; names it.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(read_text(path, MAX_FILE_BYTES).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        short, tab, said = line.partition("\t")
        if not tab or not short.strip() or not said.strip():
            raise ValueError(
                f"{path}:{number}: must be an abbreviation, a tab and what is said, got {line!r}"
            )
        if short.strip() in table:
            raise ValueError(f"{path}:{number}: {short.strip()!r} occurs twice")
        table[short.strip()] = said.strip()
    return table


def _forms(short: str) -> set[str]:
    if sum(map(str.isalpha, short)) < 2:
        return {short}
    return {short, short.lower(), short.upper(), short[0].upper() + short[1:]}


def _bounded(short: str) -> str:
    """Match an entry as a word of its own, a sign anywhere."""
    begin = r"(?<!\w)" if short[0].isalnum() else ""
    return f"{begin}{re.escape(short)}" + (r"(?!\w)" if short[-1].isalnum() else "")
