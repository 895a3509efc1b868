"""Exported graphs compute what their models compute; the gate is in `export_onnx` itself.

A network or a front end joins by a line in `exports`.
"""

import warnings

import exports
import numpy as np
import pytest
import torch
from published import write_folder

from asr import runtime
from asr.acoustic.checkpoint import load_checkpoint
from asr.export import exporter
from asr.export.exporter import export_onnx, export_torchscript
from asr.export.parity import TOLERANCE, ParityError, check_frames
from asr.features import FRONT_ENDS
from asr.models import CLIP_NETWORKS, FILTER_BANKS, NETWORKS
from asr.recognition.recognizer import Recognizer
from asr.runtime import OnnxModel
from asr.runtime.facts import FILE, read_facts

exports.needs_onnx()


def same_as_model(model, path, batches=((1.3,), (0.2, 0.9, 0.4))):
    """Compare a file with its model in the runtime, on batches that nothing was tried on before."""
    exported = OnnxModel(path, num_threads=1)
    rng = np.random.default_rng(7)
    for seconds in batches:
        sizes = [int(s * model.sample_rate) for s in seconds]
        waveforms = [rng.normal(0, 0.1, size).astype(np.float32) for size in sizes]
        for waveform in waveforms:
            expected, lengths = model.log_probs(
                torch.from_numpy(waveform[None]), torch.tensor([len(waveform)])
            )
            found = exported.log_probs(waveform)
            assert len(found) == lengths[0] == exported.facts.num_frames(len(waveform))
            np.testing.assert_allclose(found, expected[0, : lengths[0]], atol=TOLERANCE)


def test_every_class_is_tried():
    targets = [part["_target_"] for pair in exports.MODELS.values() for part in pair]
    filters = [net["filters"]["_target_"] for _, net in exports.MODELS.values() if "filters" in net]
    tried = {*targets, *filters, "asr.features.Samples"}

    assert set(NETWORKS) | set(FILTER_BANKS) | set(FRONT_ENDS) <= tried
    assert exports.CLIP["_target_"] in CLIP_NETWORKS


# The others take as long: a layer of PyTorch's, a loop of our own, a mean over the past.
QUICK = ("lstm", "peepholes", "running")


def quick_and_slow(names, quick=QUICK):
    return [n if n in quick else pytest.param(n, marks=pytest.mark.slow) for n in names]


