"""Vocabulary files of published CTC models -> tokens and blank as the decoders take them."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_BLANK = re.compile(r"[<\[](pad|blank|blk|ctc_blank|ctc)[>\]]|", re.IGNORECASE)
_BARE_BLANKS = ("blank", "blk", "_")  # where nothing above is, and no pieces of words are
_SPECIAL = re.compile(r"[<\[](unk|s|/s|sos|eos|sos/eos|bos|cls|sep|mask)[>\]]", re.IGNORECASE)
_SYMBOL = re.compile(r"(\S+)[ \t]+(\d+)")  # a line of a symbol table
_DISAMBIGUATION = re.compile(r"#\d+")
_WORD_MARK = "\u2581"


class Vocabulary(NamedTuple):
    """The classes of a network.

    Attributes:
        tokens: C strings in the order of the classes.
        blank: index of the blank.
    """

    tokens: list[str]
    blank: int


def read_vocabulary(path: str | os.PathLike[str], blank: int | None = None) -> Vocabulary:
    """Read the vocabulary of a published model.

    Known by their names' endings: Hugging Face `vocab.json` (token -> class), a list of labels in
    `.json` or `.txt` (one a line), a symbol table in `.txt` (lines "label class", as icefall's
    `tokens.txt`, without its disambiguation symbols), SentencePiece `.model` and `.vocab`. "|"
    becomes the separator where there is no space and no piece begins with U+2581, "##" pieces
    become those that begin with U+2581, and the blank is the class called "", "<pad>", "[PAD]",
    "<blank>", "<blk>", "<ctc>" or else, where no label is a piece of a word, "blank", "blk" or "_".
    Special tokens write nothing.

    Args:
        path: the file.
        blank: class of the blank. None: the one so called, or one more class after the others,
            which is where NeMo has it. In a file without a blank it is inserted there.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is none of these, or `blank` is out of range; names the file.
    """
    try:
        return normalise_labels(_read_labels(Path(path)), blank)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def normalise_labels(labels: Sequence[str], blank: int | None = None) -> Vocabulary:
    """Bring the labels of a published model into the decoders' form; see `read_vocabulary`.

    Raises:
        ValueError: `blank` is out of range.
    """
    labels = list(labels)
    if any(label.startswith("##") for label in labels):
        labels = [_from_wordpiece(label) for label in labels]
    has_pieces = any(label.startswith(_WORD_MARK) for label in labels)
    named = [i for i, label in enumerate(labels) if _BLANK.fullmatch(label)]
    if not named and not has_pieces:
        bare = next((name for name in _BARE_BLANKS if name in labels), None)
        named = [] if bare is None else [labels.index(bare)]
    if blank is None:
        blank = named[0] if named else len(labels)
    if not 0 <= blank < len(labels) + (not named):
        raise ValueError(f"blank must be in 0..{len(labels) - bool(named)}, got {blank}")
    if not named:
        labels.insert(blank, "")
    if "|" in labels and " " not in labels and not has_pieces:
        labels[labels.index("|")] = " "
    return Vocabulary(["" if _SPECIAL.fullmatch(label) else label for label in labels], blank)


def _read_labels(path: Path) -> list[str]:
    if path.suffix == ".model":
        return _labels_of_sentencepiece(path)
    if path.suffix not in (".json", ".txt", ".vocab"):
        raise ValueError("must end in .json, .txt, .model or .vocab")
    text = path.read_text(encoding="utf-8-sig")  # without the mark that some editors begin with
    if path.suffix == ".json":
        return _labels_of_json(text)
    if path.suffix == ".vocab":
        return [line.split("\t")[0] for line in text.splitlines()]
    lines = text.removesuffix("\n").split("\n")
    return _labels_of_symbol_table(lines) or lines


def _labels_of_sentencepiece(path: Path) -> list[str]:
    from sentencepiece import SentencePieceProcessor

    try:
        processor = SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        if not path.is_file():
            raise
        raise ValueError("not a SentencePiece model") from error
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


def _labels_of_symbol_table(lines: Sequence[str]) -> list[str]:
    """Labels by their classes; none where these are no lines of label and class."""
    matches = [_SYMBOL.fullmatch(line.rstrip()) for line in lines]
    by_class = {int(match[2]): match[1] for match in matches if match}
    if len(by_class) != len(lines) or set(by_class) != set(range(len(lines))):
        return []
    labels = [by_class[index] for index in range(len(lines))]
    while labels and _DISAMBIGUATION.fullmatch(labels[-1]):
        labels.pop()  # of the lexicon's graph; the network has no class for it
    return labels


def _labels_of_json(text: str) -> list[str]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at line {error.lineno}: {error.msg}") from error
    except RecursionError as error:
        raise ValueError("must hold a list of strings, not lists within lists") from error
    if isinstance(content, dict):
        indices = list(content.values())
        if any(type(index) is not int for index in indices):
            raise ValueError("classes must be integers")
        if sorted(indices) != list(range(len(indices))):
            raise ValueError(f"classes must be 0..{len(indices) - 1}, each once")
        content = sorted(content, key=content.__getitem__)
    if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
        raise ValueError("must hold a list of strings, or a mapping from token to class")
    return content


def _from_wordpiece(label: str) -> str:
    """Translate BERT's pieces, of which those inside a word are marked.

    NeMo writes SentencePiece's so, and leaves the bare mark as it is.
    """
    if label.startswith("##"):
        return label[2:]
    is_bare = _BLANK.fullmatch(label) or _SPECIAL.fullmatch(label)
    return label if is_bare or label.startswith(_WORD_MARK) else _WORD_MARK + label
