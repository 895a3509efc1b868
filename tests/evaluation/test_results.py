import json
import math

import pytest
import tones
from decoded_sets import batch_of, read_lines, result_of
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.unusable import Unusable
from asr.evaluation.errors import align_texts, format_alignment, worst_first
from asr.evaluation.results import format_scores, trn_ids, write_results
from asr.evaluation.scoring import (
    decode_batches,
    score,
)

RATE = tones.SAMPLE_RATE
FILES = {"hyp.jsonl", "hyp.trn", "ref.trn", "wer.txt", "failures.jsonl"}


def test_single_decoder_is_written_into_the_folder(tmp_path):
    scores = write_results(tmp_path / "test", {"greedy": result_of(("a b", "a"))}, [])

    assert {p.name for p in (tmp_path / "test").iterdir()} == FILES | {"scores.json"}
    assert scores["greedy"].wer.deletions == 1


def test_several_decoders_are_written_into_a_folder_each(tmp_path):
    results = {"greedy": result_of(("a", "a")), "beam + language model": result_of(("a", "b"))}

    write_results(tmp_path, results, [])

    for name in ("greedy", "beam_language_model"):
        assert {p.name for p in (tmp_path / name).iterdir()} == FILES
    table = json.loads((tmp_path / "scores.json").read_text())
    assert table["beam + language model"]["folder"] == "beam_language_model"
    assert table["beam + language model"]["wer"]["rate"] == 1.0


def test_decoder_names_that_share_a_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must differ in letters or digits"):
        write_results(tmp_path, {"a b": result_of(), "a+b": result_of()}, [])


def test_hypotheses_file_has_all_of_an_utterance(model, decoders, tmp_path, rng):
    results = decode_batches(model, [batch_of(["ab cad"], rng)], decoders, progress=False)

    write_results(
        tmp_path,
        {"beam": results["beam"]},
        [],
        {"u00": {"audio_filepath": str(tmp_path / "a.wav")}},
    )

    (record,) = read_lines(tmp_path / "hyp.jsonl")
    assert record["id"] == "u00"
    assert record["audio_filepath"] == str(tmp_path / "a.wav")
    assert record["text"] == record["pred_text"] == "ab cad"
    assert record["wer"] == record["errors"] == 0
    assert record["duration"] == pytest.approx(results["beam"].audio_s, abs=1e-3)
    assert [word["word"] for word in record["words"]] == ["ab", "cad"]
    assert 0 < record["words"][0]["start"] < record["words"][0]["end"] < record["duration"]
    assert 1 < len(record["nbest"]) <= 4
    assert record["nbest"][0] == {"text": "ab cad", "score": record["score"]}


def test_files_of_an_empty_set_are_empty_but_there(tmp_path):
    scores = write_results(tmp_path, {"greedy": result_of()}, [])

    assert scores["greedy"].num_utterances == 0
    assert (tmp_path / "hyp.jsonl").read_text() == (tmp_path / "hyp.trn").read_text() == ""
    assert "0 utterances" in (tmp_path / "wer.txt").read_text()


def test_every_line_of_json_is_strict_where_scores_are_infinite(tmp_path):
    result = result_of(("", "a"))
    result.utterances[0].hypotheses[0].score = -math.inf

    write_results(tmp_path, {"greedy": result}, [])

    def refuse(constant):
        raise AssertionError(constant)

    text = (tmp_path / "hyp.jsonl").read_text()
    record = json.loads(text, parse_constant=refuse)
    json.loads((tmp_path / "scores.json").read_text(), parse_constant=refuse)
    assert record["score"] is None
    assert record["wer"] is None
    assert record["errors"] == 1


def test_texts_without_spaces_are_listed_by_characters(tmp_path):
    write_results(tmp_path, {"greedy": result_of(("今天好", "今大好吗"))}, [], metric="cer")

    (record,) = read_lines(tmp_path / "hyp.jsonl")
    assert (record["cer"], record["errors"]) == (pytest.approx(2 / 3, abs=1e-4), 2)
    first, *lines = (tmp_path / "wer.txt").read_text().splitlines()
    assert first.startswith("%CER 66.67 [ 2 / 3, 1 ins, 0 del, 1 sub ]")
    assert lines[4:7] == [
        "most confused characters (count, reference -> hypothesis)",
        "     1  天 -> 大",
        "     1  (inserted) -> 吗",
    ]
    # A gap is as wide as the two columns that a character takes.
    assert lines[10:] == [
        "u0  2 of 3 characters",
        "ref: 今 天 好 **",
        "hyp: 今 大 好 吗",
        "        S     I",
    ]


