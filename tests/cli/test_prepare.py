"""`asr prepare` as a user types it."""

import json
import subprocess
import sys

import pytest

from asr.cli import main
from tests.corpora.layout_makers import make_csv, make_folder, make_kaldi, write_speech
from tests.corpus_files import speakers, texts, write_text


def prepare(source, out, *words):
    return main(["prepare", "auto", "--from", str(source), "--out", str(out), *words])


def test_what_was_found_and_why_is_on_stdout(tmp_path, capsys):
    make_kaldi(tmp_path / "source")

    assert prepare(tmp_path / "source", tmp_path / "out") == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"kaldi from {tmp_path / 'source'}"
    assert lines[1].startswith("  found kaldi: there is data/wav.scp (wav.scp, text")
    assert any(line.startswith("  WARNING: ONE UTTERANCE in dev") for line in lines)


def test_options_of_tables_and_splits_reach_the_manifests(tmp_path, capsys):
    for number in range(12):
        write_speech(tmp_path / "source" / f"p{number // 2}" / f"{number}.wav", number)
    rows = [f"p{n // 2}/{n}.wav:hello" for n in range(12)]
    write_text(tmp_path / "source" / "t.csv", "Datei:Satz", *rows)
    write_text(tmp_path / "test.txt", "p3")
    words = ["--columns", "path=Datei,text=Satz", "--delimiter", ":", "--speaker-from", "folder"]

    out = tmp_path / "out"
    assert (
        prepare(tmp_path / "source", out, *words, "--dev", "4", "--test", f"{out}/../test.txt") == 0
    )

    assert speakers(out, "test") == {"p3"}
    assert len(texts(out, "dev")) == 4
    assert not speakers(out, "dev") & speakers(out, "train")
    table = (out / "splits.tsv").read_text().splitlines()
    assert table[0] == "split\tspeaker\tutterances\tseconds"
    assert "test\tp3\t2\t2.0" in table
    assert len(table) == 7


def test_help_lists_layouts_and_columns(capsys):
    for words in (["prepare", "--help"], ["prepare", "auto", "--help"]):
        with pytest.raises(SystemExit):
            main(words)

    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "metadata.csv (name|text|normalised text), wavs/",
        "speaker, client_id, speaker_id",
    ):
        assert text in shown


def test_a_reader_that_leaves_ends_it_quietly(tmp_path):
    make_folder(tmp_path / "source")
    words = ["prepare", "auto", "--from", str(tmp_path / "source"), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "asr", *words]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read().decode()

    assert process.returncode == 141
    assert "Error" not in errors
    assert "Traceback" not in errors
    assert (tmp_path / "out" / "prepare.html").exists()


def test_a_folder_is_prepared_again_as_what_it_was(tmp_path, capsys):
    make_csv(tmp_path / "source")
    assert prepare(tmp_path / "source", tmp_path / "out") == 0
    make_folder(tmp_path / "other")

    assert prepare(tmp_path / "source", tmp_path / "out") == 0
    assert prepare(tmp_path / "other", tmp_path / "out") == 2

    assert "holds the manifests of 'csv'; choose another folder" in capsys.readouterr().err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["corpus"] == "csv"
