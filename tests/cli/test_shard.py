import json

import pytest
import torch
from shard_sets import pack_speech, write_speech
from tiny import make_corpus, overrides

from asr.acoustic.checkpoint import read_checkpoint
from asr.cli import main
from asr.cli.hydra_config import compose_config
from asr.cli.texts import settle_texts
from asr.data.shards.corpus import ShardCorpus
from asr.text import TextNormalizer
from asr.text.normalizer import FILE_NAME, write_normalizer
from asr.training.step import Stepper
from asr.training.stopping import Interrupted


@pytest.fixture
def speech(tmp_path, rng):
    """A manifest of four recordings."""
    write_speech(tmp_path, rng, 4)
    return tmp_path


def shard(folder, *words):
    return main(["shard", str(folder / "m.jsonl"), "--out", str(folder / "out"), *words])


def ids_of(folder):
    return [utterance.id for utterance in ShardCorpus(str(folder)).utterances(0)]


def test_shard_packs_a_manifest_shuffled_or_in_its_order(speech):
    assert shard(speech) == 0
    assert shard(speech, "--keep-order", "--out", str(speech / "kept")) == 0

    assert ids_of(speech / "kept") == ["u0", "u1", "u2", "u3"] != ids_of(speech / "out")
    assert sorted(ids_of(speech / "out")) == ["u0", "u1", "u2", "u3"]


def test_shard_says_what_it_could_not_pack(speech, capsys):
    (speech / "u2.wav").unlink()

    assert shard(speech) == 2

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("not taken: u2: ")
    assert lines[1].startswith("3 utterances, ")
    assert lines[2] == "1 could not be taken"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard-seconds", "0"], "asr shard: shard_seconds must be > 0, got 0.0"),
        (["--format", "keep", "--sample-rate", "8000"], "asr shard: sample_rate changes the audio"),
        (["--nemo-manifest", "x"], "asr shard: --nemo-manifest is of tars"),
        (["x.tar"], "asr shard: manifests are packed and tars are indexed"),
    ],
)
def test_shard_refuses_in_one_line(speech, capsys, words, message):
    assert main(["shard", str(speech / "m.jsonl"), *words, "--out", str(speech / "out")]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)
    assert not (speech / "out").exists()


def test_shard_refuses_options_of_packing_with_tars(speech, rng, capsys):
    tar = pack_speech(speech, rng, 2) / "shard-000000.tar"

    assert main(["shard", str(tar), "--out", str(speech / "out"), "--keep-order"]) == 2

    assert "asr shard: --keep-order is of manifests" in capsys.readouterr().err


def test_shard_refuses_other_options_for_the_same_folder(speech, capsys):
    assert shard(speech) == 0

    assert shard(speech, "--keep-order") == 2

    assert "is of other manifests, or was packed with other options" in capsys.readouterr().err


def test_shards_of_ours_are_a_webdataset_that_can_be_indexed(speech):
    assert shard(speech) == 0

    tars = str(speech / "out/shard-{000000..000000}.tar")
    assert main(["shard", tars, "--out", str(speech / "index")]) == 0

    assert ids_of(speech / "index") == ids_of(speech / "out")


def test_the_normaliser_beside_a_manifest_goes_with_the_shards(speech):
    write_normalizer(speech / FILE_NAME, TextNormalizer(" ab"))
    assert shard(speech) == 0

    words = ["data=shards", f"data.train_shards={speech / 'out'}", "data.dev_manifest=dev.jsonl"]
    config, normalizer = settle_texts(compose_config("train", words))

    assert json.loads((speech / "out/shards.json").read_text())["normalizer"]["alphabet"] == " ab"
    assert normalizer is not None
    assert config["tokenizer"]["alphabet"] == " ab"


def words_of(folder, run, hours, **changes):
    words = overrides(folder, folder / run, features__normalize="utterance", **changes)
    words = [w for w in words if not w.startswith(("data=", "data.train_manifest"))]
    shards = [f"data.train_shards={folder / 'shards'}", f"data.train.buffer_hours={hours}"]
    return ["train", "data=shards", *shards, *words]


def weights(folder, run):
    return read_checkpoint(folder / run / "ckpt/last.ckpt")[1]


def test_training_on_shards_resumed_within_an_epoch_equals_an_uninterrupted_one(
    tmp_path, monkeypatch, capsys
):
    make_corpus(tmp_path, num_train=24, num_dev=2)
    packed = ["--shard-seconds", "2", "--out", str(tmp_path / "shards")]
    assert main(["shard", str(tmp_path / "train.jsonl"), *packed]) == 0
    assert main(words_of(tmp_path, "whole", 0.001)) == 0
    steps = []

    def take_and_stop(stepper, *args):
        steps.append(1)
        outcome = take(stepper, *args)
        return outcome._replace(stop=len(steps) == 3)

    take = Stepper.take
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "take", take_and_stop)
        with pytest.raises(Interrupted):
            main(words_of(tmp_path, "cut", 0.001))

    # Other buffers are other batches.
    assert main([*words_of(tmp_path, "cut", 0.002), "resume=auto"]) == 2
    assert "the train set is not the one" in capsys.readouterr().err
    assert main([*words_of(tmp_path, "cut", 0.001), "resume=auto"]) == 0

    whole, cut = weights(tmp_path, "whole"), weights(tmp_path, "cut")
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
