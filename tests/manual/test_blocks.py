"""Every command and every Python block of the guides: commands are understood, blocks run.

Beside these, the guide to your own speech runs whole in test_guide.py, that to decoding in
tests/decoding/test_docs.py, the README in test_readme.py.
"""

import argparse
import ast
import itertools
import re
import shlex
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import tones
import torch
from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from noisy_words import write_bigram
from omegaconf.errors import OmegaConfBaseException

from asr.acoustic.checkpoint import save_checkpoint
from asr.audio import write_wav
from asr.cli import COMMANDS
from asr.cli.hydra_config import quote_override
from asr.cli.sweep_space import split_overrides

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
# What a line that is a command begins with, and what may be set before it.
PROGRAM = re.compile(r"asr |python |torchrun |\./")
SETTING = re.compile(r"^(?:[A-Z_]+=(?:\$\([^)]*\)|\S)+ )+")
# What stands for a choice that a page leaves open: data=...
OPEN = {"data": "synth"}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


def commands(page):
    """Words of a page's commands, fenced or indented, with what is said behind them cut off."""
    text = "".join(blocks(page, "sh")) + "".join(
        f"{line[4:]}\n" for line in PAGES[page].splitlines() if line.startswith("    ")
    )
    # What is indented below a command goes on with it; a remark stands behind two spaces.
    for line in re.sub(r"\\\n +", "", text).splitlines():
        parts = re.split(r" {2,}|\| (?=asr )", SETTING.sub("", re.split(" [<>] ", line)[0]))
        command = next((part for part in parts if PROGRAM.match(part)), None)
        if command is not None:
            yield shlex.split(command, comments=True)


def asr_commands(page):
    for words in commands(page):
        if words[0] == "torchrun" and "-m" in words:
            words = words[words.index("-m") + 1 :]
        if words[0] == "asr" and words[1] != "--help":
            yield words[1], [word for word in words[2:] if word != "..."]


def parse(name, words):
    """Parse a command's words as `asr` does; a word that it does not know ends with SystemExit."""
    parser = argparse.ArgumentParser(prog=f"asr {name}")
    import_module(COMMANDS[name][0]).add_arguments(parser)
    args, rest = parser.parse_known_args(words)
    if rest and not hasattr(args, "overrides"):
        parser.error(f"unrecognized arguments: {rest}")
    if hasattr(args, "overrides"):
        args.overrides += rest
    return args


def filled(overrides):
    """Overrides with a choice where the page has dots; values with dots go."""
    for override in overrides:
        key, _, value = override.partition("=")
        if "..." not in value:
            yield quote_override(override)
        elif key in OPEN:
            yield f"{key}={OPEN[key]}"


ASR_PAGES = [page for page in PAGES if any(True for _ in asr_commands(page))]


def test_commands_are_found_fenced_indented_joined_and_without_remarks(monkeypatch):
    text = (
        "```sh\nasr lm build a.txt -o lm.arpa\nff -i a - | asr transcribe - --checkpoint c\n```\n\n"
        "    asr train data=fsdd \\\n        model=ds2_gru      as a remark says\n"
        "    torchrun --nnodes 2 -m asr train ...\n    epoch 1: asr is good\n"
        "    A=$(rand 16) B=1 asr score a b\n    asr lm compile < a > b\n"
    )
    monkeypatch.setitem(PAGES, "x.md", text)

    assert list(asr_commands("x.md")) == [
        ("lm", ["build", "a.txt", "-o", "lm.arpa"]),
        ("transcribe", ["-", "--checkpoint", "c"]),
        ("train", ["data=fsdd", "model=ds2_gru"]),
        ("train", []),
        ("score", ["a", "b"]),
        ("lm", ["compile"]),
    ]


@pytest.mark.parametrize("page", ASR_PAGES)
def test_options_of_every_command_exist(page):
    for name, words in asr_commands(page):
        parse(name, words)


@pytest.mark.slow
@pytest.mark.parametrize("page", ASR_PAGES)
def test_overrides_of_every_command_compose(page):
    with initialize_config_module("asr.conf", version_base="1.3"):
        for name, words in asr_commands(page):
            args = parse(name, words)
            if hasattr(args, "overrides") and not getattr(args, "multirun", False):
                try:
                    overrides = list(filled(args.overrides))
                    if name == "sweep":
                        overrides, _ = split_overrides(overrides)
                    compose(name, overrides)
                except (HydraException, OmegaConfBaseException) as error:
                    pytest.fail(f"{page}: asr {name} {' '.join(words)}: {error}")


