"""Lexicon, hotwords, grammar and model as users give them -> their native forms, checked."""

import logging
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from asr import _native
from asr.decoding.grammar import compile_grammar
from asr.decoding.hypothesis import WORD_START
from asr.decoding.pronunciations import (
    Pronunciations,
    check_usable,
    compile_pronunciations,
    find_pronunciations,
)
from asr.ngram.model import NGramLM

Lexicon = Iterable[str] | Mapping[str, str | Sequence[str]] | Pronunciations | os.PathLike[str]

_log = logging.getLogger(__name__)

_SAMPLE = 1000  # words of a model that are looked at
_NO_WORDS = frozenset({"<unk>", "<UNK>", "<s>", "</s>"})


class Writable(NamedTuple):
    """What a search can write.

    Attributes:
        letters: that words are spelled with; None where tokens are phones.
        words: the only ones, where tokens are phones.
    """

    letters: set[str] | None
    words: Container[str] = ()

    def check(self, parameter: str, text: str) -> None:
        """Refuse a text that cannot be written.

        Raises:
            ValueError: it cannot; says why.
        """
        if self.letters is None:
            for word in text.split():
                if word not in self.words:
                    raise ValueError(f"{parameter}: the lexicon lacks '{word}'")
            return
        for letter in text.replace(" ", ""):
            if letter not in self.letters:
                other = letter.swapcase()
                hint = f"; the tokens have '{other}'" if other in self.letters else ""
                raise ValueError(
                    f"{parameter}: no token has the letter '{letter}' of '{text}'{hint}"
                )


class Words(NamedTuple):
    """What a search takes for a word.

    Attributes:
        alphabet: the tokens.
        lexicon: the only words; None for any.
        writable: what grammar and hotwords may ask for.
    """

    alphabet: _native.Alphabet
    lexicon: _native.Lexicon | None
    writable: Writable


def check_model_words(lm: NGramLM, tokens: Sequence[str], blank: int) -> None:
    """Refuse a word model whose words the tokens cannot spell; warn where they can spell few.

    Every word would be unknown to it, and the best text none at all. Mostly one of the two is in
    upper case, or the model is not one of words.

    Args:
        lm: a model of words; some of them are looked at.
        tokens: strings of the classes.
        blank: index of the blank.

    Raises:
        ValueError: the tokens can spell none of the words, or these are characters or pieces.
    """
    letters = letters_of(tokens, blank)
    words = [word for word in lm.sample_words(_SAMPLE) if word not in _NO_WORDS]
    if piece := next((word for word in words if word.startswith(WORD_START)), None):
        raise ValueError(
            f"lm: it is a model of characters or pieces, such as '{piece}' (U+2581), not of words: "
            "in Python, NGramLM(path, unit='token'); commands take models of words"
        )
    strange = [word for word in words if not letters.issuperset(word)]
    if 2 * len(strange) <= len(words):
        return
    example = f"such as {_show_unspellable(strange[0], letters)}"
    if len(strange) == len(words):
        raise ValueError(f"lm: the tokens can spell none of its words, {example}")
    _log.warning(
        "lm: %d of %d of its words need letters that no token has, %s",
        *(len(strange), len(words), example),
    )


def _show_unspellable(word: str, letters: set[str]) -> str:
    """Quote a word, and say whether the other case would do."""
    other = word.swapcase()
    return f"'{word}'" + (f"; they can spell '{other}'" if letters.issuperset(other) else "")


def build_words(
    lexicon: Lexicon | Words | None,
    tokens: Sequence[str],
    blank: int,
    lm: NGramLM | None,
    *,
    chooses: bool,
) -> Words:
    """Compile the words that may be said, and what the tokens are to them.

    Args:
        lexicon: words, spelled as themselves; or a mapping from each word to its spelling or
            spellings; or a file of lines "word" or "word<TAB>spelling<TAB>spelling..."; or a
            mapping from each word to its pronunciations, or a dictionary; None for any word.
            What this has made of the same tokens and model comes back as it is.
        tokens: strings of the classes.
        blank: index of the blank.
        lm: model that scores the words.
        chooses: whether anything tells words apart that sound alike; else the first one stands.

    Raises:
        ValueError: no word can be spelled with the tokens, a spelling belongs to two words, a
            word holds white space, or a dictionary has no line for it; of a file, its name stands
            before the reason.
        OSError: the file cannot be read.
    """
    if isinstance(lexicon, Words):
        return lexicon
    pronunciations = find_pronunciations(lexicon)
    spelled = None if pronunciations is not None else lexicon
    entries = [] if spelled is None else _lexicon_entries(spelled)
    model = None if lm is None else lm.native
    try:
        if pronunciations is not None:
            if lm is not None and lm.unit == "token":
                raise ValueError("lexicon: with pronunciations the lm must be one of words")
            words = compile_pronunciations(pronunciations, tokens, blank, model)
            if lm is not None:
                _count_unpronounced(lm, pronunciations)
            alphabet = _native.Alphabet(tokens, blank, words.most_homophones if chooses else 1)
            return Words(alphabet, words, Writable(None, pronunciations))
        words = None if spelled is None else _compile_lexicon(entries, tokens, blank, model)
        alphabet = _native.Alphabet(tokens, blank)
        return Words(alphabet, words, Writable(letters_of(tokens, blank)))
    except ValueError as error:
        if not isinstance(lexicon, os.PathLike):
            raise
        raise ValueError(f"{os.fspath(lexicon)}: {error}") from error


