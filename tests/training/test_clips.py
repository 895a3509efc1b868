"""Clips with a label each go through the one training loop, and come out of decoding as tags."""

import json

import numpy as np
import pytest
import soundfile
import torch
from tiny import overrides, render

from asr.acoustic.checkpoint import ModelFileError, load_checkpoint, save_checkpoint
from asr.acoustic.model import build_model
from asr.audio import AudioError
from asr.cli import main
from asr.cli.hydra_config import compose_config
from asr.cli.train import train
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.recognition.recognizer import load
from asr.text import LabelTokenizer

LABELS = {"low": "a", "high_tone": "c"}


def write_clips(folder, name, texts, seconds=None):
    rng = np.random.default_rng(len(texts))
    utterances = []
    for n, text in enumerate(texts):
        waveform = render(LABELS.get(text, "b"), rng)
        if seconds is not None:
            waveform = np.zeros(int(16000 * seconds))
        path = folder / f"{name}{n}.wav"
        soundfile.write(path, waveform, 16000)
        utterances.append(Utterance(path, len(waveform) / 16000, text, {"id": f"{name}{n}"}))
    write_manifest(folder / f"{name}.jsonl", utterances)


def words_of(folder, run_dir, tokenizer="labels", **changes):
    words = overrides(folder, run_dir, model="clip_ds2", tokenizer=tokenizer, **changes)
    words.remove("tokenizer.alphabet=' abc'")
    small = {"conv_channels": "[4,4]", "hidden_size": 8, "num_layers": 1}
    return [*words, *(f"model.body.{key}={value}" for key, value in small.items())]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, "train", [*LABELS] * 6)
    write_clips(folder, "dev", [*LABELS])
    write_clips(folder, "test", [*LABELS, "snow"])
    write_clips(folder, "long", ["low"], seconds=30.5)
    return folder


@pytest.fixture(scope="module")
def checkpoint(corpus, tmp_path_factory):
    """Of a run that was interrupted once."""
    run = tmp_path_factory.mktemp("run") / "clips"
    train(compose_config("train", words_of(corpus, run, trainer__max_epochs=1)))
    words = words_of(corpus, run, trainer__max_epochs=2, resume="auto")
    validation = train(compose_config("train", words))
    assert validation.wer <= 1.0
    return run / "ckpt/last.ckpt"


def decode(checkpoint, manifest, folder):
    words = [f"checkpoint={checkpoint}", f"data.test_manifest={manifest}", f"output_dir={folder}"]
    return main(["decode", "data=manifest", *words])


