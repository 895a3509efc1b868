"""`asr sweep` with trainings that take no time, so that what is tested is the sweep."""

import json
import os
import re
import shlex
import sys

import pytest

from asr.cli import main, sweep_trial
from asr.cli import sweep as command
from asr.cli.hydra_config import ConfigError
from asr.cli.run_folder import locked
from asr.cli.sweep_space import read_space, split_overrides
from asr.tuning.sweep.study import Plan, Study

# Stands for `asr train`: what it does is told by the number of the trial.
TRAINING = """
import json, os, signal, sys, time
from pathlib import Path
run = Path(next(w for w in sys.argv if w.startswith("run_dir=")).partition("=")[2])
number, home = int(run.parent.name), run.parents[2]
with (home / "calls").open("a") as file:
    file.write(json.dumps([number, *sys.argv[1:]]) + "\\n")
run.mkdir(exist_ok=True)
(run / "ckpt").mkdir(exist_ok=True)
(run / "ckpt/last.ckpt").write_text("")
(run / "config.yaml").write_text("trainer: {max_epochs: 2}")
(run / "env.json").write_text('{"metric": "cer"}')
metrics = run / "metrics.jsonl"
done = len(metrics.read_text().splitlines()) if metrics.exists() else 0
if number == 3:
    print("asr train: 4 steps in a row had no finite loss\\n  more", file=sys.stderr)
    sys.exit(2)
if number == 4:
    os.kill(os.getpid(), signal.SIGKILL)
for epoch in range(done + 1, 3):
    rate = 0.9 if number == 2 else 0.3 - 0.01 * number
    row = {"step": epoch, "epoch": epoch, "dev_loss": 1.0, "train_loss": 1.0, "seconds": 3.0}
    with metrics.open("a") as file:
        file.write(json.dumps(row | {"dev_cer": rate / epoch, "dev_wer": 0.5}) + "\\n")
    if os.environ.get("WAIT_IN") == str(number):
        time.sleep(60)
"""
WORDS = ("optimizer.lr=tag(log,interval(1e-4,1e-2))", "model.hidden_size=choice(8,16)")
OPTIONS = ("data=manifest", "data.train_manifest=t", "data.dev_manifest=d", "sweep.pruner=median")
OPTIONS += ("sweep.min_epochs=1", "sweep.startup_trials=2")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder for sweeps whose trainings are the script above."""
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    monkeypatch.setattr(sweep_trial, "COMMAND", (sys.executable, "-S", str(script)))
    monkeypatch.setattr(sweep_trial, "POLL_S", 0.02)
    # Composing and drawing take longer than the rest; other tests have them.
    monkeypatch.setattr(command, "_check_trials", lambda words, dimensions: None)
    real = command.render_page
    monkeypatch.setattr(
        command,
        "render_page",
        lambda name, trials, *rest: real(name, trials, *rest) if len(trials) == 6 else "",
    )
    return tmp_path / "sweep"


def sweep(home, *words):
    return main(["sweep", *OPTIONS, *WORDS, f"run_dir={home}", *words])


def calls(home):
    return [json.loads(line) for line in (home / "calls").read_text().splitlines()]


def test_trials_end_prune_and_fail_and_the_sweep_goes_on(home, monkeypatch, capsys):
    monkeypatch.setenv("WAIT_IN", "2")

    assert sweep(home, "sweep.num_trials=6") == 0

    table, command = capsys.readouterr().out.rstrip().rsplit("\n", 1)
    rows = {int(line.split()[0]): line for line in table.splitlines()[2:]}
    assert list(rows) == [5, 1, 0, 2, 3, 4]
    assert "best dev CER %" in table
    assert rows[5].split()[1:4] == ["12.50", "2", "2"]
    assert rows[2].split()[1:4] == ["90.00", "1", "1"]
    assert rows[2].endswith("pruned")
    assert rows[3].endswith("failed: exit code 2: 4 steps in a row had no finite loss")
    assert "failed: the training was ended by SIGKILL" in rows[4]
    assert "no memory left" in rows[4]
    words = shlex.split(command)
    assert words[:3] == ["asr", "train", "data=manifest"]
    assert not [word for word in words if word.startswith(("sweep.", "run_dir="))]
    (best,) = (call for call in calls(home) if call[0] == 5)
    assert best[1:-2] == words[2:]
    assert best[-2:] == [f"run_dir={home / 'trials/0005/run'}", "resume=auto"]
    assert not list((home / "trials/0002/run/ckpt").iterdir())
    assert list((home / "trials/0001/run/ckpt").iterdir())
    assert "asr train" in (home / "best.yaml").read_text()
    assert "Parallel coordinates" in (home / "sweep.html").read_text()


def test_killed_sweep_resumes_the_trial_in_flight(home, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setenv("WAIT_IN", "1")
        real = sweep_trial._report

        def killed_in_trial_1(run, attempt):
            worse = real(run, attempt)
            if attempt.number == 1 and attempt.last_epoch:
                raise RuntimeError("killed")
            return worse

        patch.setattr(sweep_trial, "_report", killed_in_trial_1)
        with pytest.raises(RuntimeError, match="killed"):
            sweep(home, "sweep.num_trials=2")
    assert main(["sweep", *OPTIONS, *WORDS, f"run_dir={home}"]) == 2
    assert "is not empty: add resume=auto to work on its sweep" in capsys.readouterr().err
    assert sweep(home, "sweep.num_trials=2", "sweep.seed=2", "resume=auto") == 2
    assert "with another sweep.seed: 1 -> 2" in capsys.readouterr().err

    assert sweep(home, "sweep.num_trials=2", "resume=auto", "--json") == 0

    trials = json.loads(capsys.readouterr().out)
    assert [trial["state"] for trial in trials] == ["done", "done"]
    assert trials[1]["rates"] == {"1": pytest.approx(0.29), "2": pytest.approx(0.145)}
    first, second = (call for call in calls(home) if call[0] == 1)
    assert first == second
    assert sweep(home, "sweep.num_trials=2", "resume=auto") == 0
    assert len(calls(home)) == 3


def test_trials_of_another_process_are_left_to_it(home, capsys):
    assert sweep(home, "sweep.num_trials=1") == 0
    dimensions = read_space(None, split_overrides(WORDS)[1])
    other = Study(home / "study.db", dimensions, Plan("tpe", "median", 2, 1, 1))
    assert other.ask().number == 1
    other.close()
    with locked_trial(home, 1):
        assert sweep(home, "sweep.num_trials=3", "resume=auto", "sweep.pruner=median") == 0
        table = capsys.readouterr().out
        assert [call[0] for call in calls(home)] == [0, 2]
        assert any(line.split()[0] == "1" and "running" in line for line in table.splitlines()[2:])

    assert sweep(home, "sweep.num_trials=3", "resume=auto") == 0
    assert [call[0] for call in calls(home)] == [0, 2, 1]


def locked_trial(home, number):
    place = home / f"trials/{number:04d}"
    place.mkdir()
    return locked(place)


def test_a_sweep_of_failures_is_a_failure(home, capsys, monkeypatch):
    monkeypatch.setattr(sweep_trial, "COMMAND", (sys.executable, "-S", os.devnull))

    assert sweep(home, "sweep.num_trials=2") == 2

    assert "not one of 2 trials was trained to its end; trial 1: " in capsys.readouterr().err
    assert (home / "sweep.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.hiden_size=choice(1,2)"], "there is no key 'model.hiden_size'"),
        (["model=choice(ds2_gru,ds3)"], "ds3"),
        (["model.hidden_size=choice(8,many)"], "model.hidden_size must be an integer, got 'many'"),
        (["optimizer.lr=interval(1"], "optimizer.lr=interval"),
        (["seed=1,2", "sweep.num_trials=0"], "sweep.num_trials must be a whole number >= 1, got 0"),
        (["seed=1,2", "sweep.tries=0"], "there is no key 'sweep.tries'"),
        (["seed=1,2", "overwrite=true"], "a sweep overwrites nothing"),
        (["seed=1,2", "sweep.space=none.yaml"], "sweep.space: none.yaml: cannot be read"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_written(tmp_path, capsys, words, message):
    assert main(["sweep", *OPTIONS, f"run_dir={tmp_path / 's'}", *words]) == 2

    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert len(captured.err.splitlines()) == 1
    assert re.search(message, captured.err), captured.err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optimizer.lr=1", "nothing to search: give settings a space"),
        ("seed=choice(1,1)", r"seed: choice\(...\) must name two or more different values"),
        ("optimizer.lr=interval(2,1)", "optimizer.lr: low must be < high, got 2 and 1"),
        ("optimizer.lr=tag(exp,interval(1,2))", "the one tag is log, got exp"),
        ("model=glob(ds2*)", r"model: must be choice\(...\), interval"),
        ("seed=range(1,2)", r"seed: range\(...\) must have two or more values, got \[1.0\]"),
        ("metric=wer,cer", "metric: is the same in all trials of a sweep"),
        ("sweep.seed=1,2", "sweep.seed: is the same in all trials of a sweep"),
    ],
)
def test_spaces_that_cannot_be_searched_are_refused(word, message):
    with pytest.raises(ConfigError, match=message):
        read_space(None, split_overrides([word])[1])


def test_space_of_a_file_is_that_of_the_command_line(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "optimizer.lr: tag(log,interval(1e-4,1e-2))\n"
        "model.hidden_size: [8, 16]\n"
        "trainer.accumulate: range(1,6,2)\n"
    )
    fixed, searched = split_overrides(["data=fsdd", *WORDS, "trainer.accumulate=range(1,6,2)"])

    assert fixed == ["data=fsdd"]
    assert read_space(str(path), []) == read_space(None, searched)
    with pytest.raises(ConfigError, match=r"optimizer\.lr: has a space twice"):
        read_space(str(path), searched)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 3", "seed: must be choice.* or a list, got 3"),
        ("- seed", "must have lines of KEY"),
        ("", "must have lines of KEY"),
        ("seed: [1", "is not YAML"),
        ("seed: [1]", "must name two or more different values, got 1"),
    ],
)
def test_space_files_that_break_a_rule_are_named(tmp_path, text, message):
    path = tmp_path / "space.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=f"sweep.space: .*space.yaml: .*{message}"):
        read_space(str(path), [])


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")

    assert main(["sweep", *OPTIONS, "seed=1,2", f"run_dir={tmp_path}", "resume=auto"]) == 2

    assert "is not empty and holds no sweep" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"
