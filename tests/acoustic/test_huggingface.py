"""Folders from Hugging Face: the numbers of transformers' own networks, and what is refused.

No published weights are read here: those of `published` are computed.
"""

import json
import logging
import os

import pytest
import torch
from published import KINDS, ORDER, VOCABULARY, config_of, waves, with_a_pickle_alone, write_folder
from safetensors.torch import load_file, save_file

from asr.acoustic.checkpoint import ModelFileError, load_checkpoint, read_header, save_checkpoint

every_kind = pytest.mark.parametrize("kind", KINDS)
LENGTHS = [800, 250, 431]
# Log-probabilities of the first and the last of 12 frames, in our order of classes. Source:
# transformers 5.24.0, torch 2.11.0, `logits` of its class on what its feature extractor gives.
GOLDEN = {
    "wav2vec2 base": (
        [-3.35827, -0.62384, -2.39784, -3.46573, -2.05222, -3.00222, -3.33372, -3.36592, -2.83293],
        [-1.94732, -3.02185, -2.96708, -1.18433, -3.27832, -1.56175, -2.87120, -3.17915, -2.24889],
    ),
    "wav2vec2 large": (
        [-1.72675, -3.66137, -3.38416, -1.27098, -2.55185, -2.39019, -3.42696, -3.30668, -1.41344],
        [-1.74914, -2.97052, -3.27993, -1.07190, -2.96615, -1.73187, -3.20672, -3.38181, -2.38728],
    ),
    "hubert base": (
        [-3.49875, -2.47218, -1.35332, -3.16128, -1.76385, -2.83174, -1.65068, -3.32522, -2.06803],
        [-3.22179, -2.85214, -1.31268, -2.74523, -2.22410, -2.42187, -1.82131, -3.09182, -1.80236],
    ),
    "hubert large": (
        [-3.88040, -1.62297, -2.33550, -3.90247, -1.84061, -2.29162, -1.78888, -1.82798, -2.55901],
        [-4.17731, -1.39241, -2.18149, -3.86886, -1.85141, -2.72638, -2.18350, -1.62312, -2.65882],
    ),
    "data2vec": (
        [-4.24757, -2.65968, -2.28287, -5.20381, -1.55725, -3.25328, -1.21946, -2.43099, -1.73987],
        [-4.49379, -2.56754, -2.23496, -5.15372, -1.66549, -3.70233, -1.17277, -2.93002, -1.50214],
    ),
}


def batch(lengths=LENGTHS):
    """Waveforms side by side, with noise where there is no speech."""
    waveforms = 0.1 * waves((len(lengths), max(lengths)), 1.0)
    return waveforms, torch.tensor(lengths)


@every_kind
def test_log_probabilities_are_those_of_transformers(tmp_path, kind):
    model = load_checkpoint(write_folder(tmp_path, kind))

    log_probs, lengths = model.log_probs(0.1 * waves((1, 250), 1.0), torch.tensor([250]))

    assert lengths.tolist() == [12]
    assert log_probs.shape == (1, 12, 9)
    torch.testing.assert_close(log_probs[0, [0, -1]], torch.tensor(GOLDEN[kind]), atol=2e-5, rtol=0)


