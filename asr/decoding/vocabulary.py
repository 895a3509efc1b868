"""Vocabulary files of published CTC models -> tokens and blank as the decoders take them."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_BLANK = re.compile(r"[<\[](pad|blank|blk|ctc_blank|ctc)[>\]]|", re.IGNORECASE)
_SPECIAL = re.compile(r"[<\[](unk|s|/s|bos|eos|cls|sep|mask)[>\]]", re.IGNORECASE)
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
    `.json` or `.txt` (one a line), SentencePiece `.model` and `.vocab`. "|" becomes the separator
    where there is no space, "##" pieces become those that begin with U+2581, and the blank is the
    class called "", "<pad>", "[PAD]", "<blank>", "<blk>", "<ctc>" or else "_". Special tokens
    write nothing.

    Args:
        path: the file.
        blank: class of the blank. None: the one so called, or one more class after the others,
            which is where NeMo has it. In a file without a blank it is inserted there.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is none of these, or `blank` is out of range.
    """
    return normalise_labels(_read_labels(Path(path)), blank)


def normalise_labels(labels: Sequence[str], blank: int | None = None) -> Vocabulary:
    """Bring the labels of a published model into the decoders' form; see `read_vocabulary`.

    Raises:
        ValueError: `blank` is out of range.
    """
    labels = list(labels)
    if any(label.startswith("##") for label in labels):
        labels = [_from_wordpiece(label) for label in labels]
    named = [i for i, label in enumerate(labels) if _BLANK.fullmatch(label)]
    if not named and "_" in labels:
        named = [labels.index("_")]
    if blank is None:
        blank = named[0] if named else len(labels)
    if not 0 <= blank < len(labels) + (not named):
        raise ValueError(f"blank must be in 0..{len(labels) - bool(named)}, got {blank}")
    if not named:
        labels.insert(blank, "")
    if "|" in labels and " " not in labels:
        labels[labels.index("|")] = " "
    return Vocabulary(["" if _SPECIAL.fullmatch(label) else label for label in labels], blank)


def _read_labels(path: Path) -> list[str]:
    if path.suffix == ".model":
        from sentencepiece import SentencePieceProcessor

        try:
            processor = SentencePieceProcessor(model_file=str(path))
        except RuntimeError as error:
            raise ValueError(f"{path}: not a SentencePiece model") from error
        return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".vocab":
        return [line.split("\t")[0] for line in text.splitlines()]
    if path.suffix == ".txt":
        return text.removesuffix("\n").split("\n")
    if path.suffix == ".json":
        return _labels_of_json(path, text)
    raise ValueError(f"{path}: must end in .json, .txt, .model or .vocab")


def _labels_of_json(path: Path, text: str) -> list[str]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    if isinstance(content, dict):
        by_class = {index: token for token, index in content.items()}
        if sorted(by_class) != list(range(len(content))):
            raise ValueError(f"{path}: classes must be 0..{len(content) - 1}, each once")
        content = [by_class[index] for index in range(len(by_class))]
    if not _is_strings(content):
        raise ValueError(f"{path}: must hold a list of strings, or a mapping from token to class")
    return content


def _is_strings(content: object) -> bool:
    return isinstance(content, Sequence) and all(isinstance(item, str) for item in content)


def _from_wordpiece(label: str) -> str:
    """Translate BERT's pieces, of which those inside a word are marked."""
    if label.startswith("##"):
        return label[2:]
    is_bare = _BLANK.fullmatch(label) or _SPECIAL.fullmatch(label)
    return label if is_bare else _WORD_MARK + label
