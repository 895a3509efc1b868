import io
import queue
import wave
from types import SimpleNamespace

import numpy as np
import pytest

from asr.audio import AudioError
from asr.media import live
from asr.media.live import open_microphone, open_raw, open_wav

SAMPLES = np.array([0, 1, -1, 16384, -32768, 32767], "<i2")


class Pipe(io.RawIOBase):
    """Gives bytes in pieces of a size, and cannot seek."""

    def __init__(self, content, size):
        self._content, self._size = content, size

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self._content[: min(self._size, len(buffer))]
        self._content = self._content[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


def pipe(content, size=7):
    return io.BufferedReader(Pipe(content, size))


def wav(samples=SAMPLES, rate=8000, channels=1, width=2, announced=None):
    """A WAV stream whose header may announce another number of bytes."""
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setparams((channels, width, rate, 0, "NONE", ""))
        made.writeframes(samples.tobytes())
    content = bytearray(file.getvalue())
    if announced is not None:
        content[40:44] = announced.to_bytes(4, "little")
    return bytes(content)


def joined(sound):
    return np.concatenate([np.empty((sound.channels, 0)), *sound.blocks], axis=1)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_raw_samples_come_in_any_pieces(size):
    sound = open_raw(pipe(SAMPLES.tobytes(), size), 8000)

    assert (sound.sample_rate, sound.channels) == (8000, 1)
    assert joined(sound).tolist() == [[0, 1 / 32768, -1 / 32768, 0.5, -1, 32767 / 32768]]


@pytest.mark.parametrize("announced", [None, 0, 0xFFFFFFFF, 0x7FFFF000])
def test_wav_streams_of_any_announced_length_are_read(announced):
    sound = open_wav(pipe(wav(announced=announced)))

    assert (sound.sample_rate, sound.channels) == (8000, 1)
    assert joined(sound).tolist() == [(SAMPLES / 32768).tolist()]


def test_channels_stand_one_above_the_other():
    sound = open_wav(pipe(wav(channels=2)))

    assert joined(sound).tolist() == (SAMPLES.reshape(3, 2).T / 32768).tolist()


def test_what_follows_the_samples_of_a_wav_stream_is_no_sound():
    sound = open_wav(pipe(wav() + b"LIST\x04\x00\x00\x00abcd"))

    assert joined(sound).shape == (1, 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no WAV stream of integers .it ends before its samples.; --rate says"),
        (b"ID3 and more", "is no WAV stream of integers"),
        (wav()[:20], "is no WAV stream of integers"),
        (wav(width=4, samples=np.zeros(4, "<i4")), "samples must have 16 bits, got 32"),
        (wav(rate=10), r"sample_rate must be 1000\.\.768000 Hz, got 10"),
    ],
)
def test_other_streams_are_refused(content, message):
    with pytest.raises(ValueError, match=message):
        open_wav(pipe(content))


def test_wav_stream_is_no_raw_sound():
    with pytest.raises(AudioError, match="is a WAV stream, which knows its rate: omit --rate"):
        joined(open_raw(pipe(wav(), 100), 8000))


@pytest.mark.parametrize("sound", [open_raw(pipe(b""), 8000), open_wav(pipe(wav(SAMPLES[:0])))])
def test_nothing_is_refused(sound):
    with pytest.raises(AudioError, match="standard input: holds no samples"):
        joined(sound)


def test_ends_that_are_none_are_said(caplog):
    assert joined(open_raw(pipe(SAMPLES.tobytes()[:5]), 8000)).shape == (1, 2)
    assert "ends within a sample, after 5 bytes" in caplog.text

    assert joined(open_wav(pipe(wav(announced=100)))).shape == (1, 6)
    assert "ends after 12 bytes of the 100 announced" in caplog.text


class Ending(queue.Queue):
    """Ends a test where a microphone would go on for ever."""

    def get(self, timeout=None):
        if self.empty():
            raise KeyboardInterrupt
        return super().get(timeout=timeout)


class PortAudioError(Exception):
    pass


def fake_sounddevice(blocks=(), status="", fails=False):
    """What of sounddevice is used; the microphone has heard `blocks` (L, 1)."""

    class InputStream:
        def __init__(self, rate, device, channels, dtype, callback):
            assert (rate, device, channels, dtype) == (48000, 2, 1, "float32")
            if fails:
                raise PortAudioError("device is busy")
            for block in blocks:
                callback(block, len(block), None, status)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    def query_devices(device, kind):
        if device == "none":
            raise ValueError("No input device matching 'none'")
        return {"default_samplerate": 48000.0}

    return SimpleNamespace(
        InputStream=InputStream, query_devices=query_devices, PortAudioError=PortAudioError
    )


@pytest.fixture
def microphone(monkeypatch):
    monkeypatch.setattr(live, "queue", SimpleNamespace(SimpleQueue=Ending, Empty=queue.Empty))

    def put(**options):
        made = fake_sounddevice(**options)
        monkeypatch.setattr(live, "import_module", {"sounddevice": made}.__getitem__)

    return put


def test_microphone_gives_all_that_was_heard_at_its_rate(microphone, caplog):
    microphone(blocks=[np.full((3, 1), 0.5, np.float32), np.zeros((2, 1), np.float32)])
    sound = open_microphone("2")

    assert sound.sample_rate == 48000
    assert next(sound.blocks).tolist() == [[0.5, 0.5, 0.5, 0, 0]]
    assert not caplog.text
    with pytest.raises(KeyboardInterrupt):
        next(sound.blocks)


def test_lost_samples_and_late_recognition_are_said(microphone, caplog):
    microphone(blocks=[np.zeros((4 * 48000, 1), np.float32)], status="input overflow")

    next(open_microphone("2").blocks)

    assert "microphone: input overflow" in caplog.text
    assert "recognition is slower than speech, 4.0 s late" in caplog.text


def test_microphone_that_cannot_be_used_is_named(microphone):
    microphone(fails=True)

    with pytest.raises(ValueError, match="microphone none: No input device matching 'none'"):
        open_microphone("none")
    with pytest.raises(ValueError, match="microphone: device is busy"):
        next(open_microphone("2").blocks)


@pytest.mark.parametrize("error", [ModuleNotFoundError("no"), OSError("no PortAudio")])
def test_missing_library_is_named_with_what_to_install(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(live, "import_module", fail)

    with pytest.raises(ImportError, match=r"pip install 'ctc-asr\[listen\]'.*libportaudio2"):
        open_microphone(None)
