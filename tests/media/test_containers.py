import sys

import numpy as np
import pytest
import soundfile

from asr.audio import AudioError
from asr.media.streams import audio_format, stream_audio

av = pytest.importorskip("av", reason="pip install 'ctc-asr[av]'")

RATE = 48000
KINDS = {"m4a": ("mp4", "aac"), "mp4": ("mp4", "aac"), "webm": ("webm", "libopus")}


def write(path, samples, kind):
    """Write samples (channels, L) with PyAV."""
    container, codec = KINDS[kind]
    layout = "stereo" if len(samples) == 2 else "mono"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout=layout)
        packed = np.ascontiguousarray(samples.T.reshape(1, -1), np.float32)  # (1, L * channels)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)


def sines(*frequencies, seconds=1.5):
    times = np.arange(int(seconds * RATE)) / RATE
    return np.stack([0.3 * np.sin(2 * np.pi * f * times) for f in frequencies])


def loudest(waveform, rate):
    """Frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(waveform))
    return np.argmax(spectrum) * rate / len(waveform)


@pytest.mark.parametrize("kind", KINDS)
def test_sound_of_a_container_is_read(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    write(path, sines(440, 1000), kind)

    assert audio_format(path) == (RATE, 2)
    for channel, frequency in ((0, 440), (1, 1000)):
        waveform = np.concatenate([*stream_audio(path, 16000, channel)])
        assert len(waveform) == pytest.approx(1.5 * 16000, abs=0.1 * 16000)
        assert loudest(waveform, 16000) == pytest.approx(frequency, abs=5)
        assert np.abs(waveform[4000:-4000]).max() == pytest.approx(
            0.3, abs=0.15
        )  # AAC mixes them a little
    mixed = np.concatenate([*stream_audio(path, 16000)])
    assert 0.2 < np.abs(mixed[4000:-4000]).max() < 0.45


def test_pieces_of_a_container_are_those_of_the_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.webm"
    write(path, sines(440), "webm")
    whole = np.concatenate([*stream_audio(path, 16000)])

    monkeypatch.setattr("asr.media.containers._BLOCK_SAMPLES", 5000)
    pieces = [*stream_audio(path, 16000)]

    assert len(pieces) > 5
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=2e-6)


def test_kind_is_told_by_content_and_not_by_name(tmp_path):
    write(tmp_path / "a.wav", sines(440), "m4a")
    soundfile.write(tmp_path / "b.m4a", sines(440)[0], RATE, format="WAV")

    assert audio_format(tmp_path / "a.wav") == audio_format(tmp_path / "b.m4a") == (RATE, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_container_that_is_cut_is_one_line(tmp_path, kind, share):
    path = tmp_path / f"a.{kind}"
    write(path, sines(440), kind)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    with pytest.raises(AudioError, match=rf"^\S*a\.{kind}: ") as caught:
        list(stream_audio(path, 16000))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "names", "rule"),
    [
        ("m4a", [b"mp4a", b"esds"], "cannot be decoded: its codec is not known"),
        ("webm", [b"OpusHead\x01\x01"], "must have a channel, its header has 0"),
    ],
)
def test_header_of_nothing_that_can_be_decoded_is_refused(tmp_path, kind, names, rule):
    path = tmp_path / f"a.{kind}"
    write(path, sines(440), kind)
    content = path.read_bytes()
    for name in names:
        assert content.count(name) == 1
        content = content.replace(name, name[:-1] + b"\0")
    path.write_bytes(content)

    with pytest.raises(AudioError, match=rf"a\.{kind}: {rule}$"):
        audio_format(path)


def test_video_without_sound_is_refused(tmp_path):
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)

    with pytest.raises(AudioError, match=r"silent\.mp4: holds no audio"):
        audio_format(path)


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.m4a"
    write(path, sines(440), "m4a")
    monkeypatch.setitem(sys.modules, "av", None)

    with pytest.raises(AudioError, match=r"a\.m4a: needs PyAV: pip install 'ctc-asr\[av\]'"):
        audio_format(path)
