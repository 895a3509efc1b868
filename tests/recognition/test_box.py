import json
from pathlib import Path

import numpy as np
import pytest

import asr
from asr.acoustic.checkpoint import read_header
from asr.audio import read_audio, write_wav
from asr.cli import main
from asr.cli.checkpoint_option import settle_box
from asr.decoding import BeamSearchDecoder, GreedyDecoder
from asr.recognition.box import BOX, KNOWS, WORDS

ROOT = Path(__file__).parents[2]
CLIP = "tests/recordings/stop.flac"
DIGITS = "tests/recordings/seven_two_nine.flac"


def test_fresh_clone_transcribes_a_spoken_command_in_one_command(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert f"asr transcribe {CLIP}" in (ROOT / "docs/box.md").read_text()

    assert main(["transcribe", CLIP]) == 0

    printed = capsys.readouterr()
    assert printed.out == "stop\n"
    assert f"using the model in the box: {KNOWS}; name another with --checkpoint" in printed.err


def test_load_without_a_path_is_the_model_in_the_box():
    result = asr.load().transcribe(ROOT / DIGITS)

    assert [word.word for word in result.words] == ["seven", "two", "nine"]
    assert 0 <= result.words[0].start_s < result.words[-1].end_s <= result.duration_s


def test_checkpoint_that_is_named_goes_before_the_box(tmp_path, capsys):
    code = main(["transcribe", str(ROOT / CLIP), "--checkpoint", str(tmp_path / "no.ckpt")])

    printed = capsys.readouterr()
    assert code == 2
    assert "no such checkpoint" in printed.err
    assert "in the box" not in printed.err


def test_box_is_small_and_says_nothing_of_the_machine_that_made_it():
    header = read_header(BOX)

    assert BOX.stat().st_size <= 10_000_000
    assert header["config"].keys() == {"features", "model"}
    assert "/" not in json.dumps(header["config"])
    assert (ROOT / header["extra"]["card"]).is_file()


def test_box_says_no_other_words_than_its_own(rng):
    noise = rng.normal(0, 0.3, 5 * 16000).astype("float32")
    words = set(WORDS.read_text().split())

    result = asr.load().transcribe(noise, 16000)

    assert len(words) == 123
    assert {*"abcdefghijklmnopqrstuvwxyz", "seven", "left", "million", "june"} <= words
    assert set(result.text.split()) <= words


def test_decoder_that_is_given_goes_before_that_of_the_box():
    tokens = asr.load().tokens

    assert isinstance(asr.load().decoder, BeamSearchDecoder)
    assert isinstance(asr.load(decoder=GreedyDecoder(tokens)).decoder, GreedyDecoder)


def test_options_of_the_search_leave_the_box_its_words(tmp_path, rng, capsys):
    waveform, *_ = read_audio(ROOT / DIGITS, 16000)
    noise = 0.05 * rng.standard_normal(len(waveform), np.float32)  # so that there is a choice
    write_wav(tmp_path / "noisy.wav", waveform + noise, 16000)
    main(["transcribe", str(tmp_path / "noisy.wav"), "--format", "json", "--n-best", "5"])
    record = json.loads(capsys.readouterr().out)
    words = set(WORDS.read_text().split())

    readings = [reading["text"] for s in record["segments"] for reading in s["alternatives"]]

    assert len(readings) > 1
    assert {word for reading in readings for word in reading.split()} <= words


def test_box_pronounces_words_of_a_grammar_or_a_list_that_it_does_not_search_else(tmp_path, capsys):
    clip, lexicon = str(ROOT / CLIP), tmp_path / "words.txt"
    lexicon.write_text("Stop\nmusic\nkitchen\n")

    for named in (["--grammar", "the kitchen | stop | play music"], ["--lexicon", str(lexicon)]):
        assert main(["transcribe", clip, *named]) == 0
        assert capsys.readouterr().out == "stop\n"

    lexicon.write_text("stop\nquagga\n")
    assert main(["transcribe", clip, "--lexicon", str(lexicon)]) == 2
    assert "words.txt: the pronouncing dictionary lacks 'quagga'" in capsys.readouterr().err


def test_words_that_the_user_names_replace_those_of_the_box():
    options = {"lexicon": "mine", "n_best": 5}

    settle_box(BOX, options)

    assert options == {"lexicon": "mine", "n_best": 5}


@pytest.mark.parametrize("named", ["lm", "grammar", "hotwords"])
def test_who_says_what_there_is_to_say_may_use_all_that_the_box_pronounces(named):
    options = {named: "mine", "n_best": 5}

    settle_box(BOX, options)

    assert options == {named: "mine", "n_best": 5, "lexicon": "dictionary"}
