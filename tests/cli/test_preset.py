"""preset=auto: what is chosen for which speech, and that what somebody says stays."""

from pathlib import Path

import pytest

from asr.cli.hydra_config import ConfigError, compose_config
from asr.cli.preset import TrainingSpeech, choose, describe, keep, measure
from asr.cli.train import train
from asr.data.manifest import Utterance

HOURS = [0.05, 0.17, 1.0, 4.0, 30.0, 1000.0]


def speech(hours, pace_s=0.1):
    count = max(1, round(hours * 1200))  # utterances of 3 s
    return TrainingSpeech(hours, count, 10, 28, [pace_s] * count)


def configuration(**changes):
    return compose_config("train", [f"{key}={value}" for key, value in changes.items()])


def values_of(choices):
    return {key: value for choice in choices for key, value in choice.values.items()}


@pytest.fixture(scope="module")
def config():
    return configuration()


def words(corpus, *more):
    manifests = [f"data.{split}_manifest={corpus / split}.jsonl" for split in ("train", "dev")]
    return ["data=manifest", *manifests, "preset=auto", *more]


def test_what_is_measured():
    texts = [("ann", "abc", 1.0), ("bob", "aab", 2.0), ("ann", "", 3.0)]
    found = measure([Utterance(Path("a"), s, text, {"speaker": who}) for who, text, s in texts])

    assert found == TrainingSpeech(6 / 3600, 3, 2, 3, [1 / 3, 0.5])  # "aab" needs four frames
    assert found.padded_s == pytest.approx(1.1 * (6 + 3 * 0.45))


@pytest.mark.parametrize("hours", HOURS)
def test_steps_are_enough_at_every_size(config, hours):
    values = values_of(choose(speech(hours), config, on_gpu=False))

    batch_s, epochs = float(values["loading.batch_seconds"]), int(values["trainer.max_epochs"])
    steps = speech(hours).padded_s / batch_s
    assert 10 <= batch_s <= 80
    assert steps >= 20
    assert epochs * steps >= 0.99 * (1300 if hours < 0.1 else 4000)


def test_augmentation_and_dropout_shrink_with_the_hours(config):
    found = [values_of(choose(speech(hours), config, on_gpu=False)) for hours in HOURS]

    assert [v["augment"] for v in found] == ["full"] * 4 + ["spec"] * 2
    assert [v.get("model.dropout") for v in found] == ["0.2"] * 4 + [None] * 2


def test_only_a_gpu_and_many_hours_carry_the_large_network(config):
    chosen = {
        (gpu, hours): values_of(choose(speech(hours), config, on_gpu=gpu))["model"]
        for gpu in (False, True)
        for hours in (1.0, 1000.0)
    }

    assert [case for case, model in chosen.items() if model == "ds2_medium"] == [(True, 1000.0)]


@pytest.mark.parametrize(
    ("pace_s", "frames_out"),
    [(0.1, None), (0.043, "2"), (0.021, "4"), (0.001, "4")],  # a frame is 40 ms
)
def test_fast_texts_get_more_frames(config, pace_s, frames_out):
    values = values_of(choose(speech(1.0, pace_s), config, on_gpu=False))

    assert values.get("model.frames_out") == frames_out


def test_ranks_share_a_batch(config):
    one, two = (values_of(choose(speech(1.0), config, on_gpu=False, world_size=n)) for n in (1, 2))

    assert float(two["loading.batch_seconds"]) == float(one["loading.batch_seconds"]) / 2
    assert two["trainer.max_epochs"] == one["trainer.max_epochs"]


def test_another_model_is_kept_and_needs_fewer_steps(config):
    fresh = values_of(choose(speech(1.0), config, on_gpu=False))
    continued = values_of(choose(speech(1.0), config | {"init_from": "x"}, on_gpu=False))

    assert "model" not in continued
    assert continued["optimizer.lr"] == "1e-3"
    assert 3 * int(continued["trainer.max_epochs"]) < int(fresh["trainer.max_epochs"]) + 3


def test_what_was_said_is_left_out(config):
    choices = choose(speech(1.0), config, on_gpu=False)

    kept = values_of(keep(choices, ["trainer.max_epochs", "augment", "model.hidden_size"]))
    assert "trainer.max_epochs" not in kept
    assert not [key for key in kept if key.startswith("augment")]
    assert "model" in kept
    lines = describe(speech(1.0), keep(choices, ["augment"]))
    assert len(lines) == 4
    assert lines[3].startswith("  as you said: ")


def test_a_configuration_is_composed_with_it(corpus):
    config = compose_config("train", words(corpus, "trainer.max_epochs=3", "model.hidden_size=8"))

    assert config["trainer"]["max_epochs"] == 3
    assert config["trainer"]["patience"] == 60
    assert config["model"]["hidden_size"] == 8
    assert config["loading"]["batch_seconds"] == 10
    assert config["augment"]["waveform"]["noise_snr_db"] == [10.0, 40.0]
    assert config["preset"][0].startswith("preset: 0.2 min in 24 utterances of unknown speakers")
    other = compose_config("train", words(corpus, "model=ds2_gru"))
    assert (other["model"]["cell"], other["model"]["dropout"]) == ("gru", 0.1)


def test_a_run_says_why_and_goes_on(corpus, tmp_path, caplog):
    caplog.set_level("INFO")
    small = ["model.conv_channels=[4,4]", "model.hidden_size=8", "model.num_layers=1"]
    said = [*small, f"run_dir={tmp_path}", "trainer.max_epochs=1", "tokenizer.alphabet=' abc'"]
    train(compose_config("train", words(corpus, *said)))

    log = (tmp_path / "log.txt").read_text()
    assert "preset: 0.2 min" in log
    assert "needs some 4,000 steps" in log
    train(compose_config("train", words(corpus, *said, "resume=auto")))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["preset=best"], "preset must be auto or null, got 'best'"),
        (["experiment=fsdd_digits"], "preset=auto and experiment=... both choose"),
    ],
)
def test_what_cannot_be_chosen(corpus, more, message):
    with pytest.raises(ConfigError, match=message):
        compose_config("train", words(corpus, *more))


def test_no_speech_no_preset():
    with pytest.raises(ValueError, match="needs training speech"):
        measure([])
