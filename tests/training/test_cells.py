"""Every recurrent cell trains, is saved, goes on, and is read again."""

import json

import pytest
import torch
from tiny import overrides

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli.hydra_config import compose_config
from asr.cli.train import train
from asr.models.blocks import CELLS

CORPUS = {"num_train": 8, "num_dev": 2}


@pytest.mark.parametrize("model", ["ds2_peephole", "ds2_cifg", "ds2_irnn"])
def test_cell_trains_resumes_and_is_read_again(corpus, tmp_path, model):
    for epochs in (1, 2):
        words = overrides(
            corpus, tmp_path / "run", model=model, trainer__max_epochs=epochs, resume="auto"
        )
        train(compose_config("train", words))

    rows = [json.loads(row) for row in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows if "dev_wer" in row] == [1, 2]
    last = load_checkpoint(tmp_path / "run/ckpt/last.ckpt")
    assert isinstance(last.network.layers[0].forwards, CELLS[last.config["model"]["cell"]])
    log_probs, _ = last.log_probs(torch.zeros(1, 8000), torch.tensor([8000]))
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]))
