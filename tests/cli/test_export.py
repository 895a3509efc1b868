"""`asr export`, from the command to files that other runtimes read."""

import re
import sys

import exports
import numpy as np
import pytest
import tones

from asr.acoustic.checkpoint import save_checkpoint
from asr.audio import write_wav
from asr.cli import main
from asr.data.manifest import Utterance, write_manifest
from asr.runtime import load

exports.needs_onnx()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run with a checkpoint that sherpa-onnx can take and one that it cannot."""
    run = tmp_path_factory.mktemp("run")
    (run / "ckpt").mkdir()
    save_checkpoint(run / "ckpt/best.ckpt", exports.sherpa_model())
    save_checkpoint(run / "ckpt/tones.ckpt", tones.untrained_model())
    return run


def test_file_goes_beside_the_run_with_tokens_for_sherpa(run_folder, capsys):
    assert main(["export", f"checkpoint={run_folder / 'ckpt/best.ckpt'}"]) == 0

    said = capsys.readouterr().err
    assert load(run_folder / "export/model.onnx").tokens[1:] == list(" abcd")
    tokens = (run_folder / "export/model.tokens.txt").read_text()
    assert tokens.splitlines()[:2] == ["<blk> 0", "\u2581 1"]
    assert "the best class is the same in 100.00 % of frames" in said
    assert "for sherpa-onnx, as its zipformer CTC, with tokens:" in said


@pytest.mark.slow
def test_int8_that_takes_samples(run_folder, capsys):
    checkpoint = run_folder / "ckpt/tones.ckpt"

    assert main(["export", f"checkpoint={checkpoint}", "int8=true", "input=samples"]) == 0

    said = capsys.readouterr().err
    assert (run_folder / "export/model_samples_int8.onnx").is_file()
    assert "weights that stay float32: 2 Conv, 2 GRU" in said
    assert "not for sherpa-onnx: the graph takes samples, and it gives features" in said


def test_torchscript_goes_where_out_says(run_folder, tmp_path):
    checkpoint = run_folder / "ckpt/tones.ckpt"
    out = tmp_path / "new" / "m.pt"

    assert main(["export", f"checkpoint={checkpoint}", "format=torchscript", f"out={out}"]) == 0

    assert out.stat().st_size > 1000


@pytest.fixture(scope="module")
def clips(run_folder):
    """Two clips, and one whose file is gone."""
    rng = np.random.default_rng(0)
    utterances = [Utterance(run_folder / "gone.wav", 1.0, "d")]
    for text in ("ab", "c a"):
        waveform, path = tones.speak(text, rng), run_folder / f"{text}.wav"
        write_wav(path, waveform, tones.SAMPLE_RATE)
        utterances.append(Utterance(path, len(waveform) / tones.SAMPLE_RATE, text))
    write_manifest(run_folder / "test.jsonl", utterances)
    return ["data=manifest", f"data.test_manifest={run_folder / 'test.jsonl'}"]


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (["int8=true"], ["checkpoint", "onnx", "onnx, int8"]),
        pytest.param(["format=torchscript"], ["checkpoint", "torchscript"], marks=pytest.mark.slow),
    ],
)
def test_error_rates_before_and_after(run_folder, clips, words, rows, tmp_path, capsys):
    checkpoint, out = run_folder / "ckpt/tones.ckpt", tmp_path / "model"

    command = ["export", f"checkpoint={checkpoint}", f"out={out}", *words, *clips]
    assert main(command) == 2  # for the clip that is gone

    table, said = capsys.readouterr()
    assert "not measured: gone: " in said
    header, _, *lines = table.splitlines()
    assert header.lstrip().startswith("WER %")
    cells = [re.split(" {2,}", line) for line in lines]
    assert [row[0] for row in cells] == rows
    assert cells[0][1:3] == cells[1][1:3]
    assert cells[1][3:5] == ["+0.00", "+0.00 to +0.00"]
    assert cells[-1][-2] == f"{out.stat().st_size / 1e6:.2f}"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_set_that_is_not_there_is_said_before_anything_is_written(run_folder, tmp_path, capsys):
    checkpoint = f"checkpoint={run_folder / 'ckpt/tones.ckpt'}"

    assert main(["export", checkpoint, f"out={tmp_path / 'm'}", "data=synth", "split=eval"]) == 2

    said = capsys.readouterr().err
    assert said == (
        "asr export: split must be one that data=synth has (train, dev, test), got eval\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["format=tflite"], "format must be onnx or torchscript, got 'tflite'"),
        (["input=both"], "input must be features or samples, got 'both'"),
        (["int8=yes please"], "int8 must be true or false, got 'yes please'"),
        (["int8=true", "format=torchscript"], "int8=true needs format=onnx"),
        (["out=[a,b]"], "out must be a text or null, got ['a', 'b']"),
        (["opset=17"], "there is no key 'opset' in the configuration"),
        (["checkpoint=missing.ckpt"], "missing.ckpt: no such checkpoint"),
    ],
)
def test_mistake_is_one_line(run_folder, words, message, capsys):
    checkpoint = [f"checkpoint={run_folder / 'ckpt/tones.ckpt'}"]
    checkpoint = [] if "checkpoint=missing.ckpt" in words else checkpoint

    assert main(["export", *checkpoint, *words]) == 2

    said = capsys.readouterr().err
    assert said.startswith(f"asr export: {message}")
    assert said.count("\n") == 1


def test_missing_package_is_said_with_the_extra_that_brings_it(run_folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    assert main(["export", f"checkpoint={run_folder / 'ckpt/tones.ckpt'}"]) == 2

    said = capsys.readouterr().err
    assert said == "asr export: format=onnx needs onnxruntime: pip install 'ctc-asr[export]'\n"
