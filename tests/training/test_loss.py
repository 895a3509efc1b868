"""Losses of training: a kind that training has never heard of, and those of texts."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from kills import Killed, kill_at
from tiny import overrides

from asr.acoustic.checkpoint import read_checkpoint
from asr.cli.hydra_config import compose_config
from asr.cli.train import train
from asr.ctc import ctc_loss
from asr.data.fingerprint import fingerprint_file
from asr.data.unusable import TooManyBadError
from asr.training.loss import TextLoss, TrainingLoss
from asr.training.state import ResumeError

CORPUS = {"num_train": 6, "num_dev": 2}


class Strangers(TrainingLoss):
    """CTC that weighs less with every batch, of texts that fit in a share of the frames."""

    def __init__(self, *, file, share):
        super().__init__()
        self.file = Path(file)
        self.share = share
        self.register_buffer("batches", torch.zeros(()))

    def prepare(self, model):
        super().prepare(model)
        self.weight = float(self.file.read_text())

    def num_frames(self, num_samples):
        return int(self.share * super().num_frames(num_samples))

    def fingerprints(self):
        return {"loss.file": fingerprint_file(self.file)}

    def forward(self, logits, lengths, batch):
        self.batches += 1
        rest = batch.targets, lengths, batch.target_lengths
        losses = ctc_loss(logits, *rest, reduction="none", from_logits=True)
        return self.weight * losses / self.batches


class Texts(torch.nn.Module):
    """A loss of texts with a state."""

    def __init__(self):
        super().__init__()
        self.register_buffer("prior", torch.zeros(3))

    def forward(self, *given):
        return given


@pytest.fixture(scope="module")
def corpus(corpus):
    (corpus / "weight.txt").write_text("0.5")
    (corpus / "loss").mkdir()
    lines = f"_target_: {__name__}.Strangers", "file: ???", "share: 1"
    (corpus / "loss/strangers.yaml").write_text("\n".join(lines))
    return corpus


def fit(corpus, run_dir, **changes):
    words = overrides(corpus, run_dir, **({"loss__file": corpus / "weight.txt"} | changes))
    words += [f"hydra.searchpath=['file://{corpus}']", "loss=strangers"]
    return train(compose_config("train", words))


def test_strangers_loss_is_rehearsed_and_goes_on_wherever_its_file_lies(
    corpus, tmp_path, monkeypatch
):
    fit(corpus, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_at(patch, 2)
        with pytest.raises(Killed):
            fit(corpus, tmp_path / "cut", trainer__checkpoint_minutes=1e-9)
    moved = shutil.copy(corpus / "weight.txt", tmp_path / "moved.txt")
    fit(corpus, tmp_path / "cut", resume="auto", loss__file=moved, trainer__rehearse="true")

    (header, whole), (_, cut) = (
        read_checkpoint(tmp_path / run / "ckpt/last.ckpt") for run in ("whole", "cut")
    )
    assert whole["loss.batches"] == header["extra"]["progress"]["step"] > 1
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[key], cut[key]) for key in whole)

    moved.write_text("0.25")
    with pytest.raises(ResumeError, match=r"the file of loss\.file is not the one"):
        fit(corpus, tmp_path / "cut", resume="auto", loss__file=moved, trainer__max_epochs=3)


def test_strangers_loss_says_which_texts_fit(corpus, tmp_path):
    with pytest.raises(TooManyBadError, match=r"train\d: 0 frames are fewer than the \d that its"):
        fit(corpus, tmp_path / "run", loss__share=0)


def test_loss_of_texts_is_given_them_and_keeps_and_moves_its_state():
    batch = SimpleNamespace(targets="targets", target_lengths="target lengths")
    loss = TextLoss(Texts())

    assert loss("logits", "lengths", batch) == ("logits", "targets", "lengths", "target lengths")
    assert loss.state_dict().keys() == {"compute.prior"}
    loss.prepare(SimpleNamespace(device=torch.device("meta")))
    assert loss.compute.prior.device.type == "meta"
