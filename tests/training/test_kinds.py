"""Every front end and every network trains, is saved, goes on, and reads speech."""

import logging

import pytest
import torch
from tiny import KINDS, overrides, overrides_of

from asr.acoustic.checkpoint import ModelFileError, load_checkpoint, save_checkpoint
from asr.acoustic.model import build_model
from asr.cli import main
from asr.cli.hydra_config import compose_config
from asr.cli.train import make_stepper, train
from asr.text import CharTokenizer

CORPUS = {"num_train": 6, "num_dev": 2}

# One kind that differs most from the rest by default; every one takes a while.
LONG = ["sincnet", *(pytest.param(k, marks=pytest.mark.slow) for k in KINDS if k != "sincnet")]


def make_model(tmp_path, kind):
    torch.manual_seed(0)
    config = compose_config("train", overrides_of(kind, tmp_path, tmp_path / "run"))
    return config, build_model(config, CharTokenizer(" abc"))


@pytest.mark.parametrize("kind", LONG)
def test_every_kind_trains_and_goes_on(corpus, tmp_path, kind):
    def fit(epochs, **changes):
        words = overrides_of(
            kind, corpus, tmp_path / "run", trainer__max_epochs=epochs, augment="time", **changes
        )
        return train(compose_config("train", words))

    fit(1)
    validation = fit(2, resume="auto")

    model = load_checkpoint(tmp_path / "run/ckpt/last.ckpt")
    log_probs, lengths = model.log_probs(torch.zeros(1, 5000), torch.tensor([5000]))
    assert validation.loss > 0
    assert log_probs.shape == (1, int(lengths), 5)
    assert int(lengths) == model.num_frames(5000)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_is_the_same_model(tmp_path, kind):
    _, model = make_model(tmp_path, kind)
    waveforms, lengths = 0.1 * torch.randn(2, 4000), torch.tensor([4000, 2100])
    model.features.fit([(waveforms, lengths)])

    save_checkpoint(tmp_path / "m.ckpt", model)
    loaded = load_checkpoint(tmp_path / "m.ckpt")

    torch.testing.assert_close(
        loaded.log_probs(waveforms, lengths), model.log_probs(waveforms, lengths), rtol=0, atol=0
    )


@pytest.mark.parametrize("kind", LONG)
def test_a_long_recording_in_chunks_has_the_frames_of_the_whole(tmp_path, kind):
    _, model = make_model(tmp_path, kind)
    num_samples = 31 * 16000 + 123

    log_probs, lengths = model.log_probs(
        0.1 * torch.randn(1, num_samples), torch.tensor([num_samples])
    )

    assert int(lengths) == log_probs.shape[1] == model.num_frames(num_samples)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["features=raw"], "model asr.models.DeepSpeech2 cannot take features of Raw: "),
        (["model=sincnet"], "model asr.models.WaveformNetwork cannot take features of LogMel: "),
        (
            ["features=raw", "model=sincnet", "model.filters.stride=7"],
            "stride must divide hop_length=160 and be <= size=251, got 7",
        ),
        (["features=raw", "model=raw_conv", "model.filters.init=bark"], "model.filters.init must"),
        (["features=raw", "model=raw_conv", "model.body.cell=cnn"], "model.body.cell must be"),
        (["features=mfcc", "features.num_ceps=50"], "num_ceps must be 1..n_mels=40, got 50"),
        (["features.normalize=running", "features.running_s=0"], "running_s must be at least one"),
        (["features.normalize=mean"], "features.normalize must be utterance or corpus or running"),
        (["features=raw", "features.deltas=2"], "there is no key 'features.deltas'"),
    ],
)
def test_what_does_not_fit_is_one_line_and_exit_code_2(corpus, tmp_path, capsys, words, message):
    sizes = ("model.", "features.")
    small = [w for w in overrides(corpus, tmp_path / "run") if not w.startswith(sizes)]

    assert main(["train", *small, *words]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("kind", "augment", "told"),
    [("sincnet", "spec", True), ("mfcc", "spec", True), ("mfcc", "time", False)],
)
def test_masks_over_bands_that_are_none_are_told(tmp_path, caplog, kind, augment, told):
    words = overrides_of(kind, tmp_path, tmp_path / "run", augment=augment)
    config = compose_config("train", words)

    with caplog.at_level(logging.WARNING):
        make_stepper(config, build_model(config, CharTokenizer(" abc")))

    assert ("no bands of frequency: only time is masked" in caplog.text) is told


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["features", "hop_length"], 2**30, "hop_length must be 1..65536"),
        (["model", "filters", "size"], 2**30 + 1, "size must be odd, 1..16384"),
        (["model", "filters", "num_filters"], 10**6, "by the configuration, got"),
        (["model", "filters", "_target_"], "os.system", "_target_ must be one of"),
        (["model", "body", "_target_"], "asr.models.WaveformNetwork", "_target_ must be one of"),
        (["model", "body"], {}, "_target_ must be one of"),
        (["model", "filters"], None, "cannot rebuild the model"),
    ],
)
def test_hostile_networks_on_samples_are_refused(tmp_path, path, value, message):
    config, model = make_model(tmp_path, "sincnet")
    *keys, last = path
    place = config
    for key in keys:
        place = place[key]
    place[last] = value
    save_checkpoint(tmp_path / "m.ckpt", model)

    with pytest.raises(ModelFileError, match=message):
        load_checkpoint(tmp_path / "m.ckpt")


def test_files_of_before_deltas_load():
    """Their features have eight keys."""
    keys = ("sample_rate", "n_mels", "win_length", "hop_length", "n_fft", "f_min", "f_max")
    config = compose_config("train", [])
    old = {key: config["features"][key] for key in ("_target_", *keys, "normalize")}

    model = build_model(config | {"features": old}, CharTokenizer(" abc"))

    assert model.features.num_features == 80
    assert list(model.features.state_dict()) == ["corpus_mean", "corpus_std"]