def test_listing_marks_errors_and_counts_confusions(tmp_path):
    result = result_of(("turn the light", "turn on a light"), ("left", "left"))

    write_results(tmp_path, {"greedy": result}, [Unusable("x", "no such file")])

    listing = (tmp_path / "wer.txt").read_text()
    assert listing.startswith("%WER 50.00 [ 2 / 4, 1 ins, 0 del, 1 sub ] 95 % interval ")
    assert "2 utterances, 1 with errors, 1 not decoded" in listing
    assert "     1  the -> " in listing
    assert listing.index("u0  2 of 3 words") < listing.index("u1  0 of 1 words")


def test_alignment_is_in_columns_with_marks_below():
    assert format_alignment(align_texts("u", "turn the red light", "turn a light now")) == (
        "u  3 of 4 words\n"
        "ref: turn the red light ***\n"
        "hyp: turn a   *** light now\n"
        "          S   D         I"
    )


def test_alignment_of_two_empty_texts_has_a_header_only():
    assert format_alignment(align_texts("u", "", "")) == "u  0 of 0 words\nref:\nhyp:"


def test_worst_utterances_come_first():
    texts = [("a", "a b", "a b"), ("b", "a", "x"), ("c", "a b c", "a")]

    assert [a.id for a in worst_first([align_texts(*t) for t in texts])] == ["c", "b", "a"]


def test_failures_are_listed(tmp_path):
    failures = [Unusable("x", "x.wav: no such audio file")]

    write_results(tmp_path, {"greedy": result_of(("a", "a"))}, failures)

    assert read_lines(tmp_path / "failures.jsonl") == [
        {"id": "x", "reason": "x.wav: no such audio file"}
    ]


def test_trn_files_pair_hypotheses_with_references(tmp_path):
    write_results(tmp_path, {"greedy": result_of(("a b", "a"), ("", "c"))}, [])

    assert (tmp_path / "ref.trn").read_text() == "a b (u0)\n (u1)\n"
    assert (tmp_path / "hyp.trn").read_text() == "a (u0)\nc (u1)\n"


@settings(deadline=None)
@given(st.lists(st.text("ab ()_-2", max_size=4), max_size=12))
def test_trn_ids_are_unique_and_plain(ids):
    names = trn_ids(ids)

    assert len(set(names)) == len(names) == len(ids)
    assert all(name and not set(name) & set(" ()") for name in names)


def test_table_has_a_row_for_every_decoder_and_columns_that_line_up():
    scores = {"greedy": score(result_of(("a b c d", "a b c")))}
    scores["beam + language model"] = score(result_of(("a b c d", "a b c d")))

    lines = format_scores(scores).splitlines()

    columns = [" ".join(line.split()) for line in lines]
    assert columns[0] == "decoder WER % 95 % interval CER % ins / del / sub utterances RTF"
    assert columns[2] == "greedy 25.00 25.00 - 25.00 28.57 0 / 1 / 0 1 0.7500"
    assert lines[3].startswith("beam + language model")
    assert len({len(line) for line in lines}) == 1


def test_table_of_characters_shows_them_first():
    lines = format_scores({"greedy": score(result_of(("abcd", "abcx")))}, metric="cer").splitlines()

    columns = [" ".join(line.split()) for line in lines]
    assert columns[0] == "decoder CER % 95 % interval WER % ins / del / sub utterances RTF"
    assert columns[2].startswith("greedy 25.00 25.00 - 25.00 100.00 0 / 0 / 1 1 ")


def test_markdown_table_has_a_rule_below_its_header():
    lines = format_scores({"greedy": score(result_of(("a", "a")))}, markdown=True).splitlines()

    assert [line.count("|") for line in lines] == [8, 8, 8]
    assert set(lines[1]) == set("|-: ")


def test_table_and_scores_say_how_many_could_not_be_decoded(tmp_path):
    failures = [Unusable(f"x{i}", "no such file") for i in range(2)]

    scores = write_results(tmp_path, {"greedy": result_of(("a", "a"), ("b", "b"))}, failures)

    assert " 2 of 4 " in format_scores(scores)
    assert json.loads((tmp_path / "scores.json").read_text())["greedy"]["num_unusable"] == 2
    assert "2 utterances, 0 with errors, 2 not decoded" in (tmp_path / "wer.txt").read_text()


def test_lone_surrogates_and_escapes_lose_nothing_and_reach_no_listing(tmp_path):
    hostile = "a \udcff\x1b[2J b"

    write_results(tmp_path, {"greedy": result_of((hostile, "a"), ("x", hostile))}, [])

    lines = read_lines(tmp_path / "hyp.jsonl")
    assert [lines[0]["text"], lines[1]["pred_text"]] == [hostile, hostile]
    assert (tmp_path / "hyp.trn").read_text().count("(u") == 2
    assert (tmp_path / "wer.txt").read_text().replace("\n", "").isprintable()
    assert "\\udcff\\x1b[2J" in (tmp_path / "wer.txt").read_text()
