import json
import math
import re
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.recognition.formats import format_transcripts
from asr.recognition.subtitles import (
    CUE_PAUSE_S,
    MAX_CUE_LINES,
    MAX_CUE_S,
    MAX_LINE_WIDTH,
    make_cues,
)
from asr.recognition.transcripts import TimedWord, Transcript, time_words


class FramedWord(NamedTuple):
    word: str
    start_frame: int
    end_frame: int
    confidence: float


WORDS = [TimedWord("turn", 0.5, 0.75, 0.9), TimedWord("left", 1.0, 1.25, 0.8125)]
TRANSCRIPT = Transcript("turn left", WORDS, 2.0, -1.25, "a b.wav", ["2 channels averaged to one"])
EMPTY = Transcript("", [], 1.0, -0.5, "silence.wav")
FAILED = Transcript("", audio="bad.wav", error="bad.wav: no such audio file")


@st.composite
def timed_words(draw):
    words, now = [], 0.0
    for text in draw(st.lists(st.text("ab'<&>-", min_size=1, max_size=60), max_size=40)):
        start = now + draw(st.floats(0, 2))
        now = start + draw(st.floats(0.01, 1))
        words.append(TimedWord(text, start, now, 0.5))
    return words


def test_time_words_turns_frames_into_seconds_within_the_recording():
    words = time_words([FramedWord("a", 2, 5, 0.5), FramedWord("b", 9, 10, 1.0)], 0.04, 0.38)

    assert words == [("a", 0.08, 0.2, 0.5), ("b", 0.36, 0.38, 1.0)]


def test_text_of_one_recording_is_the_text_alone():
    assert format_transcripts([TRANSCRIPT], "text") == "turn left\n"


def test_text_of_several_recordings_names_each():
    text = format_transcripts([TRANSCRIPT, FAILED, EMPTY], "text")

    assert text == "a b.wav: turn left\nsilence.wav: \n"


def test_json_holds_all_of_a_transcript():
    record = json.loads(format_transcripts([TRANSCRIPT], "json"))

    assert record == {
        "audio": "a b.wav",
        "text": "turn left",
        "duration": 2.0,
        "score": -1.25,
        "segments": [],
        "words": [
            {"word": "turn", "start": 0.5, "end": 0.75, "confidence": 0.9},
            {"word": "left", "start": 1.0, "end": 1.25, "confidence": 0.8125},
        ],
        "notes": ["2 channels averaged to one"],
    }


def test_json_of_several_recordings_is_one_line_each_with_failures_named():
    lines = format_transcripts([EMPTY, FAILED], "json").splitlines()

    assert json.loads(lines[1]) == {"audio": "bad.wav", "error": "bad.wav: no such audio file"}
    assert len(lines) == 2


def test_json_has_null_for_an_impossible_score():
    assert (
        json.loads(format_transcripts([Transcript("", score=-math.inf)], "json"))["score"] is None
    )


def test_ctm_has_a_line_a_word_and_no_spaces_in_names():
    assert format_transcripts([TRANSCRIPT, EMPTY], "ctm") == (
        "a_b.wav 1 0.500 0.250 turn 0.9000\na_b.wav 1 1.000 0.250 left 0.8125\n"
    )


def test_srt_numbers_cues_and_uses_commas():
    late = TimedWord("again", 3661.5, 3662.75, 0.5)
    transcript = Transcript("turn left again", [*WORDS, late], 4000.0)

    assert format_transcripts([transcript], "srt") == (
        "1\n00:00:00,500 --> 00:00:01,333\nturn left\n\n2\n01:01:01,500 --> 01:01:02,750\nagain\n"
    )


def test_vtt_escapes_markup():
    transcript = Transcript("<b> & -->", [TimedWord("<b> & -->", 0.0, 1.0, 1.0)], 1.0)

    assert format_transcripts([transcript], "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n&lt;b&gt; &amp; --&gt;\n"
    )


def test_srt_text_holds_no_arrow():
    transcript = Transcript("-->", [TimedWord("-->", 0.0, 1.0, 1.0)], 1.0)

    assert format_transcripts([transcript], "srt").count("-->") == 1


@pytest.mark.parametrize(("style", "expected"), [("srt", ""), ("vtt", "WEBVTT\n"), ("ctm", "")])
def test_silence_makes_an_empty_file(style, expected):
    assert format_transcripts([EMPTY], style) == expected


@pytest.mark.parametrize("style", ["srt", "vtt"])
def test_subtitles_of_several_recordings_are_refused(style):
    with pytest.raises(ValueError, match=f"{style} holds one recording, got 2"):
        format_transcripts([TRANSCRIPT, EMPTY], style)


def test_unknown_format_is_refused():
    with pytest.raises(ValueError, match=r"format must be one of text, json, .* got 'doc'"):
        format_transcripts([TRANSCRIPT], "doc")


def test_cue_ends_before_a_pause():
    words = [TimedWord("a", 0, 1, 1.0), TimedWord("b", 1 + CUE_PAUSE_S, 3, 1.0)]

    assert [cue.lines for cue in make_cues(words, 3.0)] == [["a"], ["b"]]


def test_short_cue_stays_until_it_can_be_read_but_not_into_the_next():
    words = [TimedWord("a", 0, 0.1, 1.0), TimedWord("b", 5, 5.1, 1.0)]

    assert [(cue.start_s, cue.end_s) for cue in make_cues(words, 5.2)] == [(0, 0.833), (5, 5.2)]


@settings(deadline=None)
@given(timed_words())
def test_cues_hold_every_word_once_in_order(words):
    cues = make_cues(words, 1000.0)

    assert " ".join(" ".join(cue.lines) for cue in cues).split() == [w.word for w in words]


@settings(deadline=None)
@given(timed_words())
def test_cues_are_readable_and_never_overlap(words):
    cues = make_cues(words, 1000.0)

    for cue in cues:
        assert cue.start_s < cue.end_s <= cue.start_s + MAX_CUE_S
        assert len(cue.lines) <= MAX_CUE_LINES
        assert all(len(line) <= MAX_LINE_WIDTH or " " not in line for line in cue.lines)
    assert all(a.end_s <= b.start_s for a, b in pairwise(cues))


@settings(deadline=None)
@given(timed_words())
def test_srt_times_read_back_as_milliseconds(words):
    text = format_transcripts([Transcript("", words, 1000.0)], "srt")

    clocks = re.findall(r"(\d\d):(\d\d):(\d\d),(\d\d\d)", text)
    seconds = [int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000 for h, m, s, ms in clocks]
    expected = [t for cue in make_cues(words, 1000.0) for t in (cue.start_s, cue.end_s)]
    assert seconds == pytest.approx(expected, abs=0.0006)


def test_subtitles_of_a_script_without_spaces_have_none():
    words = [
        TimedWord(character, n / 10, n / 10 + 0.1, 1.0) for n, character in enumerate("你好世界")
    ]

    text = format_transcripts([Transcript("你好世界", words, 1.0, joint="")], "srt")

    assert text.splitlines()[2] == "你好世界"
