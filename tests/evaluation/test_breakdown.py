"""Error rates of parts of a set."""

from asr.evaluation.breakdown import Group, by_length, by_speaker, by_unit
from asr.evaluation.error_tables import Column, common_confusions, tables
from asr.evaluation.errors import align_texts
from asr.evaluation.run_record import Result

TEXTS = [("a b c", "a x c"), ("a", "a"), ("b a d e", "b a"), ("", "b")]
ALIGNED = [align_texts(f"u{n}", said, heard) for n, (said, heard) in enumerate(TEXTS)]


def column(name, texts, speakers=()):
    aligned = [align_texts(f"u{n}", said, heard) for n, (said, heard) in enumerate(texts)]
    records = [{"id": a.id} for a in aligned]
    for record, speaker in zip(records, speakers, strict=False):
        record["speaker"] = speaker
    return Column(name, Result("set", name, None), records, aligned)


def test_errors_by_speaker_worst_first():
    records = [{"speaker": name} for name in ("ann", "bob", "ann")] + [{"speaker": None}]

    assert by_speaker(records, ALIGNED) == [Group("ann", 2, 7, 3), Group("bob", 1, 1, 0)]
    assert by_speaker([{}] * 4, ALIGNED) == []


def test_errors_by_length():
    assert by_length(ALIGNED) == [
        Group("0 words", 1, 0, 1),
        Group("1 to 3 words", 2, 4, 1),
        Group("4 to 6 words", 1, 4, 2),
    ]
    assert by_length(ALIGNED)[0].rate == float("inf")
    assert by_length([]) == []


def test_lengths_have_no_gaps():
    aligned = [align_texts("u", "a " * n, "a " * n) for n in range(31)]

    groups = by_length(aligned)

    assert sum(group.num_utterances for group in groups) == 31
    assert groups[-1] == Group("21 words and more", 10, sum(range(21, 31)), 0)


def test_errors_by_unit():
    """Heard twice of three times: b was once another word; the inserted b counts for nobody."""
    assert by_unit(ALIGNED) == [
        Group("d", 1, 1, 1),
        Group("e", 1, 1, 1),
        Group("b", 2, 2, 1),
        Group("a", 3, 3, 0),
        Group("c", 1, 1, 0),
    ]


def test_word_that_repeats_is_one_utterance():
    assert by_unit([align_texts("u", "a a", "a")]) == [Group("a", 1, 2, 1)]


def test_systems_stand_side_by_side():
    first = column("one", [("a b", "a b"), ("c", "x")], ["ann", "bob"])
    second = column("two", [("a b", "a")], ["ann"])

    speaker, length, word = tables([first, second], "wer")

    assert speaker.header == ["speaker", "utterances", "words", "one", "two"]
    assert speaker.rows == [
        ["bob", "1", "1", "100.0 (1)", "-"],
        ["ann", "1", "2", "0.0 (0)", "50.0 (1)"],
    ]
    assert length.rows == [["1 to 3 words", "2", "3", "33.3 (1)", "50.0 (1)"]]
    assert word.rows == [
        ["b", "1", "1", "0.0 (0)", "100.0 (1)"],
        ["c", "1", "1", "100.0 (1)", "-"],
    ]
    assert common_confusions([first, second]) == [
        ["b", "(deleted)", "0", "1"],
        ["c", "x", "1", "0"],
    ]


def test_characters_are_units_where_they_are_counted():
    aligned = [align_texts("u", "今天好", "今大好", "cer")]

    assert by_length(aligned) == [Group("1 to 3 characters", 1, 3, 1)]
    length, unit = tables([Column("one", column("one", [("", "")]).result, [{}], aligned)], "cer")
    assert (length.title, unit.title) == (
        "CER % by length (errors)",
        "Characters lost or misheard, % (times)",
    )
    assert unit.rows == [["天", "1", "1", "100.0 (1)"]]


def test_without_speakers_and_errors_lengths_alone_are_left():
    (length,) = tables([column("one", [("a", "a")])], "wer")

    assert length.header[0] == "length"


def test_long_tables_say_how_many_rows_they_lack():
    texts = [(f"w{n}", "x") for n in range(25)]

    *_, word = tables([column("one", texts)], "wer")

    assert (len(word.rows), word.num_more) == (20, 5)
