"""Every command of docs/your_own_speech.md, run in order as printed, on speech of synthetic voices.

Three things differ from a reader's day: `asr train` gets overrides for a small network and one
epoch, `asr tune` fewer trials, and the model of the quickstart is one that has learned nothing.
"""

import io
import multiprocessing
import os
import re
import shlex
import shutil
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from asr.acoustic.checkpoint import load_checkpoint, save_checkpoint
from asr.acoustic.model import build_model
from asr.audio import write_wav
from asr.cli import main
from asr.cli.hydra_config import compose_config
from asr.data.manifest import read_manifest
from asr.synth.espeak import SAMPLE_RATE, Manner, speak
from asr.text import SentencePieceTokenizer

ROOT = Path(__file__).parents[1]
PATH = ROOT / "docs" / "your_own_speech.md"
GUIDE = PATH.read_text()
SMALL = {
    "train": ["trainer.max_epochs=1", "trainer.snapshot_epochs=[1]", "model.hidden_size=8"],
    "tune": ["num_trials=2"],
}
SPEAKERS = {"anna": "f1", "ben": "m1", "carla": "f2", "david": "m2"}
SENTENCES = {
    "recordings": (
        "en-us",
        "Good morning, how are you?",
        "There are 12 birds in the tree.",
        "We met Dr. Brown in the garden.",
        "The café opens on Monday.",
        "I left my keys at home.",
    ),
    "german": (
        "de",
        "Fünf größere Flüsse fließen hier.",
        "Der Zug fährt um acht.",
        "Das kostet 12 Euro.",
        "Die Straße ist heiß und weiß.",
    ),
    "chinese": ("cmn", "今天天气很好。", "我喜欢喝茶。", "他在北京工作。", "请说慢一点。"),
}
# One process speaks, trains and decodes all of it: seconds, or minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)


def commands():
    """Lines of the guide's shell blocks, those that end in a backslash joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return "".join(blocks).replace("\\\n", " ").splitlines()


def record(folder):
    """Write a folder for each language: SPEAKER/NUMBER.wav with its text beside it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        for name, (accent, *texts) in SENTENCES.items():
            for speaker, variant in SPEAKERS.items():
                home = folder / name / speaker
                home.mkdir(parents=True)
                for number, text in enumerate(texts, start=1):
                    voice = (text, f"{accent}+{variant}", Manner(160, 50, 50, 0))
                    samples = pool.submit(speak, *voice).result()
                    write_wav(home / f"{number}.wav", samples / 32768, SAMPLE_RATE)
                    (home / f"{number}.txt").write_text(f"{text}\n")


def save_quickstart_model(path, small):
    """Save what `asr quickstart` would: its network and its tokens, which are words."""
    texts = ["play some music", "what time is it"]
    config = compose_config("quickstart", [word for word in small if word.startswith("model.")])
    tokenizer = SentencePieceTokenizer.train(texts, 8, "word")
    path.parent.mkdir(parents=True)
    save_checkpoint(path, build_model(config, tokenizer))


def run(command):
    """Run a line of the guide; return what it prints, which `> FILE` also writes."""
    words = shlex.split(command)
    assert words[0] == "asr", command
    target = words[words.index(">") + 1] if ">" in words else None
    words = words[1 : words.index(">")] if target else words[1:]
    with redirect_stdout(io.StringIO()) as printed:
        code = main(words + SMALL.get(words[0], []))
    assert code == 0, command
    if target:
        Path(target).write_text(printed.getvalue())
    return printed.getvalue()


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A reader's folder after the whole guide, and what each command printed."""
    folder = tmp_path_factory.mktemp("reader")
    record(folder)
    shutil.copy(folder / "recordings/anna/1.wav", folder / "speech.wav")
    for name, place in (("recordings", "sentences.txt"), ("chinese", "chinese.txt")):
        (folder / place).write_text("\n".join(SENTENCES[name][1:]) + "\n")
    save_quickstart_model(folder / "runs/quickstart/ckpt/best.ckpt", SMALL["train"])
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder, {command: run(command) for command in commands()}
    finally:
        os.chdir(before)


def printed_by(printed, *words):
    """What the last command that holds all the words printed."""
    return [text for command, text in printed.items() if all(w in command for w in words)][-1]


def texts_of(folder):
    manifests = [folder / f"{split}.jsonl" for split in ("train", "dev", "test")]
    return [utterance.text for manifest in manifests for utterance in read_manifest(manifest)]


def test_guide_is_short_its_links_exist_and_no_command_is_there_twice():
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", GUIDE)

    assert len(GUIDE.splitlines()) <= 250
    assert {"data.md", "text.md"} <= set(links)
    assert not [link for link in links if not (PATH.parent / link).exists()]
    assert len(set(commands())) == len(commands()) > 10
    assert "docs/your_own_speech.md" in (ROOT / "README.md").read_text()


def test_own_speech_becomes_a_model_subtitles_and_a_table(reader):
    folder, printed = reader

    assert (folder / "data/mine/prepare.html").stat().st_size > 1000
    assert sorted(set(texts_of(folder / "data/mine"))) == [
        "good morning how are you",
        "i left my keys at home",
        "there are twelve birds in the tree",
        "we met doctor brown in the garden",
    ]
    rejected = (folder / "data/mine/rejected.jsonl").read_text()
    assert rejected.count("text outside the alphabet") == len(SPEAKERS)
    assert "WER %" in printed_by(printed, "asr decode", "data/mine")
    assert (folder / "speech.srt").exists()


def test_first_model_has_the_network_of_the_quickstart_and_writes_characters(reader):
    folder, _ = reader
    log = (folder / "runs/mine/log.txt").read_text()
    model = load_checkpoint(folder / "runs/mine/ckpt/best.ckpt")

    assert "one frame every 40 ms" in log
    assert len(model.network.convs) == 3
    assert set("good morning") <= set(model.tokenizer.tokens)


def test_every_file_that_the_guide_explains_is_there(reader):
    folder, _ = reader
    table = GUIDE.split("| file of a run |")[1].split("\n\n")[0]
    names = re.findall(r"`([^`]+)`", "\n".join(row.split("|")[1] for row in table.splitlines()[2:]))

    assert len(names) > 8
    assert not [name for name in names if not list((folder / "runs/mine").glob(name))]


def test_german_loses_no_letter(reader):
    folder, _ = reader

    assert set(texts_of(folder / "data/german")) == {
        "fünf größere flüsse fließen hier",
        "der zug fährt um acht",
        "das kostet zwölf euro",
        "die straße ist heiß und weiß",
    }
    assert len(texts_of(folder / "data/german")) == 4 * len(SPEAKERS)
    tokens = load_checkpoint(folder / "runs/german/ckpt/best.ckpt").tokenizer.tokens
    assert set("äöüß") <= set(tokens)


def test_chinese_is_judged_by_characters(reader):
    folder, printed = reader

    assert set(texts_of(folder / "data/chinese")) == {
        text.rstrip("。") for text in SENTENCES["chinese"][1:]
    }
    (header,) = printed_by(printed, "asr decode", "data/chinese").splitlines()[:1]
    assert header.index("CER %") < header.index("WER %")
    assert "mean of 1 checkpoints: CER" in (folder / "runs/chinese/log.txt").read_text()
