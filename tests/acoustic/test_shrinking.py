import json

import pytest
import tones
import torch
from safetensors import safe_open

from asr.acoustic.checkpoint import (
    ModelFileError,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from asr.acoustic.shrinking import shrink_checkpoint
from asr.text import PhoneTokenizer


@pytest.fixture
def small(tmp_path):
    """The small file of a checkpoint that also holds a run's paths and an optimizer."""
    model = tones.trained_model()
    model.config = model.config | {"run_dir": "/home/me/runs", "data": {"root": "/home/me/data"}}
    state = {"optimizer.0.exp_avg": torch.zeros(1000)}
    save_checkpoint(tmp_path / "last.ckpt", model, {"epoch": 3}, state)
    shrink_checkpoint(tmp_path / "last.ckpt", tmp_path / "small.ckpt", {"card": "card.md"})
    return tmp_path / "small.ckpt"


def test_small_file_says_what_the_checkpoint_said(small, rng):
    waveform = torch.from_numpy(tones.speak("ab cad bad", rng))[None]
    lengths = torch.tensor([waveform.shape[1]])

    expected, _ = tones.trained_model().log_probs(waveform, lengths)
    found, _ = load_checkpoint(small).log_probs(waveform, lengths)

    assert found.dtype == torch.float32
    torch.testing.assert_close(found.exp(), expected.exp(), atol=5e-3, rtol=0)
    assert not torch.equal(found, expected)


def test_small_file_holds_matrices_as_float16_and_the_rest_as_it_was(small):
    _, full = read_checkpoint(small.with_name("last.ckpt"))
    _, tensors = read_checkpoint(small)

    assert tensors.keys() == {name for name in full if not name.startswith("optimizer.")}
    for name, tensor in tensors.items():
        is_half = full[name].dim() > 1 and full[name].is_floating_point()
        assert tensor.dtype == (torch.float16 if is_half else full[name].dtype), name
    assert any(tensor.dtype == torch.float16 for tensor in tensors.values())


def test_small_file_says_nothing_of_the_run(small):
    with safe_open(small, framework="pt") as file:
        text = file.metadata()["asr"]

    assert "/home/me" not in text
    assert json.loads(text)["extra"] == {"card": "card.md"}


def test_weight_beyond_float16_is_refused_by_name(tmp_path):
    model = tones.untrained_model()
    with torch.no_grad():
        model.network.linear.weight[0, 0] = 7e4
    save_checkpoint(tmp_path / "a.ckpt", model)

    with pytest.raises(ModelFileError, match=r"a\.ckpt: model\.linear\.weight .* beyond float16"):
        shrink_checkpoint(tmp_path / "a.ckpt", tmp_path / "b.ckpt", {})

    assert not (tmp_path / "b.ckpt").exists()


def test_phones_of_fewer_words_replace_the_dictionary(tmp_path):
    model = tones.untrained_model()
    phones = [f"p{number}" for number in range(1, len(model.tokenizer.tokens))]
    model.tokenizer = PhoneTokenizer({"all": phones, "first": phones[:1]})
    save_checkpoint(tmp_path / "a.ckpt", model)
    paths = tmp_path / "a.ckpt", tmp_path / "b.ckpt"

    shrink_checkpoint(*paths, {}, PhoneTokenizer({"all": phones}, [("all", phones[::-1])]))

    tokenizer = load_checkpoint(paths[1]).tokenizer
    assert tokenizer.pronounce() == {"all": [tuple(phones), tuple(phones[::-1])]}
    with pytest.raises(ModelFileError, match=r"a\.ckpt: has other tokens"):
        shrink_checkpoint(*paths, {}, PhoneTokenizer({"first": phones[:1]}))