def test_an_override_that_is_not_there_is_noticed():
    with (
        initialize_config_module("asr.conf", version_base="1.3"),
        pytest.raises((HydraException, OmegaConfBaseException)),
    ):
        compose("decode", list(filled(["data=...", "checkpoint=...", "decoder.no_such_key=1"])))


@pytest.mark.parametrize("page", PAGES)
def test_scripts_that_are_named_exist_and_have_their_options(page):
    for words in commands(page):
        if words[0].startswith("./"):
            assert (ROOT / words[0]).exists()
        if words[0] == "python" and words[1].startswith(("benchmarks/", "tests/", "scripts/")):
            text = (ROOT / words[1]).read_text()

            assert not [w for w in words if w.startswith("--") and f'"{w}"' not in text], words


PYTHON = [(page, number) for page in PAGES for number in range(len(blocks(page, "python")))]


@pytest.mark.parametrize(("page", "number"), PYTHON)
def test_python_block_names_what_exists(page, number):
    for node in ast.walk(ast.parse(blocks(page, "python")[number])):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("asr"):
            module = import_module(node.module)

            for alias in node.names:
                if not hasattr(module, alias.name):
                    import_module(f"{node.module}.{alias.name}")


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A folder with what the pages name: a model, recordings, a language model, a manifest."""
    rng = np.random.default_rng(1)
    waveform = tones.speak("ab cad", rng)
    for name in ("speech.wav", "a.wav", "b.wav", "meeting.flac"):
        write_wav(tmp_path / name, waveform, tones.SAMPLE_RATE)
    save_checkpoint(tmp_path / "best.ckpt", tones.untrained_model())
    write_bigram(tmp_path / "lm.arpa")
    (tmp_path / "my.jsonl").write_text(
        f'{{"audio_filepath": "a.wav", "duration": {len(waveform) / 8000}, "text": "ab cad"}}\n'
    )
    monkeypatch.chdir(tmp_path)
    return waveform


def loss_session():
    """What the blocks about the loss take for granted."""
    torch.manual_seed(1)
    logits = torch.randn(12, 2, 5, requires_grad=True)
    return {
        "logits": logits,
        "log_probs": logits.detach().log_softmax(-1),
        "targets": torch.tensor([[1, 2, 3], [4, 4, 0]]),
        "input_lengths": torch.tensor([12, 9]),
        "target_lengths": torch.tensor([3, 2]),
    }


def alignment_session():
    model = tones.untrained_model()
    size = len(model.tokenizer.tokens)
    log_probs = torch.randn(40, size).log_softmax(-1)
    return {"log_probs": log_probs, "tokenizer": model.tokenizer, "text": "ab cad"}


# Hundreds of passes through a network, and models that are exported first; tests/explain,
# tests/export and tests/runtime call the same functions.
TOO_LONG = {"explain.md", "export.md"}
# Page -> what each of its blocks finds there; those of other pages run in tests that name the page.
SESSIONS = {
    "align.md": [alignment_session, loss_session],
    "ctc.md": [loss_session],
    "language_models.md": [dict],
    "quickstart.md": [dict],
    "transcribe.md": [dict],
}


@pytest.mark.parametrize("page", SESSIONS)
def test_python_blocks_run(page, reader, capsys):
    given = {"waveform": reader, "chunks": iter(np.array_split(reader, 3)), "paths": ["a.wav"]}
    code = blocks(page, "python")

    assert len(code) == len(SESSIONS[page])
    for block, session in zip(code, SESSIONS[page], strict=True):
        exec(compile(block, page, "exec"), given | session())


def test_python_blocks_of_every_page_run_somewhere():
    here = Path(__file__).parent
    others = [path for path in (ROOT / "tests").rglob("test_*.py") if path.parent != here]
    tests = "".join(path.read_text() for path in others)

    pages = {page for page, _ in PYTHON} - set(SESSIONS) - set(TOO_LONG)
    lacking = sorted(page for page in pages if f'{page}"' not in tests)
    assert not lacking, f"give a session in {Path(__file__).name} to {', '.join(lacking)}"


def test_fenced_blocks_are_of_a_kind_that_is_checked():
    fences = itertools.chain(*(re.findall(r"^```(.*)$", text, re.M) for text in PAGES.values()))

    # Scripts and manifests: tests/test_corpora_guide.py. A proxy's settings stand for themselves.
    assert set(fences) <= {"", "sh", "python", "bash", "yaml", "nginx"}
