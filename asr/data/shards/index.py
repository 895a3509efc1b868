"""The index of a set of shards: a list of shards, and for each a line for every utterance.

    shards.json
        {"format": 1, "utterances": 1027, "shards": ["shard-000000.jsonl", ...], ...}
    shard-000000.jsonl, a header and the utterances
        {"tar": "shard-000000.tar", "bytes": 6291456, "utterances": 1027, ...}
        {"id": "a", "text": "hello", "duration": 1.25, "member": "000000000.flac",
         "offset": 512, "size": 20480, "crc32": 907060870, "extra": {"speaker": "anna"}}

The list is written last: without it a set is not finished. A tar is named relative to the list's
folder; in a list on a disk it may also be an absolute path or a URL.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import urljoin

import numpy as np

from asr.data.lines import Lines, split_lines
from asr.data.manifest import check_utterance
from asr.data.shards.members import BLOCK, Member
from asr.data.shards.streams import Patience, ShardError, is_url, read_small
from asr.files import parse_json, write_atomically

FORMAT = 1
LIST_NAME = "shards.json"


@dataclass(frozen=True)
class ShardHeader:
    """The first line of a shard's index.

    Attributes:
        tar: its name.
        bytes: of the tar.
        utterances: in the shard.
        seconds: of them together.
        source: fingerprint of what the shard was made from, and how.
        first: number of the first utterance of the source that is here, or was rejected.
        next: number of the first that is not.
        rejected: what could not be packed: id and reason.
    """

    tar: str
    bytes: int
    utterances: int
    seconds: float
    source: str
    first: int = 0
    next: int = 0
    rejected: list[dict[str, str]] = field(default_factory=list)


class Shard(NamedTuple):
    """A shard's index in memory; n utterances."""

    header: ShardHeader
    tar: str  # path or URL
    lines: Lines
    durations: np.ndarray  # (n,) float64, seconds

    def record(self, row: int) -> dict:
        """Parse a line, which was checked when the index was read."""
        return cast(dict, parse_json(self.lines.line(row)))

    def records(self) -> Iterator[dict]:
        """Parse every line."""
        return map(self.record, range(len(self.durations)))


class ShardSet:
    """All shards of a set; N utterances, in the order of shards and of their members.

    Args:
        place: folder, or URL of one.
        patience: with a server.

    Raises:
        ShardError: the list or an index cannot be read, or breaks a rule; names file and line.
    """

    def __init__(self, place: str, patience: Patience) -> None:
        listed = read_list(place, patience)
        self.shards: list[Shard] = [
            read_index(join(place, name), place, patience) for name in listed["shards"]
        ]
        self.normalizer = listed.get("normalizer")
        held = sum(len(shard.durations) for shard in self.shards)
        if held != listed["utterances"]:
            raise ShardError(
                f"{join(place, LIST_NAME)}: says {listed['utterances']} utterances, the indices "
                f"have {held}"
            )


def join(place: str, name: str) -> str:
    """Name a file of a set."""
    return urljoin(place.rstrip("/") + "/", name) if is_url(place) else os.path.join(place, name)


def read_list(place: str, patience: Patience) -> dict:
    """Read the list of a set's shards.

    Raises:
        ShardError: there is none, or it is none of ours.
    """
    path = join(place, LIST_NAME)
    if not is_url(place) and not os.path.isfile(path):
        raise ShardError(
            f"{place}: holds no {LIST_NAME}: `asr shard ... --out {place}` writes it at its end"
        )
    try:
        listed = parse_json(read_small(path, patience))
    except ShardError:
        raise
    except ValueError as error:
        raise ShardError(f"{path}: is not JSON: {error}") from error
    if not isinstance(listed, dict) or listed.get("format") != FORMAT:
        raise ShardError(f"{path}: format must be {FORMAT}")
    names = listed.get("shards")
    if not isinstance(names, list) or not all(_is_file_name(name) for name in names):
        raise ShardError(f"{path}: 'shards' must be a list of file names")
    if type(listed.get("utterances")) is not int:
        raise ShardError(f"{path}: 'utterances' must be a whole number")
    return listed


