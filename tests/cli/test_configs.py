"""Every YAML is composed, and every part that it describes is built."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from sounds import tone, write_sounds

from asr.acoustic.model import build_model
from asr.cli.assembly import make_decoder
from asr.cli.hydra_config import ConfigError, compose_config
from asr.features import FRONT_ENDS
from asr.models import CLIP_NETWORKS, NETWORKS, SAMPLE_NETWORKS, WAVEFORM_NETWORKS
from asr.text import CharTokenizer
from asr.training.loss import TrainingLoss

CONF = Path(__file__).parents[2] / "conf"
GROUPS = sorted(
    (path.parent.name, path.stem) for path in CONF.glob("*/*.yaml") if path.parent.name != "decoder"
)
NEEDS = {
    "tokenizer=sentencepiece": ["tokenizer.path=pieces.model"],
    "tokenizer=phones": ["tokenizer.dictionary=cmudict.dict"],
    "experiment=box": ["tokenizer.dictionary=cmudict.dict"],
    "features=raw": ["model=sincnet"],
    "features=samples": ["model=wav2vec2"],
    "model=raw_conv": ["features=raw"],
    "model=sincnet": ["features=raw"],
    "model=wav2vec2": ["features=samples"],
    "loss=frames": ["loss.aligner=first.ckpt"],
    "heads=label": ["heads.label.field=accent"],
    "heads=phones": ["heads.phones.dictionary=cmudict.dict"],
}
NOISE = "augment.waveform.noise.folder"


def test_heads_stand_side_by_side():
    words = ["heads=[gender,phones,speaker]", "heads.phones.dictionary=x", "heads.gender.weight=2"]

    heads = compose_config("train", words)["heads"]

    assert {name: head["weight"] for name, head in heads.items()} == {
        "gender": 2,
        "phones": 0.3,
        "speaker": 0.1,
    }
    assert [heads[name]["field"] for name in ("gender", "speaker")] == ["gender", "speaker"]
    assert not compose_config("train", [])["heads"]


def test_every_group_is_listed():
    folders = {path.name for path in CONF.iterdir() if path.is_dir() and path.name[0] != "_"}

    assert folders == {group for group, _ in GROUPS} | {"decoder"}


@pytest.mark.parametrize(("group", "choice"), GROUPS)
def test_training_config_composes_with(group, choice, tmp_path):
    needs = NEEDS.get(f"{group}={choice}", [])
    if choice in ("noise", "everything"):
        needs = [f"{NOISE}={write_sounds(tmp_path, {'a.wav': tone(100)})}"]
    config = compose_config("train", [f"{group}={choice}", *needs])

    model = build_model(config, CharTokenizer(" ab"))
    assert model.seconds_per_frame > 0
    optimizer = instantiate(config["optimizer"])(model.network.parameters())
    assert optimizer.param_groups[0]["lr"] > 0
    assert instantiate(config["scheduler"])(0.5, 10) > 0
    instantiate(config["trainer"])
    instantiate(config["augment"])
    loss = instantiate(config["loss"])
    if not isinstance(loss, TrainingLoss):  # which hears the batch
        assert loss(torch.randn(6, 1, 4), [[1, 2]], [6], [2]).shape == (1,)


@pytest.mark.parametrize("part", ["room", "noise", "line"])
def test_parts_of_augmentation_are_chosen_by_themselves(part, tmp_path):
    folder = write_sounds(tmp_path, {"a.wav": tone(100)})
    for path in (CONF / "augment" / part).glob("*.yaml"):
        words = [f"augment/{part}={path.stem}"]
        if path.stem == "folder":
            words.append(f"augment.waveform.{part}.folder={folder}")
        augment = instantiate(compose_config("train", words)["augment"]["waveform"])

        assert len(augment.late_changes) == (path.stem != "none")


@pytest.mark.parametrize("choice", [path.stem for path in CONF.glob("data/*.yaml")])
def test_data_config_names_the_manifest_that_is_missing(choice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = compose_config("train", [f"data={choice}"])

    with pytest.raises(Exception, match=r"train\.jsonl|(manifests|shards) must name") as caught:
        instantiate(config["data"]["train"])

    assert "train" in str(caught.value) or choice in ("lhotse", "manifest", "shards")


@pytest.mark.parametrize("choice", [path.stem for path in CONF.glob("decoder/*.yaml")])
def test_decoder_config_builds_a_decoder(choice):
    config = compose_config("decode", ["checkpoint=x", "data=synth", f"decoder={choice}"])

    decoder = make_decoder(config, CharTokenizer("a "))

    assert decoder([[[-0.1, -3.0, -4.0]]])[0][0].text == ""


def test_quickstart_sizes_compose():
    full, tiny = (compose_config("quickstart", [f"quickstart.size={s}"]) for s in ("full", "tiny"))

    assert full["quickstart"]["hours"] > 10 * tiny["quickstart"]["hours"]
    assert full["run_dir"] != tiny["run_dir"]


def test_quickstart_refuses_an_unknown_size():
    with pytest.raises(ConfigError, match=r"quickstart\.huge\.\w+"):
        compose_config("quickstart", ["quickstart.size=huge"])


def test_model_targets_can_be_rebuilt_from_a_checkpoint():
    for path in [*CONF.glob("model/*.yaml"), *CONF.glob("features/*.yaml")]:
        group = path.parent.name
        assert (
            compose_config("train", [f"{group}={path.stem}"])[group]["_target_"]
            in FRONT_ENDS | NETWORKS | SAMPLE_NETWORKS | WAVEFORM_NETWORKS | CLIP_NETWORKS
        )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.hiden_size=3", "no key 'model.hiden_size'.*did you mean model.hidden_size"),
        ("model=ds3", "Could not find 'model/ds3'"),
        ("nonsense", "nonsense"),
        ("data=manifest tokenizer=sentencepiece", "give a value for tokenizer.path=..."),
        ("augment=noise", f"give a value for {NOISE}=..."),
    ],
)
def test_wrong_override_is_explained_in_one_line(override, message):
    with pytest.raises(ConfigError, match=message) as caught:
        compose_config("train", override.split())

    assert "\n" not in str(caught.value)