def test_clips_are_labelled(corpus, checkpoint, tmp_path):
    assert decode(checkpoint, corpus / "test.jsonl", tmp_path / "out") == 0

    table = json.loads((tmp_path / "out/tags.json").read_text())
    wer = json.loads((tmp_path / "out/scores.json").read_text())["greedy"]["wer"]["rate"]
    assert table["num_clips"] == 3
    assert table["accuracy"] == pytest.approx(1 - wer)
    for clip in table["clips"]:
        assert set(clip["probabilities"]) == {"<blank>", *LABELS}
        assert sum(clip["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    model = load_checkpoint(checkpoint)
    assert model.tokenizer.labels == sorted(LABELS)
    assert model.num_frames(16000) == 1
    result = load(checkpoint).transcribe(corpus / "test0.wav")
    for word in result.words:  # a label is that of all of it
        assert (word.start_s, word.end_s) == (0.0, pytest.approx(result.duration_s))


def test_longer_clips_are_refused_wherever_they_come_in(corpus, checkpoint, tmp_path):
    both = read_manifest(corpus / "test.jsonl")[:1] + read_manifest(corpus / "long.jsonl")
    write_manifest(tmp_path / "both.jsonl", both)
    assert decode(checkpoint, tmp_path / "both.jsonl", tmp_path / "out") == 2

    (failure,) = (tmp_path / "out/failures.jsonl").read_text().splitlines()
    assert "a clip must be at most 30 s" in failure
    with pytest.raises(AudioError, match=r"long0.wav: a clip must be .* got 30.5 s"):
        load(checkpoint).transcribe(corpus / "long0.wav")
    model = load_checkpoint(checkpoint)
    with pytest.raises(ValueError, match="at most 30 s"):
        model.log_probs(torch.zeros(1, 490_000), torch.tensor([490_000]))


def test_another_run_begins_with_its_body(corpus, checkpoint, tmp_path):
    words = words_of(corpus, tmp_path / "run", init_from=checkpoint, trainer__max_epochs=1)

    train(compose_config("train", [*words, "freeze=[body.convs]"]))

    ours, theirs = load_checkpoint(tmp_path / "run/ckpt/last.ckpt"), load_checkpoint(checkpoint)
    name = "body.convs.0.conv.weight"
    torch.testing.assert_close(ours.network.state_dict()[name], theirs.network.state_dict()[name])


def test_labels_that_training_texts_do_not_have(corpus, tmp_path, capsys):
    words = words_of(corpus, tmp_path / "run")

    assert main(["train", *words, "tokenizer.labels=[low,snow]"]) == 2

    error = capsys.readouterr().err
    assert "text must be one of the 2 labels 'low, snow', got 'high_tone'" in error


def test_clips_of_several_labels(tmp_path):
    """Trained for an epoch, explained, and decoded into as many labels as the model hears."""
    for name in ("train", "dev", "test"):
        write_clips(tmp_path, name, ["low high_tone", "low", "high_tone low", "snow low"])
    run = tmp_path / "run"
    words = words_of(tmp_path, run, "tags", model__activation="sigmoid", trainer__max_epochs=1)

    train(compose_config("train", words))

    model = load_checkpoint(run / "ckpt/last.ckpt")
    assert model.tokenizer.labels == ["high_tone", "low", "snow"]
    assert model.num_frames(16000) == 3
    assert decode(run / "ckpt/last.ckpt", tmp_path / "test.jsonl", tmp_path / "out") == 0
    table = json.loads((tmp_path / "out/tags.json").read_text())
    hypotheses = [*map(json.loads, (tmp_path / "out/hyp.jsonl").read_text().splitlines())]
    assert {h["text"] for h in hypotheses} == {"high_tone low", "low", "low snow"}
    for clip, hypothesis in zip(table["clips"], hypotheses, strict=True):
        above = [k for k, p in clip["probabilities"].items() if k != "<blank>" and p > 0.5]
        assert hypothesis["pred_text"].split() == above
        for word in hypothesis["words"]:
            assert (word["start"], word["end"]) == (0.0, hypothesis["duration"])
    page = tmp_path / "explain.html"
    words = [f"checkpoint={run / 'ckpt/last.ckpt'}", f"audio={tmp_path / 'test0.wav'}"]
    words += ["text=high_tone low", "word=low", f"output_dir={tmp_path}"]
    assert main(["explain", *words]) == 0
    assert "none of the labels" in page.read_text()


def test_several_labels_need_sigmoids(corpus, tmp_path, capsys):
    clips = words_of(corpus, tmp_path / "run", "tags")
    frames = overrides(corpus, tmp_path / "run", tokenizer="tags")
    frames.remove("tokenizer.alphabet=' abc'")

    for words in (clips, frames):
        assert main(["train", *words]) == 2

        assert "model.activation=sigmoid can say several labels" in capsys.readouterr().err


def test_labels_are_tokens_of_other_networks_too(corpus, tmp_path):
    """One token in any of the frames: ordinary CTC."""
    words = overrides(corpus, tmp_path / "run", tokenizer="labels", trainer__max_epochs=1)
    words.remove("tokenizer.alphabet=' abc'")

    train(compose_config("train", words))

    model = load_checkpoint(tmp_path / "run/ckpt/last.ckpt")
    assert model.num_frames(16000) > 1
    assert model.max_samples is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": "sum"}, "pooling must be mean, attention or max"),
        ({"body": {}}, "_target_ must be one of"),
        ({"body": {"_target_": "asr.models.ClipNetwork"}}, "_target_ must be one of"),
        ({"body": None}, "cannot rebuild the model"),
    ],
)
def test_hostile_networks_of_clips_are_refused(tmp_path, changes, message):
    config = compose_config("train", words_of(tmp_path, tmp_path / "run"))
    model = build_model(config, LabelTokenizer(["a", "b"]))
    model.config = config | {"model": config["model"] | changes}
    save_checkpoint(tmp_path / "m.ckpt", model)

    with pytest.raises(ModelFileError, match=message):
        load_checkpoint(tmp_path / "m.ckpt")
