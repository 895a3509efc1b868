"""The rehearsal of the largest batches: it changes nothing, and says what does not fit."""

import pytest
import torch
from tiny import overrides
from torch import nn

from asr.acoustic.checkpoint import read_checkpoint
from asr.cli.hydra_config import compose_config
from asr.cli.train import train
from asr.training.rehearsal import RehearsalError, copies_of, is_wanted, largest
from asr.training.step import Stepper

CORPUS = {"num_train": 12, "num_dev": 2}


def fit(corpus, run_dir, *words, **changes):
    words = [*overrides(corpus, run_dir, **changes), *words]
    train(compose_config("train", words))
    return read_checkpoint(run_dir / "ckpt/last.ckpt")[1]


def test_training_with_a_rehearsal_is_the_training_without_one(corpus, tmp_path, caplog):
    caplog.set_level("INFO")
    # Whatever has a state or draws: batch norm, a running norm, dropout, noise, heads' optimizer.
    words = ["augment=full", "model.dropout=0.3", "regularization.weight_noise=0.05"]
    words += ["features.normalize=running", "regularization.average_decay=0.9"]
    options = {"trainer__max_epochs": 1, "trainer__accumulate": 2}

    plain = fit(corpus, tmp_path / "plain", *words, **options, trainer__rehearse="false")
    assert "rehearsal: forward" not in caplog.text
    rehearsed = fit(corpus, tmp_path / "rehearsed", *words, **options, trainer__rehearse="true")

    assert "rehearsal: forward and backward pass of the largest batches fit" in caplog.text
    assert any("running" in name for name in plain)
    assert plain.keys() == rehearsed.keys()
    for name, value in plain.items():
        assert torch.equal(value, rehearsed[name]), name


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"
        ),
    ],
    ids=["gpu", "cpu"],
)
def test_what_does_not_fit_is_one_line_before_the_first_step(corpus, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(Stepper, "rehearse", fail)
    with pytest.raises(RehearsalError) as caught:
        fit(corpus, tmp_path / "run", trainer__rehearse="true")

    message = str(caught.value)
    assert "does not fit into the memory of cpu: lower loading.batch_seconds=4" in message
    assert str(error) in message
    assert "\n" not in message
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_other_errors_are_not_taken_for_missing_memory(corpus, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Stepper, "rehearse", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        fit(corpus, tmp_path / "run", trainer__rehearse="true")


def test_largest_batches_by_hand():
    # 4 x 2 s are most; 7 s are the longest.
    assert largest([[1.0, 2.0, 2.0, 2.0], [7.0], [3.0, 2.0]]) == [0, 1]
    assert largest([[1.0], [3.0, 4.0]]) == [1]
    assert largest([]) == []


@pytest.mark.parametrize(
    ("make", "copies"),
    [
        (lambda p: torch.optim.AdamW(p, lr=1e-3), 2),
        (lambda p: torch.optim.AdamW(p, lr=1e-3, fused=True), 2),
        (lambda p: torch.optim.SGD(p, lr=1e-3), 0),
        (lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9), 1),
        (lambda p: torch.optim.Adadelta(p), 2),
    ],
    ids=["adamw", "fused", "sgd", "momentum", "adadelta"],
)
def test_copies_are_what_an_optimizer_keeps_for_each_weight(make, copies):
    weight = nn.Parameter(torch.ones(3))
    optimizer = make([weight])

    assert copies_of(optimizer) == copies
    assert not optimizer.state
    assert weight.tolist() == [1.0, 1.0, 1.0]


def test_rehearsal_is_for_gpus_unless_asked_for():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")

    assert [is_wanted("auto", device) for device in (cpu, gpu)] == [False, True]
    assert is_wanted(True, cpu)
    assert not is_wanted(False, gpu)
