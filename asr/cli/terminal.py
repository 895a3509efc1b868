"""What `asr transcribe` shows while it works: a bar, and words coloured by confidence."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from asr.files import printable
from asr.recognition.transcripts import Segment, Transcript

# Colours of the 256-colour palette for confidences from 0 to 1: red, orange, yellow, green.
COLOURS = (160, 166, 172, 178, 142, 106, 70, 34)


def colour_words(transcript: Transcript) -> str:
    """Write the words of a transcript, from red (surely wrong) to green."""
    shown = []
    for word in transcript.words:
        colour = COLOURS[min(int(word.confidence * len(COLOURS)), len(COLOURS) - 1)]
        shown.append(f"\x1b[38;5;{colour}m{printable(word.word)}\x1b[0m")
    return transcript.joint.join(shown)


class Progress:
    """A bar on standard error, on a terminal alone: files, seconds of audio, real-time factor."""

    def __init__(self, num_files: int) -> None:
        self._bar = tqdm(total=num_files, unit="file", disable=not sys.stderr.isatty())
        self._started = time.perf_counter()
        self._done_s = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar, below what is logged."""
        with self._bar, logging_redirect_tqdm():
            yield

    def on_segment(self, segment: Segment) -> None:
        """Count what was heard of a recording that is not done."""
        self._show(self._done_s + segment.end_s)

    def on_transcript(self, transcript: Transcript) -> None:
        """Count a recording."""
        self._done_s += transcript.duration_s
        self._show(self._done_s)
        self._bar.update()

    def print(self, text: str) -> None:
        """Print to standard output, above the bar."""
        with self._bar.external_write_mode():
            print(text, end="", flush=True)

    def _show(self, audio_s: float) -> None:
        if audio_s > 0:
            factor = (time.perf_counter() - self._started) / audio_s
            self._bar.set_postfix_str(f"{audio_s:.0f} s of audio, RTF {factor:.4f}", refresh=False)
            self._bar.update(0)
