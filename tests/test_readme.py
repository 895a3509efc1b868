"""Every command and every snippet of the README, run as written in a temporary folder.

Two things differ from a reader's day: the quickstart runs at its tiny size, in this environment
instead of a new one, and `asr train` gets overrides for a small model and one epoch.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# The whole pipeline runs twice here: seconds each, or minutes on a machine with other things to do.
pytestmark = pytest.mark.timeout(900)

SMALL = "trainer.max_epochs=1 model.hidden_size=16"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def small_command(path):
    """Return the file's `asr` with the overrides that `asr train` gets here."""
    return f'#!/bin/sh\ncase "$1" in train) set -- "$@" {SMALL} ;; esac\nexec "{path}" "$@"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reader's folder: the scripts, an `asr`, recordings with texts beside them, sentences."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "bin").mkdir()
    (folder / "bin" / "asr").write_text(small_command(Path(sys.executable).parent / "asr"))
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for program in (folder / "bin").iterdir():
        program.chmod(0o755)
    run_shell(folder, "asr prepare synth --size tiny --out synth")
    for split, count in (("train", 24), ("dev", 4), ("test", 4)):
        _copy_recordings(folder, split, count)
    shutil.copy(folder / "synth" / "lm_text.txt", folder / "sentences.txt")
    shutil.copy(next((folder / "recordings/test").glob("*.wav")), folder / "speech.wav")
    return folder


def _copy_recordings(folder, split, count):
    from asr.data.manifest import read_manifest

    home = folder / "recordings" / split
    home.mkdir(parents=True)
    for utterance in read_manifest(folder / "synth" / f"{split}.jsonl")[:count]:
        shutil.copy(utterance.audio_filepath, home)
        (home / f"{utterance.audio_filepath.stem}.txt").write_text(utterance.text)


def run_shell(folder, commands):
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def run_python(folder, code):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_readme_is_under_200_lines_and_its_links_exist():
    links = re.findall(r"\]\(([^)#:]+)\)", README)

    assert len(README.splitlines()) < 200
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_readme_has_no_blocks_but_those_run_here():
    assert len(blocks("sh")) == 3
    assert len(blocks("python")) == 3
    assert len(re.findall(r"^```", README, re.MULTILINE)) == 2 * 6


def test_first_block_names_the_two_scripts():
    commands = [line.split("#")[0].split() for line in blocks("sh")[0].splitlines()]

    assert commands == [["./scripts/quickstart.sh"], ["./scripts/test.sh"]]
    assert all((ROOT / command).exists() for (command,) in commands)


def test_quickstart_runs_at_its_smallest_size(folder):
    assert "`./scripts/quickstart.sh\nquickstart.size=tiny`" in README

    output = run_shell(folder, "asr quickstart quickstart.size=tiny")

    for decoder in ("greedy", "prefix", "beam"):
        assert decoder in output
    assert (folder / "runs/quickstart_tiny/report.html").stat().st_size > 1000


def test_commands_for_ones_own_speech_run(folder):
    commands = blocks("sh")[1]

    output = run_shell(folder, commands)

    assert "WER" in output
    assert (folder / "data/mine/train.jsonl").exists()
    assert (folder / "runs/mine/ckpt/best.ckpt").exists()


def train_once(folder):
    if not (folder / "runs/mine/ckpt/best.ckpt").exists():
        run_shell(folder, blocks("sh")[1])


def test_commands_for_using_a_model_run(folder):
    train_once(folder)

    run_shell(folder, blocks("sh")[2])

    assert len([*(folder / "subtitles").rglob("*.srt")]) == 32
    assert (folder / "model.onnx").stat().st_size > 1000


@pytest.mark.parametrize("number", range(3))
def test_python_block_runs(folder, number):
    train_once(folder)

    run_python(folder, blocks("python")[number])
