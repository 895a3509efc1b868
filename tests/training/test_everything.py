"""Runs with everything on: killed and resumed, validated by their average, and told apart."""

import json
import shutil

import numpy as np
import pytest
import torch
from kills import Killed, kill_at
from sounds import write_sounds
from tiny import make_corpus, overrides

from asr.acoustic.checkpoint import read_checkpoint
from asr.cli import train as command
from asr.cli.hydra_config import compose_config
from asr.cli.train import train
from asr.data.loading import plan_batches
from asr.data.manifest import read_manifest
from asr.training.state import ResumeError
from asr.training.step import Stepper

EVERYTHING = {
    "augment": "everything",
    "augment.waveform.tempos": "[0.9,1.0,1.1]",
    "augment.waveform.room.num_rooms": 2,
    "augment.waveform.room.rt60_s": "[0.05,0.1]",
    "regularization.weight_noise": 0.01,
    "regularization.gradient_noise": 0.001,
    "regularization.activation_noise": 0.1,
    "regularization.recurrent_dropout": 0.2,
    "regularization.l2": 0.001,
    "regularization.label_smoothing": 0.05,
    "regularization.average_decay": 0.9,
    "model.variational_dropout": "true",
    "optimizer": "nesterov",
    "scheduler": "plateau",
    "scheduler.patience": 0,
    "scheduler.threshold": 0.9,
    "trainer.accumulate": 2,
    "trainer.grad_clip_value": 0.5,
    "trainer.max_epochs": 3,
    "trainer.log_every": 1,
}
TIMES = ("seconds", "processor_s", "speech_hours_per_hour")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    make_corpus(folder, num_train=16, num_dev=3)
    noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    write_sounds(folder / "noise", {"a.wav": noise})
    return folder


def fit(corpus, run_dir, **changes):
    options = EVERYTHING | {"augment.waveform.noise.folder": corpus / "noise"} | changes
    return train(compose_config("train", overrides(corpus, run_dir, **options)))


def tensors(run_dir, name):
    return read_checkpoint(run_dir / f"ckpt/{name}.ckpt")[1]


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


def metrics(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if k not in TIMES} for x in lines]


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("whole")
    fit(corpus, run_dir)
    return run_dir


def test_resumed_run_with_everything_equals_an_uninterrupted_one(
    corpus, whole, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        kill_at(patch, 6)
        with pytest.raises(Killed):
            fit(corpus, tmp_path, **{"trainer.checkpoint_minutes": 1e-9})
    moved = shutil.copytree(corpus / "noise", tmp_path / "moved")
    fit(corpus, tmp_path, resume="auto", **{"augment.waveform.noise.folder": moved})

    for name in ("last", "best"):
        assert_same(tensors(whole, name), tensors(tmp_path, name))
    assert metrics(whole) == metrics(tmp_path)


def test_a_step_takes_the_batches_that_it_accumulates(corpus, tmp_path, monkeypatch):
    real, sizes = Stepper.take, []

    def take(self, batches, *args):
        sizes.append(len(batches))
        return real(self, batches, *args)

    monkeypatch.setattr(Stepper, "take", take)
    options = {"augment": "none", "trainer.accumulate": 2, "loading.batch_seconds": 2.5}
    words = overrides(corpus, tmp_path / "run", **options, **{"trainer.max_epochs": 1})
    train(compose_config("train", words))

    durations = [u.duration for u in read_manifest(corpus / "train.jsonl")]
    num_batches = len(plan_batches(durations, 2.5, seed=1, epoch=0, sort=True))
    assert num_batches % 2 == 1
    assert sizes == [2] * (num_batches // 2) + [1]
    progress = read_checkpoint(tmp_path / "run/ckpt/last.ckpt")[0]["extra"]["progress"]
    assert progress["step"] == len(sizes)


def test_plateau_lowers_the_rate_by_what_the_dev_set_says(whole):
    rows = metrics(whole)
    progress = read_checkpoint(whole / "ckpt/last.ckpt")[0]["extra"]["progress"]
    dev = [row["dev_loss"] for row in rows if "dev_loss" in row]

    assert progress["dev_losses"] == dev
    # No epoch divides the loss by ten: from the second one on, each halves the rate.
    rates = {row["epoch"]: row["lr"] for row in rows if "dev_loss" in row}
    assert rates[3] == pytest.approx(rates[2] / 2)


def test_the_average_is_what_is_kept(whole):
    last = tensors(whole, "last")
    epoch = tensors(whole, "epoch_003") if (whole / "ckpt/epoch_003.ckpt").exists() else None
    assert epoch is not None

    assert torch.equal(epoch["model.linear.weight"], last["average.network.linear.weight"])
    assert not torch.equal(epoch["model.linear.weight"], last["model.linear.weight"])


def test_other_noise_is_refused(corpus, whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    other = write_sounds(tmp_path / "noise", {"b.wav": np.full(100, 0.1, np.float32)})

    with pytest.raises(ResumeError, match="the augment 1 set is not the one"):
        fit(corpus, run, resume="auto", **{"augment.waveform.noise.folder": other})


def test_validation_is_not_augmented(corpus, tmp_path, monkeypatch):
    real, made = command.make_loader, {}

    def make_loader(config, split, *args, **options):
        made[split] = real(config, split, *args, **options)
        return made[split]

    monkeypatch.setattr(command, "make_loader", make_loader)
    fit(corpus, tmp_path / "run", **{"trainer.max_epochs": 1})

    assert made["train"].augment is not None
    assert made["dev"].augment is None
    speech = made["dev"].corpus.utterances(0)
    heard = {
        name: w for b in made["dev"].batches(0) for name, w in zip(b.ids, b.waveforms, strict=True)
    }
    for utterance in speech:
        waveform = utterance.waveform(16000)
        np.testing.assert_array_equal(heard[utterance.id].numpy()[: len(waveform)], waveform)
