"""Exported models without PyTorch say what `asr.load` says."""

import json
import subprocess
import sys

import exports
import numpy as np
import pytest
import soundfile
import tones

import asr
from asr.decoding import BeamSearchDecoder
from asr.export.exporter import export_onnx
from asr.export.onnx_file import add_metadata
from asr.runtime import ModelFileError, load
from asr.runtime.__main__ import main

exports.needs_onnx()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model of tones as ONNX, and a recording."""
    folder = tmp_path_factory.mktemp("runtime")
    export_onnx(tones.trained_model(), folder / "m.onnx")
    rng = np.random.default_rng(5)
    soundfile.write(folder / "a.wav", tones.speak("ab cad", rng), tones.SAMPLE_RATE)
    return folder


@pytest.fixture(scope="module")
def recognizer(folder):
    return load(folder / "m.onnx", num_threads=1)


def long_recording():
    """40 s with pauses and 35 s without, in which cuts need margins."""
    rng = np.random.default_rng(6)
    parts = []
    for _ in range(12):
        parts += [tones.speak(tones.invent_text(rng, 3), rng), np.zeros(3000, np.float32)]
    steady = tones.speak("abcd" * 45, rng)
    return np.concatenate([*parts, steady]).astype(np.float32)


def test_file_has_the_text_words_and_times_of_asr_load(folder, recognizer):
    ours = asr.load(tones.checkpoint_path()).transcribe(folder / "a.wav")
    theirs = recognizer.transcribe(folder / "a.wav")

    assert theirs.text == ours.text == "ab cad"
    assert [w[:3] for w in theirs.words] == [w[:3] for w in ours.words]
    assert theirs.score == pytest.approx(ours.score, abs=1e-3)
    assert (theirs.audio, theirs.duration_s) == (ours.audio, ours.duration_s)


def test_long_recording_has_the_segments_of_asr_load(recognizer):
    waveform = long_recording()

    ours = asr.load(tones.checkpoint_path()).transcribe(waveform, tones.SAMPLE_RATE)
    theirs = recognizer.transcribe(waveform, tones.SAMPLE_RATE)

    assert theirs.text == ours.text
    assert [(s.text, s.start_s, s.end_s) for s in theirs.segments] == [
        (s.text, s.start_s, s.end_s) for s in ours.segments
    ]
    assert len(ours.segments) > 5
    assert theirs.duration_s == ours.duration_s


def test_pieces_of_a_waveform_say_what_the_whole_says(recognizer):
    waveform = long_recording()[:60000]

    whole = recognizer.transcribe(waveform, tones.SAMPLE_RATE)
    pieces = recognizer.transcribe(iter(np.array_split(waveform, 7)), tones.SAMPLE_RATE)

    assert pieces.text == whole.text != ""


def test_any_decoder_may_be_given(folder, recognizer):
    decoder = BeamSearchDecoder(recognizer.tokens, n_best=3)

    transcript = load(folder / "m.onnx", decoder).transcribe(folder / "a.wav")

    assert transcript.text == "ab cad"
    assert len(transcript.segments[0].alternatives) == 3
    with pytest.raises(ValueError, match="lm must not be given beside a decoder"):
        load(folder / "m.onnx", decoder, lm="lm.arpa")


def test_other_sample_rates_are_converted_and_noted(folder, recognizer, tmp_path):
    samples, _ = soundfile.read(folder / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.repeat(samples, 2), 2 * tones.SAMPLE_RATE)

    transcript = recognizer.transcribe(tmp_path / "b.wav")

    assert transcript.text == "ab cad"
    assert transcript.notes == ["resampled from 16000 Hz to 8000 Hz"]


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        (np.zeros(8000, np.float32), None, "sample_rate must be given with a waveform, got None"),
        (np.zeros(8000, np.float32), 12, "sample_rate must be 1000..768000 Hz, got 12"),
        (np.zeros(3, np.float32), 8000, "3 samples at 8000 Hz are too short for one frame"),
        ("a.wav", 8000, "sample_rate is for waveforms, files know theirs; got 8000"),
        ("missing.wav", None, "missing.wav: no such audio file"),
    ],
)
def test_what_cannot_be_transcribed_is_said(recognizer, audio, rate, message):
    with pytest.raises(ValueError, match=message):
        recognizer.transcribe(audio, rate)


def facts_of(folder):
    return json.loads(load(folder / "m.onnx").model.facts.to_json())


BROKEN = {
    "no metadata": (None, "metadata has no key 'asr': the file was not written by `asr export`"),
    "no JSON": ("{", "metadata 'asr': Expecting property name"),
    "another format": ({"format": 2}, "metadata 'asr': format must be 1"),
    "a key too few": ({"tokens": ...}, r"metadata 'asr': keys must be .*'tokens'.* differ"),
    "rate": ({"sample_rate": 12}, "metadata 'asr': sample_rate must be 1000..768000 Hz, got 12"),
    "a text": ({"sample_rate": "8"}, "metadata 'asr': sample_rate must be 1000..768000 Hz"),
    "steps": ({"frame_steps": [[0, 0, 1]]}, "metadata 'asr': frame_steps must be triples"),
    "tokens": ({"tokens": ["", "a"]}, "the graph gives 6 classes, the metadata 2 tokens"),
    "input": ({"graph_input": "samples"}, r"the graph takes \[16\] values a frame, not \[\]"),
    "statics": ({"statics": {}}, "metadata 'asr': statics: "),
}


@pytest.mark.parametrize("name", BROKEN)
def test_file_with_broken_metadata_is_refused_in_one_line(folder, tmp_path, name):
    change, message = BROKEN[name]
    text = change
    if isinstance(change, dict):
        text = json.dumps({k: v for k, v in (facts_of(folder) | change).items() if v is not ...})
    path = tmp_path / "broken.onnx"
    add_metadata(folder / "m.onnx", path, {} if text is None else {"asr": text})

    with pytest.raises(ModelFileError, match=message) as raised:
        load(path)

    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("keep", [0, 1, 100, 20000])
def test_file_cut_short_is_refused_in_one_line(folder, tmp_path, keep, capsys):
    path = tmp_path / "cut.onnx"
    path.write_bytes((folder / "m.onnx").read_bytes()[:keep])

    assert main([str(path), "a.wav"]) == 2

    said = capsys.readouterr().err
    assert said.startswith(f"{path}: ")
    assert said.count("\n") == 1


def test_command_prints_texts_and_names_what_cannot_be_read(folder, tmp_path, capsys):
    good, bad = str(folder / "a.wav"), str(tmp_path / "no.wav")

    assert main([str(folder / "m.onnx"), good, bad, "--threads", "1"]) == 2

    printed = capsys.readouterr()
    assert printed.out == f"{good}: ab cad\n"
    assert printed.err == f"{bad}: no such audio file\n"


def test_missing_model_is_one_line(capsys):
    assert main(["no.onnx", "a.wav"]) == 2

    assert capsys.readouterr().err == "no.onnx: no such model\n"


WITHOUT_TORCH = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED and name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
ALLOWED = {"numpy", "onnxruntime", "soundfile"}
EXTRAS = {"torch", "torchaudio", "numba", "hydra", "onnx", "sentencepiece", "unicode_rbnf",
          "safetensors", "jinja2", "kaldialign", "jiwer", "tqdm", "threadpoolctl", "av"}
sys.meta_path.insert(0, Block())
from asr.runtime.__main__ import main
code = main(sys.argv[1:])
assert not EXTRAS & set(sys.modules)
sys.exit(code)
"""


def test_transcribes_where_nothing_but_the_extra_is_installed(folder, tmp_path):
    samples, _ = soundfile.read(folder / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.repeat(samples, 2), 2 * tones.SAMPLE_RATE)
    words = [folder / "m.onnx", folder / "a.wav", tmp_path / "b.wav", "--format", "trn"]

    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, check=False
    )

    assert result.stderr == ""
    assert result.stdout == "ab cad (a)\nab cad (b)\n"


def test_missing_package_is_said_with_the_extra_that_brings_it(folder):
    code = WITHOUT_TORCH.replace('ALLOWED = {"numpy", "onnxruntime",', "ALLOWED = {").replace(
        '"onnx",', '"onnx", "onnxruntime",'
    )

    result = subprocess.run(
        [sys.executable, "-c", code, folder / "m.onnx", "a.wav"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.stderr == "asr.runtime needs onnxruntime: pip install 'ctc-asr[runtime]'\n"
    assert result.returncode == 2
