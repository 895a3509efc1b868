"""Two systems on the same utterances."""

import json

import pytest
from decoded_sets import result_of

from asr.cli import main
from asr.evaluation.comparison import compare_folders
from asr.evaluation.options import differing, flatten
from asr.evaluation.results import write_results

GOOD = [("a b", "a b"), ("c d", "c d"), ("e f", "e x")]
BAD = [("a b", "a"), ("c d", "x d"), ("e f", "e")]


def make_run(folder, **decoders):
    results = {name: result_of(*pairs) for name, pairs in decoders.items()}
    write_results(folder / "decode" / "test", results, [])
    return folder


def test_runs_are_compared_decoder_by_decoder(tmp_path):
    first = make_run(tmp_path / "a", greedy=BAD, beam=BAD, alone=BAD)
    second = make_run(tmp_path / "b", greedy=GOOD, beam=BAD)

    greedy, beam = compare_folders(first, second)

    assert (greedy.set, greedy.decoder) == ("test", "greedy")
    assert (greedy.first, greedy.second) == (3 / 6, 1 / 6)
    assert greedy.change.difference == pytest.approx(-2 / 6)
    assert (beam.change.difference, beam.verdict) == (0.0, "not told apart")


def test_verdict_needs_an_interval_without_zero(tmp_path):
    first = make_run(tmp_path / "a", greedy=[("a b", "a b")] * 30)
    second = make_run(tmp_path / "b", greedy=[("a b", "a")] * 30)

    (found,), (turned,) = compare_folders(first, second), compare_folders(second, first)

    assert (found.change.low, found.change.high, found.change.better) == (0.5, 0.5, 0.0)
    assert (found.verdict, turned.verdict) == ("the first is better", "the second is better")
    assert turned.change.better == 1.0


def test_folders_of_one_decoder_are_compared_whatever_their_names(tmp_path):
    run = make_run(tmp_path / "a", greedy=BAD, beam=GOOD)
    folder = run / "decode/test"

    (found,) = compare_folders(folder / "greedy", folder / "beam")

    assert (found.set, found.decoder) == ("test", "greedy / beam")
    assert found.change.difference < 0


def test_utterances_of_one_alone_are_left_out_and_counted(tmp_path, capsys):
    first, second = make_run(tmp_path / "a", g=GOOD), make_run(tmp_path / "b", g=BAD[:2])

    (found,) = compare_folders(first, second)
    assert (found.num_utterances, found.num_unpaired) == (2, 1)
    assert (found.first, found.second) == (0.0, 2 / 4)

    assert main(["compare", str(first), str(second)]) == 0
    assert "2, 1 left out" in capsys.readouterr().out


def test_compare_prints_json(tmp_path, capsys):
    first, second = make_run(tmp_path / "a", g=GOOD), make_run(tmp_path / "b", g=BAD)

    assert main(["compare", str(first), str(second), "--json"]) == 0

    (record,) = json.loads(capsys.readouterr().out)
    assert record["change"]["difference"] == pytest.approx(2 / 6)
    assert record["num_utterances"] == 3


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"beam": GOOD, "prefix": GOOD}, r"no set and decoder in common: test \(greedy\) against"),
        ({"greedy": [("a c", "a c")]}, "have different texts for the utterance 'u0'"),
    ],
)
def test_what_is_not_of_the_same_set_is_refused(tmp_path, capsys, other, message):
    first, second = make_run(tmp_path / "a", greedy=GOOD), make_run(tmp_path / "b", **other)

    with pytest.raises(ValueError, match=message):
        compare_folders(first, second)
    assert main(["compare", str(first), str(second)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_folder_without_results_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none: holds no results of `asr decode`"):
        compare_folders(tmp_path / "none", tmp_path)


def test_results_of_a_stranger_are_checked(tmp_path):
    (tmp_path / "hyp.jsonl").write_text('{"id": "u", "text": "a", "pred_text": null}\n')

    with pytest.raises(ValueError, match=r"hyp\.jsonl:1: must have a string as 'pred_text'"):
        compare_folders(tmp_path, tmp_path)


def test_options_that_differ():
    first = {"seed": 1, "model": {"size": 8, "kind": "lstm"}, "run_dir": "a", "lm": None}
    second = {"seed": 1, "model": {"size": 9, "kind": "lstm"}, "run_dir": "b", "new": [1]}

    assert differing([first, second]) == {"model.size": [8, 9], "new": [None, [1]]}
    assert differing([first]) == differing([]) == {}
    assert flatten({"a": {"b": {}}, "c": {"d": 1}}) == {"c.d": 1}
