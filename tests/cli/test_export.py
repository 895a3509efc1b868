"""`asr export`, from the command to files that other runtimes read."""

import sys

import exports
import pytest
import tones

from asr.acoustic.checkpoint import save_checkpoint
from asr.cli import main
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
