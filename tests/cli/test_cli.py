import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from printed import last_line
from tiny import make_corpus, overrides

from asr.cli import COMMANDS, main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a corpus and a trained run."""
    folder = tmp_path_factory.mktemp("cli")
    make_corpus(folder)
    assert main(["train", *overrides(folder, folder / "run", trainer__max_epochs=1)]) == 0
    return folder


def test_import_is_cheap():
    code = "import asr, sys; print('torch' in sys.modules)"

    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])

    assert stop.value.code == 0
    assert f"asr {command} " in capsys.readouterr().out.split("example")[1]


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])

    listing = capsys.readouterr().out
    assert all(f"\n    {command}" in listing for command in COMMANDS)


def test_decode_writes_results_and_prints_a_table(run, capsys):
    words = ["data=manifest", f"data.test_manifest={run / 'dev.jsonl'}"]
    assert main(["decode", f"checkpoint={run / 'run/ckpt/best.ckpt'}", *words]) == 0

    assert "greedy" in capsys.readouterr().out
    folder = run / "run/decode/manifest_test_greedy"
    lines = [json.loads(line) for line in (folder / "hyp.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    assert (folder / "hyp.trn").read_text().count("(dev") == 6


@pytest.mark.parametrize("decoder", ["greedy", "prefix_search", "beam"])
def test_decode_takes_every_decoder(run, tmp_path, decoder):
    words = ["data=manifest", f"data.test_manifest={run / 'dev.jsonl'}", f"decoder={decoder}"]
    checkpoint = f"checkpoint={run / 'run/ckpt/best.ckpt'}"

    assert main(["decode", checkpoint, *words, f"output_dir={tmp_path / 'out'}"]) == 0

    assert (tmp_path / "out/wer.txt").exists()


def test_decode_with_a_language_model(run, tmp_path):
    (tmp_path / "text.txt").write_text("abc\nbca\ncab abc\n" * 9)
    assert main(["lm", "build", str(tmp_path / "text.txt"), "-o", str(tmp_path / "lm.arpa")]) == 0
    words = ["data=manifest", f"data.test_manifest={run / 'dev.jsonl'}", "decoder=beam"]

    code = main(
        [
            "decode",
            f"checkpoint={run / 'run/ckpt/best.ckpt'}",
            *words,
            f"decoder.lm={tmp_path / 'lm.arpa'}",
            f"output_dir={tmp_path / 'out'}",
        ]
    )

    assert code == 0
    first = json.loads((tmp_path / "out/hyp.jsonl").read_text().splitlines()[0])
    assert first["lm_score"] < 0


@pytest.mark.parametrize(
    "option",
    [
        "decoder.lexicon={words}",
        "decoder.grammar='abc | cab'",
        "decoder.grammar='abc" + 60 * " | cab" + "'",  # longer than a file's name may be
        "decoder.grammar={rule}",
    ],
    ids=["lexicon", "grammar", "long_grammar", "grammar_file"],
)
def test_decode_keeps_to_the_words_allowed(run, tmp_path, option):
    (tmp_path / "words.txt").write_text("abc\ncab\n")
    (tmp_path / "rule.txt").write_text("abc | cab")
    option = option.format(words=tmp_path / "words.txt", rule=tmp_path / "rule.txt")
    words = ["data=manifest", f"data.test_manifest={run / 'dev.jsonl'}", "decoder=beam"]

    checkpoint = f"checkpoint={run / 'run/ckpt/best.ckpt'}"
    assert main(["decode", checkpoint, *words, option, f"output_dir={tmp_path / 'out'}"]) == 0

    lines = (tmp_path / "out/hyp.jsonl").read_text().splitlines()
    texts = [json.loads(line)["pred_text"] for line in lines]
    allowed = {"abc", "cab"} if "grammar" in option else {"", "abc", "cab"}
    assert {word for text in texts for word in text.split() or [""]} <= allowed


def test_decode_goes_on_past_a_bad_file_and_exits_2(run, tmp_path):
    lines = (run / "dev.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        record["audio_filepath"] = str(run / record["audio_filepath"])
    records[0]["audio_filepath"] = str(tmp_path / "missing.wav")
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(json.dumps(record) + "\n" for record in records))
    words = ["data=manifest", f"data.test_manifest={manifest}"]

    code = main(
        [
            "decode",
            f"checkpoint={run / 'run/ckpt/best.ckpt'}",
            *words,
            f"output_dir={tmp_path / 'out'}",
        ]
    )

    assert code == 2
    assert len((tmp_path / "out/hyp.jsonl").read_text().splitlines()) == 5
    assert "missing.wav" in (tmp_path / "out/failures.jsonl").read_text()


def test_multirun_trains_every_combination(run, tmp_path):
    words = overrides(run, tmp_path / "sweep", trainer__max_epochs=1)
    command = [sys.executable, "-m", "asr", "train", "-m", *words, "model.hidden_size=4,6"]

    found = subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, text=True)

    header, _, *rows = found.stdout.splitlines()
    assert header.split()[:2] == ["run", "best"]
    assert {row.split()[0] for row in rows} == {"model.hidden_size=4", "model.hidden_size=6"}
    rates = [(float(row.split()[1]), float(row.split()[3])) for row in rows]
    assert rates == sorted(rates)
    folders = list((tmp_path / "sweep").iterdir())
    assert len(folders) == 2
    assert all((folder / "ckpt/best.ckpt").exists() for folder in folders)


def test_transcribe_says_what_it_converted(run, tmp_path, capsys):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.zeros((8000, 2)), 8000)

    code = main(["transcribe", str(path), "--checkpoint", str(run / "run/ckpt/best.ckpt")])

    assert code == 0
    errors = capsys.readouterr().err
    assert "2 channels averaged to one" in errors
    assert "resampled from 8000 Hz to 16000 Hz" in errors


def test_transcribe_keeps_good_files_beside_bad_ones(run, tmp_path, capsys):
    wav = next((run / "dev").glob("*.wav"))
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"nothing")

    code = main(["transcribe", str(bad), str(wav), "--checkpoint", str(run / "run/ckpt/best.ckpt")])

    assert code == 2
    assert "bad.wav" in capsys.readouterr().err


def test_transcribe_writes_failures_as_json_too(run, tmp_path, capsys):
    wav = next((run / "dev").glob("*.wav"))
    checkpoint = ["--checkpoint", str(run / "run/ckpt/best.ckpt")]

    code = main(["transcribe", str(wav), str(tmp_path / "no.wav"), *checkpoint, "--format", "json"])

    assert code == 2
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    assert "text" in good
    assert "no.wav" in bad["error"]


def test_subtitles_of_several_files_are_refused_before_any_work(capsys):
    files = ["a.wav", "b.wav"]

    assert main(["transcribe", *files, "--checkpoint", "no.ckpt", "--format", "srt"]) == 2

    assert "--format srt holds one recording, got 2 files" in last_line(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "model.hiden_size=3"], "did you mean model.hidden_size?"),
        (["train", "data=manifest", "data.train_manifest=no.jsonl"], "no.jsonl"),
        (["train", "device=tpu"], "device must be auto, cpu, cuda, cuda:N or mps, got 'tpu'"),
        (["train", "model.dropout=2"], "dropout must be in [0, 1), got 2"),
        (["decode", "data=synth"], "give a value for checkpoint=..."),
        (["decode", "data=synth", "checkpoint=no.ckpt"], "no.ckpt: no such checkpoint"),
        (["decode", "data=synth", "decoder.bem=3"], "no key 'decoder.bem' in the configuration"),
        (["decode", "data=synth", "data.rot=x"], "did you mean data.root?"),
        (["transcribe", "x.wav", "--checkpoint", "no.ckpt"], "no.ckpt: no such checkpoint"),
        (["lm", "build", "no.txt", "-o", "lm.arpa"], "no.txt"),
        (["prepare", "fsdd", "--from", "nowhere"], "nowhere"),
    ],
)
def test_mistake_gives_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)

    assert main(words) == 2

    line = last_line(capsys)
    assert message in line
    assert line.startswith(f"asr {words[0]}: ")


@pytest.mark.parametrize("content", ["not json\n", '{"audio_filepath": "../../x.wav"}\n'])
def test_bad_manifest_line_is_named(tmp_path, capsys, content):
    (tmp_path / "m.jsonl").write_text(content)
    words = ["data=manifest", f"data.train_manifest={tmp_path / 'm.jsonl'}"]

    assert main(["train", *words, f"run_dir={tmp_path / 'run'}"]) == 2

    assert "m.jsonl:1: " in last_line(capsys)
    assert not (tmp_path / "run").exists()


def test_arpa_with_a_bad_count_is_named(run, tmp_path, capsys):
    arpa = tmp_path / "bad.arpa"
    arpa.write_text("\\data\\\nngram 1=5\n\n\\1-grams:\n-1\t<unk>\n\n\\end\\\n")
    words = ["data=manifest", f"data.test_manifest={run / 'dev.jsonl'}", "decoder=beam"]

    code = main(
        ["decode", f"checkpoint={run / 'run/ckpt/best.ckpt'}", *words, f"decoder.lm={arpa}"]
    )

    assert code == 2
    assert "bad.arpa" in last_line(capsys)


WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "passive 500"),
        ({"OMP_WAIT_POLICY": "active"}, "active None"),
        ({"GOMP_SPINCOUNT": "7"}, "None 7"),
    ],
)
def test_commands_choose_how_threads_wait_before_torch_loads_unless_the_user_did(given, expected):
    code = (
        "import sys, os, asr.cli; assert 'torch' not in sys.modules; "
        f"print(*(os.environ.get(name) for name in {WAITING}))"
    )
    environment = {k: v for k, v in os.environ.items() if k not in WAITING} | given

    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == expected
