import numpy as np
import pytest

from asr.acoustic.silences import LONG_PIECE_S, MIN_PIECE_S, PAUSE_S, EnergySilences, choose_cut

RATE = 8000


def speech(*parts, floor=1e-3, seed=0):
    """Noise for each number of seconds, loud for the first, third, ... part, faint between."""
    rng = np.random.default_rng(seed)
    levels = [floor if number % 2 else 0.2 for number in range(len(parts))]
    pieces = [
        level * rng.standard_normal(int(seconds * RATE))
        for seconds, level in zip(parts, levels, strict=True)
    ]
    return np.concatenate(pieces).astype(np.float32)


def cut(waveform, first=0, frame_samples=80):
    silences = EnergySilences(RATE).find(waveform, 0)
    return choose_cut(silences, first, len(waveform), RATE, frame_samples)


@pytest.mark.parametrize("floor", [0.0, 1e-4, 1e-3, 1e-2])
def test_first_pause_ends_a_piece_in_its_middle(floor):
    waveform = speech(2.0, 0.6, 1.5, 0.8, 2.0, floor=floor)

    assert cut(waveform) == pytest.approx(2.3 * RATE, abs=RATE // 50)


def test_pause_between_words_of_a_sentence_is_left():
    assert cut(speech(2.0, PAUSE_S - 0.05, 2.0)) is None


def test_long_piece_is_cut_at_its_longest_silence():
    waveform = speech(2.0, 0.15, 2.0, 0.3, 2.0, 0.2, 2.0)
    assert len(waveform) > LONG_PIECE_S * RATE

    assert cut(waveform) == pytest.approx(4.3 * RATE, abs=RATE // 50)


def test_long_piece_before_a_pause_is_cut_before_it():
    waveform = speech(5.0, 0.2, 3.0, 1.0, 2.0)

    assert cut(waveform) == pytest.approx(5.1 * RATE, abs=RATE // 50)


@pytest.mark.parametrize("first", [0, RATE])
def test_pieces_are_not_too_short_for_normalisation(first):
    early = MIN_PIECE_S - 0.5
    waveform = np.concatenate([np.zeros(first, np.float32), speech(early, 0.5, 2.0, 0.6, 2.0)])

    assert cut(waveform, first) == pytest.approx(first + 3.3 * RATE, abs=RATE // 50)


@pytest.mark.parametrize("frame_samples", [80, 320, 640])
def test_cut_is_a_multiple_of_a_frame(frame_samples):
    assert cut(speech(2.03, 0.6, 2.0), frame_samples=frame_samples) % frame_samples == 0


@pytest.mark.parametrize(
    "waveform",
    [
        np.zeros(0, np.float32),
        np.zeros(50, np.float32),
        np.zeros(10 * RATE, np.float32),
        speech(10.0),
        speech(2.0, 8.0),  # who knows how long it goes on
    ],
)
def test_no_silence_gives_no_cut(waveform):
    assert cut(waveform) is None
