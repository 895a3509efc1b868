"""Every corpus that conf/data names: a small copy is prepared, trained on and decoded."""

import json
from pathlib import Path

import pytest

from asr.cli import main
from tests.corpus_files import write_audio, write_text

CONF = Path(__file__).parents[2] / "conf"
SMALL = [
    "features.n_mels=20",
    "model.conv_channels=[4,4]",
    "model.hidden_size=8",
    "model.num_layers=1",
    "trainer.precision=float32",
    "trainer.show_samples=0",
    "trainer.max_epochs=1",
    "loading.batch_seconds=4",
]


def make_an4(source):
    for split, people in (("train", 10), ("test", 2)):
        places = [f"an4_clstk/{split}{i}/u{i}-{split}-b" for i in range(people)]
        for place in places:
            write_audio(source / "wav" / f"{place}.wav")
        write_text(source / "etc" / f"an4_{split}.fileids", *places)
        lines = [f"<s> RUBOUT G M </s> ({Path(place).name})" for place in places]
        write_text(source / "etc" / f"an4_{split}.transcription", *lines)


def make_fsdd(source):
    for speaker in ("anna", "bert"):
        for digit in range(10):
            for number in (0, 10, 45):
                path = source / "recordings" / f"{digit}_{speaker}_{number}.wav"
                write_audio(path, 0.5, 8000)


def make_librispeech(source):
    for part in ("train-clean-100", "train-other-500", "dev-clean", "test-clean", "test-other"):
        folder = source / "LibriSpeech" / part / "84" / "121"
        names = [f"84-121-{part}-{number}" for number in range(2)]
        for name in names:
            write_audio(folder / f"{name}.flac", 1.5)
        write_text(folder / "84-121.trans.txt", *(f"{name} MISTER QUILTER" for name in names))


def make_speech_commands(source):
    for speaker in ("aa", "bb", "cc"):
        for word in ("yes", "no"):
            write_audio(source / word / f"{speaker}_nohash_0.wav")
    write_audio(source / "_background_noise_" / "tap.wav")
    write_text(source / "testing_list.txt", "yes/bb_nohash_0.wav", "no/bb_nohash_0.wav")
    write_text(source / "validation_list.txt", "yes/cc_nohash_0.wav", "no/cc_nohash_0.wav")


def make_speechocean762(source):
    for split, numbers in (("train", range(14)), ("test", range(20, 23))):
        names = [f"{number:04d}00011" for number in numbers]
        for name in names:
            write_audio(source / "WAVE" / f"SPEAKER{name[:4]}" / f"{name}.WAV", 1.5)
        scp = [f"{name}\tWAVE/SPEAKER{name[:4]}/{name}.WAV" for name in names]
        write_text(source / split / "wav.scp", *scp)
        write_text(source / split / "text", *(f"{name}\tWE CALL IT BEAR" for name in names))
        write_text(source / split / "utt2spk", *(f"{name} {name[:4]}" for name in names))


def make_folder(source):
    for number in range(20):
        write_audio(source / f"{number}.wav")
        write_text(source / f"{number}.txt", "hello")


# Choice of conf/data -> what makes a small copy, and how it is prepared.
LAYOUTS = {
    "an4": (make_an4, "an4"),
    "fsdd": (make_fsdd, "fsdd"),
    "fsdd_connected": (make_fsdd, "fsdd"),
    "librispeech": (make_librispeech, "librispeech"),
    "manifest": (make_folder, "folder"),
    "prepared": (make_folder, "folder"),
    "speech_commands": (make_speech_commands, "speech_commands"),
    "speechocean762": (make_speechocean762, "speechocean762"),
}
SPLITS = ("train", "dev", "test")
OVERRIDES = {
    "fsdd_connected": [f"data.{split}.num_strings=4" for split in SPLITS],
    "prepared": ["data.name=folder"],
    "manifest": [f"data.{split}_manifest=data/folder/{split}.jsonl" for split in SPLITS],
}


def test_every_choice_of_data_is_tried():
    elsewhere = {"synth", "shards", "lhotse", "common_voice", "lj_speech", "ted_lium"}
    assert {path.stem for path in CONF.glob("data/*.yaml")} == {*LAYOUTS, *elsewhere}


def train_and_decode(choice, capsys, *, split="test"):
    words = [f"data={choice}", *OVERRIDES.get(choice, [])]
    assert main(["train", *words, *SMALL, "run_dir=run"]) == 0, capsys.readouterr().err
    checkpoint = "checkpoint=run/ckpt/best.ckpt"
    decoded = main(["decode", checkpoint, *words, f"split={split}", "output_dir=decoded"])
    assert decoded == 0, capsys.readouterr().err
    lines = Path("decoded/hyp.jsonl").read_text().splitlines()
    return [json.loads(line)["id"] for line in lines]


@pytest.mark.parametrize("choice", LAYOUTS)
def test_a_small_copy_is_prepared_trained_on_and_decoded(choice, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make, corpus = LAYOUTS[choice]
    make(tmp_path / "source")

    assert main(["prepare", corpus, "--from", "source"]) == 0
    assert train_and_decode(choice, capsys)


def test_official_parts_of_librispeech_stay_sets_of_their_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_librispeech(tmp_path / "source")

    assert main(["prepare", "librispeech", "--from", "source"]) == 0
    names = train_and_decode("librispeech", capsys, split="test-other")

    assert names == ["84-121-test-other-0", "84-121-test-other-1"]
    train = Path("data/librispeech/train.jsonl").read_text().splitlines()
    assert {json.loads(line)["id"][7:-2] for line in train} == {
        "train-clean-100",
        "train-other-500",
    }
    assert len(Path("data/librispeech/test.jsonl").read_text().splitlines()) == 2


def test_what_training_leaves_out_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_speech_commands(tmp_path / "source")
    assert main(["prepare", "speech_commands", "--from", "source"]) == 0
    (tmp_path / "source" / "no" / "cc_nohash_0.wav").unlink()
    path = Path("data/speech_commands/train.jsonl")
    line = json.loads(path.read_text().splitlines()[0])
    long = line | {"duration": 30.0, "id": "long"}
    path.write_text(path.read_text() + json.dumps(long) + "\n")

    words = [*SMALL, "run_dir=run", "loading.max_bad_fraction=0.5"]
    assert main(["train", "data=speech_commands", *words]) == 0

    log = capsys.readouterr().err
    assert "train: 2 utterances, 0.00 h, 1 longer than max_duration left out" in log
    assert "dev: 1 of 2 utterances could not be used:" in log
    assert "cc_nohash_0.wav: no such audio file" in log
