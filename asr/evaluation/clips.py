"""Recordings made small enough to stand inside a page."""

from asr.audio import AudioError, read_audio
from asr.pages.clip import clip_address, encode_clip

# At this rate and compression a second takes 4 kB.
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
        content = encode_clip(waveform, SAMPLE_RATE, COMPRESSION)
        if len(content) > self.left:
            return "", "left out: this page has enough audio"
        self.left -= len(content)
        return clip_address(content), ""
