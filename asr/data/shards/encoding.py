"""An utterance's audio as it is packed: FLAC, Opus, or the file as it stands."""

import io
from pathlib import Path
from typing import Literal, NamedTuple

import soundfile

from asr.audio import Audio, AudioError, audio_info, read_audio, to_pcm16
from asr.data.manifest import Utterance, longest_audio
from asr.data.shards.ogg import number_stream
from asr.data.unusable import Unusable
from asr.files import read_bytes

# keep: the file as it is; flac: 16 bits without loss; opus: a tenth of it, with a little loss.
Format = Literal["flac", "opus", "keep"]
# Hz; Opus has no others.
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


class Packed(NamedTuple):
    """An utterance and its audio file."""

    utterance: Utterance
    content: bytes
    suffix: str  # with its dot


def check_format(style: Format, sample_rate: int | None) -> None:
    """Refuse a format that cannot have a rate.

    Raises:
        ValueError: says what can be had.
    """
    if style == "keep" and sample_rate is not None:
        raise ValueError("sample_rate changes the audio, and format=keep leaves it as it is")
    if style == "opus" and sample_rate not in (None, *OPUS_RATES):
        rates = ", ".join(map(str, OPUS_RATES))
        raise ValueError(f"sample_rate of opus must be one of {rates} Hz, got {sample_rate}")


def encode(utterance: Utterance, style: Format, sample_rate: int | None) -> Packed | Unusable:
    """Read an utterance's audio and bring it into a format.

    Args:
        sample_rate: Hz to resample to; None keeps the file's own.
    """
    path = utterance.audio_filepath
    try:
        if style == "keep":
            audio_info(path)
            return Packed(utterance, read_bytes(path), path.suffix.lower())
        audio = read_audio(path, sample_rate, longest_audio(utterance.duration))
        content = _compress(path, audio, style)
        return Packed(utterance, content, f".{style}")
    except ValueError as error:
        return Unusable(utterance.id, str(error))


def _compress(path: Path, audio: Audio, style: Format) -> bytes:
    buffer = io.BytesIO()
    samples, sample_rate = to_pcm16(audio.waveform), audio.sample_rate
    if style == "flac":
        soundfile.write(buffer, samples, sample_rate, format="FLAC", subtype="PCM_16")
        return buffer.getvalue()
    if sample_rate not in OPUS_RATES:
        raise AudioError(
            f"{path}: Opus has no {sample_rate} Hz: --sample-rate 16000, or another of "
            f"{', '.join(map(str, OPUS_RATES))}"
        )
    soundfile.write(buffer, samples, sample_rate, format="OGG", subtype="OPUS")
    return number_stream(buffer.getvalue())
