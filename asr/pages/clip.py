"""Sound inside a page: MP3, which every browser plays, as an address that holds it."""

import base64
import io

import numpy as np
import soundfile


def encode_clip(waveform: np.ndarray, sample_rate: int, compression: float | None = None) -> bytes:
    """Encode (L,) samples as MP3.

    Args:
        compression: 0 (large and good) to 1 (small), None for the encoder's own choice.
    """
    content = io.BytesIO()
    samples = np.ascontiguousarray(waveform)
    soundfile.write(content, samples, sample_rate, format="MP3", compression_level=compression)
    return content.getvalue()


def clip_address(content: bytes) -> str:
    """Address, for a player's `src`, that holds what `encode_clip` made."""
    return f"data:audio/mpeg;base64,{base64.b64encode(content).decode()}"
