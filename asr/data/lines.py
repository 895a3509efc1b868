"""Lines of a large file in memory, each found by its number and parsed when it is asked for.

A million utterances as Python's objects are 2 GiB; as the bytes of their lines they are 150 MiB.
"""

from typing import NamedTuple

import numpy as np


class Lines(NamedTuple):
    """Lines that are not blank.

    Attributes:
        content: the file.
        starts: (n,) int64, where each line begins in it.
        stops: (n,) int64, where each ends, its line feed left out.
        numbers: (n,) int64, as people count lines, from 1.
    """

    content: bytes
    starts: np.ndarray
    stops: np.ndarray
    numbers: np.ndarray

    def line(self, index: int) -> bytes:
        """Return one line."""
        return self.content[self.starts[index] : self.stops[index]]


def split_lines(content: bytes) -> Lines:
    """Find the lines of a file's content, without a byte order mark; blank ones are left out."""
    begin = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    feeds = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n"))
    starts = np.concatenate([[begin], feeds + 1]).astype(np.int64)
    stops = np.concatenate([feeds, [len(content)]]).astype(np.int64)
    numbers = np.arange(1, len(starts) + 1)
    # Few lines are so short that they may be blank: only these are looked at.
    short = np.flatnonzero(stops - starts < 16)
    blank = [i for i in short.tolist() if not content[starts[i] : stops[i]].strip()]
    keep = np.delete(np.arange(len(starts)), blank)
    return Lines(content, starts[keep], stops[keep], numbers[keep])