def write_list(
    folder: Path, headers: Sequence[ShardHeader], normalizer: Mapping[str, object] | None
) -> None:
    """Write the list of a set whose shards are all there."""
    listed = {
        "format": FORMAT,
        "utterances": sum(header.utterances for header in headers),
        "seconds": round(sum(header.seconds for header in headers), 3),
        "bytes": sum(header.bytes for header in headers),
        "shards": [index_name(number) for number in range(len(headers))],
        "normalizer": normalizer,
    }
    write_atomically(folder / LIST_NAME, json.dumps(listed, ensure_ascii=False, indent=1) + "\n")


def index_name(number: int) -> str:
    """Name the index of a shard."""
    return f"shard-{number:06d}.jsonl"


def write_index(path: Path, header: ShardHeader, records: Sequence[Mapping[str, object]]) -> None:
    """Write a shard's index; its tar must be there."""
    lines = [json.dumps(r, ensure_ascii=False, allow_nan=False) for r in (asdict(header), *records)]
    write_atomically(path, "".join(f"{line}\n" for line in lines))


def read_header(path: Path) -> ShardHeader | None:
    """Read the header of an index that `asr shard` wrote before; None where there is none.

    Raises:
        ShardError: the file is none of ours.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return _parse_header(file.readline(), str(path))


def read_index(path: str, place: str, patience: Patience) -> Shard:
    """Read a shard's index and check every line.

    Raises:
        ShardError: names file, line and rule.
    """
    lines = split_lines(read_small(path, patience))
    if not len(lines.starts):
        raise ShardError(f"{path}: is empty")
    header = _parse_header(lines.line(0), path)
    lines = Lines(lines.content, *(column[1:] for column in lines[1:]))
    durations = np.empty(len(lines.starts))
    for row in range(len(durations)):
        try:
            durations[row] = _check_record(parse_json(lines.line(row)))
        except ValueError as error:
            raise ShardError(f"{path}:{lines.numbers[row]}: {error}") from error
    if len(durations) != header.utterances:
        raise ShardError(
            f"{path}: holds {len(durations)} utterances, its first line says {header.utterances}"
        )
    return Shard(header, _resolve(header.tar, place, path), lines, durations)


def member_of(record: Mapping) -> Member:
    """Say where the audio of an index's line is."""
    return Member(record["member"], record["offset"], record["size"], record.get("crc32"))


def _parse_header(line: bytes, path: str) -> ShardHeader:
    try:
        values = parse_json(line)
        if not isinstance(values, dict):
            raise TypeError("must be an object")
        header = ShardHeader(**values)
        for name in ("bytes", "utterances", "first", "next"):
            if type(getattr(header, name)) is not int:
                raise TypeError(f"{name!r} must be a whole number")
    except (ValueError, TypeError) as error:
        raise ShardError(f"{path}:1: is no header of a shard: {error}") from error
    return header


def _check_record(record: object) -> float:
    """Check a line of an index; return its seconds."""
    if not isinstance(record, dict):
        raise ValueError("must be a JSON object")
    missing = [k for k in ("id", "text", "duration", "member", "offset", "size") if k not in record]
    if missing:
        raise ValueError(f"lacks the key {missing[0]!r}")
    extra = record.get("extra", {})
    if not isinstance(extra, dict) or "id" in extra:
        raise ValueError("'extra' must be an object without 'id'")
    check_utterance(record["duration"], record["text"], {"id": record["id"]})
    if not isinstance(record["member"], str):
        raise ValueError("'member' must be a string")
    if not isinstance(record.get("crc32"), int | None):
        raise ValueError("'crc32' must be a whole number")
    for key, least in (("offset", BLOCK), ("size", 0)):
        if type(record[key]) is not int or record[key] < least:
            raise ValueError(f"{key!r} must be a whole number >= {least}, got {record[key]!r}")
    return float(record["duration"])


def _resolve(tar: str, place: str, path: str) -> str:
    """Find a tar; what a server's index names stays on the server's side."""
    if is_url(tar) or (os.path.isabs(tar) and not is_url(place)):
        return tar
    if not _is_file_name(tar):
        raise ShardError(f"{path}:1: 'tar' must name a file beside the list, got {tar!r}")
    return join(place, tar)


def _is_file_name(name: object) -> bool:
    return isinstance(name, str) and name == os.path.basename(name) and name not in ("", ".", "..")
