from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import read_audio
from asr.corpora.connected_digits import ConnectedDigits, save_strings
from asr.data.manifest import Utterance, read_manifest

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def make_clips(folder, num_speakers=2, num_takes=2, sample_rate=8000):
    """Tones, one clip a digit, speaker and take; every clip of its own length and level."""
    clips = []
    for speaker in range(num_speakers):
        for digit in range(10):
            for take in range(num_takes):
                number = len(clips)
                samples = 0.2 + 0.004 * number * np.ones(800 + 13 * number)
                path = folder / f"{digit}_s{speaker}_{take}.wav"
                soundfile.write(path, samples, sample_rate)
                clips.append(
                    Utterance(
                        path, len(samples) / sample_rate, WORDS[digit], {"speaker": f"s{speaker}"}
                    )
                )
    return clips


def imagine_clips(num_speakers, num_takes):
    """Clips without audio: composing must not read any."""
    return [
        Utterance(
            Path(f"/none/{digit}_{speaker}_{take}.wav"),
            0.4,
            WORDS[digit],
            {"speaker": f"s{speaker}", "id": f"{digit}_{speaker}_{take}"},
        )
        for speaker in range(num_speakers)
        for digit in range(10)
        for take in range(num_takes)
    ]


def test_strings_are_a_pure_function_of_seed_and_epoch():
    clips = imagine_clips(3, 5)
    first = ConnectedDigits(clips, 50, 1)

    later = first.utterances(4)
    again = ConnectedDigits(clips, 50, 1).utterances(4)

    assert later == again
    assert first.utterances(5) != later
    assert ConnectedDigits(clips, 50, 2).utterances(4) != later


def test_strings_begin_alike_when_fewer_are_asked_for():
    clips = imagine_clips(2, 3)

    assert ConnectedDigits(clips, 100, 7).utterances(0)[:10] == ConnectedDigits(
        clips, 10, 7
    ).utterances(0)


def test_strings_have_one_speaker_unique_ids_and_their_clips_words():
    strings = ConnectedDigits(imagine_clips(3, 5), 200, 1).utterances(0)

    assert len({string.id for string in strings}) == 200
    assert all(
        {clip.extra["speaker"] for clip in string.clips} == {string.speaker} for string in strings
    )
    assert all(string.text.split() == [clip.text for clip in string.clips] for string in strings)


def test_strings_have_all_lengths_about_equally_often():
    strings = ConnectedDigits(imagine_clips(2, 5), 1400, 3).utterances(0)

    counts = Counter(len(string.clips) for string in strings)
    assert sorted(counts) == [1, 2, 3, 4, 5, 6, 7]
    assert 140 < min(counts.values()) <= max(counts.values()) < 260


def test_strings_follow_each_digit_by_every_digit():
    strings = ConnectedDigits(imagine_clips(2, 5), 2000, 3).utterances(0)

    pairs = {
        (left.text, right.text)
        for string in strings
        for left, right in zip(string.clips, string.clips[1:], strict=False)
    }
    assert len(pairs) == 100


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 150), st.integers(0, 1000))
def test_strings_use_every_clip_about_equally(num_speakers, num_takes, num_strings, seed):
    clips = imagine_clips(num_speakers, num_takes)

    strings = ConnectedDigits(clips, num_strings, seed).utterances(0)

    uses = Counter({clip.id: 0 for clip in clips})
    uses.update(clip.id for string in strings for clip in string.clips)
    assert max(uses.values()) - min(uses.values()) <= 2
    for string in strings:
        assert len({clip.id for clip in string.clips}) == len(string.clips)


def test_strings_repeat_clips_only_when_there_are_too_few():
    clips = imagine_clips(1, 1)[:3]

    strings = ConnectedDigits(clips, 20, 0, min_digits=7).utterances(0)

    for string in strings:
        assert sorted(Counter(clip.id for clip in string.clips).values()) == [2, 2, 3]


def test_duration_counts_clips_and_pauses():
    strings = ConnectedDigits(
        imagine_clips(1, 1), 100, 0, min_pause_s=0.1, max_pause_s=0.2
    ).utterances(0)

    for string in strings:
        num_digits = len(string.clips)
        assert len(string.pauses_s) == num_digits + 1
        before, *between, after = string.pauses_s
        assert all(0.1 <= pause_s <= 0.2 for pause_s in between)
        assert 0.0 <= min(before, after) <= max(before, after) <= 0.2
        assert string.duration == pytest.approx(0.4 * num_digits + sum(string.pauses_s))


