"""Texts of people and recognisers from files: plain lines, NIST's trn, JSON Lines.

lines   one utterance a line; the n-th lines of two files belong together
.trn    `text (id)`, as sclite reads it; lines that begin with ;; are comments
.jsonl  objects with an `id`, or else an `audio_filepath`, and a `text`; what was heard may
        stand beside it as `pred_text`
"""

import re
from pathlib import Path
from typing import Literal

from asr.files import parse_json, printable, read_text

Role = Literal["reference", "hypothesis"]
# Kinds of files by their ending; every other file is one of lines.
KEYED = (".trn", ".jsonl", ".json")
_TRN = re.compile(r"(.*)\(([^()\s]+)\)\s*")


class TextsError(ValueError):
    """A file of texts that cannot be used; names file, line and rule."""


def read_pairs(hypotheses: Path, references: Path) -> tuple[list[str], list[str], list[str]]:
    """Read what belongs together of two files.

    Returns:
        Ids (numbers of lines where the files have none), references and hypotheses, in the order
        of the references.

    Raises:
        TextsError: a file breaks a rule, or one has utterances that the other has not.
    """
    heard, said = read_texts(hypotheses, "hypothesis"), read_texts(references, "reference")
    keyed = [path.suffix.lower() in KEYED for path in (hypotheses, references)]
    if keyed[0] != keyed[1]:
        lines, ids = (references, hypotheses) if keyed[0] else (hypotheses, references)
        raise TextsError(f"{lines}: has lines without ids, but {ids} has ids: give both of a kind")
    if not keyed[0] and len(heard) != len(said):
        raise TextsError(
            f"{hypotheses}: has {len(heard)} lines, but {references} has {len(said)}: "
            "they must be as many"
        )
    for path, texts, other, others in (
        (hypotheses, heard, references, said),
        (references, said, hypotheses, heard),
    ):
        if lacking := [name for name in others if name not in texts]:
            raise TextsError(
                f"{path}: lacks {len(lacking)} of the {len(others)} utterances of {other}, such as "
                f"{printable(lacking[0])!r}"
            )
    if not said:
        raise TextsError(f"{references}: must hold at least one utterance")
    return list(said), list(said.values()), [heard[name] for name in said]


def read_texts(path: Path, role: Role) -> dict[str, str]:
    """Read texts by id, or by number of line where the file has no ids.

    Args:
        path: of the kind that its ending says.
        role: which text of a JSON object is wanted.

    Raises:
        TextsError: the file cannot be read or a line breaks a rule.
    """
    try:
        lines = read_text(path).removesuffix("\n").split("\n")
    except ValueError as error:
        raise TextsError(str(error)) from error
    kind = path.suffix.lower()
    if kind not in KEYED:
        return {} if lines == [""] else {str(n): line for n, line in enumerate(lines, start=1)}
    texts: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (kind == ".trn" and line.startswith(";;")):
            continue
        try:
            name, text = _parse_trn(line) if kind == ".trn" else _parse_record(line, role)
            if name in texts:
                raise ValueError(f"has the id {printable(name)!r} a second time")
        except ValueError as error:
            raise TextsError(f"{path}:{number}: {error}") from error
        texts[name] = text
    return texts


def _parse_trn(line: str) -> tuple[str, str]:
    found = _TRN.fullmatch(line)
    if not found:
        raise ValueError(f"must end with an id in parentheses, got {printable(line[-40:])!r}")
    return found[2], found[1].strip()


def _parse_record(line: str, role: Role) -> tuple[str, str]:
    record = parse_json(line)
    if not isinstance(record, dict):
        raise ValueError("must be a JSON object")
    name = record.get("id", record.get("audio_filepath"))
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise ValueError("must have an 'id' or an 'audio_filepath'")
    key = "pred_text" if role == "hypothesis" and "pred_text" in record else "text"
    if not isinstance(text := record.get(key), str):
        raise ValueError(f"must have a string as {key!r}")
    return str(name), text
