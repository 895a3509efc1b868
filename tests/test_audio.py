import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import (
    AudioError,
    audio_info,
    read_audio,
    read_blocks,
    write_wav,
)


def sine(frequency, sample_rate, duration_s=0.5, amplitude=0.5):
    times = np.arange(round(duration_s * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def cut(path, fraction):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])


@pytest.mark.parametrize(
    ("container", "subtype", "step"),
    [
        ("WAV", "PCM_U8", 1 / 128),
        ("WAV", "PCM_16", 1 / 32768),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "PCM_32", 2**-24),
        ("WAV", "FLOAT", 1e-7),
        ("WAV", "DOUBLE", 1e-7),
        ("FLAC", "PCM_16", 1 / 32768),
        ("NIST", "PCM_16", 1 / 32768),
        ("AIFF", "PCM_24", 2**-23),
    ],
)
def test_read_audio_keeps_samples_of_every_depth(tmp_path, rng, container, subtype, step):
    waveform = rng.uniform(-0.9, 0.9, 3001).astype(np.float32)
    path = tmp_path / "speech"
    soundfile.write(path, waveform, 16000, format=container, subtype=subtype)

    audio = read_audio(path)

    assert audio.waveform.dtype == np.float32
    assert (audio.sample_rate, audio.source_rate, audio.channels) == (16000, 16000, 1)
    np.testing.assert_allclose(audio.waveform, waveform, atol=1.01 * step)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_read_audio_reads_lossy_files_at_full_length(tmp_path, subtype):
    waveform = sine(440, 16000)
    soundfile.write(tmp_path / "a.ogg", waveform, 16000, format="OGG", subtype=subtype)

    audio = read_audio(tmp_path / "a.ogg")

    assert audio.waveform.shape == waveform.shape
    assert np.corrcoef(audio.waveform, waveform)[0, 1] > 0.99


def test_read_audio_averages_channels_and_counts_them(tmp_path, rng):
    channels = rng.uniform(-0.5, 0.5, (2000, 3)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", channels, 16000, subtype="FLOAT")

    audio = read_audio(tmp_path / "a.wav")

    assert audio.channels == 3
    np.testing.assert_allclose(audio.waveform, channels.mean(axis=1), atol=1e-6)


def test_read_audio_joins_blocks_of_long_files(tmp_path, rng):
    waveform = rng.uniform(-0.9, 0.9, 2**20 + 12345).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", waveform, 16000, subtype="FLOAT")

    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav").waveform, waveform)


def test_read_audio_resamples_and_remembers_the_source_rate(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(300, 8000), 8000, subtype="FLOAT")

    audio = read_audio(tmp_path / "a.wav", 16000)

    assert (audio.sample_rate, audio.source_rate) == (16000, 8000)
    inner = slice(200, -200)
    np.testing.assert_allclose(audio.waveform[inner], sine(300, 16000)[inner], atol=2e-3)


def test_read_audio_clips_slight_overshoot(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.5, 1.25, -1.5]), 16000, subtype="FLOAT")

    assert read_audio(tmp_path / "a.wav").waveform.tolist() == [0.5, 1.0, -1.0]


def test_audio_info_matches_the_file(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros((4000, 2)), 8000)

    assert audio_info(tmp_path / "a.flac") == (4000, 8000, 2, 0.5)


