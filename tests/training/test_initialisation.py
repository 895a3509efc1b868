"""Starting from another model: what is taken, what is new, what stays as it is."""

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny import overrides

from asr.acoustic.checkpoint import ModelFileError, load_checkpoint, read_checkpoint
from asr.acoustic.model import build_model
from asr.cli.hydra_config import compose_config
from asr.cli.run_folder import RunFolderError
from asr.cli.starting_point import start_from
from asr.cli.train import train
from asr.models import ClipNetwork
from asr.recognition.box import BOX
from asr.text import CharTokenizer
from asr.training.initialisation import freeze, inherit, parameter_groups


@pytest.fixture(scope="module")
def first(corpus, tmp_path_factory):
    """Checkpoint of a model of " abc"."""
    run_dir = tmp_path_factory.mktemp("first") / "run"
    train(compose_config("train", overrides(corpus, run_dir, trainer__max_epochs=1)))
    return run_dir / "ckpt/best.ckpt"


def compose(corpus, run_dir, first, *words):
    """As somebody composes who says nothing of network and features."""
    said = [w for w in overrides(corpus, run_dir) if not w.startswith(("model.", "features."))]
    return compose_config("train", [*said, f"init_from={first}", *words])


def build(alphabet, **changes):
    config = compose_config("train", overrides(Path("corpus"), "run", **changes))
    return build_model(config, CharTokenizer(alphabet))


def test_network_and_features_are_those_of_the_file(corpus, tmp_path, first):
    config = compose(corpus, tmp_path, first, "model.dropout=0.5")

    theirs = read_checkpoint(first)[0]["config"]
    assert config["model"] == theirs["model"] | {"dropout": 0.5}
    assert config["features"] == theirs["features"]


def test_the_model_in_the_box_is_named_by_a_word(corpus, tmp_path, caplog):
    config = compose(corpus, tmp_path, "box")
    model = build_model(config, CharTokenizer("ab"))

    with caplog.at_level(logging.INFO):
        start_from(model, config["init_from"])

    theirs = load_checkpoint(BOX)
    assert config["init_from"] == "box"
    assert config["features"]["normalize"] == "utterance"
    ours, wanted = (dict(m.network.convs.named_parameters()) for m in (model, theirs))
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)
    assert caplog.messages[0] == "starting from box (DeepSpeech2, LogMel)"


def test_preset_keeps_the_network_of_the_file(corpus, tmp_path, first):
    config = compose(corpus, tmp_path, first, "preset=auto")

    theirs = read_checkpoint(first)[0]["config"]
    assert config["model"] == theirs["model"] | {"dropout": 0.2}
    assert config["features"] == theirs["features"]
    assert config["optimizer"]["lr"] == 1e-3
    assert "the network of the file" in config["preset"][1]


def test_another_network_may_be_chosen(corpus, tmp_path, first):
    config = compose(corpus, tmp_path, first, "model=ds2_gru", "features.normalize=none")

    assert config["model"]["cell"] == "gru"
    assert config["features"]["n_mels"] == 20
    assert config["features"]["normalize"] == "none"


def test_same_alphabet_gives_the_same_network():
    torch.manual_seed(0)
    model, source = build(" abc"), build(" abc")

    inherited = inherit(model, source)

    for name, value in source.network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], value), name
    assert inherited.new == inherited.new_tokens == []
    assert inherited.known_tokens == ["<blank>", " ", "a", "b", "c"]


def as_clips(model):
    model.network = ClipNetwork(model.network, "attention")
    return model


@pytest.mark.parametrize("clips", ["model", "source", "both"])
def test_a_network_of_frames_and_the_body_of_one_of_clips_are_the_same(clips):
    torch.manual_seed(0)
    model, source = build("xba"), build(" abc")
    bodies = model.network, source.network
    fresh = model.network.linear.weight.clone()
    model = as_clips(model) if clips != "source" else model
    source = as_clips(source) if clips != "model" else source

    inherited = inherit(model, source)

    ours, theirs = (body.state_dict() for body in bodies)
    assert all(torch.equal(ours[k], v) for k, v in theirs.items() if not k.startswith("linear"))
    # Ours are <blank> x b a, theirs <blank> " " a b c.
    weights = ours["linear.weight"], theirs["linear.weight"]
    assert torch.equal(weights[0][[0, 2, 3]], weights[1][[0, 3, 2]])
    assert torch.equal(weights[0][1], fresh[1])
    assert inherited.new_tokens == ["x"]
    assert {name.partition(".")[0] for name in inherited.new} == (
        {"attention"} if clips == "model" else set()
    )


@pytest.mark.parametrize("frames_out", [1, 2])
def test_known_tokens_keep_their_rows_and_new_ones_are_new(frames_out):
    torch.manual_seed(0)
    model = build("xca ", model__frames_out=frames_out)
    source = build(" abc", model__frames_out=frames_out)
    fresh = model.network.linear.weight.clone()

    inherited = inherit(model, source)

    ours = model.network.linear.weight.view(frames_out, 5, -1)
    theirs = source.network.linear.weight.view(frames_out, 5, -1)
    # Ours are <blank> x c a " ", theirs <blank> " " a b c.
    assert torch.equal(ours[:, [0, 2, 3, 4]], theirs[:, [0, 4, 2, 1]])
    assert torch.equal(ours[:, 1], fresh.view(frames_out, 5, -1)[:, 1])
    assert inherited.new_tokens == ["x"]
    assert inherited.lines()[1] == "tokens: 4 known, 1 new: 'x'"
    bias = model.network.linear.bias.view(frames_out, 5)
    assert torch.equal(bias[:, 3], source.network.linear.bias.view(frames_out, 5)[:, 2])


