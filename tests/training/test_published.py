"""Models from Hugging Face: fine-tuned, gone on with, decoded, and run as they are."""

import json
import logging
import shutil

import pytest
import torch
from published import REAL_FRAMES, with_a_pickle_alone, write_folder
from tiny import overrides

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli import main
from asr.cli.hydra_config import compose_config
from asr.cli.train import train

CORPUS = {"num_train": 6, "num_dev": 2}


@pytest.fixture
def folder(tmp_path):
    """Two layers, a frame every 20 ms, and the vocabulary A B C ' of its own case."""
    return write_folder(tmp_path / "folder", **REAL_FRAMES)


def words(corpus, folder, run_dir, *more):
    """As somebody says who knows the folder and the data alone."""
    said = [w for w in overrides(corpus, run_dir) if not w.startswith(("model.", "features."))]
    return [*said, "trainer.max_epochs=1", "model=wav2vec2", f"init_from={folder}", *more]


def test_a_folder_is_fine_tuned_and_gone_on_with_and_its_result_needs_it_no_more(
    corpus, folder, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    before = load_checkpoint(folder).network.state_dict()
    run_dir = tmp_path / "run"
    more = ["freeze=[layers.0]", "rate_factors={positions: 0.1}", "optimizer.lr=1e-3"]

    train(compose_config("train", words(corpus, folder, run_dir, *more)))
    more += ["trainer.max_epochs=2", "resume=auto"]
    validation = train(compose_config("train", words(corpus, folder, run_dir, *more)))
    shutil.rmtree(folder)

    model = load_checkpoint(run_dir / "ckpt/last.ckpt")
    after = model.network.state_dict()
    assert validation.loss > 0
    assert model.tokenizer.tokens == ["<blank>", *" abc"]
    assert model.config["model"]["dropout"] == 0.1
    for name, value in before.items():
        if not name.startswith("linear."):
            still = name.startswith(("convs.", "layers.0."))
            assert torch.equal(after[name], value) == still, name
    assert f"taken: {len(before)} tensors" in caplog.text
    assert "tokens: 5 known (3 in the other case), 0 new" in caplog.text
    assert "augment.features masks nothing" in caplog.text
    place = f"data.test_manifest={corpus / 'dev.jsonl'}"
    assert main(["decode", f"checkpoint={run_dir}/ckpt/best.ckpt", "data=manifest", place]) == 0


def test_letters_that_the_folder_lacks_are_new_and_listed(corpus, folder, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    more = ["tokenizer.alphabet=' abcd'", "model.dropout=0.3", "model.freeze_convs=false"]

    config = compose_config("train", words(corpus, folder, tmp_path / "run", *more))
    train(config)

    assert config["model"]["hidden_size"] == 8
    assert config["model"]["dropout"] == 0.3
    assert config["features"]["_target_"] == "asr.features.Samples"
    assert "tokens: 5 known (3 in the other case), 1 new: 'd'" in caplog.text
    model = load_checkpoint(tmp_path / "run/ckpt/last.ckpt")
    convs = load_checkpoint(folder).network.convs.state_dict()
    assert not torch.equal(model.network.convs[0].conv.weight, convs["0.conv.weight"])


def test_a_folder_is_run_as_it_is(corpus, folder, capsys):
    place = f"data.test_manifest={corpus / 'dev.jsonl'}"

    assert main(["transcribe", str(corpus / "dev/dev0.wav"), "--checkpoint", str(folder)]) == 0
    text = capsys.readouterr().out
    assert main(["decode", f"checkpoint={folder}", "data=manifest", place]) == 0

    assert set(text) <= set("ABC' \n")
    lines = (folder / "decode/manifest_test_greedy/hyp.jsonl").read_text().splitlines()
    references = [json.loads(line)["text"] for line in lines]
    assert len(references) == 2
    assert set("".join(references)) <= set("ABC")


def without_a_vocabulary(folder):
    (folder / "vocab.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (with_a_pickle_alone, "pytorch_model.bin is a pickle"),
        (without_a_vocabulary, "holds no vocab.json"),
    ],
)
def test_what_cannot_be_read_ends_a_command_in_one_line(
    corpus, folder, tmp_path, capsys, damage, message
):
    damage(folder)
    audio = str(corpus / "dev/dev0.wav")

    codes = [
        main(["train", *words(corpus, folder, tmp_path / "run")]),
        main(["transcribe", audio, "--checkpoint", str(folder)]),
    ]

    lines = capsys.readouterr().err.splitlines()
    assert codes == [2, 2]
    assert len(lines) == 2
    assert all(message in line for line in lines)
    assert not (tmp_path / "run").exists()


def test_explanations_of_single_samples_are_refused(corpus, folder, capsys):
    audio = corpus / "dev/dev0.wav"

    assert main(["explain", f"checkpoint={folder}", f"audio={audio}"]) == 2

    assert "this model has single samples (features=samples)" in capsys.readouterr().err


def test_the_preset_learns_slowly_from_a_folder(corpus, folder, tmp_path):
    config = compose_config("train", words(corpus, folder, tmp_path / "run", "preset=auto"))

    assert config["optimizer"]["lr"] == 1e-4
    assert config["model"]["hidden_size"] == 8


def test_samples_and_networks_on_samples_go_together(corpus, folder, tmp_path):
    config = compose_config("train", words(corpus, folder, tmp_path / "run", "features=logmel"))

    with pytest.raises(ValueError, match="Wav2Vec2 cannot take features of LogMel"):
        train(config)