def _count_unpronounced(lm: NGramLM, pronunciations: Pronunciations) -> None:
    words = [word for word in lm.sample_words(_SAMPLE) if word not in _NO_WORDS]
    missing = [word for word in words if word not in pronunciations]
    if missing:
        _log.log(
            logging.WARNING if 2 * len(missing) > len(words) else logging.INFO,
            "lm: of %d of its words %d have no pronunciation and cannot be said, such as '%s'",
            *(len(words), len(missing), missing[0]),
        )


def _compile_lexicon(
    entries: Sequence[tuple[str, str]],
    tokens: Sequence[str],
    blank: int,
    lm: _native.NGramModel | None,
) -> _native.Lexicon:
    for part in (part for entry in entries for part in entry):
        if not isinstance(part, str):
            raise TypeError(f"lexicon: words and spellings must be strings, got {part!r}")
        if part.split() != [part]:
            raise ValueError(f"lexicon: a word must be one word without spaces, got '{part}'")
    letters = letters_of(tokens, blank)
    spellable = [entry for entry in entries if letters.issuperset(entry[1])]
    strange = [
        _show_unspellable(spelling, letters)
        for _, spelling in entries
        if not letters.issuperset(spelling)
    ]
    check_usable(len(spellable), strange, "spell", "spellings need letters that no token has")
    return _native.Lexicon(spellable, lm)


def build_hotwords(hotwords: Sequence[str], weight: float, writable: Writable) -> _native.Hotwords:
    """Compile words and phrases to listen for.

    Raises:
        ValueError: a phrase is empty or cannot be written, or the weight is not positive.
    """
    if isinstance(hotwords, str):
        raise TypeError("hotwords must be a sequence of words and phrases, not one string")
    if not 0 < weight < float("inf"):
        raise ValueError(f"hotword_weight must be > 0 with hotwords, got {weight}")
    for phrase in hotwords:
        if not isinstance(phrase, str):
            raise TypeError(f"hotwords must be strings, got {phrase!r}")
    phrases = [" ".join(phrase.split()) for phrase in hotwords]
    for phrase in phrases:
        if not phrase:
            raise ValueError("hotwords must not hold an empty phrase")
        writable.check("hotwords", phrase)
    return _native.Hotwords(list(dict.fromkeys(phrases)), weight)


def find_grammar(grammar: str | os.PathLike[str]) -> str | Path:
    """Tell the text of a grammar from its file: a path object, or a name in .jsgf or .gram."""
    is_file = not isinstance(grammar, str) or grammar.lower().endswith((".jsgf", ".gram"))
    return Path(grammar).absolute() if is_file else str(grammar)


def build_grammar(grammar: str | Path, writable: Writable) -> _native.Grammar:
    """Compile what `find_grammar` found: JSGF text, the right-hand side of one rule, or a file.

    Raises:
        ValueError: the text departs from the subset (see `asr.decoding.grammar`), or has a word
            that cannot be written; of a file, its name stands before the reason.
        OSError: the file cannot be read.
    """
    if isinstance(grammar, str):
        return _compile_grammar(grammar, writable)
    text = _read_text(grammar)
    try:
        return _compile_grammar(text, writable)
    except ValueError as error:
        raise ValueError(f"{grammar}: {error}") from error


def _compile_grammar(text: str, writable: Writable) -> _native.Grammar:
    automaton = compile_grammar(text)
    for word in automaton.words:
        writable.check("grammar", word)
    return _native.Grammar(len(automaton.accepting), automaton.arcs, automaton.accepting)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # without the mark that some editors begin with
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 at byte {error.start}") from error


def _read_entries(path: Path) -> list[tuple[str, str]]:
    """Pairs (word, spelling) of a file."""
    rows = [line.split("\t") for line in _read_text(path).splitlines() if line.strip()]
    return [(row[0].strip(), s.strip()) for row in rows for s in (row[1:] or row)]


def _lexicon_entries(
    lexicon: Iterable[str] | Mapping[str, str | Sequence[str]] | os.PathLike[str],
) -> list[tuple[str, str]]:
    """Pairs (word, spelling)."""
    if isinstance(lexicon, os.PathLike):
        return _read_entries(Path(lexicon))
    if isinstance(lexicon, str):
        raise TypeError("lexicon must be words, a mapping or a path (pathlib.Path), not a string")
    if not isinstance(lexicon, Mapping):
        return [(word, word) for word in lexicon]
    return [
        (word, spelling)
        for word, spellings in lexicon.items()
        for spelling in ([spellings] if isinstance(spellings, str) else spellings)
    ]


def letters_of(tokens: Sequence[str], blank: int) -> set[str]:
    """Return all letters that tokens write."""
    return {letter for index, token in enumerate(tokens) if index != blank for letter in token}