def test_rows_of_characters_go_by_the_characters():
    layer = {"model__intermediate_layer": 1}
    model, source = build("xca ", **layer), build("abc ", **layer)

    inherited = inherit(model, source)

    # Spelt, ours are <blank> " " a c x, theirs <blank> " " a b c.
    ours, theirs = (m.network.intermediate.linear.weight for m in (model, source))
    assert torch.equal(ours[:4], theirs[[0, 1, 2, 4]])
    assert not torch.equal(ours[4], theirs[3])
    assert "intermediate.linear.weight" in inherited.taken


def test_layers_of_another_size_are_new_and_listed():
    model, source = build(" abc", model__hidden_size=16), build(" abc")

    inherited = inherit(model, source)

    assert "convs.0.conv.weight" in inherited.taken
    assert "layers.0.forwards.weight_hh_l0" in inherited.new
    assert "linear.weight" in inherited.new
    assert inherited.known_tokens == []
    assert inherited.lines()[-1].startswith("new: ")


def test_a_network_of_which_nothing_fits_is_refused():
    model, source = build(" abc"), build(" abc")
    source.network.state_dict = dict

    with pytest.raises(ValueError, match="nothing of it fits"):
        inherit(model, source)


def test_frozen_parts_keep_weights_and_statistics(corpus, tmp_path, first):
    words = ["freeze=[convs]", "trainer.max_epochs=1", "features.normalize=utterance"]
    train(compose(corpus, tmp_path / "run", first, *words))

    before, after = load_checkpoint(first), load_checkpoint(tmp_path / "run/ckpt/last.ckpt")
    theirs, ours = before.network.state_dict(), after.network.state_dict()
    for name, value in theirs.items():
        if name.startswith("convs."):
            assert torch.equal(ours[name], value), name
    assert not torch.equal(ours["linear.weight"], theirs["linear.weight"])
    assert not torch.equal(ours["norm.running_mean"], theirs["norm.running_mean"])


def test_freeze_names_whole_modules():
    network = build(" abc").network

    frozen = freeze(network, ["convs.0", "layers.0.norm"][:1])

    assert network.convs[0] in frozen
    assert network.convs[0].norm in frozen
    assert network.convs not in frozen  # the second convolution learns
    assert {n for n, p in network.named_parameters() if not p.requires_grad} == {
        "convs.0.conv.weight",
        "convs.0.norm.weight",
        "convs.0.norm.bias",
    }


def test_learning_rates_go_by_the_longest_name(corpus, tmp_path, first):
    network = build(" abc").network
    factors = {"convs": 0.5, "convs.1": 0.1}

    groups = {group["factor"]: group["params"] for group in parameter_groups(network, factors)}

    assert groups.keys() == {0.5, 0.1, 1.0}
    assert any(p is network.convs[1].conv.weight for p in groups[0.1])
    assert any(p is network.convs[0].conv.weight for p in groups[0.5])
    assert sum(map(len, groups.values())) == len(list(network.parameters()))


def test_a_factor_scales_a_step(corpus, tmp_path, first):
    """Plain gradient descent: a hundredth of the rate moves a hundredth as far."""
    moved = {}
    for factor in (1.0, 0.01):
        run_dir = tmp_path / str(factor)
        words = [f"rate_factors={{linear:{factor}}}", "loading.batch_seconds=1000"]
        words += ["optimizer._target_=torch.optim.SGD", "~optimizer.betas", "optimizer.lr=1e-3"]
        words += ["optimizer.weight_decay=0", "scheduler.warmup_epochs=0", "trainer.max_epochs=1"]
        train(compose(corpus, run_dir, first, *words))
        new = load_checkpoint(run_dir / "ckpt/last.ckpt").network.state_dict()["linear.weight"]
        moved[factor] = new - load_checkpoint(first).network.state_dict()["linear.weight"]

    torch.testing.assert_close(moved[0.01], 0.01 * moved[1.0], rtol=1e-2, atol=1e-7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["freeze=[conv]"], "freeze: the network has no part 'conv'; its parts are convs, layers"),
        (["freeze=[convs,layers,norm,linear]"], "leaves nothing that learns"),
        (["rate_factors={linear:0}"], "rate_factors.linear must be > 0, got 0"),
        (["rate_factors={head:0.1}"], "rate_factors: the network has no part 'head'"),
    ],
)
def test_parts_are_checked(corpus, tmp_path, first, words, message):
    with pytest.raises(ValueError, match=message):
        train(compose(corpus, tmp_path / "run", first, *words))


def test_a_missing_file_is_named(corpus, tmp_path):
    with pytest.raises(ModelFileError, match=r"gone\.ckpt: no such checkpoint"):
        compose(corpus, tmp_path, tmp_path / "gone.ckpt")


def test_a_file_without_a_network_is_named(corpus, tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "odd.ckpt", {"asr": json.dumps({"format": 1})})

    with pytest.raises(ModelFileError, match=r"odd\.ckpt: says nothing of its features and model"):
        compose(corpus, tmp_path, tmp_path / "odd.ckpt")


def test_resuming_from_a_model_says_what_to_use(corpus, tmp_path, first):
    words = overrides(corpus, tmp_path / "run", resume=first)
    with pytest.raises(RunFolderError, match=f"resume must be auto .* init_from={first}"):
        train(compose_config("train", words))


def test_a_run_that_goes_on_has_its_own_weights(corpus, tmp_path, first, caplog):
    words = ["trainer.max_epochs=1"]
    train(compose(corpus, tmp_path / "run", first, *words))
    caplog.clear()

    train(compose(corpus, tmp_path / "run", first, "trainer.max_epochs=2", "resume=auto"))

    assert not any("starting from" in message for message in caplog.messages)
