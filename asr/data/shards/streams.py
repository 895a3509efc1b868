"""Bytes of a tar file, from a disk or over HTTP, mostly in the order in which they lie."""

import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from asr import __version__
from asr.files import read_bytes

logger = logging.getLogger(__name__)
# What is read at once, and so what a stalled server can lose.
_PIECE = 2**20
# A gap of that many bytes is read through; beyond, a new request costs less.
_GAP = 2**20
# An index of a million utterances is smaller.
_MAX_SMALL = 2**31
# Answers that another try does not change.
_FINAL = frozenset(range(400, 500)) - {408, 425, 429}
_URL = re.compile("https?://", re.IGNORECASE)


class ShardError(ValueError):
    """A shard, or a member of one, that cannot be used; the message names file and place."""


class SourceError(ShardError):
    """Nothing more can be had from a file or server."""


@dataclass
class Patience:
    """How long a server is waited for.

    Attributes:
        timeout_s: seconds without a byte, > 0.
        retries: further tries after one that failed, >= 0, until there is a byte again.
        num_retries: tries that were needed so far.
    """

    timeout_s: float = 30.0
    retries: int = 3
    num_retries: int = 0

    def __post_init__(self) -> None:
        if not self.timeout_s > 0:
            raise ValueError(f"timeout_s must be > 0, got {self.timeout_s}")
        if self.retries < 0:
            raise ValueError(f"retries must be >= 0, got {self.retries}")

    def wait(self, place: str, tries: int, error: Exception) -> None:
        """Count a failed try and wait a little before the next.

        Raises:
            SourceError: there were enough.
        """
        if tries > self.retries:
            raise SourceError(f"{place}: {_reason(error, self)}, {tries} tries") from error
        self.num_retries += 1
        logger.warning("%s: %s; retry %d of %d", place, _reason(error, self), tries, self.retries)
        time.sleep(min(8.0, 0.25 * 2**tries))


class Stream(Protocol):
    """Bytes of one tar."""

    place: str

    def read(self, start: int, count: int) -> bytes:
        """Read so many bytes from a place on.

        Raises:
            SourceError: nothing more can be had.
            ShardError: the tar ends before.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def is_url(place: str) -> bool:
    """Whether a place is on a server."""
    return bool(_URL.match(place))


def open_stream(place: str, patience: Patience) -> Stream:
    """Open a tar by its path or URL; a server is asked at the first read.

    Raises:
        SourceError: the file cannot be opened.
    """
    return HttpStream(place, patience) if is_url(place) else FileStream(place)


def read_small(place: str, patience: Patience) -> bytes:
    """Read a whole file, such as an index.

    Raises:
        ShardError: it cannot be read.
    """
    if is_url(place):
        with HttpStream(place, patience) as stream:
            return stream.read_all()
    try:
        return read_bytes(place, _MAX_SMALL)
    except ValueError as error:
        raise ShardError(str(error)) from error


class FileStream:
    """A tar on a disk."""

    def __init__(self, place: str) -> None:
        self.place = place
        try:
            if not Path(place).is_file():
                raise SourceError(f"{place}: no such file")
            self._file = open(place, "rb")  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise SourceError(f"{place}: cannot be read: {error.strerror}") from error

    def read(self, start: int, count: int) -> bytes:
        """Read so many bytes; raises as `Stream.read`."""
        try:
            self._file.seek(start)
            content = self._file.read(count)
        except OSError as error:
            raise SourceError(f"{self.place}: cannot be read: {error.strerror}") from error
        if len(content) < count:
            raise ShardError(f"{self.place}: ends at byte {start + len(content)}")
        return content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class HttpStream:
    """A tar on a server, in one answer as long as reading goes forward."""

    def __init__(self, place: str, patience: Patience) -> None:
        self.place = place
        self.patience = patience
        self._answer: http.client.HTTPResponse | None = None
        self._position = 0
        self._total: int | None = None

    def read(self, start: int, count: int) -> bytes:
        """Read so many bytes; raises as `Stream.read`."""
        content = bytearray()
        while len(content) < count:
            piece = self.read_some(start + len(content), count - len(content))
            if not piece:
                raise ShardError(f"{self.place}: ends at byte {start + len(content)}")
            content += piece
        return bytes(content)

    def read_all(self) -> bytes:
        """Read the whole file.

        Raises:
            ShardError: it cannot be had.
        """
        content = bytearray()
        while piece := self.read_some(len(content), _PIECE):
            content += piece
        return bytes(content)

    def read_some(self, position: int, most: int) -> bytes:
        """Read some bytes from a place on, with as many tries as it takes; none at the end."""
        tries = 0
        while True:
            try:
                return self._take(most) if self._go_to(position) else b""
            except (OSError, http.client.HTTPException) as error:
                self._close()
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                    if error.code == 416:  # begins beyond the end
                        return b""
                    if error.code in _FINAL:
                        reason = f"{error.code} {error.reason}"
                        raise SourceError(f"{self.place}: {reason}") from error
                tries += 1
                self.patience.wait(self.place, tries, error)

    def _go_to(self, position: int) -> bool:
        """Stand at a byte: read through a small gap, ask anew beyond; say whether it is there."""
        if self._answer is None or not 0 <= position - self._position <= _GAP:
            self._close()
            self._ask(position)
        while self._position < position:
            if not self._take(position - self._position):
                return False
        return True

    def _ask(self, position: int) -> None:
        headers = {"User-Agent": f"asr/{__version__}"}
        if position:
            headers["Range"] = f"bytes={position}-"
        request = urllib.request.Request(self.place, headers=headers)
        answer = urllib.request.urlopen(request, timeout=self.patience.timeout_s)
        self._answer = answer
        # A server that knows no ranges sends all of it, which is read through.
        self._position = position if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        self._total = self._position + int(length) if length and length.isdigit() else None

    def _take(self, most: int) -> bytes:
        """Read what comes next; nothing at the end of the file."""
        assert self._answer is not None
        piece = self._answer.read(min(most, _PIECE))
        self._position += len(piece)
        if not piece and self._total is not None and self._position < self._total:
            raise ConnectionError("the connection was closed")
        return piece

    def _close(self) -> None:
        if self._answer is not None:
            with suppress(OSError):
                self._answer.close()
            self._answer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


def _reason(error: Exception, patience: Patience) -> str:
    """Say in words what a network's error means."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no byte for {patience.timeout_s:g} s"
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}"
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)
