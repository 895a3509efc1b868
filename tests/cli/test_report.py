"""`asr report`, from the command line."""

import fcntl
import json
import os

import pytest
from decoded_sets import result_of

from asr.cli import main, report
from asr.cli.run_folder import is_held
from asr.evaluation.results import write_results


def rows(count):
    return [
        {
            "step": 10 * n,
            "epoch": n,
            "train_loss": 10.0 / n,
            "dev_loss": 12.0 / n,
            "dev_wer": 1 / n,
            "dev_cer": 0.5 / n,
            "lr": 1e-3,
            "skipped_steps": 0,
            "seconds": 5.0 * n,
        }
        for n in range(1, count + 1)
    ]


def make_run(folder, texts=("a b", "a c"), epochs=3):
    folder.mkdir()
    lines = [json.dumps(row) + "\n" for row in rows(epochs)]
    (folder / "metrics.jsonl").write_text("".join(lines))
    write_results(folder / "decode/test", {"greedy": result_of(texts)}, [])
    return folder


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "one")


def test_page_of_a_run_lies_beside_it(run, capsys):
    assert main(["report", str(run)]) == 0

    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split() == ["one", "3", "33.33", "16.67", "4.00"]
    assert printed[6].split()[:4] == ["one", "test", "greedy", "50.00"]
    assert printed[-1] == f"report: {run / 'report.html'}"
    assert "50.00 %" in (run / "report.html").read_text()


def test_page_of_several_runs_has_the_name_that_is_given(run, tmp_path, capsys):
    other = make_run(tmp_path / "two", ("a b", "a b"))

    assert main(["report", str(run), str(other)]) == 2
    assert "give the page's name with -o" in capsys.readouterr().err
    assert main(["report", str(run), str(other), "-o", str(tmp_path / "both.html")]) == 0
    assert "Against the first run" in (tmp_path / "both.html").read_text()


def test_json_has_every_number_and_writes_no_page(run, tmp_path, capsys):
    other = make_run(tmp_path / "two", ("a b", "a b"))

    assert main(["report", str(run), str(other), "--json"]) == 0

    record = json.loads(capsys.readouterr().out)
    assert [r["best"]["dev_wer"] for r in record["runs"]] == [1 / 3, 1 / 3]
    assert record["runs"][0]["results"][0]["wer"]["rate"] == 0.5
    assert record["comparisons"][0]["change"]["difference"] == -0.5
    (found,) = record["sets"]
    assert found["confusions"] == [["b", "c", "1", "0"]]
    assert found["worst"] == [{"system": "one, greedy", "id": "u0", "errors": 1, "words": 2}]
    assert not list(tmp_path.rglob("*.html"))


def test_watching_a_run_that_is_over_draws_it_once(run, capsys):
    assert main(["report", str(run), "--watch"]) == 0

    printed = capsys.readouterr().out
    assert printed.startswith("one: epoch 3, WER 33.33 %, best 33.33 % (epoch 3)\n")
    assert printed.count("loss, nats an utterance") == 1
    assert "\x1b" not in printed


def test_watching_draws_what_is_new_until_training_ends(run, capsys, monkeypatch):
    """Three looks while the folder is held: at an old state twice, then at a new one."""
    file = os.open(run / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            with (run / "metrics.jsonl").open("a") as metrics:
                metrics.write(json.dumps(rows(4)[-1]) + "\n")
        if len(looks) == 3:
            os.close(file)

    monkeypatch.setattr(report.time, "sleep", sleep)

    assert main(["report", str(run), "--watch"]) == 0

    printed = capsys.readouterr().out
    assert len(looks) == 3
    heads = [line.split(",")[0] for line in printed.splitlines() if line.startswith("one:")]
    assert heads == ["one: epoch 3", "one: epoch 4"]


def test_line_that_is_still_being_written_is_not_read(run, capsys):
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "epoch"')

    assert main(["report", str(run), "--watch"]) == 0
    assert "one: epoch 3" in capsys.readouterr().out


def test_lock_that_a_kill_left_is_held_by_nobody(run):
    (run / ".lock").write_text("process 1 on elsewhere")

    assert not is_held(run)
    assert not is_held(run / "none")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none"], "none: is not the folder of a run"),
        (["none", "--watch"], "none: is not the folder of a run"),
        (["a", "b", "--watch"], "--watch draws one run and writes no page"),
        (["a", "-o", "x.html", "--watch"], "--watch draws one run and writes no page"),
    ],
)
def test_mistakes_are_said_in_a_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)

    assert main(["report", *words]) == 2

    assert capsys.readouterr().err == f"asr report: {message}\n"
