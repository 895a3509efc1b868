"""One file inside a tar: found by the index, checked against the tar's own header."""

import tarfile
import zlib
from typing import NamedTuple

from asr.data.shards.streams import ShardError, Stream

BLOCK = tarfile.BLOCKSIZE
# Of a member's name in a header; longer ones have a header of their own before it.
_NAME_BYTES = 100


class Member(NamedTuple):
    """Where an utterance's audio is.

    Attributes:
        name: in the tar.
        offset: bytes from the tar's beginning to the audio.
        size: bytes.
        crc32: of the audio, or None where nobody has computed it.
    """

    name: str
    offset: int
    size: int
    crc32: int | None = None


def read_member(stream: Stream, member: Member) -> bytes:
    """Read a member, and see that the tar holds it where the index says.

    Raises:
        ShardError: the tar is another one, ends before or is damaged; names tar and member.
    """
    block = stream.read(member.offset - BLOCK, BLOCK + member.size)
    where = f"{stream.place}: byte {member.offset - BLOCK}"
    try:
        header = tarfile.TarInfo.frombuf(block[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ShardError(
            f"{where}: the index has {member.name!r} here, the tar no member ({error})"
        ) from error
    same_name = header.name == member.name or len(member.name.encode()) >= _NAME_BYTES
    if not same_name or header.size != member.size:
        raise ShardError(
            f"{where}: the index has {member.name!r} of {member.size} bytes here, the tar "
            f"{header.name!r} of {header.size}"
        )
    content = block[BLOCK:]
    if member.crc32 is not None and zlib.crc32(content) != member.crc32:
        raise ShardError(f"{where}: {member.name!r} is damaged, its checksum is not the index's")
    return content