@pytest.mark.parametrize("name", quick_and_slow(exports.MODELS))
def test_onnx_computes_what_the_model_computes(name, tmp_path):
    model = exports.make(name)

    exported = export_onnx(model, tmp_path / "m.onnx")

    assert exported.deviation.largest < TOLERANCE
    assert exported.deviation.same_best == 1
    same_as_model(model, tmp_path / "m.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("name", quick_and_slow(["lstm", *exports.FRONT_ENDS], ["mfcc"]))
def test_front_end_in_the_graph_computes_the_same(name, tmp_path):
    model = exports.make(name)

    export_onnx(model, tmp_path / "m.onnx", takes_samples=True)

    assert OnnxModel(tmp_path / "m.onnx").facts.graph_input == "samples"
    same_as_model(model, tmp_path / "m.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "attention", "max"])
def test_clips_get_one_label(pooling, tmp_path):
    model = exports.make_clip(pooling)

    export_onnx(model, tmp_path / "m.onnx")

    assert len(OnnxModel(tmp_path / "m.onnx").log_probs(np.ones(4000, np.float32))) == 1
    same_as_model(model, tmp_path / "m.onnx")


def test_clips_get_any_number_of_labels_that_last_all_of_them(tmp_path):
    model = exports.make_clip("mean", "sigmoid")
    with torch.no_grad():
        model.network.get_submodule(model.network.class_layer).bias.copy_(
            torch.tensor([-50.0, 50.0, 50.0])
        )

    export_onnx(model, tmp_path / "m.onnx")

    same_as_model(model, tmp_path / "m.onnx")
    waveform = np.ones(4000, np.float32) / 2
    result = runtime.load(tmp_path / "m.onnx").transcribe(waveform, 8000)
    expected = Recognizer(model).transcribe(waveform, 8000)
    assert result.text == expected.text == "no yes"
    times = [(word.word, word.start_s, word.end_s) for word in result.words]
    assert times == [("no", 0.0, 0.5), ("yes", 0.0, 0.5)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wav2vec2 base", "hubert large", "data2vec"])
def test_models_on_samples(kind, tmp_path):
    model = load_checkpoint(write_folder(tmp_path, kind))

    export_onnx(model, tmp_path / "m.onnx")

    same_as_model(model, tmp_path / "m.onnx")


@pytest.mark.parametrize("name", quick_and_slow(["lstm", "clipped rnn", "conformer"], ["lstm"]))
def test_torchscript_computes_what_the_model_computes(name, tmp_path):
    model = exports.make(name)

    exported = export_torchscript(model, tmp_path / "m.pt", takes_samples=True)

    assert exported.deviation.largest < TOLERANCE
    extra = {FILE: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.load(tmp_path / "m.pt", _extra_files=extra)
    facts = read_facts(extra[FILE].decode(), "m.pt")
    assert facts.tokens == model.tokenizer.tokens


def test_int8_is_smaller_close_and_says_what_it_left(tmp_path):
    wide = exports.NETWORKS["lstm"] | {"hidden_size": 128}
    exports.MODELS["wide"] = exports.LOG_MEL, wide
    try:
        model = exports.make("wide")
    finally:
        del exports.MODELS["wide"]

    exported = export_onnx(model, tmp_path / "m.onnx", int8=True)

    assert exported.num_bytes < exported.float_bytes / 2.5
    assert 0 < exported.deviation.largest < 0.5
    assert exported.deviation.same_best > 0.9
    assert exported.not_quantized == {"Conv": 2}


@pytest.mark.slow
def test_int8_says_that_gru_stays_float32(tmp_path):
    exported = export_onnx(exports.make("gru, frames out"), tmp_path / "m.onnx", int8=True)

    assert exported.not_quantized["GRU"] == 2


def test_graph_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    model = exports.make("frame network")

    class Wrong(exporter.GraphModel):
        def forward(self, x, x_lens):
            log_probs, lengths = super().forward(x, x_lens)
            # Right at the example's length alone, as traces are that took it for a constant.
            return log_probs + 0.01 * (x.shape[1] - 110), lengths

    monkeypatch.setattr(exporter, "GraphModel", Wrong)
    (tmp_path / "m.onnx").write_text("the old file")

    with pytest.raises(ParityError, match=r"log-probabilities are off by .* nats, more than 0.001"):
        export_onnx(model, tmp_path / "m.onnx")

    assert (tmp_path / "m.onnx").read_text() == "the old file"
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # A length that became a constant of the graph.
        (lambda x: x.reshape(2, 110, 12), r"utterances of \(1.37,\) s cannot be computed: "),
        (lambda x: torch.fft.rfft(x).abs(), "the network cannot be written as ONNX: .*fft"),
    ],
)
def test_graph_that_cannot_be_is_one_line(tmp_path, monkeypatch, change, message):
    class Wrong(exporter.GraphModel):
        def forward(self, x, x_lens):
            log_probs, lengths = super().forward(x, x_lens)
            return log_probs + change(x).sum(), lengths

    monkeypatch.setattr(exporter, "GraphModel", Wrong)

    with pytest.raises(ValueError, match=message) as raised:
        export_onnx(exports.make("frame network"), tmp_path / "m.onnx")

    assert "\n" not in str(raised.value)
    assert not [*tmp_path.iterdir()]


def test_wrong_number_of_frames_is_noticed():
    model = exports.make("frame network")
    facts = exporter.describe(model, takes_samples=False)

    check_frames(model, facts)
    facts.frame_steps[0][0] += 1

    with pytest.raises(ParityError, match=r"samples give . frames, by the exported file"):
        check_frames(model, facts)


def test_model_too_large_for_a_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "MAX_BYTES", 100)

    with pytest.raises(ValueError, match="a file of ONNX holds 2: export it with format=torchscr"):
        export_onnx(exports.make("frame network"), tmp_path / "m.onnx")
