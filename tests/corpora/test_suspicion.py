from pathlib import Path

import numpy as np
import pytest

from asr.corpora.measurement import SILENCE_DB, Sound, measure
from asr.corpora.suspicion import find_suspects, rate_scores
from asr.data.manifest import Utterance

GOOD = Sound("", 16000, 1, -20.0, 0.5, 0.0, 0.0)


def check(*items):
    """Items are (split, name, text, duration, sound)."""
    splits, sounds = {}, {}
    for split, name, text, duration, sound in items:
        path = Path(f"/{name}.wav")
        splits.setdefault(split, []).append(Utterance(path, duration, text, {"id": name}))
        sounds[path] = sound if sound.digest else sound._replace(digest=name)
    return [(s.split, s.utterance.id, s.reason) for s in find_suspects(splits, sounds)]


def test_measures_of_a_waveform_by_hand():
    waveform = np.zeros(1000, np.float32)
    waveform[:500] = 0.5
    waveform[100:104] = 1.0
    waveform[200:202] = -1.0

    sound = measure("x", waveform, 1000, 2)

    # 494 samples of 1/4 and six of 1 in a thousand.
    assert sound.level_db == pytest.approx(10 * np.log10((494 / 4 + 6) / 1000))
    assert sound.peak == 1.0
    assert sound.clipped == pytest.approx(4 / 1000)  # two in a row are a peak
    assert sound.silent == pytest.approx(500 / 1000)
    assert (sound.sample_rate, sound.channels) == (1000, 2)
    assert sound.digest == "x"


def test_measures_of_nothing_are_finite():
    sound = measure("", np.zeros(1, np.float32), 16000, 1)

    assert sound.level_db == SILENCE_DB
    assert sound.peak == 0


def test_short_zeros_are_no_silence():
    waveform = np.tile(np.array([0.0, 0.0, 0.1], np.float32), 1000)

    assert measure("", waveform, 16000, 1).silent == 0


def test_rate_scores_by_hand():
    # Distances from the median of 1 are -1, 0, 0, 1 and 2 powers of e; their median is 1.
    scores = rate_scores(np.exp([0.0, 1.0, 1.0, 2.0, 3.0]))

    np.testing.assert_allclose(scores, np.array([-1, 0, 0, 1, 2]) / 1.4826, atol=1e-12)
    assert not rate_scores([3.0] * 5 + [9.0]).any()


def test_texts_that_do_not_fit_are_found_and_the_worst_come_first():
    texts = [("train", f"u{n}", "a" * (12 + n % 5), 1.0, GOOD) for n in range(30)]
    odd = [
        ("dev", "fast", "a" * 60, 1.0, GOOD),
        ("dev", "faster", "a" * 90, 1.0, GOOD),
        ("test", "slow", "aa", 1.0, GOOD),
    ]

    assert check(*texts, *odd) == [
        ("dev", "faster", "text too long for its audio"),
        ("dev", "fast", "text too long for its audio"),
        ("test", "slow", "text too short for its audio"),
    ]
    assert check(*texts[:5], *odd) == []  # too few to have a usual rate


def test_copies_in_two_splits_are_found_but_not_within_one():
    same = GOOD._replace(digest="same")
    found = check(
        ("train", "a", "one", 1.0, same),
        ("train", "b", "one", 1.0, same),
        ("test", "c", "two", 2.0, same),
        ("train", "d", "three", 3.001, GOOD),
        ("dev", "e", "three", 3.002, GOOD),
        ("dev", "f", "three", 3.0, GOOD._replace(level_db=-25.0)),
        ("noise", "g", "", 1.0, same),
    )

    assert found == [
        ("test", "c", "same audio in two splits"),
        ("dev", "e", "same text and sound in two splits"),
    ]


def test_clipping_silence_and_faint_speech_are_found():
    found = check(
        ("train", "a", "one", 1.0, GOOD._replace(clipped=0.0011)),
        ("train", "b", "two", 1.0, GOOD._replace(clipped=0.0009)),
        ("train", "c", "three", 1.0, GOOD._replace(silent=0.31)),
        ("train", "d", "four", 1.0, GOOD._replace(level_db=-61.0)),
        ("noise", "e", "", 1.0, GOOD._replace(clipped=0.5)),
    )

    assert found == [
        ("train", "a", "clipped"),
        ("train", "c", "digital silence"),
        ("train", "d", "faint"),
    ]
