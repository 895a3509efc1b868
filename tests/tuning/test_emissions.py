import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from asr.tuning.emissions import (
    EmissionsError,
    compute_emissions,
    read_emissions,
    save_emissions,
)

TOKENS = ["<blank>", "a", " "]


def draw(rng, *lengths):
    logits = [rng.normal(size=(length, 3)) for length in lengths]
    return [rows - np.log(np.exp(rows).sum(axis=1, keepdims=True)) for rows in logits]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_file_gives_back_what_was_saved(rng, tmp_path, kind):
    rows = [r.astype(kind) for r in draw(rng, 4, 0, 7)]
    path = tmp_path / "set.safetensors"

    save_emissions(path, rows, ["a", "", "a\u00e9 a"], TOKENS, 2, ["x", "y", "x"], {"of": "this"})

    read = read_emissions(path)
    assert all(np.array_equal(a, b) for a, b in zip(read.log_probs, rows, strict=True))
    assert read.log_probs[0].dtype == (np.float64 if kind is np.float64 else np.float32)
    assert (read.references, read.tokens, read.blank) == (["a", "", "a\u00e9 a"], TOKENS, 2)
    assert (read.ids, read.fingerprint) == (["x", "y", "x"], {"of": "this"})
    assert [p.name for p in tmp_path.iterdir()] == ["set.safetensors"]


def test_tensors_can_be_saved(rng, tmp_path):
    rows = draw(rng, 4, 5)

    save_emissions(tmp_path / "x", [torch.tensor(r) for r in rows], ["a", "a"], TOKENS)

    assert np.array_equal(read_emissions(tmp_path / "x").log_probs[1], rows[1])


def test_file_of_another_program_is_read(rng, tmp_path):
    rows = draw(rng, 4, 6)
    tensors = {
        "log_probs": np.concatenate(rows).astype(np.float32),
        "lengths": np.array([4, 6], dtype=np.int32),
    }
    texts = {"tokens": json.dumps(TOKENS), "references": json.dumps(["a a", "a"])}
    save_file(tensors, tmp_path / "x", texts)

    read = read_emissions(tmp_path / "x")

    assert (read.blank, read.ids, read.fingerprint) == (0, ["0", "1"], {})
    assert [len(r) for r in read.log_probs] == [4, 6]


def spoil(rows, row, value):
    rows[0][row, 1] = value
    return rows


BAD = [
    (lambda r: {"log_probs": spoil(r, 2, 0.5)}, "got 0.5 in utterance 'u', frame 2"),
    (lambda r: {"log_probs": spoil(r, 0, np.nan)}, "got nan in utterance 'u', frame 0"),
    (lambda r: {"log_probs": [r[0], r[1] + 9]}, "in utterance 'v', frame 0"),
    (lambda r: {"tokens": TOKENS[:2]}, "log_probs must be floats (frames, C=2)"),
    (lambda r: {"log_probs": [rows.astype(int) for rows in r]}, "must be floats"),
    (lambda r: {"blank": 3}, "blank must be in 0..2, got 3"),
    (lambda r: {"references": ["a"]}, "references, ids and lengths must be as many"),
    (lambda r: {"references": ["", " "]}, "references must hold at least one word"),
    (lambda r: {"references": ["a", 3]}, "references must be a list of strings"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_what_does_not_fit_is_refused_and_not_written(rng, tmp_path, change, message):
    rows = draw(rng, 4, 5)
    parts = {"log_probs": rows, "references": ["a", "a"], "tokens": TOKENS, "ids": ["u", "v"]}

    with pytest.raises(EmissionsError, match="x: ") as caught:
        save_emissions(tmp_path / "x", **(parts | change(rows)))

    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("lengths", "texts"),
    [
        ([4, 5], {}),
        ([4, -1], {"references": '["a", "a"]'}),
        ([4, 6], {"references": "a, a"}),
        ([4, 6], {"references": '["a", "a"]', "blank": "no"}),
        ([4, 6], {"references": '"a"'}),
        ([4, 7], {"references": '["a", "a"]'}),
    ],
)
def test_bad_file_is_refused_by_name(rng, tmp_path, lengths, texts):
    flat = np.concatenate(draw(rng, 4, 6))
    save_file(
        {"log_probs": flat, "lengths": np.array(lengths)},
        tmp_path / "x",
        {"tokens": json.dumps(TOKENS)} | texts,
    )

    with pytest.raises(EmissionsError, match=r"x: "):
        read_emissions(tmp_path / "x")


def test_cut_or_missing_file_is_refused(rng, tmp_path):
    path = tmp_path / "set"
    with pytest.raises(EmissionsError, match="no such file"):
        read_emissions(path)
    save_emissions(path, draw(rng, 5), ["a"], TOKENS)
    content = path.read_bytes()

    for size in (0, 5, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(EmissionsError, match="not a readable file"):
            read_emissions(path)


def test_model_is_run_over_every_batch(rng, tmp_path):
    """Rows without their padding, beside their ids and texts."""
    rows = [torch.tensor(r) for r in draw(rng, 2, 5, 3)]
    padded = torch.nn.utils.rnn.pad_sequence(rows[:2], batch_first=True)  # (N, T, C)
    batches = [
        SimpleNamespace(
            ids=["u", "v"],
            texts=["a", "a a"],
            waveforms=padded,
            waveform_lengths=torch.tensor([2, 5]),
        ),
        SimpleNamespace(ids=[], texts=[], waveforms=None, waveform_lengths=None),
        SimpleNamespace(
            ids=["w"], texts=["a"], waveforms=rows[2][None], waveform_lengths=torch.tensor([3])
        ),
    ]
    loader = SimpleNamespace(
        corpus=SimpleNamespace(utterances=lambda epoch: range(3)),
        batches=lambda epoch: iter(batches),
    )
    model = SimpleNamespace(
        log_probs=lambda waveforms, lengths: (waveforms, lengths),
        tokenizer=SimpleNamespace(tokens=TOKENS),
    )

    compute_emissions(model, loader, tmp_path / "x", {"checkpoint": "1"})

    read = read_emissions(tmp_path / "x")
    assert (read.ids, read.references) == (["u", "v", "w"], ["a", "a a", "a"])
    assert all(np.array_equal(a, b) for a, b in zip(read.log_probs, rows, strict=True))
    assert read.fingerprint == {"checkpoint": "1"}
