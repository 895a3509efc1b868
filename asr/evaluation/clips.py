"""Recordings made small enough to stand inside a page."""

import base64
import io

import soundfile

from asr.audio import AudioError, read_audio

# MPEG layer 3 is what every browser plays; at this rate and compression it takes 4 kB a second.
SAMPLE_RATE = 16000
COMPRESSION = 0.9
MAX_CLIP_S = 20.0


class ClipBudget:
    """Embeds recordings until a page has enough of them.

    Args:
        most: bytes of audio in a page.
    """

    def __init__(self, most: int = 3_000_000) -> None:
        self.left = most

    def embed(self, path: object) -> tuple[str, str]:
        """Return a data URI of a recording, or "" and why there is none."""
        if not isinstance(path, str) or not path:
            return "", "no recording is named"
        try:
            waveform, *_ = read_audio(path, SAMPLE_RATE, MAX_CLIP_S)
        except AudioError as error:
            return "", str(error)
        content = io.BytesIO()
        soundfile.write(content, waveform, SAMPLE_RATE, format="MP3", compression_level=COMPRESSION)
        size = len(content.getvalue())
        if size > self.left:
            return "", "left out: this page has enough audio"
        self.left -= size
        return f"data:audio/mpeg;base64,{base64.b64encode(content.getvalue()).decode()}", ""
