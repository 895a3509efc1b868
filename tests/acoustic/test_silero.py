from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.acoustic import silero
from asr.acoustic.chunks import cut_chunks
from asr.acoustic.silences import EnergySilences
from asr.acoustic.silero import SileroSilences, choose_finder, open_silero
from asr.resampling import resample

RATE = 16000
PAUSE_S = 1.0

needs_silero = pytest.mark.skipif(find_spec("silero_vad") is None, reason="ctc-asr[vad]")


def record(count, rate=RATE, noise=0.02):
    """Three spoken digits so many times, pauses around them, noise all along; and their ends."""
    path = Path(__file__).parents[1] / "recordings/seven_two_nine.flac"
    speech, source_rate = soundfile.read(path, dtype="float32")
    pause = np.zeros(int(PAUSE_S * rate), np.float32)
    speech = resample(speech, source_rate, rate)
    waveform = np.concatenate([pause, *[speech, pause] * count])
    waveform += noise * np.random.default_rng(0).standard_normal(len(waveform)).astype(np.float32)
    period = len(speech) + len(pause)
    return waveform, [len(pause) + i * period + len(speech) for i in range(count)]


@needs_silero
@pytest.mark.parametrize("rate", [8000, RATE, 22050])
def test_silences_lie_between_speech_in_loud_noise(rate):
    waveform, (end, _) = record(2, rate)

    silences = SileroSilences(rate).find(waveform, 0)

    seconds = np.array(silences) / rate
    assert seconds[0] == pytest.approx([0, PAUSE_S + 0.2], abs=0.15)
    assert seconds[1] == pytest.approx([end / rate, end / rate + PAUSE_S + 0.2], abs=0.2)
    assert len(silences) == 2  # the last one may be longer
    assert len(EnergySilences(rate).find(waveform, 0)) > 4


@needs_silero
def test_silences_do_not_depend_on_the_windows():
    waveform, _ = record(8)
    size = 9 * RATE
    whole = SileroSilences(RATE).find(waveform, 0)
    finder = SileroSilences(RATE)

    for first in [0, 3000, 8 * RATE + 77, len(waveform) - size]:
        window = waveform[first : first + size]
        found = [(first + begin, first + end) for begin, end in finder.find(window, first)]

        inside = [(b, e) for b, e in whole if first < e < first + size - 512]
        assert found[1:] == inside[1:]
        assert found[0] == (max(first, inside[0][0]), inside[0][1])


@needs_silero
def test_probabilities_equal_those_of_one_frame_at_a_time():
    onnxruntime = pytest.importorskip("onnxruntime")
    package = find_spec("silero_vad").submodule_search_locations[0]
    session = onnxruntime.InferenceSession(Path(package, "data/silero_vad.onnx"))
    waveform, _ = record(1)
    state, context, expected = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
    for frame in waveform[: len(waveform) // 512 * 512].reshape(-1, 512):
        inputs = {"input": np.concatenate([context, frame])[None], "state": state}
        probability, state = session.run(None, inputs | {"sr": np.array(RATE, np.int64)})
        context = frame[-64:]
        expected.append(probability.item())

    probabilities, _, _ = SileroSilences(RATE)._run(waveform)

    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    assert max(expected) > 0.9
    assert min(expected) < 0.1


@needs_silero
@pytest.mark.parametrize("num_blocks", [1, 9])
def test_long_recording_in_noise_is_cut_in_its_pauses(num_blocks):
    waveform, ends = record(14)

    chunks = list(cut_chunks(np.array_split(waveform, num_blocks), RATE, 640, SileroSilences))

    cuts = np.cumsum([chunk.core_end - chunk.core_start for chunk in chunks])
    assert cuts[-1] == len(waveform)
    assert len(cuts) == 14
    assert all(end < cut < end + 1.3 * RATE for end, cut in zip(ends[:-1], cuts[:-1], strict=True))
    assert all(chunk.ends_in_silence for chunk in chunks)


def test_speech_begins_and_ends_at_its_own_probability():
    probabilities = np.array([0.1, 0.4, 0.5, 0.4, 0.3, 0.4, 0.6])

    assert [*silero._follow(probabilities, False)] == [0, 0, 1, 1, 0, 0, 1]
    assert [*silero._follow(probabilities[1:3], True)] == [1, 1]


def test_unknown_cut_is_refused():
    with pytest.raises(ValueError, match=r"^cut must be one of energy, silero, got 'loud'$"):
        choose_finder("loud")


@pytest.mark.parametrize("missing", ["silero_vad", "onnxruntime"])
def test_missing_extra_is_one_line(monkeypatch, missing):
    monkeypatch.setattr(
        silero, "find_spec", lambda name: None if name == missing else find_spec(name)
    )
    open_silero.cache_clear()

    with pytest.raises(
        ValueError, match=r"^cut=silero needs silero-vad: pip install 'ctc-asr\[vad\]'$"
    ):
        choose_finder("silero")
