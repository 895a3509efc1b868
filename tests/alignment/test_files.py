"""Alignments in JSON Lines, CTM and TextGrid, each read back."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.alignment.files import add_alignment, format_ctm, safe_names, write_alignments
from asr.alignment.spans import Alignment
from asr.data.manifest import Utterance, read_manifest
from asr.data.unusable import Unusable
from asr.recognition.textgrid import format_textgrid
from asr.recognition.transcripts import TimedWord

WORDS = [TimedWord("don't", 0.08, 0.4, 0.75), TimedWord("stop", 0.4, 1.0, 0.5)]
TOKENS = [TimedWord("d", 0.08, 0.12, 0.75), TimedWord("s", 0.4, 0.44, 0.5)]
ALIGNMENT = Alignment(WORDS, TOKENS, 1.28, -1.25)


def make_utterance(identity, **extra):
    return Utterance(Path(f"/audio/{identity}.wav"), 1.28, "don't stop", {"id": identity, **extra})


def read_textgrid(text):
    """Read the long text format by its grammar: {tier: [(xmin, xmax, text)]}, and (xmin, xmax)."""
    string = r'"((?:[^"]|"")*)"'
    head = re.match(
        r'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = (\S+)\nxmax = (\S+)\n'
        r"tiers\? <exists>\nsize = (\d+)\nitem \[\]:\n",
        text,
    )
    tiers = {}
    for body in re.split(r" {4}item \[\d+\]:\n", text[head.end() :])[1:]:
        name, low, high, size = re.match(
            rf' +class = "IntervalTier"\n +name = {string}\n +xmin = (\S+)\n +xmax = (\S+)\n'
            r" +intervals: size = (\d+)\n",
            body,
        ).groups()
        pattern = rf" +intervals \[\d+\]:\n +xmin = (\S+)\n +xmax = (\S+)\n +text = {string}\n"
        tier = [(float(a), float(b), t.replace('""', '"')) for a, b, t in re.findall(pattern, body)]
        assert len(tier) == int(size)
        assert (float(low), float(high)) == (tier[0][0], tier[-1][1])
        tiers[name] = tier
    assert len(tiers) == int(head[3])
    return tiers, (float(head[1]), float(head[2]))


@st.composite
def timed_words(draw):
    words, now = [], 0.0
    for text in draw(st.lists(st.text('a"\u00e9 =[]', min_size=1, max_size=9), max_size=20)):
        start = now + draw(st.sampled_from([0.0, 0.02, 1.0]))
        now = start + draw(st.sampled_from([0.01, 0.02, 1 / 3]))
        words.append(TimedWord(text, start, now, 0.5))
    return words, now + draw(st.sampled_from([0.0, 0.5])) + (not words)


@settings(max_examples=50)
@given(timed_words())
def test_textgrid_reads_back_without_holes(case):
    words, duration_s = case

    tiers, (low, high) = read_textgrid(format_textgrid({"words": words}, duration_s))

    assert (low, high) == (0.0, pytest.approx(duration_s, abs=1e-6))
    tier = tiers["words"]
    assert all(a[1] == b[0] for a, b in pairwise(tier))
    assert all(a < b for a, b, _ in tier)
    spoken = [interval for interval in tier if interval[2]]
    assert [t for *_, t in spoken] == [w.word for w in words]
    for (start_s, end_s, _), word in zip(spoken, words, strict=True):
        assert (start_s, end_s) == pytest.approx((word.start_s, word.end_s), abs=1e-6)
    assert not any(a[2] == b[2] == "" for a, b in pairwise(tier))


def test_textgrid_without_words_is_one_empty_interval():
    tiers, _ = read_textgrid(format_textgrid({"words": [], "tokens": []}, 0.5))

    assert tiers == {"words": [(0.0, 0.5, "")], "tokens": [(0.0, 0.5, "")]}


@pytest.mark.parametrize(
    "words",
    [
        [TimedWord("a", 0.2, 0.2, 1.0)],
        [TimedWord("a", 0.2, 0.6, 1.0), TimedWord("b", 0.5, 0.7, 1.0)],
        [TimedWord("a", 0.9, 1.1, 1.0)],
    ],
)
def test_textgrid_refuses_what_is_no_tier(words):
    with pytest.raises(ValueError, match=r"must follow each other within 0\.\.1"):
        format_textgrid({"words": words}, 1.0)


def test_ctm_is_sorted_by_recording_and_holds_what_sclite_reads():
    lines = format_ctm({"b": WORDS, "a": WORDS[:1], "B": []}).splitlines()

    assert lines == [
        "a 1 0.080 0.320 don't 0.7500",
        "b 1 0.080 0.320 don't 0.7500",
        "b 1 0.400 0.600 stop 0.5000",
    ]


def test_json_keeps_the_manifests_keys():
    utterance = make_utterance("u1", speaker="x", words=["old"])

    added = add_alignment(utterance, ALIGNMENT)

    assert (added.text, added.duration) == ("don't stop", 1.28)
    assert added.extra == {
        "id": "u1",
        "speaker": "x",
        "score": -1.25,
        "words": [
            {"word": "don't", "start": 0.08, "end": 0.4, "confidence": 0.75},
            {"word": "stop", "start": 0.4, "end": 1.0, "confidence": 0.5},
        ],
        "tokens": [
            {"token": "d", "start": 0.08, "end": 0.12, "confidence": 0.75},
            {"token": "s", "start": 0.4, "end": 0.44, "confidence": 0.5},
        ],
    }


def test_written_json_is_a_manifest_again(tmp_path):
    utterances = [make_utterance("u1", speaker="x"), make_utterance("u2")]
    results = [ALIGNMENT, Unusable("u2", "no such file")]

    failures = write_alignments(tmp_path / "new", "json", utterances, results)

    (read,) = read_manifest(tmp_path / "new/alignments.jsonl")
    assert read == add_alignment(utterances[0], ALIGNMENT)
    assert failures == [results[1]]
    lines = (tmp_path / "new/failures.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"id": "u2", "reason": "no such file"}]


@pytest.mark.parametrize("style", ["ctm", "textgrid"])
def test_names_of_files_and_recordings_are_safe_and_apart(tmp_path, style):
    utterances = [make_utterance("../a b/1"), make_utterance("../a b(1"), make_utterance("\u00e9")]

    write_alignments(tmp_path, style, utterances, [ALIGNMENT] * 3)

    names = {".._a_b_1", ".._a_b_1-2", "\u00e9"}
    if style == "ctm":
        lines = (tmp_path / "words.ctm").read_text().splitlines()
        assert {line.split()[0] for line in lines} == names
        assert len((tmp_path / "tokens.ctm").read_text().splitlines()) == 6
    else:
        assert {path.stem for path in tmp_path.glob("*.TextGrid")} == names
        tiers, _ = read_textgrid((tmp_path / "\u00e9.TextGrid").read_text())
        assert [t for *_, t in tiers["words"]] == ["", "don't", "stop", ""]
        assert [t for *_, t in tiers["tokens"]] == ["", "d", "", "s", ""]


def test_safe_names_keep_ordinary_ids():
    assert safe_names(["84-121123-0000", "a.b_c", "x@y"]) == ["84-121123-0000", "a.b_c", "x@y"]


def test_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="format must be one of json, ctm, textgrid, got 'srt'"):
        write_alignments(tmp_path, "srt", [], [])
