"""Whoever makes a beam search without saying how gets the same one everywhere."""

import inspect
import shutil

import pytest
import tones
from noisy_words import TOKENS, make_emissions, write_bigram

import asr
from asr.audio import write_wav
from asr.cli import main
from asr.cli.hydra_config import compose_config
from asr.cli.quickstart import _decoders
from asr.data.manifest import Utterance, write_manifest
from asr.decoding import BeamSearchDecoder, NGramLM
from asr.tuning.emissions import save_emissions

# What each place may choose for itself.
CHOSEN = {"self", "tokens", "lm", "blank", "num_threads"}


@pytest.fixture
def made(monkeypatch):
    """Options of the beam searches that were made."""
    options = []
    original = BeamSearchDecoder.__init__
    signature = inspect.signature(original)

    def init(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        options.append({k: v for k, v in bound.arguments.items() if k not in CHOSEN})
        original(*args, **kwargs)

    monkeypatch.setattr(BeamSearchDecoder, "__init__", init)
    return options


@pytest.fixture
def folder(tmp_path, rng):
    write_bigram(tmp_path / "lm.arpa")
    shutil.copy(tones.checkpoint_path(), tmp_path / "m.ckpt")
    waveform = tones.speak("ab cad", rng)
    write_wav(tmp_path / "a.wav", waveform, tones.SAMPLE_RATE)
    seconds = len(waveform) / tones.SAMPLE_RATE
    write_manifest(tmp_path / "m.jsonl", [Utterance(tmp_path / "a.wav", seconds, "ab cad")])
    e = make_emissions(3)
    save_emissions(tmp_path / "set.safetensors", e.log_probs, e.references, TOKENS)
    return tmp_path


def run_decode(folder):
    words = ["data=manifest", f"data.test_manifest={folder / 'm.jsonl'}", "decoder=beam"]
    lm = f"decoder.lm={folder / 'lm.arpa'}"
    assert main(["decode", f"checkpoint={folder / 'm.ckpt'}", *words, lm]) == 0


def run_transcribe(folder):
    words = ["--checkpoint", str(folder / "m.ckpt"), "--lm", str(folder / "lm.arpa")]
    assert main(["transcribe", str(folder / "a.wav"), *words]) == 0


def run_load(folder):
    asr.load(folder / "m.ckpt", lm=folder / "lm.arpa")


def run_quickstart(folder):
    config = compose_config("quickstart", [])["quickstart"]
    _decoders(tones.untrained_model(), config, folder / "lm.arpa")


@pytest.mark.parametrize("run", [run_decode, run_transcribe, run_load])
def test_beam_search_has_the_defaults_of_its_class(folder, made, run):
    BeamSearchDecoder(TOKENS, lm=NGramLM(folder / "lm.arpa"))

    run(folder)

    assert len(made) >= 2
    assert all(options == made[0] for options in made)
    assert made[0]["unk_score"] == -10.0


def test_quickstart_changes_the_weights_that_it_names_alone(folder, made):
    BeamSearchDecoder(TOKENS)

    run_quickstart(folder)

    for options in made[1:]:
        changed = {key for key in options if options[key] != made[0][key]}
        assert changed <= {"beam_width", "lm_alpha", "lm_beta"}


def test_tune_begins_with_the_defaults_of_the_class(folder, made):
    BeamSearchDecoder(TOKENS)
    words = [f"log_probs={folder / 'set.safetensors'}", f"decoder.lm={folder / 'lm.arpa'}"]

    assert main(["tune", *words, "num_trials=1", f"output_dir={folder / 'tune'}"]) == 0

    # The ends of the ranges are tried on a decoder first; trial 0 is the first that decodes.
    assert made[0] in made[1:]
