"""Tars of others: WebDataset's samples, NeMo's tarred datasets; indexed where they lie."""

import hashlib
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, NamedTuple, Protocol, cast

from asr.audio import AUDIO_SUFFIXES, AudioContent, audio_info
from asr.data.lines import split_lines
from asr.data.manifest import check_utterance
from asr.data.shards.index import (
    ShardHeader,
    ShardSet,
    index_name,
    read_header,
    write_index,
    write_list,
)
from asr.data.shards.streams import HttpStream, Patience, ShardError, is_url, read_small
from asr.data.unusable import Unusable
from asr.files import parse_json

# NeMo's way to write braces where a shell would expand them.
_NEMO_BRACES = {"_OP_": "{", "_CL_": "}"}
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
# A sample's files have one name up to the first dot.
_SAMPLE = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)")
# Of a sample's facts, what the index has keys of its own for, or nobody may trust.
_OWN_KEYS = ("id", "text", "duration", "audio_filepath")

Record = dict[str, object]


class File(NamedTuple):
    """A regular file of a tar."""

    name: str
    offset: int
    size: int
    read: Callable[[], bytes]

    def record(self, identity: str, text: str, duration: float, extra: Record) -> Record:
        """Make the index's line of an utterance whose audio this is."""
        check_utterance(duration, text, {"id": identity})
        return {
            "id": identity,
            "text": text,
            "duration": duration,
            "member": self.name,
            "offset": self.offset,
            "size": self.size,
            "extra": extra,
        }


class Layout(Protocol):
    """How utterances are found among a tar's files."""

    key: str  # what the index depends on beside the tar

    def utterances(self, files: Iterator[File]) -> Iterator[Record | Unusable]:
        """Give the index's lines."""
        ...


def expand(pattern: str) -> list[str]:
    """Write out shard-{000000..000012}.tar, {a,b}.tar and NeMo's audio__OP_0..127_CL_.tar.

    Raises:
        ValueError: a range goes backwards.
    """
    for nemo, brace in _NEMO_BRACES.items():
        pattern = pattern.replace(nemo, brace)
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    limits = _RANGE.fullmatch(found[1])
    if limits is None:
        values = found[1].split(",")
    elif int(limits[1]) > int(limits[2]):
        raise ValueError(f"{pattern}: a range must go upwards, got {found[0]}")
    else:
        width = len(limits[1]) if limits[1].startswith("0") else 0
        values = [f"{n:0{width}d}" for n in range(int(limits[1]), int(limits[2]) + 1)]
    return [path for value in values for path in expand(f"{before}{value}{after}")]


def index_tars(
    tars: Sequence[str],
    folder: Path,
    layout: Layout,
    patience: Patience,
    advance: Callable[[int], object] = lambda count: None,
) -> list[ShardHeader]:
    """Write an index for tars that stay where they are; those that are indexed already are kept.

    Args:
        tars: paths or URLs.
        folder: where the index goes; made if need be.
        layout: how to find utterances.
        patience: with a server.
        advance: told how many tars are done since it was told last.

    Raises:
        ShardError: a tar cannot be had, or the folder holds the index of others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    headers = []
    for number, tar in enumerate(tars):
        path = folder / index_name(number)
        name = tar if is_url(tar) else os.path.abspath(tar)
        if os.path.dirname(name) == os.path.abspath(folder):
            name = os.path.basename(name)
        source = hashlib.sha256(f"{name}\n{layout.key}".encode()).hexdigest()
        header = read_header(path)
        if header is None:
            header = _index_tar(tar, name, path, layout, source, patience)
        elif header.source != source:
            raise ShardError(f"{path}: is the index of another tar: choose an empty folder")
        headers.append(header)
        advance(1)
    if not any(header.utterances for header in headers):
        raise ShardError(f"{tars[0]}: not one utterance was found in {len(tars)} tars")
    write_list(folder, headers, None)
    return headers


def _index_tar(
    tar: str, name: str, path: Path, layout: Layout, source: str, patience: Patience
) -> ShardHeader:
    records: list[Record] = []
    rejected: list[Unusable] = []
    cut: list[Unusable] = []
    with _walk(tar, patience) as files:
        for found in layout.utterances(_up_to_cut(files, tar, cut)):
            if isinstance(found, Unusable):
                rejected.append(found)
            else:
                records.append(found)
    rejected += cut
    header = ShardHeader(
        tar=name,
        bytes=0 if is_url(tar) else os.path.getsize(tar),
        utterances=len(records),
        seconds=round(sum(cast(float, record["duration"]) for record in records), 6),
        source=source,
        rejected=[{"id": item.id, "reason": item.reason} for item in rejected],
    )
    write_index(path, header, records)
    return header


@contextmanager
def _walk(place: str, patience: Patience) -> Iterator[Iterator[File]]:
    """Go through a tar's files: by seeking on a disk, in one answer over HTTP."""
    if not is_url(place) and not os.path.isfile(place):
        raise ShardError(f"{place}: no such file")
    with ExitStack() as stack:
        try:
            if is_url(place):
                stream = stack.enter_context(HttpStream(place, patience))
                file = cast(IO[bytes], _Forward(stream))
                tar = stack.enter_context(tarfile.open(fileobj=file, mode="r|"))
            else:
                tar = stack.enter_context(tarfile.open(place, "r:"))
        except tarfile.TarError as error:
            raise ShardError(f"{place}: is no tar: {error}") from error
        yield _files(tar)


