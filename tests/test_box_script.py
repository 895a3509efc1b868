"""scripts/box.py: what the model in the box is trained on."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from asr.audio import write_wav
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.text import TextNormalizer, write_normalizer
from asr.text.pronunciations import read_pronunciations

SPEC = importlib.util.spec_from_file_location("box", Path(__file__).parents[1] / "scripts/box.py")
box = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(box)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (305, "three hundred five"),
        (40_000, "forty thousand"),
        (1_000_017, "one million seventeen"),
        (212_099, "two hundred twelve thousand ninety nine"),
    ],
)
def test_numbers_are_spelled(number, words):
    assert box.spell_number(number) == words


def test_british_numbers_have_and_after_hundreds():
    spelled = box.spell_number(105_230, british=True)

    assert spelled == "one hundred and five thousand two hundred and thirty"


def test_phrases_are_the_same_every_time_and_hold_no_article():
    phrases = box.draw_phrases()

    assert phrases == box.draw_phrases()
    assert len(set(phrases)) == len(phrases) > 3000
    assert not any("a" in phrase.split() for phrase in phrases)
    assert any(box.SPOKEN_A in phrase.split() for phrase in phrases)
    assert {word for phrase in phrases for word in phrase.split()} <= {*box.SINGLE, "and"}


def make_set(folder, **texts):
    """Write a manifest a split; every text is half a second of noise, of one of two speakers."""
    for split, lines in texts.items():
        utterances = []
        for number, text in enumerate(lines):
            path = folder / split / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_wav(path, np.random.default_rng(number).normal(0, 0.1, 8000), 16000)
            utterances.append(Utterance(path, 0.5, text, {"speaker": f"s{number % 2}"}))
        write_manifest(folder / f"{split}.jsonl", utterances)


def test_join_makes_one_manifest_of_all_speech(tmp_path, monkeypatch):
    monkeypatch.setattr(box, "NUM_STRINGS", {"train": (3, 2), "dev": (1, 1)})
    make_set(tmp_path / "sc", train=["yes", "two", "three"], dev=["no", "one"])
    make_set(tmp_path / "an4", train=["b a c"])
    make_set(tmp_path / "so", train=["we call it bear", "one two"], dev=["nine", "a dog"])
    make_set(tmp_path / "libri", train=["a chapter"])
    make_set(tmp_path / "box/words", train=["ay"], dev=["go"], test=["may"])
    make_set(tmp_path / "box/phrases", train=["ay b"], dev=["may"], test=["ten"])
    write_normalizer(tmp_path / "box/words/normalizer.json", TextNormalizer(alphabet="abc"))

    box.join(*(tmp_path / name for name in ("box", "sc", "an4", "so", "libri")))

    train = [u.text for u in read_manifest(tmp_path / "box/train.jsonl")]
    assert train[:6] == ["ay", "go", "may", "ay b", "may", "ten"]
    assert train[6:9] == ["yes", "two", "three"]
    assert all(set(text.split()) <= {"yes", "two", "three"} for text in train[9:12])
    assert all(set(text.split()) <= {"two", "three"} for text in train[12:14])
    assert train[14:19] == [*["b ay c"] * 3, *["one two"] * 2]
    assert train[19:] == ["we call it bear", "one two", "a chapter"]
    dev = [u.text for u in read_manifest(tmp_path / "box/dev.jsonl")]
    assert len(dev) == 6
    assert dev[-2:] == ["nine", "a dog"]
    assert (tmp_path / "box/normalizer.json").is_file()


def test_words_of_the_box_are_pronounced_and_every_phone_has_one():
    phones_of, further = read_pronunciations(box.DICTIONARY)

    assert {*box.SINGLE, "and", "a"} - {box.SPOKEN_A} <= set(phones_of)
    assert phones_of["a"] == ("EY",)
    assert len({phone for phones in phones_of.values() for phone in phones}) == 39
    assert all(word in phones_of for word, _ in further)
