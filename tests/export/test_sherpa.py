"""Files that sherpa-onnx runs unchanged, with the text of our own decoding."""

import exports
import numpy as np
import pytest
import torch

from asr.audio import read_audio
from asr.decoding import GreedyDecoder
from asr.export import exporter, sherpa

exports.needs_onnx()


def test_tokens_have_a_class_a_line_with_blank_and_space_as_it_knows_them(tmp_path):
    sherpa.write_tokens(tmp_path / "t.txt", ["<blank>", " ", "a", "\u2581the"])

    lines = (tmp_path / "t.txt").read_text().splitlines()
    assert lines == ["<blk> 0", "\u2581 1", "a 2", "\u2581the 3"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, ""),
        ({"n_mels": 40}, ""),
        ({"f_max": 8000.0}, "its features have f_max=7600, the model 8000"),
        ({"hop_length": 200}, "its features have hop_length=160, the model 200"),
        ({"sample_rate": 8000}, "its features have win_length=200, the model 400"),
    ],
)
def test_model_of_other_features_is_refused_by_name(change, message):
    model = exports.sherpa_model()
    model.config["features"] = model.config["features"] | change
    model.features.sample_rate = model.config["features"]["sample_rate"]

    assert sherpa.refusal(model, takes_samples=False) == message


def test_other_inputs_are_refused_by_name():
    model = exports.sherpa_model()

    said = sherpa.refusal(model, takes_samples=True)
    assert said == "the graph takes samples, and it gives features"
    said = sherpa.refusal(exports.make("mfcc"), takes_samples=False)
    assert said == "the features are Mfcc, and it computes LogMel"


def texts(model, folder, waveforms):
    """Texts of sherpa-onnx, alone and in a batch, and of our greedy decoder."""
    sherpa_onnx = pytest.importorskip("sherpa_onnx", reason="pip install sherpa-onnx")
    exporter.export_onnx(model, folder / "m.onnx")
    sherpa.write_tokens(folder / "t.txt", model.tokenizer.tokens)
    recognizer = sherpa_onnx.OfflineRecognizer.from_zipformer_ctc(
        model=str(folder / "m.onnx"),
        tokens=str(folder / "t.txt"),
        num_threads=1,
        sample_rate=model.sample_rate,
        feature_dim=model.config["features"]["n_mels"],
    )

    def streams():
        made = [recognizer.create_stream() for _ in waveforms]
        for stream, waveform in zip(made, waveforms, strict=True):
            stream.accept_waveform(model.sample_rate, waveform)
        return made

    alone, together = streams(), streams()
    for stream in alone:
        recognizer.decode_stream(stream)
    recognizer.decode_streams(together)
    decoder = GreedyDecoder(model.tokenizer.tokens)
    ours = []
    for waveform in waveforms:
        rows = model.log_probs(torch.from_numpy(waveform[None]), torch.tensor([len(waveform)]))
        ours.append(decoder(*rows)[0][0].text)
    return [s.result.text for s in alone], [s.result.text for s in together], ours


def test_text_is_that_of_our_greedy_decoder(tmp_path, rng):
    model = exports.sherpa_model("abcdefgh")
    sizes = (16000, 9000, 24000)
    waveforms = [(0.1 * rng.standard_normal(size)).astype(np.float32) for size in sizes]

    alone, together, ours = texts(model, tmp_path, waveforms)

    assert alone == together == ours
    assert all(ours)


@pytest.mark.slow
def test_text_of_real_speech_is_that_of_our_greedy_decoder(real_speech, tmp_path):
    paths = sorted((real_speech / "librispeech-mini").rglob("*.flac"))[:3]
    if not paths:
        pytest.skip(f"no recordings below {real_speech / 'librispeech-mini'}")
    model = exports.sherpa_model("abcdefgh")

    waveforms = [read_audio(path, 16000).waveform for path in paths]

    alone, together, ours = texts(model, tmp_path, waveforms)
    assert alone == together == ours