@pytest.mark.parametrize("sample_rate", [8000, 16000, 11025])
def test_waveform_has_the_promised_length(tmp_path, sample_rate):
    for string in ConnectedDigits(make_clips(tmp_path), 20, 5).utterances(0):
        waveform = string.waveform(sample_rate)

        assert waveform.dtype == np.float32
        assert len(waveform) == round(string.duration * sample_rate)
        assert np.abs(waveform).max() <= 1.0


def test_waveform_holds_its_clips_in_order_between_faint_noise(tmp_path):
    string = ConnectedDigits(make_clips(tmp_path), 1, 5, min_digits=4).utterances(0)[0]

    waveform = string.waveform(8000)

    position = 0.0
    for clip, pause in zip(string.clips, string.pauses_s, strict=False):
        gap = waveform[round(8000 * position) + 1 : round(8000 * (position + pause)) - 1]
        assert 0 < gap.std() < 0.003
        position += pause
        middle = round(8000 * (position + clip.duration / 2))
        level = read_audio(clip.audio_filepath).waveform[0]
        assert waveform[middle] == pytest.approx(level, abs=0.01)
        position += clip.duration
    assert 0 < waveform[round(8000 * position) + 1 :].std() < 0.003


def test_waveform_is_the_same_every_time_and_differs_between_strings(tmp_path):
    strings = ConnectedDigits(make_clips(tmp_path), 2, 5).utterances(0)

    np.testing.assert_array_equal(strings[0].waveform(16000), strings[0].waveform(16000))
    assert not np.array_equal(strings[0].waveform(16000)[:100], strings[1].waveform(16000)[:100])


def test_waveform_fades_the_edges_of_clips(tmp_path):
    string = ConnectedDigits(make_clips(tmp_path), 1, 5, max_noise_db=-80).utterances(0)[0]

    waveform = string.waveform(8000)

    assert np.abs(np.diff(waveform)).max() < 0.02


def test_waveform_names_the_clip_whose_manifest_is_wrong(tmp_path):
    clips = [
        Utterance(clip.audio_filepath, clip.duration + 0.1, clip.text, clip.extra)
        for clip in make_clips(tmp_path)
    ]
    string = ConnectedDigits(clips, 1, 5).utterances(0)[0]

    with pytest.raises(ValueError, match=r"\.wav: lasts 0\.\d+ s, its manifest says"):
        string.waveform(8000)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"num_strings": 0}, "num_strings must be >= 1, got 0"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
        ({"min_digits": 0}, "min_digits and max_digits must rise from 1 on, got 0 and 7"),
        ({"min_digits": 8}, "got 8 and 7"),
        ({"min_pause_s": 0.0}, "min_pause_s and max_pause_s"),
        ({"max_noise_db": 0.0}, "max_noise_db must be < 0"),
        ({"utterances": []}, "at least one clip"),
        ({"utterances": [Utterance(Path("/a.wav"), 1.0, "one")]}, "key 'speaker'"),
    ],
)
def test_connected_digits_refuses_parameters_out_of_range(options, rule):
    arguments = {"utterances": imagine_clips(1, 1), "num_strings": 5, "seed": 0} | options

    with pytest.raises(ValueError, match=rule):
        ConnectedDigits(**arguments)


def test_epoch_must_not_be_negative():
    with pytest.raises(ValueError, match="epoch must be >= 0"):
        ConnectedDigits(imagine_clips(1, 1), 5, 0).utterances(-1)


def test_save_strings_writes_what_a_manifest_can_name(tmp_path):
    strings = ConnectedDigits(make_clips(tmp_path), 3, 5).utterances(0)

    saved = save_strings(strings, tmp_path / "out", 16000)

    for string, utterance in zip(strings, saved, strict=True):
        audio = read_audio(utterance.audio_filepath)
        assert (utterance.id, utterance.text) == (string.id, string.text)
        assert utterance.duration == len(audio.waveform) / 16000
        np.testing.assert_allclose(audio.waveform, string.waveform(16000), atol=2e-5)


def test_real_test_digits_fill_their_strings(real_speech, tmp_path):
    clips = read_manifest(real_speech / "fsdd" / "test.jsonl")

    strings = ConnectedDigits(clips, 200, 2026).utterances(0)

    uses = Counter(clip.id for string in strings for clip in string.clips)
    assert len(uses) == 200
    assert max(uses.values()) - min(uses.values()) <= 2
    assert {string.speaker for string in strings} == {"george", "jackson", "nicolas", "yweweler"}
