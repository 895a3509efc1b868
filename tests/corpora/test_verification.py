import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.corpora.verification import Inspection, VerificationRules, verify
from asr.data.manifest import Utterance
from asr.text import CharTokenizer

TOKENIZER = CharTokenizer(" 'abcdefghijklmnopqrstuvwxyz")
RULES = VerificationRules()


def write_noise(path, duration_s=1.0, sample_rate=16000, channels=1, subtype="PCM_16"):
    samples = np.random.default_rng(0).normal(0, 0.1, (round(duration_s * sample_rate), channels))
    soundfile.write(path, samples, sample_rate, subtype=subtype, format="WAV")
    return path


def check(*utterances, split="train", rules=RULES, tokenizer=TOKENIZER):
    return verify(Inspection(split, utterances, tokenizer, rules, progress=False))


def only_rejection(*utterances, **options):
    verified = check(*utterances, **options)
    assert len(verified.rejected) == 1
    return verified.rejected[0]


def test_verify_keeps_good_utterances_in_order_with_measured_durations(tmp_path):
    utterances = [
        Utterance(
            write_noise(tmp_path / f"{i}.wav", 1 + i / 10), float("nan"), "go", {"speaker": f"{i}"}
        )
        for i in range(20)
    ]

    verified = check(*utterances)

    assert verified.rejected == []
    assert [item.extra for item in verified.utterances] == [item.extra for item in utterances]
    assert [item.duration for item in verified.utterances] == pytest.approx(
        [1 + i / 10 for i in range(20)]
    )


def test_verify_measures_sample_rates_and_channels(tmp_path):
    utterances = [
        Utterance(write_noise(tmp_path / "a.wav", sample_rate=8000), 1.0, "go"),
        Utterance(write_noise(tmp_path / "b.wav", channels=2), 1.0, "go"),
        Utterance(write_noise(tmp_path / "c.wav", channels=2, subtype="PCM_24"), 1.0, "go"),
    ]

    verified = check(*utterances)

    assert verified.rejected == []
    formats = [(sound.sample_rate, sound.channels) for sound in verified.sounds.values()]
    assert formats == [(8000, 1), (16000, 2), (16000, 2)]


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def add_nan(path):
    samples, rate = soundfile.read(path)
    samples[3] = np.nan
    soundfile.write(path, samples, rate, subtype="FLOAT")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "no such audio file"),
        (cut_in_half, "truncated"),
        (add_nan, "samples must be finite"),
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: path.write_bytes(b"not audio" * 99), "cannot be decoded"),
        (lambda path: soundfile.write(path, np.zeros(0), 16000), "holds no samples"),
    ],
)
def test_verify_rejects_audio_that_cannot_be_read(tmp_path, damage, reason):
    path = write_noise(tmp_path / "a.wav")
    damage(path)

    rejection = only_rejection(Utterance(path, 1.0, "go"))

    assert rejection.reason == reason
    assert rejection.detail.startswith(f"{path}: ")
    assert "\n" not in rejection.detail


@pytest.mark.parametrize(
    ("text", "duration", "reason", "detail"),
    [
        ("", 1.0, "empty transcript", "the transcript is empty"),
        (" ", 1.0, "empty transcript", "the transcript is empty"),
        ("Go", 1.0, "text outside the alphabet", "'G'"),
        ("go 4", 1.0, "text outside the alphabet", "'4'"),
        ("go", 1.2, "duration differs from the manifest", "lasts 1.000 s, its manifest says 1.200"),
        ("go", 0.8, "duration differs from the manifest", "tolerance 0.1 s"),
        ("abcdefghijklmnopqrstuvwxyz", 1.0, "text too long for CTC", "needs 26 frames"),
        ("aabbccddeeffg", 1.0, None, None),
    ],
)
def test_verify_checks_texts_and_durations(tmp_path, text, duration, reason, detail):
    utterance = Utterance(write_noise(tmp_path / "a.wav"), duration, text)

    verified = check(utterance)

    assert [item.reason for item in verified.rejected] == ([reason] if reason else [])
    assert all(detail in item.detail for item in verified.rejected)


def test_verify_counts_the_blank_between_equal_letters(tmp_path):
    path = write_noise(tmp_path / "a.wav", 0.24)

    # 0.24 s give 6 frames of 0.04 s; "three" needs 5 and one more between its e's.
    assert check(Utterance(path, 0.24, "three")).rejected == []
    rejection = only_rejection(Utterance(path, 0.24, "threee"))
    assert "needs 8 frames, 0.240 s give 6 of 0.04 s" in rejection.detail


def test_verify_allows_for_the_frame_rate(tmp_path):
    utterance = Utterance(write_noise(tmp_path / "a.wav", 0.2), 0.2, "seven")

    assert check(utterance, rules=VerificationRules(seconds_per_frame=0.04)).rejected == []
    assert check(utterance, rules=VerificationRules(seconds_per_frame=0.08)).rejected != []


@pytest.mark.parametrize(("duration", "reason"), [(0.09, "too short"), (2.1, "too long")])
def test_verify_limits_durations(tmp_path, duration, reason):
    path = write_noise(tmp_path / "a.wav", duration)

    rejection = only_rejection(
        Utterance(path, duration, "a"), rules=VerificationRules(max_duration_s=2.0)
    )

    assert rejection.reason == reason


def test_verify_rejects_the_second_of_two_equal_ids(tmp_path):
    path = write_noise(tmp_path / "a.wav")
    first = Utterance(path, 1.0, "one", {"id": "x"})
    second = Utterance(path, 1.0, "two", {"id": "x"})

    verified = check(first, second)

    assert [item.text for item in verified.utterances] == ["one"]
    assert [item.reason for item in verified.rejected] == ["duplicate id"]
    assert "id 'x' occurs twice" in verified.rejected[0].detail


def test_verify_wants_background_without_text_and_of_any_length(tmp_path):
    path = write_noise(tmp_path / "a.wav", 0.05)
    silent = Utterance(path, 0.05, "", {"id": "a"})
    spoken = Utterance(path, 0.05, "go", {"id": "b"})

    verified = check(silent, spoken, split="background")

    assert [item.id for item in verified.utterances] == ["a"]
    assert [item.reason for item in verified.rejected] == ["background sound with a text"]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"seconds_per_frame": 0.0}, "seconds_per_frame must be > 0, got 0.0"),
        ({"min_duration_s": 5.0, "max_duration_s": 4.0}, "got 5.0 and 4.0"),
        ({"duration_tolerance_s": -0.1}, "duration_tolerance_s must be >= 0"),
    ],
)
def test_verification_rules_refuse_values_out_of_range(options, rule):
    with pytest.raises(ValueError, match=rule):
        VerificationRules(**options)


@pytest.mark.parametrize("split", ["train", "noise"])
def test_verify_does_not_read_what_its_header_calls_too_long(tmp_path, split):
    path = tmp_path / "long.flac"
    seconds = 50 if split == "train" else 3700
    soundfile.write(path, np.zeros(1000 * seconds, np.int16), 1000)
    tracemalloc.start()

    text = "go" if split == "train" else ""
    rejection = only_rejection(Utterance(path, float("nan"), text), split=split)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "maximum" in rejection.detail
    assert peak < 100_000