@pytest.fixture(scope="module")
def transformers():
    """The library, where it is installed: the extra hf."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    return pytest.importorskip("transformers")


def their_model(transformers, folder, kind):
    """The folder as transformers reads it, which must find all that it looks for and no more."""
    (name,) = config_of(kind)["architectures"]
    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval()


@every_kind
@pytest.mark.parametrize("normalize", [True, False])
@torch.no_grad()
def test_every_utterance_of_a_batch_is_as_transformers_has_it_alone(
    transformers, tmp_path, kind, normalize
):
    folder = write_folder(tmp_path, kind, normalize=normalize)
    theirs, ours = their_model(transformers, folder, kind), load_checkpoint(folder)
    prepare = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder)
    waveforms, lengths = batch()

    log_probs, frames = ours.log_probs(waveforms, lengths)

    for row, length in enumerate(LENGTHS):
        samples = prepare(waveforms[row, :length].numpy(), sampling_rate=16000, return_tensors="pt")
        expected = theirs(samples.input_values).logits[0].log_softmax(-1)[:, ORDER]
        alone, _ = ours.log_probs(waveforms[row : row + 1, :length], lengths[row : row + 1])
        assert int(frames[row]) == len(expected)
        torch.testing.assert_close(log_probs[row, : len(expected)], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["wav2vec2 large", "hubert large"])
@torch.no_grad()
def test_a_batch_with_masks_is_that_of_transformers(transformers, tmp_path, kind):
    folder = write_folder(tmp_path, kind)
    theirs, ours = their_model(transformers, folder, kind), load_checkpoint(folder)
    prepare = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder)
    waveforms, lengths = batch()

    log_probs, frames = ours.log_probs(waveforms, lengths)

    rows = [row[:length].numpy() for row, length in zip(waveforms, LENGTHS, strict=True)]
    inputs = prepare(
        rows, sampling_rate=16000, padding=True, return_attention_mask=True, return_tensors="pt"
    )
    expected = theirs(**inputs).logits.log_softmax(-1)[..., ORDER]
    for row, length in enumerate(frames):
        torch.testing.assert_close(
            log_probs[row, :length], expected[row, :length], atol=1e-5, rtol=1e-5
        )


@every_kind
def test_a_checkpoint_needs_no_folder_any_more(tmp_path, kind):
    model = load_checkpoint(write_folder(tmp_path / "folder", kind))
    save_checkpoint(tmp_path / "m.ckpt", model)
    for file in (tmp_path / "folder").iterdir():
        file.unlink()

    loaded = load_checkpoint(tmp_path / "m.ckpt")

    expected = model.log_probs(*batch())
    torch.testing.assert_close(loaded.log_probs(*batch()), expected, rtol=0, atol=0)
    assert loaded.tokenizer.tokens == model.tokenizer.tokens


def test_blank_comes_first_and_special_tokens_write_nothing(tmp_path):
    tokens = load_checkpoint(write_folder(tmp_path)).tokenizer.tokens

    assert tokens == ["<blank>", "", "", "", " ", "A", "B", "'", "C"]


def test_header_holds_what_a_run_takes_from_it(tmp_path):
    config = read_header(write_folder(tmp_path, "data2vec", normalize=False))["config"]

    assert config["features"]["normalize"] is False
    assert config["model"]["position_kernels"] == [5, 5, 5]
    assert config["model"]["freeze_convs"] is True


def test_a_vocabulary_may_have_names_of_its_own_and_classes_without(tmp_path, caplog):
    vocabulary = {"a": 0, "UNK": 1, "_": 2, "no": 3, "[breath]": 4, "E": 6}
    folder = write_folder(tmp_path, vocabulary=vocabulary, vocab_size=8, pad_token_id=3)
    names = {"pad_token": "no", "unk_token": {"content": "UNK"}, "word_delimiter_token": "_"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    caplog.set_level(logging.INFO)

    tokens = load_checkpoint(folder).tokenizer.tokens

    assert tokens == ["<blank>", "a", "", " ", "", "", "E", ""]
    assert "vocab.json: 2 classes without a name write nothing" in caplog.text


def test_other_versions_write_other_names(tmp_path):
    expected = load_checkpoint(write_folder(tmp_path)).log_probs(*batch())[0]
    path = tmp_path / "model.safetensors"
    new = "conv.parametrizations.weight.original"
    tensors = {
        name.replace("conv.weight_g", f"{new}0").replace("conv.weight_v", f"{new}1"): value
        for name, value in load_file(path).items()
        if not name.endswith("masked_spec_embed")
    }
    save_file(tensors, path)
    processor = {"feature_extractor": {"do_normalize": True, "sampling_rate": 16000}}
    (tmp_path / "processor_config.json").write_text(json.dumps(processor))
    (tmp_path / "preprocessor_config.json").unlink()

    torch.testing.assert_close(load_checkpoint(tmp_path).log_probs(*batch())[0], expected)


def test_weights_of_half_precision_are_read(tmp_path):
    expected = load_checkpoint(write_folder(tmp_path)).log_probs(*batch())[0]
    path = tmp_path / "model.safetensors"
    save_file({name: value.half() for name, value in load_file(path).items()}, path)

    log_probs = load_checkpoint(tmp_path).log_probs(*batch())[0]

    assert 0 < (log_probs - expected).abs().max() < 0.05


def change_config(**changes):
    return lambda folder: (folder / "config.json").write_text(
        json.dumps(config_of("wav2vec2 base") | changes)
    )


def change_vocabulary(vocabulary):
    return lambda folder: (folder / "vocab.json").write_text(json.dumps(vocabulary))


def change_tensors(change):
    def work(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return work


def without(name):
    return lambda folder: (folder / name).unlink()


def with_a_file_cut_short(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


BAD = [
    (without("config.json"), "is a folder without config.json"),
    (without("vocab.json"), "holds no vocab.json"),
    (without("preprocessor_config.json"), "holds no preprocessor_config.json and no processor_"),
    (without("model.safetensors"), "holds no model.safetensors$"),
    (with_a_pickle_alone, "no model.safetensors: pytorch_model.bin is a pickle, which runs code"),
    (with_a_file_cut_short, "not a readable safetensors file"),
    (change_config(architectures=["Wav2Vec2ForPreTraining"]), "must be of a Wav2Vec2ForCTC, Hub"),
    (change_config(model_type="whisper"), "got model_type 'whisper'"),
    (change_config(model_type=["wav2vec2"]), r"got model_type \['wav2vec2'\]"),
    (change_config(add_adapter=True), "add_adapter must be False, got True"),
    (change_config(hidden_act="relu"), "hidden_act must be 'gelu', got 'relu'"),
    (change_config(num_hidden_layers=10**9), "num_hidden_layers must be 1..1000, got 1000000000"),
    (change_config(hidden_size="8"), "hidden_size must be 1..1048576, got '8'"),
    (change_config(conv_dim=7), "conv_dim must be a list, got 7"),
    (change_config(conv_kernel=[10, 3]), "cannot rebuild the model: ValueError: conv_channels, "),
    (change_config(conv_kernel=[9, 3, 2]), r"conv.weight must be \(4, 1, 9\) by the config"),
    (change_config(intermediate_size=10**9), r"inner.weight must be \(1000000000, 8\) by the"),
    (change_config(feat_extract_norm="batch"), "conv_norm must be group or layer, got 'batch'"),
    (change_config(vocab_size=8), r"below vocab_size=8 of config.json"),
    (change_config(vocab_size=10), "lm_head must have vocab_size=10 classes of config.json, got 9"),
    (change_config(pad_token_id=0), "blank is class 1 here, and pad_token_id=0 in config.json"),
    (change_vocabulary({"a": 0}), r"holds no <pad> or \[PAD\], which would be the blank"),
    (change_vocabulary(VOCABULARY | {"d": 3}), "classes must differ and be integers below"),
    (change_vocabulary({"en": VOCABULARY}), "classes must differ and be integers below"),
    (change_vocabulary({"<pad>": 1}), "symbols must hold at least one that writes something"),
    (change_vocabulary([]), "vocab.json: must hold an object"),
    (lambda folder: (folder / "vocab.json").write_text("{"), "vocab.json: Expecting property name"),
    (change_tensors(lambda t: t.pop("lm_head.bias")), r"safetensors: lacks lm_head.bias$"),
    (
        change_tensors(lambda t: t.update(q=torch.ones(1), r=torch.ones(1))),
        "holds, and the model has no, q and 1 more",
    ),
    (
        change_tensors(lambda t: t.update({"lm_head.bias": torch.ones(9, 1)})),
        r"linear.bias must be \(9,\) by the configuration, got \(9, 1\)",
    ),
]


@pytest.mark.parametrize(("damage", "message"), BAD)
def test_what_is_no_such_model_is_refused_with_the_reason(tmp_path, damage, message):
    folder = write_folder(tmp_path / "folder")
    damage(folder)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_checkpoint(folder)

    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
