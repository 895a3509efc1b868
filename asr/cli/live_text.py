"""What `asr listen` prints while it works: finished utterances, and the one that is being said."""

import json
import shutil
import sys
from unicodedata import east_asian_width

from asr.files import printable
from asr.recognition.formats import segment_record
from asr.recognition.transcripts import PartialTranscript, Segment, word_record

# From the beginning of the line, and clears it.
_CLEAR = "\r\x1b[K"
_FAINT, _PLAIN = "\x1b[2m", "\x1b[0m"


class LiveText:
    """Prints utterances, a line each; on a terminal the last line is the one being said.

    Args:
        style: "text" or "json".
    """

    def __init__(self, style: str) -> None:
        self._style = style
        self.shows_partial = style == "text" and sys.stdout.isatty()

    def print_segment(self, segment: Segment) -> None:
        """Print an utterance in the place of what was shown of it."""
        clear = _CLEAR if self.shows_partial else ""
        print(f"{clear}{format_segment(segment, self._style)}", flush=True)

    def show_partial(self, partial: PartialTranscript) -> None:
        """Rewrite the last line: what may change is faint, and the end is seen where it is long."""
        width = shutil.get_terminal_size().columns - 1
        stable = printable(partial.stable_text)
        rest = printable(partial.text)[len(stable) :]
        stable, rest = _last_columns(stable, rest, width)
        print(f"{_CLEAR}{stable}{_FAINT}{rest}{_PLAIN}", end="", flush=True)

    def clear(self) -> None:
        """Leave the cursor on an empty line."""
        if self.shows_partial:
            print(_CLEAR, end="", flush=True)


def format_segment(segment: Segment, style: str) -> str:
    """Write an utterance on one line."""
    if style == "text":
        return printable(segment.text)
    record = segment_record(segment) | {"words": [word_record(word) for word in segment.words]}
    # JSON has escapes of its own, but for lone surrogates.
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _last_columns(stable: str, rest: str, width: int) -> tuple[str, str]:
    """Keep what fits of two texts that stand side by side; wide letters take two columns."""
    kept = 0
    for letter in reversed(stable + rest):
        width -= 2 if east_asian_width(letter) in "WF" else 1
        if width < 0:
            break
        kept += 1
    rest = rest[max(0, len(rest) - kept) :]
    kept -= len(rest)
    return stable[len(stable) - kept :], rest
