"""Signals, and what a stop leaves behind."""

import os
import resource
import signal
import subprocess
import sys
import time

import pytest
from tiny import fit, make_corpus, overrides

from asr.acoustic.checkpoint import read_checkpoint
from asr.cli.run_folder import RunFolderError, claim
from asr.training import best, loop
from asr.training.stopping import ECHO_S, Interrupted, StopSignal


def tensors(path):
    return read_checkpoint(path)[1]


def assert_same_tensors(first, second):
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_saves_and_exits(corpus, tmp_path, number, code):
    words = overrides(corpus, tmp_path / "run", trainer__max_epochs=1000, trainer__patience=1000)
    process = subprocess.Popen(
        [sys.executable, "-m", "asr", "train", *words], stderr=subprocess.PIPE, text=True
    )
    last = tmp_path / "run/ckpt/last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == code
    assert "go on with resume=auto" in errors
    assert "Traceback" not in errors
    assert read_checkpoint(last)[0]["extra"]["progress"]["step"] > 0


def raise_signal_in(monkeypatch, module, name, call=1):
    """Send ourselves SIGTERM when a module calls something for the `call`th time."""
    original, calls = getattr(module, name), []

    def signalled(*args, **options):
        calls.append(1)
        if len(calls) == call:
            signal.raise_signal(signal.SIGTERM)
        return original(*args, **options)

    monkeypatch.setattr(module, name, signalled)


# validate: of the first epoch, of the second, of the mean; then averaging itself.
@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        (loop, "validate", 1),
        (loop, "validate", 2),
        (loop, "validate", 3),
        (best, "average_tensors", 1),
    ],
)
def test_signal_between_steps_stops_and_loses_nothing(
    corpus, tmp_path, monkeypatch, module, name, call
):
    fit(corpus, tmp_path / "whole")
    with monkeypatch.context() as patch:
        raise_signal_in(patch, module, name, call)
        with pytest.raises(Interrupted) as stop:
            fit(corpus, tmp_path / "cut")

    assert stop.value.code == 143
    fit(corpus, tmp_path / "cut", resume="auto")
    for file in ("last", "best", "averaged"):
        assert_same_tensors(
            tensors(tmp_path / f"whole/ckpt/{file}.ckpt"),
            tensors(tmp_path / f"cut/ckpt/{file}.ckpt"),
        )


def test_signal_during_corpus_statistics_stops(corpus, tmp_path, monkeypatch):
    from asr.features import LogMel

    measure, calls = LogMel.measure, []

    def signalled(self, *args):
        calls.append(1)
        signal.raise_signal(signal.SIGINT)
        return measure(self, *args)

    monkeypatch.setattr(LogMel, "measure", signalled)

    with pytest.raises(Interrupted) as stop:
        fit(corpus, tmp_path / "run", features__normalize="corpus")

    assert (stop.value.code, len(calls)) == (130, 1)


def test_signal_after_the_last_word_is_not_swallowed():
    stop = StopSignal()

    with pytest.raises(Interrupted), stop.watching():
        signal.raise_signal(signal.SIGTERM)


def test_handlers_are_those_of_before():
    before = signal.getsignal(signal.SIGINT)

    with StopSignal().watching():
        assert signal.getsignal(signal.SIGINT) is not before

    assert signal.getsignal(signal.SIGINT) is before


TWICE = """
import signal, sys, time
from asr.training.stopping import StopSignal
with StopSignal().watching():
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)  # an echo
    time.sleep(float(sys.argv[1]))
    print("alive", flush=True)
    signal.raise_signal(signal.SIGINT)
    print("deaf", flush=True)
"""


def test_second_signal_ends_the_process_at_once():
    result = subprocess.run(
        [sys.executable, "-c", TWICE, str(ECHO_S + 0.1)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == -signal.SIGINT
    assert result.stdout == "alive\n"


def test_full_disk_is_named_and_the_old_checkpoint_stays(corpus, tmp_path, monkeypatch):
    fit(corpus, tmp_path / "run", trainer__max_epochs=1)
    last = tmp_path / "run/ckpt/last.ckpt"
    before = last.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    # A limit on the size of files fails as a full disk does: in the middle of a write.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match=r"last\.ckpt"):
            fit(corpus, tmp_path / "run", trainer__max_epochs=2, resume="auto")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert last.read_bytes() == before
    assert not list((tmp_path / "run/ckpt").glob(".*"))
    fit(corpus, tmp_path / "run", trainer__max_epochs=2, resume="auto")


def test_snapshot_passes_over_a_file_that_cannot_be_read(tmp_path, caplog):
    folder = tmp_path / "tones"
    folder.mkdir()
    make_corpus(folder)
    (folder / "dev/dev0.wav").write_bytes(b"no audio")

    fit(
        folder,
        tmp_path / "run",
        trainer__snapshot_epochs="[1]",
        trainer__max_epochs=1,
        loading__max_bad_fraction=0.5,
    )

    assert (tmp_path / "run/snapshots/epoch_001.npz").exists()
    assert "snapshot: not of dev0: " in caplog.text


def test_second_run_in_one_folder_is_refused(corpus, tmp_path):
    options = {"resume": None, "overwrite": False, "free_keys": (), "owned": ()}

    with (
        claim(tmp_path / "run", {}, **options),
        pytest.raises(RunFolderError, match=f"is in use by process {os.getpid()} on "),
    ):
        fit(corpus, tmp_path / "run", resume="auto")
