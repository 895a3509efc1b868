"""Members of tars read in the order in which they lie, before somebody asks for them."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Self

import numpy as np

from asr.audio import AudioContent
from asr.data.shards.members import Member, read_member
from asr.data.shards.streams import Patience, ShardError, SourceError, Stream, open_stream

# Parts in memory: one that is used and one that is read meanwhile.
_PARTS = 2


class ReadAhead:
    """Reads parts one after the other in a thread; at most two are held.

    Args:
        parts: indices of utterances in the order of reading. All of a part must be taken before
            the part after the next is read.
        locate: path or URL of the tar, and the member, of an index.
        patience: with a server.
    """

    def __init__(
        self,
        parts: Sequence[np.ndarray],
        locate: Callable[[int], tuple[str, Member]],
        patience: Patience,
    ) -> None:
        self._parts = parts
        self._locate = locate
        self._patience = patience
        self._found: dict[int, AudioContent | ShardError] = {}
        self._failure: Exception | None = None
        self._part_of = {int(i): number for number, part in enumerate(parts) for i in part}
        self._left = Counter(self._part_of.values())
        self._closed = False
        self._room = threading.Semaphore(_PARTS)
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="shards", daemon=True)

    def take(self, index: int) -> AudioContent:
        """Wait for an utterance's audio file and hand it over; each can be had once.

        Raises:
            ShardError: it cannot be read, or reading has ended.
        """
        with self._news:
            self._news.wait_for(lambda: index in self._found or self._closed)
            if index not in self._found:
                raise self._failure or ShardError("reading has ended")
            found = self._found.pop(index)
            part = self._part_of[index]
            self._left[part] -= 1
            if not self._left[part]:
                self._room.release()
        if isinstance(found, ShardError):
            raise found
        return found

    def _run(self) -> None:
        try:
            for part in self._parts:
                self._room.acquire()
                located = ((int(index), *self._locate(int(index))) for index in part)
                for tar, group in groupby(located, key=lambda item: item[1]):
                    for index, found in self._read_shard(tar, [(i, m) for i, _, m in group]):
                        self._hand_out(index, found)
                        if self._closed:
                            return
        except Exception as error:  # who waits would wait for ever
            self._failure = error
            self.close()

    def _hand_out(self, index: int, found: AudioContent | ShardError) -> None:
        with self._news:
            self._found[index] = found
            self._news.notify_all()

    def _read_shard(
        self, tar: str, members: Sequence[tuple[int, Member]]
    ) -> Iterator[tuple[int, AudioContent | ShardError]]:
        """Read members of a tar; one that fails leaves the others, a source that fails none."""
        left = deque(members)
        try:
            with open_stream(tar, self._patience) as stream:
                while left:
                    yield left[0][0], _try_to_read(stream, left[0][1])
                    left.popleft()
        except SourceError as error:
            yield from ((index, error) for index, _ in left)

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._room.release()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        # A read that waits for a server ends by itself, in a thread that nobody waits for.
        self._thread.join(timeout=1.0)


def _try_to_read(stream: Stream, member: Member) -> AudioContent | ShardError:
    """Read a member; what is wrong with it alone is its own."""
    try:
        return AudioContent(f"{stream.place}: {member.name}", read_member(stream, member))
    except SourceError:
        raise
    except ShardError as error:
        return error
