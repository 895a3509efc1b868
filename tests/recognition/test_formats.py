"""What `format_transcript` writes, read back by the rules of each format."""

import csv
import io
import json
import re

import pytest
from alignment.test_files import read_textgrid

from asr.evaluation.texts import read_texts
from asr.recognition.formats import FORMATS, OF_ONE_RECORDING, format_transcript, format_transcripts
from asr.recognition.subtitles import SubtitleLayout, make_cues
from asr.recognition.transcripts import Alternative, Segment, TimedWord, Transcript

WORDS = [
    TimedWord("turn", 0.5, 0.75, 0.9),
    TimedWord("left", 1.0, 1.25, 0.8125),
    TimedWord('"now"', 40.0, 40.5, 0.5),
]
SEGMENTS = [
    Segment("turn left", WORDS[:2], 0.5, 1.25, -1.0),
    Segment('"now"', WORDS[2:], 40.0, 40.5, -0.25, [Alternative('"now"', -0.25)]),
]
TRANSCRIPT = Transcript(
    'turn left "now"', WORDS, 41.0, -1.25, "calls/a (1).wav", segments=SEGMENTS, channel=2
)


def test_trn_is_read_by_the_importer(tmp_path):
    other = Transcript("", audio="b.wav")
    path = tmp_path / "hyp.trn"
    path.write_text(format_transcripts([TRANSCRIPT, other], "trn"))

    assert read_texts(path, "hypothesis") == {"a_1__2": 'turn left "now"', "b": ""}


def test_textgrid_is_read_by_its_grammar():
    tiers, ends = read_textgrid(format_transcript(TRANSCRIPT, "textgrid"))

    assert ends == (0, 41)
    assert [interval for interval in tiers["words"] if interval[2]] == [
        (word.start_s, word.end_s, word.word) for word in WORDS
    ]


def test_word_in_the_last_frame_has_a_place_in_a_textgrid():
    late = Transcript("a", [TimedWord("a", 1.0, 1.0, 0.5)], 1.0)

    tiers, ends = read_textgrid(format_transcript(late, "textgrid"))

    assert (tiers["words"], ends) == ([(0.0, 1.0, ""), (1.0, 1.001, "a")], (0, 1.001))


def test_tsv_has_a_row_a_segment_in_milliseconds():
    table = csv.reader(
        io.StringIO(format_transcript(TRANSCRIPT, "tsv")), delimiter="\t", quoting=csv.QUOTE_NONE
    )

    assert [*table] == [
        ["start", "end", "text"],
        ["500", "1250", "turn left"],
        ["40000", "40500", '"now"'],
    ]


def test_json_has_segments_with_their_readings_and_the_channel():
    record = json.loads(format_transcript(TRANSCRIPT, "json"))

    assert record["channel"] == 2
    assert record["segments"] == [
        {"start": 0.5, "end": 1.25, "text": "turn left", "score": -1.0},
        {
            "start": 40.0,
            "end": 40.5,
            "text": '"now"',
            "score": -0.25,
            "alternatives": [{"text": '"now"', "score": -0.25}],
        },
    ]


def test_ctm_has_the_channel():
    rows = [line.split() for line in format_transcript(TRANSCRIPT, "ctm").splitlines()]

    assert rows[0] == ["calls/a_(1).wav", "2", "0.500", "0.250", "turn", "0.9000"]


def test_channels_are_named_beside_each_other():
    text = format_transcripts([TRANSCRIPT, TRANSCRIPT], "text")

    assert text == 'calls/a (1).wav [2]: turn left "now"\n' * 2


@pytest.mark.parametrize("style", FORMATS)
def test_silence_can_be_written(style):
    silence = Transcript("", [], 1.0, -0.5, "silence.wav")

    text = format_transcript(silence, style)

    assert style not in OF_ONE_RECORDING or "silence" not in text


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (SubtitleLayout(), [["one two three four five six seven"]]),
        (SubtitleLayout(max_line_width=14), [["one two three", "four five six"], ["seven"]]),
        (SubtitleLayout(words_per_line=3), [["one two three"], ["four five six"], ["seven"]]),
        (SubtitleLayout(max_line_width=8, words_per_line=2),
         [["one two"], ["three"], ["four"], ["five six"], ["seven"]]),
        (SubtitleLayout(max_line_width=1), [["one", "two"], ["three", "four"], ["five", "six"],
                                            ["seven"]]),
    ],
)  # fmt: skip
def test_subtitles_keep_their_layout(layout, expected):
    texts = ["one", "two", "three", "four", "five", "six", "seven"]
    words = [TimedWord(text, 0.5 * n, 0.5 * n + 0.4, 1.0) for n, text in enumerate(texts)]

    assert [cue.lines for cue in make_cues(words, 5.0, layout=layout)] == expected


def test_subtitle_rules_hold_in_srt_and_vtt():
    srt, vtt = (format_transcript(TRANSCRIPT, style) for style in ("srt", "vtt"))

    blocks = srt.split("\n\n")
    assert [block.split("\n")[0] for block in blocks] == ["1", "2"]
    times = r"\d\d:\d\d:\d\d{0}\d{{3}} --> \d\d:\d\d:\d\d{0}\d{{3}}"
    assert all(re.fullmatch(times.format(","), block.split("\n")[1]) for block in blocks)
    head, *cues = vtt.split("\n\n")
    assert head == "WEBVTT"
    assert all(re.fullmatch(times.format(r"\."), cue.split("\n")[0]) for cue in cues)
    assert len(cues) == len(blocks) == 2