def test_audio_longer_than_asked_for_is_refused_before_it_takes_memory(tmp_path):
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(655350 * 8, np.int16), 655350)
    assert path.stat().st_size < 100_000
    tracemalloc.start()

    with pytest.raises(AudioError, match=r"long\.flac: lasts 8\.000 s, maximum 5 s"):
        read_audio(path, 16000, max_duration_s=5.0)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_audio_error_is_printable(tmp_path):
    name = os.fsdecode(b"caf\xe9 \x1b[2J\n.wav")

    with pytest.raises(AudioError) as caught:
        read_audio(tmp_path / name)

    assert str(caught.value) == f"{tmp_path}/" r"caf\udce9 \x1b[2J\n.wav: no such audio file"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=200),
    st.sampled_from([8000, 16000, 44100]),
)
def test_write_wav_keeps_16_bit_samples_exactly(tmp_path_factory, samples, sample_rate):
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    waveform = np.array(samples, dtype=np.float32) / 32768

    write_wav(path, waveform, sample_rate)

    audio = read_audio(path)
    assert audio.sample_rate == sample_rate
    np.testing.assert_array_equal(audio.waveform, waveform)
    assert [item.name for item in path.parent.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("bad", [np.zeros((2, 5)), np.zeros(0), np.array([0.0, np.nan])])
def test_write_wav_refuses_what_it_cannot_write(tmp_path, bad):
    with pytest.raises(ValueError, match="waveform must be"):
        write_wav(tmp_path / "a.wav", bad, 16000)

    assert list(tmp_path.iterdir()) == []


def make_missing(path):
    path.unlink(missing_ok=True)


def make_folder(path):
    path.mkdir()


def make_zero_bytes(path):
    path.write_bytes(b"")


def make_text(path):
    path.write_text("this is not audio\n" * 100)


def make_header_only(path):
    soundfile.write(path, np.zeros(0), 16000, format="WAV")


def make_truncated_wav(path):
    soundfile.write(path, sine(440, 16000), 16000, format="WAV", subtype="PCM_24")
    cut(path, 0.5)


def make_truncated_flac(path):
    soundfile.write(path, sine(440, 16000, 3.0), 16000, format="FLAC")
    cut(path, 0.5)


def make_truncated_vorbis(path):
    noise = np.random.default_rng(0).normal(0, 0.1, 80000)
    soundfile.write(path, noise, 16000, format="OGG", subtype="VORBIS")
    cut(path, 0.5)


def make_truncated_opus(path):
    noise = np.random.default_rng(0).normal(0, 0.1, 80000)
    soundfile.write(path, noise, 16000, format="OGG", subtype="OPUS")
    cut(path, 0.99)


def make_huge_promise(path):
    """A FLAC header that promises 2**36 - 1 samples: 48 days."""
    soundfile.write(path, sine(440, 16000), 16000, format="FLAC")
    content = bytearray(path.read_bytes())
    # STREAMINFO: the last 36 bits of bytes 10..17 after the 8 bytes of marker and block header.
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    path.write_bytes(content)


def make_promise_within_a_day(path):
    """A FLAC header that promises 2**30 samples, 18 h, above half a second of audio."""
    soundfile.write(path, sine(440, 16000), 16000, format="FLAC")
    content = bytearray(path.read_bytes())
    content[22:26] = (2**30).to_bytes(4, "big")
    path.write_bytes(content)


def make_odd_rate(path):
    soundfile.write(path, sine(440, 16000), 10, format="WAV")


def make_nan(path):
    waveform = sine(440, 16000)
    waveform[17] = np.nan
    soundfile.write(path, waveform, 16000, format="WAV", subtype="FLOAT")


def make_infinite(path):
    waveform = sine(440, 16000)
    waveform[17] = -np.inf
    soundfile.write(path, waveform, 16000, format="WAV", subtype="FLOAT")


def make_unscaled(path):
    soundfile.write(path, 20000 * sine(440, 16000), 16000, format="WAV", subtype="FLOAT")


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (make_missing, "no such audio file"),
        (make_folder, "is a folder"),
        (make_zero_bytes, "0 bytes"),
        (make_text, "cannot be decoded: Format not recognised"),
        (make_header_only, "holds no samples"),
        (make_truncated_wav, "truncated, .* bytes of audio instead of 24000"),
        (make_truncated_flac, "cannot be decoded|truncated"),
        (make_truncated_vorbis, "truncated, the last Ogg page is incomplete"),
        (make_truncated_opus, "truncated, the last Ogg page is incomplete"),
        (make_huge_promise, "promises 68719476735 samples, 1193.0 h, more than 24 h"),
        (make_promise_within_a_day, "cannot be decoded|truncated"),
        (make_odd_rate, "sample rate must be 1000..768000 Hz, got 10"),
        (make_nan, "samples must be finite, sample 17 is nan"),
        (make_infinite, "samples must be finite, sample 17 is -inf"),
        (make_unscaled, "peak is 10000"),
    ],
)
def test_read_audio_refuses_bad_file_in_one_line(tmp_path, make, rule):
    path = tmp_path / "bad.audio"
    make(path)

    with pytest.raises(AudioError, match=rule) as caught:
        read_audio(path, 16000)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_read_audio_of_raw_file_says_to_convert(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"\0" * 100)

    with pytest.raises(AudioError, match="convert it to WAV"):
        read_audio(tmp_path / "a.raw")


