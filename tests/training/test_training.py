import json
import subprocess
import sys
import time

import pytest
import torch
import yaml
from kills import Killed, kill_at
from tiny import fit, make_corpus, overrides

from asr.acoustic.checkpoint import ModelFileError, load_checkpoint, read_checkpoint
from asr.cli.hydra_config import compose_config
from asr.cli.run_folder import RunFolderError
from asr.cli.train import train
from asr.training import loop
from asr.training.averaging import average_tensors
from asr.training.loop import TrainingError


def metrics(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def weights(path):
    return read_checkpoint(path)[1]


def assert_same_tensors(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_training_learns_tones(corpus, tmp_path):
    validation = fit(
        corpus,
        tmp_path / "run",
        trainer__max_epochs=25,
        optimizer__lr=0.02,
        model__hidden_size=16,
        augment="none",
    )

    assert validation.wer < 0.35
    assert load_checkpoint(tmp_path / "run/ckpt/best.ckpt").tokenizer.tokens[1:] == list(" abc")


def test_run_folder_holds_what_it_should(corpus, tmp_path):
    fit(corpus, tmp_path / "run", trainer__snapshot_epochs="[1]")

    files = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*")}
    assert {"config.yaml", "env.json", "log.txt", "metrics.jsonl"} <= files
    assert {"ckpt/last.ckpt", "ckpt/best.ckpt", "ckpt/averaged.ckpt"} <= files
    assert "snapshots/epoch_001.npz" in files
    lines = metrics(tmp_path / "run")
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(line["train_loss"] > 0 for line in lines)
    assert not [name for name in files if name.endswith(".tmp")]


WHOLE = {"trainer__max_epochs": 3, "augment": "full", "trainer__log_every": 1}
# Of metrics, what depends on the clock.
TIMES = ("seconds", "processor_s", "speech_hours_per_hour")


def numbers(run_dir):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in metrics(run_dir)]


@pytest.fixture(scope="module", params=[None, 2, 3], ids="validate_every={}".format)
def whole(request, corpus, tmp_path_factory):
    """A run that was never stopped, and its options."""
    options = WHOLE | {"trainer__validate_every": request.param or "null"}
    run_dir = tmp_path_factory.mktemp("whole")
    fit(corpus, run_dir, **options)
    return run_dir, options


@pytest.mark.parametrize("step", [1, 2, 4, 5, 7])
def test_resumed_training_equals_an_uninterrupted_one(corpus, whole, tmp_path, monkeypatch, step):
    run_dir, options = whole
    options = options | {"trainer__checkpoint_minutes": 1e-9}
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with pytest.raises(Killed):
            fit(corpus, tmp_path / "cut", **options)

    fit(corpus, tmp_path / "cut", **options, resume="auto")

    for name in ("last", "best"):
        assert_same_tensors(
            weights(run_dir / f"ckpt/{name}.ckpt"), weights(tmp_path / f"cut/ckpt/{name}.ckpt")
        )
    assert numbers(run_dir) == numbers(tmp_path / "cut")


def test_validation_within_an_epoch_changes_no_weight(corpus, tmp_path):
    fit(corpus, tmp_path / "rare")
    fit(corpus, tmp_path / "often", trainer__validate_every=2)

    assert_same_tensors(
        weights(tmp_path / "rare/ckpt/last.ckpt"), weights(tmp_path / "often/ckpt/last.ckpt")
    )
    rare, often = ([row["step"] for row in metrics(tmp_path / r)] for r in ("rare", "often"))
    assert set(rare) < set(often)
    assert [s for s in often if s not in rare] == [
        s for s in range(2, max(rare), 2) if s not in rare
    ]


@pytest.mark.parametrize("metric", ["wer", "cer"])
def test_weights_within_an_epoch_may_be_the_best(corpus, tmp_path, monkeypatch, metric):
    """The rate that chooses rises from one validation to the next, while the other falls."""
    real, rates = loop.validate, iter(range(1, 100))

    def validate(model, batches, heads):
        rate = next(rates) / 100
        other = "cer" if metric == "wer" else "wer"
        return real(model, batches, heads)._replace(**{metric: rate, other: 1 - rate})

    monkeypatch.setattr(loop, "validate", validate)
    fit(corpus, tmp_path / "run", trainer__validate_every=2, trainer__metric=metric)

    header, _ = read_checkpoint(tmp_path / "run/ckpt/last.ckpt")
    best = header["extra"]["progress"]["best"]
    names = [name for _, _, name in best]
    assert best[0][0::2] == [0.01, "epoch_001_step_2"]
    kept = {path.stem for path in (tmp_path / "run/ckpt").glob("epoch_*.ckpt")}
    assert set(names) == kept
    assert json.loads((tmp_path / "run/env.json").read_text())["metric"] == metric


def test_metrics_by_step_are_means_since_the_last_line(corpus, tmp_path):
    fit(corpus, tmp_path / "each", trainer__max_epochs=1, trainer__log_every=1)
    fit(corpus, tmp_path / "pairs", trainer__max_epochs=1, trainer__log_every=2)

    each, pairs = (
        {row["step"]: row for row in metrics(tmp_path / run) if "loss" in row}
        for run in ("each", "pairs")
    )
    epoch = metrics(tmp_path / "each")[-1]
    assert list(each) == list(range(1, epoch["step"] + 1))
    assert list(pairs) == [step for step in each if step % 2 == 0]
    low, high = sorted((each[1]["loss"], each[2]["loss"]))
    assert low <= pairs[2]["loss"] <= high
    assert pairs[2]["grad_norm"] == each[2]["grad_norm"] > 0
    assert each[1]["speech_hours_per_hour"] > 0
    assert epoch["epoch"] == 1


@pytest.mark.parametrize("option", ["validate_every", "log_every", "patience"])
@pytest.mark.parametrize("value", ["0", "1.5", "true"])
def test_counts_that_are_none_are_refused(corpus, tmp_path, option, value):
    with pytest.raises(
        ValueError, match=f"{option} must be (a whole number >= 1|an integer.*), got"
    ):
        fit(corpus, tmp_path / "run", **{f"trainer__{option}": value})

    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_killed_process_resumes(corpus, tmp_path):
    words = overrides(corpus, tmp_path / "run", trainer__max_epochs=40, resume="auto")
    command = [sys.executable, "-m", "asr", "train", *words, "trainer.checkpoint_minutes=1e-9"]
    last = tmp_path / "run/ckpt/last.ckpt"
    for wait in (0.3, 0.9, 0.5):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        before = last.stat().st_mtime_ns if last.exists() else 0
        while time.monotonic() < deadline and process.poll() is None:
            if last.exists() and last.stat().st_mtime_ns != before:
                break
            time.sleep(0.01)
        time.sleep(wait)
        process.kill()
        process.wait()
        read_checkpoint(last)

    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    fit(corpus, tmp_path / "whole", trainer__max_epochs=40)

    assert_same_tensors(weights(last), weights(tmp_path / "whole/ckpt/last.ckpt"))


def broken_loss(bad_steps):
    """A loss that is infinite in the given steps."""
    from asr.ctc import ctc_loss

    calls = []

    def loss(logits, targets, lengths, target_lengths):
        calls.append(1)
        losses = ctc_loss(
            logits, targets, lengths, target_lengths, reduction="none", from_logits=True
        )
        return losses * float("inf") if len(calls) in bad_steps else losses

    return loss


def fit_with_loss(monkeypatch, corpus, run_dir, loss, **changes):
    from asr.cli import train as command

    build = command.build
    monkeypatch.setattr(
        command, "build", lambda config, key, **k: loss if key == "loss" else build(config, key)
    )
    return fit(corpus, run_dir, **changes)


def test_infinite_loss_skips_the_step_and_names_the_utterances(
    corpus, tmp_path, monkeypatch, caplog
):
    fit_with_loss(monkeypatch, corpus, tmp_path / "run", broken_loss({2}))

    warning = next(r.message for r in caplog.records if "skipped" in r.message)
    assert "train" in warning
    assert "loss inf, T=" in warning
    assert "repeats=" in warning
    assert metrics(tmp_path / "run")[-1]["skipped_steps"] == 1


def test_infinite_losses_in_a_row_stop_the_run_and_keep_the_batch(corpus, tmp_path, monkeypatch):
    with pytest.raises(TrainingError, match="max_bad_steps=1"):
        fit_with_loss(
            monkeypatch,
            corpus,
            tmp_path / "run",
            broken_loss({2, 3}),
            trainer__max_bad_steps=1,
        )

    assert (tmp_path / "run/bad_batch_rank0.safetensors").exists()


def test_batches_without_a_usable_utterance_do_not_count_as_bad_steps(tmp_path):
    make_corpus(tmp_path, num_train=6, num_dev=2)
    for n in range(1, 6):
        (tmp_path / f"train/train{n}.wav").write_bytes(b"no audio")

    fit(
        tmp_path,
        tmp_path / "run",
        loading__batch_seconds=0.1,
        loading__max_bad_fraction=1,
        trainer__max_bad_steps=0,
        trainer__max_epochs=1,
    )

    (row,) = metrics(tmp_path / "run")
    assert row["skipped_steps"] == 0
    assert row["train_loss"] > 0
    assert (tmp_path / "run/log.txt").read_text().count("not used in epoch 1: ") == 5


def test_skipped_step_changes_no_weight(corpus, tmp_path, monkeypatch):
    fit_with_loss(
        monkeypatch,
        corpus,
        tmp_path / "run",
        broken_loss(set(range(1, 100))),
        trainer__max_epochs=1,
        trainer__max_bad_steps=100,
    )
    config = compose_config("train", overrides(corpus, tmp_path / "fresh"))
    torch.manual_seed(config["seed"])
    from asr.acoustic.model import build_model
    from asr.text import CharTokenizer

    fresh = build_model(config, CharTokenizer(" abc"))

    trained = weights(tmp_path / "run/ckpt/last.ckpt")
    for name, parameter in fresh.network.named_parameters():
        assert torch.equal(parameter, trained[f"model.{name}"]), name


def test_folder_that_is_not_empty_is_refused(corpus, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")

    with pytest.raises(RunFolderError, match="is not empty: add resume=auto or overwrite=true"):
        fit(corpus, tmp_path)

    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_resuming_with_another_model_is_refused(corpus, tmp_path):
    fit(corpus, tmp_path / "run", trainer__max_epochs=1)

    with pytest.raises(RunFolderError, match=r"another model\.hidden_size: 8 -> 9"):
        fit(corpus, tmp_path / "run", model__hidden_size=9, resume="auto")

    fit(corpus, tmp_path / "run", trainer__max_epochs=2, resume="auto")
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 2


def test_overwriting_starts_afresh(corpus, tmp_path):
    fit(corpus, tmp_path / "run", trainer__max_epochs=2)
    fit(corpus, tmp_path / "run", trainer__max_epochs=1, overwrite="true")

    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 1


def test_patience_stops_training(corpus, tmp_path):
    fit(
        corpus,
        tmp_path / "run",
        trainer__max_epochs=30,
        trainer__patience=2,
        optimizer__lr=1e-12,
    )

    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) < 10


def test_only_the_best_checkpoints_stay(corpus, tmp_path):
    fit(corpus, tmp_path / "run", trainer__max_epochs=4, trainer__keep_best=2)

    assert len(list((tmp_path / "run/ckpt").glob("epoch_*.ckpt"))) == 2


def test_corpus_statistics_are_in_the_checkpoint(corpus, tmp_path):
    fit(corpus, tmp_path / "run", features__normalize="corpus", trainer__max_epochs=1)

    mean = load_checkpoint(tmp_path / "run/ckpt/best.ckpt").features.corpus_mean
    assert (mean != 0).all()


def test_word_pieces_train_and_stay_in_the_checkpoint(corpus, tmp_path):
    from asr.cli import main

    manifest, pieces = corpus / "train.jsonl", tmp_path / "pieces.model"
    words = ["--manifest", str(manifest), "--vocab-size", "8", "-o", str(pieces)]
    assert main(["prepare", "sentencepiece", *words]) == 0
    config = overrides(corpus, tmp_path / "run", tokenizer="sentencepiece")
    config = [word for word in config if not word.startswith("tokenizer.alphabet")]
    train(compose_config("train", [*config, f"tokenizer.path={pieces}"]))
    pieces.unlink()

    model = load_checkpoint(tmp_path / "run/ckpt/best.ckpt")
    assert model.tokenizer.decode(model.tokenizer.encode("abc")) == "abc"


def test_average_is_the_mean(corpus, tmp_path):
    fit(corpus, tmp_path / "run", trainer__max_epochs=2, trainer__keep_best=2)
    paths = sorted((tmp_path / "run/ckpt").glob("epoch_*.ckpt"))

    averaged = average_tensors(paths)

    one, other = (weights(path) for path in paths)
    name = "model.linear.weight"
    torch.testing.assert_close(averaged[name], (one[name] + other[name]) / 2)


def test_average_refuses_nothing():
    with pytest.raises(ValueError, match="at least one checkpoint"):
        average_tensors([])


def test_checkpoint_cut_short_is_named(corpus, tmp_path):
    fit(corpus, tmp_path / "run", trainer__max_epochs=1)
    path = tmp_path / "run/ckpt/best.ckpt"
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(ModelFileError, match=r"best\.ckpt: not a readable checkpoint"):
        load_checkpoint(path)


def test_checkpoint_never_builds_foreign_classes(corpus, tmp_path):
    fit(corpus, tmp_path / "run", trainer__max_epochs=1)
    path = tmp_path / "run/ckpt/best.ckpt"
    data = path.read_bytes()
    evil = data.replace(b"asr.models.DeepSpeech2", b"os.system.............")
    assert evil != data
    path.write_bytes(evil)

    with pytest.raises(ModelFileError, match="_target_ must be one of"):
        load_checkpoint(path)


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"none\.ckpt: no such checkpoint"):
        load_checkpoint(tmp_path / "none.ckpt")
