"""Files of texts that are scored against each other."""

import json

import jiwer
import pytest

from asr.cli import main
from asr.evaluation.text_scores import score_texts
from asr.evaluation.texts import TextsError, read_pairs, read_texts


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_belong_together_by_their_number(tmp_path):
    hyp = write(tmp_path / "hyp.txt", "a b\r\n\r\nc\r\n")
    ref = write(tmp_path / "ref", "\ufeffa\nb\n\n")

    assert read_pairs(hyp, ref) == (["1", "2", "3"], ["a", "b", ""], ["a b", "", "c"])


def test_trn_and_json_lines_belong_together_by_id(tmp_path):
    hyp = write(tmp_path / "hyp.trn", ";; a comment\n(u2)\n\nx (y) (u1)\n")
    records = [{"id": "u1", "text": "x y"}, {"audio_filepath": "u2", "text": "z"}]
    ref = write(tmp_path / "ref.jsonl", "\n".join(map(json.dumps, records)))

    assert read_pairs(hyp, ref) == (["u1", "u2"], ["x y", "z"], ["x (y)", ""])


def test_one_file_of_results_holds_both_sides(tmp_path):
    path = write(tmp_path / "hyp.jsonl", json.dumps({"id": 7, "text": "a b", "pred_text": "a"}))

    assert read_pairs(path, path) == (["7"], ["a b"], ["a"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.trn", "a (u)\nb u\n", r"a\.trn:2: must end with an id in parentheses, got 'b u'"),
        ("a.trn", "a (u)\nb (u)\n", r"a\.trn:2: has the id 'u' a second time"),
        ("a.jsonl", "{cut", r"a\.jsonl:1: Expecting"),
        ("a.jsonl", "[]", r"a\.jsonl:1: must be a JSON object"),
        ("a.jsonl", '{"text": "a"}', "must have an 'id' or an 'audio_filepath'"),
        ("a.jsonl", '{"id": true, "text": "a"}', "must have an 'id'"),
        ("a.jsonl", '{"id": "u", "text": 3}', "must have a string as 'text'"),
        ("a.jsonl", '{"id": "u", "text": "a", "pred_text": null}', "a string as 'pred_text'"),
    ],
)
def test_broken_lines_are_named(tmp_path, name, text, message):
    with pytest.raises(TextsError, match=message):
        read_texts(write(tmp_path / name, text), "hypothesis")


def test_files_that_do_not_fit_each_other_are_refused(tmp_path):
    lines, more = write(tmp_path / "a.txt", "a\n"), write(tmp_path / "b.txt", "a\nb\n")
    trn, other = write(tmp_path / "a.trn", "a (u)\n"), write(tmp_path / "b.trn", "a (v)\n")
    empty = write(tmp_path / "empty.txt", "")

    with pytest.raises(TextsError, match=r"a\.txt: has 1 lines, but .*b\.txt has 2"):
        read_pairs(lines, more)
    with pytest.raises(TextsError, match=r"a\.txt: has lines without ids, but .*a\.trn has ids"):
        read_pairs(trn, lines)
    with pytest.raises(TextsError, match=r"a\.trn: lacks 1 of the 1 .*b\.trn, such as 'v'"):
        read_pairs(trn, other)
    with pytest.raises(TextsError, match=r"must hold at least one utterance"):
        read_pairs(empty, empty)


def test_measures_of_a_case_by_hand():
    """Said 5 words, heard 4: hits a, c; b became x, e was lost, d stands; one more of each kind."""
    scores = score_texts(["a b c", "d e"], ["a x c", "d"])

    assert (scores.wer.rate, scores.wer[1:5]) == (2 / 5, (0, 1, 1, 5))
    assert scores.mer == pytest.approx(2 / 5)  # 2 errors over 3 hits and 2 errors
    assert scores.wil == pytest.approx(1 - 3 * 3 / (5 * 4))


def test_measures_equal_jiwers_whatever_white_space_stands_between_words():
    said, heard = ["a  b\tc", "", "d"], ["a b\u00a0c x", "y", ""]
    plain = [" ".join(text.split()) for text in said], [" ".join(t.split()) for t in heard]

    scores, theirs = score_texts(said, heard), jiwer.process_words(*plain)

    measured = (scores.wer.rate, scores.mer, scores.wil)
    assert measured == pytest.approx((theirs.wer, theirs.mer, theirs.wil))
    assert scores.cer.rate == pytest.approx(jiwer.cer(*plain))


@pytest.mark.parametrize(
    ("said", "heard", "rates"),
    [([""], [""], (0, 0, 0, 0)), ([""], ["a"], (float("inf"), float("inf"), 1, 1))],
)
def test_measures_of_silence(said, heard, rates):
    scores = score_texts(said, heard)

    assert (scores.wer.rate, scores.cer.rate, scores.mer, scores.wil) == rates


def test_score_prints_a_table_or_json(tmp_path, capsys):
    hyp, ref = write(tmp_path / "h.txt", "a x\nb\n"), write(tmp_path / "r.txt", "a\nb\n")

    assert main(["score", str(hyp), str(ref)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 utterances"
    assert lines[3].split() == ["WER", "50.00", "0.00", "-", "100.00", "1", "0", "0", "2"]
    assert [line.split()[:2] for line in lines[5:]] == [["MER", "33.33"], ["WIL", "33.33"]]

    assert main(["score", str(hyp), str(ref), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["num_utterances"], record["wer"]["insertions"]) == (2, 1)
    assert record["mer"] == pytest.approx(1 / 3, abs=1e-6)


def test_score_says_a_mistake_in_a_line(tmp_path, capsys):
    assert main(["score", str(tmp_path / "none.txt"), str(tmp_path / "none.txt")]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("asr score: ")
    assert "none.txt: cannot be read" in line
