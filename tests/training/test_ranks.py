"""Several processes learn what one does; gloo over loopback stands for a cluster."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from heads import add_labels
from tiny import make_corpus, overrides

from asr.acoustic.checkpoint import read_checkpoint
from asr.cli.hydra_config import compose_config
from asr.cli.train import train

# The same global batches, and no augmentation, whose random numbers are drawn a rank.
OPTIONS = {
    "augment": "none",
    "model__dropout": 0,
    "model__intermediate_layer": 1,
    "features__normalize": "corpus",
    "heads": "[speaker,phones]",
}
# What is drawn alike on every rank, and what is computed of all their utterances.
REGULARIZED = {
    "regularization__weight_noise": 0.02,
    "regularization__gradient_noise": 1e-4,
    "regularization__recurrent_dropout": 0.1,
    "regularization__l2": 1e-3,
    "regularization__label_smoothing": 0.05,
    "regularization__average_decay": 0.9,
    "trainer__accumulate": 2,
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    make_corpus(folder, num_train=25)
    add_labels(folder)
    return folder


def start(words, launcher=("--standalone", "--nproc-per-node=2")):
    return subprocess.Popen(
        [*TORCHRUN, *launcher, "-m", "asr", "train", *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, code=0):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    return errors


def run_ranks(words):
    return finish(start(words))


def fit_one(corpus, run_dir, **changes):
    train(compose_config("train", words_of(corpus, run_dir, 8, **changes)))


def words_of(corpus, run_dir, batch_seconds=4, **changes):
    options = OPTIONS | {"loading__batch_seconds": batch_seconds} | changes
    dictionary = {"heads__phones__dictionary": corpus / "tones.dict"}
    return overrides(corpus, run_dir, **dictionary, **options)


def metrics(run_dir):
    """Lines of validations."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "dev_wer" in line]


def assert_learnt_the_same(one, many):
    for a, b in zip(metrics(one), metrics(many), strict=True):
        assert a["step"] == b["step"]
        for task in ("", "letters_", "speaker_", "phones_"):
            assert a[f"train_{task}loss"] == pytest.approx(b[f"train_{task}loss"], rel=1e-5)
        assert a["dev_speaker_accuracy"] == b["dev_speaker_accuracy"]
        assert a["dev_loss"] == pytest.approx(b["dev_loss"], rel=1e-4)
        assert a["dev_wer"] == b["dev_wer"]
    ours, theirs = (read_checkpoint(run / "ckpt/last.ckpt")[1] for run in (one, many))
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4, msg=name)


def wait_for(path, seconds=120):
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.exists()


def test_two_ranks_learn_what_one_does(corpus, tmp_path):
    fit_one(corpus, tmp_path / "one", **REGULARIZED)
    run_ranks(words_of(corpus, tmp_path / "two", **REGULARIZED))

    assert_learnt_the_same(tmp_path / "one", tmp_path / "two")


def test_ranks_without_a_share_take_part(corpus, tmp_path):
    # Batches of one utterance: every second rank has nothing to do.
    fit_one(corpus, tmp_path / "one", loading__batch_seconds=0.2, trainer__max_epochs=1)
    run_ranks(words_of(corpus, tmp_path / "two", 0.1, trainer__max_epochs=1))

    assert metrics(tmp_path / "one")[0]["step"] == 25
    assert_learnt_the_same(tmp_path / "one", tmp_path / "two")


def test_killed_rank_ends_the_others_and_the_run_goes_on(corpus, tmp_path):
    run_dir = tmp_path / "two"
    words = words_of(corpus, run_dir, trainer__patience=1000, resume="auto")
    process = start([*words, "trainer.max_epochs=1000"])
    wait_for(run_dir / "ckpt/best.ckpt")
    children = subprocess.run(
        ["ps", "--ppid", str(process.pid), "-o", "pid="], capture_output=True, text=True, check=True
    )

    os.kill(int(children.stdout.split()[-1]), signal.SIGKILL)
    process.communicate(timeout=30)

    assert process.returncode != 0
    done = read_checkpoint(run_dir / "ckpt/last.ckpt")[0]["extra"]["progress"]["epoch"]
    run_ranks([*words, f"trainer.max_epochs={done + 2}"])
    assert [line["epoch"] for line in metrics(run_dir)] == list(range(1, done + 3))


def test_signal_to_one_rank_stops_all_with_the_state_saved(corpus, tmp_path):
    run_dir = tmp_path / "two"
    words = words_of(corpus, run_dir, trainer__patience=1000, trainer__max_epochs=1000)
    process = start(words)
    wait_for(run_dir / "ckpt/best.ckpt")
    children = subprocess.run(
        ["ps", "--ppid", str(process.pid), "-o", "pid="], capture_output=True, text=True, check=True
    )

    os.kill(int(children.stdout.split()[-1]), signal.SIGTERM)
    _, errors = process.communicate(timeout=30)

    assert process.returncode != 0
    assert "go on with resume=auto" in errors
    assert read_checkpoint(run_dir / "ckpt/last.ckpt")[0]["extra"]["progress"]["step"] > 0


@pytest.mark.slow
def test_two_ranks_learn_from_an_aligner_what_one_does(corpus, tmp_path):
    fit_one(corpus, tmp_path / "first", trainer__max_epochs=1)
    aligner = {"loss": "frames", "loss__aligner": tmp_path / "first/ckpt/best.ckpt"}
    fit_one(corpus, tmp_path / "one", **aligner)
    run_ranks(words_of(corpus, tmp_path / "two", **aligner))

    assert_learnt_the_same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_two_nodes_of_two_ranks_learn_what_one_process_does(corpus, tmp_path):
    fit_one(corpus, tmp_path / "one")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rendezvous = ["--nnodes=2", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    rendezvous += [f"--master-port={port}"]
    # Each node has a folder of its own, as two machines without a shared disk.
    nodes = [
        start(words_of(corpus, tmp_path / f"node{n}", 2), [*rendezvous, f"--node-rank={n}"])
        for n in (0, 1)
    ]
    errors = [finish(node) for node in nodes]

    assert_learnt_the_same(tmp_path / "one", tmp_path / "node0")
    assert "is not shared by" in errors[0]
    assert not (tmp_path / "node1").exists()
