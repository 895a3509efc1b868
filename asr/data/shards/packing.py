"""Manifests packed into shards: the same bytes every time, and going on after a kill.

A shard is a tar of KEY.flac and KEY.json, which is how WebDataset names a sample's files, so that
its programs read it too. Its index is written after it: a shard with an index is whole.
"""

import io
import json
import os
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from asr.data.manifest import Utterance
from asr.data.shards.encoding import Format, Packed, check_format, encode
from asr.data.shards.index import (
    ShardHeader,
    index_name,
    read_header,
    write_index,
    write_list,
)
from asr.data.shards.members import BLOCK
from asr.data.shards.streams import ShardError
from asr.data.unusable import Unusable
from asr.files import replacing

# Utterances encoded ahead for each thread.
_AHEAD = 4


@dataclass(frozen=True)
class Packing:
    """How shards are made.

    Attributes:
        style: of the audio.
        sample_rate: Hz to resample to, or None for each file's own.
        shard_seconds: speech after which a shard is closed, > 0.
        shard_mb: megabytes after which it is closed, > 0.
        num_threads: that read and encode, >= 1.
    """

    style: Format
    sample_rate: int | None
    shard_seconds: float
    shard_mb: float
    num_threads: int

    def __post_init__(self) -> None:
        check_format(self.style, self.sample_rate)
        for name in ("shard_seconds", "shard_mb", "num_threads"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}")


def pack(
    utterances: Sequence[Utterance],
    folder: Path,
    packing: Packing,
    *,
    source: str,
    normalizer: dict[str, object] | None = None,
    advance: Callable[[int], object] = lambda count: None,
) -> list[ShardHeader]:
    """Pack utterances in their order; shards that are there from a call that was stopped stay.

    Args:
        folder: where shards go; made if need be.
        source: fingerprint of the utterances and of the packing.
        normalizer: state of the normaliser that the texts went through.
        advance: told how many utterances are done since it was told last.

    Raises:
        ShardError: the folder holds shards of another source.
        ValueError: not one utterance could be packed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    headers: list[ShardHeader] = []
    first = 0
    while first < len(utterances):
        path = folder / index_name(len(headers))
        header = read_header(path)
        if header is None:
            header = _write_shard(utterances, first, path, packing, source, advance)
        elif header.source != source:
            raise ShardError(
                f"{path}: is of other manifests, or was packed with other options: choose an "
                "empty folder, or remove the shards there"
            )
        else:
            advance(header.next - header.first)
        headers.append(header)
        first = header.next
    if not any(header.utterances for header in headers):
        raise ValueError(f"not one of {len(utterances)} utterances could be packed")
    write_list(folder, headers, normalizer)
    return headers


def _write_shard(
    utterances: Sequence[Utterance],
    first: int,
    path: Path,
    packing: Packing,
    source: str,
    advance: Callable[[int], object],
) -> ShardHeader:
    """Write one shard, and after it its index."""
    tar_path = path.with_suffix(".tar")
    records: list[dict[str, object]] = []
    rejected: list[Unusable] = []
    seconds, number = 0.0, first
    with replacing(tar_path) as temporary, temporary.open("wb") as file:
        writer = _TarWriter(file)
        for packed in _encode_ahead(utterances, first, packing):
            if isinstance(packed, Unusable):
                rejected.append(packed)
            else:
                records.append(writer.add(f"{number:09d}", packed))
                seconds += packed.utterance.duration
            number += 1
            advance(1)
            if seconds >= packing.shard_seconds or file.tell() >= 1e6 * packing.shard_mb:
                break
        writer.close()
    header = ShardHeader(
        tar=tar_path.name,
        bytes=os.path.getsize(tar_path),
        utterances=len(records),
        seconds=round(seconds, 6),
        source=source,
        first=first,
        next=number,
        rejected=[{"id": item.id, "reason": item.reason} for item in rejected],
    )
    write_index(path, header, records)
    return header


def _encode_ahead(
    utterances: Sequence[Utterance], first: int, packing: Packing
) -> Iterator[Packed | Unusable]:
    """Encode in threads (libsndfile lets others run), and give results in order."""
    pending: deque[Future[Packed | Unusable]] = deque()
    with ThreadPoolExecutor(packing.num_threads, "packing") as pool:
        try:
            for number in range(first, len(utterances)):
                utterance = utterances[number]
                pending.append(pool.submit(encode, utterance, packing.style, packing.sample_rate))
                if len(pending) > _AHEAD * packing.num_threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _TarWriter:
    """Writes members whose headers say nothing of who packed them, and when."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def add(self, key: str, packed: Packed) -> dict[str, object]:
        """Write a sample's audio and facts; return its line of the index."""
        utterance, content = packed.utterance, packed.content
        extra = {name: value for name, value in utterance.extra.items() if name != "id"}
        facts = {"id": utterance.id, "text": utterance.text, "duration": utterance.duration}
        offset = self._add(key + packed.suffix, content)
        self._add(f"{key}.json", json.dumps(facts | extra, ensure_ascii=False).encode())
        return {
            **facts,
            "member": key + packed.suffix,
            "offset": offset,
            "size": len(content),
            "crc32": zlib.crc32(content),
            "extra": extra,
        }

    def close(self) -> None:
        """Write the end of the tar."""
        self._tar.close()

    def _add(self, name: str, content: bytes) -> int:
        """Write a member; return where its content begins."""
        offset = self._tar.offset + BLOCK
        header = tarfile.TarInfo(name)
        header.size = len(content)
        self._tar.addfile(header, io.BytesIO(content))
        return offset
