"""The folder of a synthetic corpus: what was asked and made stands in synth.json."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from asr.data.manifest import Utterance
from asr.files import parse_json, read_text, write_atomically
from asr.synth.grammar import SPLITS, Split

LM_TEXT_NAME = "lm_text.txt"
REJECTED_NAME = "rejected.jsonl"
NORMALIZER_NAME = "normalizer.json"
_RECORD = "synth.json"


class SplitSummary(NamedTuple):
    """What a finished split holds."""

    num_utterances: int
    hours: float

    @classmethod
    def of(cls, utterances: Sequence[Utterance]) -> Self:
        """Count and measure utterances."""
        hours = sum(utterance.duration for utterance in utterances) / 3600
        return cls(len(utterances), round(hours, 4))


def partial_folder(out: Path, split: Split) -> Path:
    """Where the audio of a split is until all of it is there."""
    return out / f".{split}.partial"


def find_made(out: Path, parameters: Mapping[str, object]) -> dict[Split, SplitSummary] | None:
    """Say what each split of the corpus of these parameters holds; None where it is not finished.

    Raises:
        ValueError: synth.json is broken.
    """
    record = _read_record(out)
    if record is None or record["parameters"] != parameters or record["splits"] is None:
        return None
    return {split: SplitSummary(*record["splits"][split]) for split in SPLITS}


def claim_folder(out: Path, parameters: Mapping[str, object], overwrite: bool) -> None:
    """Write down what will be made; nothing is done where it was begun already.

    Another corpus is removed, if that is allowed.

    Raises:
        FileExistsError: there is another one and `overwrite` is False.
        OSError: the folder cannot be made or written to.
        ValueError: `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file, not a folder to write to")
    record = _read_record(out)
    if record is not None and record["parameters"] == parameters:
        return
    names = [*SPLITS, *(partial_folder(out, split).name for split in SPLITS)]
    names += [*(f"{split}.jsonl" for split in SPLITS)]
    names += [LM_TEXT_NAME, REJECTED_NAME, NORMALIZER_NAME, _RECORD]
    present = [out / name for name in names if (out / name).exists()]
    if present and not overwrite:
        raise FileExistsError(
            f"{out} holds {_describe_difference(record, parameters)}; "
            "choose another folder or allow overwriting"
        )
    # The record goes last: cut short here, the folder is still known as the other corpus.
    for path in present:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{out}: the folder cannot be made ({error.strerror})") from error
    write_record(out, parameters, None)


def write_record(
    out: Path, parameters: Mapping[str, object], summaries: Mapping[Split, SplitSummary] | None
) -> None:
    """Write synth.json: {"parameters": {...}, "splits": {split: [utterances, hours]} or null}."""
    record = {"parameters": parameters, "splits": summaries}
    write_atomically(out / _RECORD, json.dumps(record, indent=2) + "\n")


def _read_record(out: Path) -> dict[str, Any] | None:
    path = out / _RECORD
    if not path.exists():
        return None
    try:
        record = parse_json(read_text(path))
        if not isinstance(record, dict) or set(record) != {"parameters", "splits"}:
            raise ValueError("it must have the keys parameters and splits")
    except ValueError as error:
        raise ValueError(f"{path}: not the record of a corpus: {error}") from error
    return record


def _describe_difference(record: dict[str, Any] | None, asked: Mapping[str, object]) -> str:
    """Say in words what is in the folder instead of what is asked."""
    if record is None:
        return f"files that are no corpus of ours (there is no {_RECORD})"
    there = record["parameters"]
    different = [
        f"{name} {there.get(name)} instead of {value}"
        for name, value in asked.items()
        if there.get(name) != value
    ]
    return "another corpus: " + ", ".join(different)