def test_read_audio_accepts_a_streamed_wav_of_unknown_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(440, 16000), 16000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    where = content.find(b"data") + 4
    content[where : where + 4] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(content)

    assert len(read_audio(tmp_path / "a.wav").waveform) == 8000


def test_read_audio_refuses_a_rate_out_of_range(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(440, 16000), 16000)

    with pytest.raises(ValueError, match=r"sample_rate must be 1000\.\.768000 Hz, got 16"):
        read_audio(tmp_path / "a.wav", 16)


def test_audio_import_needs_no_torch():
    program = "import asr.audio, sys; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("misc/ljspeech/LJ002-0020.wav", (22050, 1.539637)),
        ("noise/esc10/dog_bark/1-85362-A.ogg", (44100, 5.000998)),
        ("librispeech-mini/train-clean-100/19/198/19-198-0000.flac", (16000, 1.965)),
    ],
)
def test_read_audio_reads_real_recordings(real_speech, name, expected):
    audio = read_audio(real_speech / name, 16000)

    rate, duration = expected
    assert audio.source_rate == rate
    assert len(audio.waveform) == pytest.approx(16000 * duration, abs=2)
    assert 0.01 < np.abs(audio.waveform).max() <= 1.0


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 44056])
@pytest.mark.parametrize("seconds", [0.001, 1.0, 3.7])
def test_blocks_joined_equal_the_whole_file(tmp_path, rng, monkeypatch, rate, seconds):
    monkeypatch.setattr("asr.audio._BLOCK_SAMPLES", 10_007)
    path = tmp_path / "a.wav"
    samples = rng.uniform(-0.7, 0.7, (max(1, int(rate * seconds)), 2))
    soundfile.write(path, samples, rate, subtype="FLOAT")

    blocks = list(read_blocks(path, 16000))

    whole = read_audio(path, 16000).waveform
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=2e-6)
    assert seconds < 3 or len(blocks) > 2


def test_blocks_name_what_is_broken_in_the_middle(tmp_path, monkeypatch):
    monkeypatch.setattr("asr.audio._BLOCK_SAMPLES", 1000)
    path = tmp_path / "a.wav"
    samples = np.zeros(5000)
    samples[3456] = np.nan
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    blocks = read_blocks(path, 16000)

    assert [len(next(blocks)) for _ in range(3)] == [1000] * 3
    with pytest.raises(AudioError, match=r"a\.wav: samples must be finite, sample 3456 is nan"):
        next(blocks)


@pytest.mark.parametrize("peak", [1.1, 4.0])
def test_loud_float_samples_are_cut_and_that_is_said_once(tmp_path, caplog, peak):
    path = tmp_path / "loud.wav"
    soundfile.write(path, peak * np.ones(800, np.float32), 8000, subtype="FLOAT")

    for _ in range(2):
        assert read_audio(path).waveform.max() == 1.0

    line = f"{path}: float samples above 1 are cut to it: save the recording less loud"
    assert [record.message for record in caplog.records] == ([line] if peak > 2 else [])