def _files(tar: tarfile.TarFile) -> Iterator[File]:
    while (header := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]  # it would keep a million of them
        if header.isreg():
            yield File(header.name, header.offset_data, header.size, partial(_read, tar, header))


def _up_to_cut(files: Iterator[File], tar: str, cut: list[Unusable]) -> Iterator[File]:
    """Give the files of a tar as far as it can be read, and note where it cannot."""
    try:
        yield from files
    except tarfile.TarError as error:
        cut.append(Unusable(tar, f"the tar is damaged or cut short: {error}"))


def _read(tar: tarfile.TarFile, header: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(header)
    assert file is not None  # it is a regular file
    try:
        with file:
            return file.read()
    except tarfile.TarError as error:
        raise ShardError(f"{header.name}: cannot be read: {error}") from error


class _Forward:
    """What `tarfile` reads a stream by."""

    def __init__(self, stream: HttpStream) -> None:
        self._stream = stream
        self._position = 0

    def read(self, count: int) -> bytes:
        """Read so many bytes, or what is left."""
        content = self._stream.read_some(self._position, count)
        self._position += len(content)
        return content


class WebDatasetLayout:
    """Samples of files with one name: KEY.flac with KEY.txt or with KEY.json that has a text."""

    key = "webdataset"

    def utterances(self, files: Iterator[File]) -> Iterator[Record | Unusable]:
        """Give a line for every sample, its seconds from the audio's header."""
        named = ((found, file) for file in files if (found := _SAMPLE.fullmatch(file.name)))
        for key, sample in groupby(named, key=lambda item: item[0][1]):
            # What a stream gives must be read before its next file is asked for.
            try:
                parts = {found[2].lower(): (file, file.read()) for found, file in sample}
                yield self._utterance(key, parts)
            except ValueError as error:
                yield Unusable(key, str(error))

    def _utterance(self, key: str, parts: Mapping[str, tuple[File, bytes]]) -> Record:
        audio = [part for name, part in parts.items() if f".{name}" in AUDIO_SUFFIXES]
        if len(audio) != 1:
            raise ValueError(f"a sample must have one audio file, got {', '.join(parts)}")
        facts = parse_json(parts["json"][1]) if "json" in parts else {}
        if not isinstance(facts, dict):
            raise ValueError(f"{key}.json must hold an object")
        text = facts.get("text")
        if "txt" in parts:
            text = parts["txt"][1].decode("utf-8-sig").strip()
        if not isinstance(text, str):
            raise ValueError("has no .txt, and no 'text' in a .json")
        (file, content) = audio[0]
        duration = audio_info(AudioContent(file.name, content)).duration_s
        extra = {name: value for name, value in facts.items() if name not in _OWN_KEYS}
        return file.record(str(facts.get("id", key)), text, round(duration, 6), extra)


class NemoLayout:
    """The files that NeMo's manifests name, by name without folder and ending.

    Args:
        manifests: tarred_audio_manifest.json, or one for each tar.
        patience: with a server.

    Raises:
        ShardError: a manifest cannot be read, or a line is no entry.
    """

    def __init__(self, manifests: Sequence[str], patience: Patience) -> None:
        self._entries: dict[str, Record] = {}
        digest = hashlib.sha256()
        for path in manifests:
            content = read_small(path, patience)
            digest.update(content)
            lines = split_lines(content)
            for row, number in enumerate(lines.numbers.tolist()):
                try:
                    entry = parse_json(lines.line(row))
                    if not isinstance(entry, dict):
                        raise ValueError("must be a JSON object")
                    name = str(entry["audio_filepath"])
                except (ValueError, KeyError) as error:
                    raise ShardError(f"{path}:{number}: is no entry of NeMo's ({error})") from error
                if _stem(name) in self._entries:
                    raise ShardError(f"{path}:{number}: {name!r} is there twice")
                self._entries[_stem(name)] = entry
        self.key = digest.hexdigest()

    def utterances(self, files: Iterator[File]) -> Iterator[Record | Unusable]:
        """Give a line for every file that an entry names; no audio is read."""
        for file in files:
            entry = self._entries.get(_stem(file.name))
            if entry is None:
                yield Unusable(file.name, "no entry of the manifest names it")
                continue
            try:
                yield self._utterance(file, entry)
            except KeyError as error:
                yield Unusable(file.name, f"its entry lacks the key {error}")
            except ValueError as error:
                yield Unusable(file.name, str(error))

    def _utterance(self, file: File, entry: Record) -> Record:
        if entry.get("offset"):
            raise ValueError("is a part of a recording (offset): `asr prepare nemo` cuts it")
        extra = {name: value for name, value in entry.items() if name not in (*_OWN_KEYS, "offset")}
        identity = str(entry.get("id", Path(file.name).with_suffix("").as_posix()))
        text, duration = cast(str, entry["text"]), cast(float, entry["duration"])
        return file.record(identity, text, duration, extra)

    def missing(self, folder: Path) -> list[Unusable]:
        """Name the entries that no tar of a finished index holds."""
        shards = ShardSet(str(folder), Patience())
        held = {_stem(record["member"]) for shard in shards.shards for record in shard.records()}
        headers = [shard.header for shard in shards.shards]
        rejected = {_stem(item["id"]) for header in headers for item in header.rejected}
        return [
            Unusable(name, "is in none of the tars")
            for name in self._entries
            if name not in held and name not in rejected
        ]


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]
