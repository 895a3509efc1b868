import argparse
import io
import json
import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tones
import yaml
from noisy_words import write_bigram

from asr.acoustic.silero import open_silero
from asr.audio import write_wav
from asr.cli import main
from asr.cli.terminal import COLOURS, colour_words
from asr.cli.transcribe import _read_formats, add_arguments
from asr.decoding import BeamSearchDecoder
from asr.recognition.box import BOX
from asr.recognition.transcripts import TimedWord, Transcript

TEXTS = {"a": "ab cad", "b": "dab", "sub/c": "bad ab"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to be in, with recordings."""
    rng = np.random.default_rng(7)
    for name, text in TEXTS.items():
        path = tmp_path / "rec" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, tones.speak(text, rng), tones.SAMPLE_RATE)
    (tmp_path / "rec/notes.txt").write_text("no recording")
    (tmp_path / "rec/.hidden.wav").write_text("no recording either")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_of_the_guide_are_understood():
    guide = (Path(__file__).parents[2] / "docs/transcribe.md").read_text()
    commands = re.findall(r"asr transcribe (.*)$", guide.split("```")[1], re.MULTILINE)
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    parsed = [parser.parse_args(shlex.split(command.split(" > ")[0])) for command in commands]

    assert len(parsed) == 7
    assert parsed[0].checkpoint == BOX
    assert all(args.checkpoint.name == "best.ckpt" for args in parsed[1:])
    assert [_read_formats(args) for args in parsed][3] == ["srt", "json"]


def transcribe(*words):
    return main(["transcribe", *words, "--checkpoint", str(tones.checkpoint_path())])


def lines(capsys):
    return capsys.readouterr().out.splitlines()


ALL = [f"rec/{name}.wav: {text}" for name, text in TEXTS.items()]


@pytest.mark.parametrize("word", ["rec", "rec/**/*.wav", "@list.txt", "--list=list.txt"])
def test_folders_patterns_and_lists_name_recordings(folder, capsys, word):
    (folder / "list.txt").write_text("rec/a.wav\n\nrec/b.wav\nrec/sub\n")

    assert transcribe(word) == 0

    assert lines(capsys) == ALL


def test_standard_input_is_a_recording(folder, capsys, monkeypatch):
    content = (folder / "rec/a.wav").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    assert transcribe("-", "--format", "json") == 0

    record = json.loads(capsys.readouterr().out)
    assert (record["audio"], record["text"]) == ("-", "ab cad")


def test_broken_standard_input_is_named_as_it_was(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"nothing")))

    assert transcribe("-") == 2

    assert "not transcribed: -: cannot be decoded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a file, a folder, a pattern"),
        (["empty"], "empty: no recording below it"),
        (["rec/*.flac"], "rec/*.flac: no file is named like that"),
        (["@empty.txt"], "empty.txt: the list is empty"),
        (["@no.txt"], "no.txt: cannot be read"),
        (["rec", "--format", "srt"], "--format srt holds one recording, got 3 files: give --out"),
        (["rec", "--format", "srt,json"], "--format srt,json: several formats need --out DIR"),
        (["rec", "--format", "doc"], "format must be one of text, json, srt"),
        (["rec", "--overwrite"], "--overwrite has no effect without --out"),
        (["rec", "--print-colors", "--format", "json"], "--print-colors is for text"),
        (["rec", "--lm-alpha", "1"], "--lm-alpha has no effect without --lm"),
        (["rec", "--hotword-weight", "1"], "--hotword-weight has no effect without --hotwords"),
        (["rec", "--hotwords", "ab"], "hotword_weight must be > 0"),
        (["rec", "--grammar", "x |"], "grammar"),
        (["rec", "--options", "list.txt"], "--options list.txt: is no best.yaml of asr tune"),
        (["rec", "--options", "deep.yaml"], "--options deep.yaml: is no best.yaml of asr tune"),
        (["rec", "--options", "odd.yaml"], "--options odd.yaml: beam search has no option 7"),
        (
            ["rec", "--options", "alone.yaml"],
            "--options alone.yaml: --lm-alpha has no effect without --lm",
        ),
        (["rec", "other/a.wav", "--out", "o"], "rec/a.wav and other/a.wav would have the same"),
        (["rec", "other/a.wav", "--format", "trn"], "by their files' names, and 2 are (a)"),
    ],
)
def test_mistake_is_one_line_and_leaves_no_folder(folder, capsys, words, message):
    (folder / "empty").mkdir()
    (folder / "other").mkdir()
    (folder / "other/a.wav").touch()
    (folder / "empty.txt").write_text("\n")
    (folder / "list.txt").write_text("rec/a.wav\n")
    (folder / "deep.yaml").write_text("[" * 3000)
    (folder / "odd.yaml").write_text("{overrides: [], options: {7: 1, x: 2}}")
    (folder / "alone.yaml").write_text("{overrides: [], options: {lm_alpha: 1}}")

    assert transcribe(*words) == 2

    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (folder / "o").exists()


def test_folder_gets_a_file_for_each_recording_and_format(folder, capsys):
    (folder / "rec/bad.wav").write_text("broken")

    assert transcribe("rec", "--out", "o", "--format", "text,srt") == 2

    files = {str(path.relative_to(folder / "o")) for path in (folder / "o").rglob("*.*")}
    stems = {f"{name}.{suffix}" for name in TEXTS for suffix in ("txt", "srt")}
    assert files == stems | {"transcribe.json", "failures.jsonl"}
    assert (folder / "o/sub/c.txt").read_text() == "bad ab\n"
    (failure,) = map(json.loads, (folder / "o/failures.jsonl").read_text().splitlines())
    assert (failure["audio"], "bad.wav" in failure["error"]) == ("rec/bad.wav", True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "o: 3 transcribed, 1 could not be, see o/failures.jsonl" in printed.err


def test_second_run_does_what_is_left(folder, capsys):
    assert transcribe("rec", "--out", "o") == 0
    os.utime(folder / "rec/b.wav", (2e9, 2e9))  # recorded again
    (folder / "o/a.txt").write_text("corrected\n")
    (folder / "o/sub/c.txt").unlink()
    capsys.readouterr()

    assert transcribe("rec", "--out", "o") == 0

    assert "2 transcribed, 1 were done already" in capsys.readouterr().err
    assert (folder / "o/a.txt").read_text() == "corrected\n"
    assert (folder / "o/sub/c.txt").read_text() == "bad ab\n"
    assert transcribe("rec", "--out", "o", "--overwrite") == 0
    assert (folder / "o/a.txt").read_text() == "ab cad\n"


def test_transcripts_of_other_settings_are_not_mixed(folder, capsys):
    assert transcribe("rec", "--out", "o") == 0

    assert transcribe("rec", "--out", "o", "--beam-width", "8") == 2

    line = capsys.readouterr().err.splitlines()[-1]
    assert "--out o: its transcripts were made with another decoder.beam_width" in line
    assert transcribe("rec", "--out", "o", "--beam-width", "8", "--overwrite") == 0


@pytest.mark.parametrize("cut", ["energy", "silero"])
def test_recording_is_cut_as_the_command_says(folder, capsys, monkeypatch, cut):
    found = []
    monkeypatch.setattr("asr.acoustic.silero.open_silero", lambda: None)
    monkeypatch.setattr("asr.acoustic.chunks.choose_cut", lambda *args: found.append(args))
    monkeypatch.setattr("asr.acoustic.silero.SileroSilences.find", lambda *args: "by silero")
    write_wav(folder / "long.wav", np.zeros(31 * tones.SAMPLE_RATE), tones.SAMPLE_RATE)

    assert transcribe("long.wav", "--cut", cut, "--out", "out") == 0

    assert {args[0] == "by silero" for args in found} == {cut == "silero"}
    assert json.loads((folder / "out/transcribe.json").read_text())["cut"] == cut
    other = {"energy": "silero", "silero": "energy"}[cut]
    assert transcribe("long.wav", "--cut", other, "--out", "out") == 2
    assert "were made with another cut" in capsys.readouterr().err


def test_cut_by_silero_needs_its_extra(folder, capsys, monkeypatch):
    monkeypatch.setattr("asr.acoustic.silero.find_spec", lambda name: None)
    open_silero.cache_clear()

    assert main(["transcribe", "rec/a.wav", "--cut", "silero"]) == 2
    message = "asr transcribe: cut=silero needs silero-vad: pip install 'ctc-asr[vad]'"
    assert capsys.readouterr().err.splitlines()[1:] == [message]  # behind the name of the model


def test_failures_of_a_run_before_are_forgotten(folder):
    (folder / "rec/bad.wav").write_text("broken")
    assert transcribe("rec", "--out", "o") == 2
    (folder / "rec/bad.wav").unlink()

    assert transcribe("rec", "--out", "o") == 0

    assert not (folder / "o/failures.jsonl").exists()


def test_recordings_that_differ_in_their_ending_keep_it(folder):
    samples, rate = soundfile.read(folder / "rec/a.wav")
    soundfile.write(folder / "rec/a.flac", samples, rate)

    assert transcribe("rec", "--out", "o") == 0

    assert (folder / "o/a.wav.txt").read_text() == (folder / "o/a.flac.txt").read_text()
    assert (folder / "o/b.txt").exists()


@pytest.mark.parametrize(
    ("value", "rule"), [("x", "an integer, >= 1, got 'x'"), ("0", ">= 1, got 0")]
)
def test_count_that_is_none_is_named(capsys, value, rule):
    with pytest.raises(SystemExit):
        main(["transcribe", "rec", "--words-per-line", value])

    assert f"argument --words-per-line: must be {rule}" in capsys.readouterr().err


def test_recording_named_as_the_folders_own_file_is_transcribed(folder):
    Path("rec/a.wav").rename("transcribe.wav")

    assert transcribe("transcribe.wav", "--out", "o", "--format", "json") == 0
    assert transcribe("transcribe.wav", "--out", "o", "--format", "json") == 0

    assert json.loads(Path("o/transcribe.wav.json").read_text())["text"] == TEXTS["a"]


def test_columns_are_parted_by_tabs_on_standard_output(folder, capsys):
    assert transcribe("rec/b.wav", "--format", "tsv") == 0

    titles, row = lines(capsys)
    assert titles.split("\t") == ["start", "end", "text"]
    assert row.split("\t")[2] == TEXTS["b"]


def test_name_with_a_newline_stays_on_its_line(folder, capsys):
    Path("rec/a.wav").rename("rec/new\nline\t.wav")

    assert transcribe("rec") == 0

    assert rf"rec/new\nline\t.wav: {TEXTS['a']}" in lines(capsys)


def test_channels_are_transcribed_one_by_one(folder, capsys):
    rng = np.random.default_rng(1)
    two = [tones.speak(text, rng) for text in ("dab", "ab cad")]
    samples = 1e-3 * rng.standard_normal((max(map(len, two)), 2))
    for channel, waveform in enumerate(two):
        samples[: len(waveform), channel] = waveform
    soundfile.write(folder / "call.wav", samples, tones.SAMPLE_RATE)

    assert transcribe("call.wav", "--per-channel") == 0
    assert lines(capsys) == ["call.wav [1]: dab", "call.wav [2]: ab cad"]
    assert transcribe("call.wav", "--per-channel", "--out", "o", "--format", "srt") == 0
    assert sorted(path.name for path in (folder / "o").glob("*.srt")) == [
        "call.ch1.srt",
        "call.ch2.srt",
    ]


@pytest.fixture
def made(monkeypatch):
    """Arguments of the beam searches that were made."""
    found = []
    original = BeamSearchDecoder.__init__

    def init(self, tokens, **options):
        found.append(options)
        original(self, tokens, **options)

    monkeypatch.setattr(BeamSearchDecoder, "__init__", init)
    return found


def test_options_of_a_search_are_taken_and_the_command_line_goes_before(folder, made, capsys):
    write_bigram(folder / "lm.arpa")
    record = {
        "options": {"lm_alpha": 0.25, "lm_beta": 2.0},
        "overrides": ["checkpoint=x", "decoder=beam", "decoder.lm=lm.arpa", "decoder.lm_alpha=9"],
    }
    (folder / "best.yaml").write_text(yaml.safe_dump(record))

    assert transcribe("rec/a.wav", "--options", "best.yaml", "--lm-beta", "3") == 0

    (options,) = made
    assert options.pop("lm") is not None
    assert options == {"lm_alpha": 0.25, "lm_beta": 3.0}


def test_every_option_of_the_beam_search_reaches_it(folder, made, capsys):
    (folder / "words.txt").write_text("ab\ncad\n")
    words = ["--beam-width=8", "--hotwords=cad, ab cad", "--hotword-weight=2", "--n-best=2"]
    words += ["--token-min-logp=-9", "--token-top-n=4", "--beam-prune-logp=-20"]
    words += ["--blank-skip-threshold=0.99", "--max-delay=50", "--num-threads=1"]
    words += ["--lexicon=words.txt", "--grammar=(ab | cad)+", "--format=json"]

    assert transcribe("rec/a.wav", *words) == 0

    record = json.loads(capsys.readouterr().out)
    assert record["text"] == "ab cad"
    (options,) = made
    assert options["hotwords"] == ["cad", "ab cad"]
    names = {word[2:].split("=")[0].replace("-", "_") for word in words} - {"format"}
    assert set(options) == names


def test_colours_go_from_red_to_green():
    words = [TimedWord("a\x1b", 0, 1, 0.0), TimedWord("b", 1, 2, 1.0)]

    text = colour_words(Transcript("a b", words, 2.0))

    assert text == (f"\x1b[38;5;{COLOURS[0]}ma\\x1b\x1b[0m \x1b[38;5;{COLOURS[-1]}mb\x1b[0m")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_colours_and_bar_are_for_terminals_alone(folder, capsys, monkeypatch):
    assert transcribe("rec", "--print-colors") == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "RTF" not in printed.err

    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert transcribe("rec", "--print-colors") == 0

    assert out.getvalue().count("\x1b[38;5;") == 5
    assert "3/3" in err.getvalue()
    assert "s of audio, RTF" in err.getvalue()
