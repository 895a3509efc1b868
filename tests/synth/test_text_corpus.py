import hashlib
import importlib.util
import itertools
import json
import os
import shutil
import signal
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import soundfile

from asr.data.manifest import read_manifest
from asr.data.unusable import Unusable
from asr.synth import text_corpus
from asr.synth.grammar import SPLITS
from asr.synth.reading import Reading, Spoken, start_reader
from asr.synth.surroundings import Surroundings
from asr.synth.text_corpus import (
    ReadRequest,
    Script,
    divide_texts,
    plan_readings,
    read_script,
)
from asr.synth.voices import VARIANTS, find_accents, voices
from asr.synth.workers import open_workers
from asr.text import TextNormalizer
from asr.text.alphabet import ENGLISH

REQUEST = ReadRequest(hours=0.008, seed=3)
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
TEXTS = [f"{first} {second}" for first in NUMBERS for second in NUMBERS]
REFUSED = Unusable("7", "nothing to pronounce", "x.txt:7: no letter", "text", Path("x.txt:7"))
SCRIPT = Script(TEXTS, TextNormalizer(ENGLISH, language="en"), [REFUSED])

needs_voice = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="the voice is an extra: pip install 'ctc-asr[synth]'",
)


def read(out, request=REQUEST, num_workers=2, script=SCRIPT, **options):
    return read_script(out, script, request, num_workers=num_workers, progress=False, **options)


def contents(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).digest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def plan(split="train", texts=TEXTS, request=REQUEST, count=1000):
    return list(itertools.islice(plan_readings(Path("x"), split, texts, request), count))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("read") / "corpus"
    read(out)
    return out


# Requests


@pytest.mark.parametrize("wrong", [{"hours": 0.0}, {"hours": float("nan")}, {"seed": -1}])
def test_request_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(REQUEST, **wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rooms": -0.1}, "rooms must be in"),
        ({"noise_share": 2.0}, "noise_share must be in"),
        ({"snr_db": (9.0, 3.0)}, "snr_db must be low <= high"),
    ],
)
def test_surroundings_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Surroundings(**wrong)


def test_no_text_and_no_workers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no text to read"):
        read(tmp_path / "out", script=SCRIPT._replace(texts=[]))
    with pytest.raises(ValueError, match="num_workers must be >= 1, got 0"):
        read(tmp_path / "out", num_workers=0)
    assert not (tmp_path / "out").exists()


# Texts and voices


def test_texts_are_in_one_split_each_where_there_are_enough():
    divided = divide_texts(TEXTS, seed=0)

    assert [len(divided[split]) for split in SPLITS] == [90, 5, 5]
    assert sorted(text for split in SPLITS for text in divided[split]) == sorted(TEXTS)
    assert divide_texts(list(reversed(TEXTS)), seed=0)["dev"] == divided["dev"][::-1]
    assert divide_texts(TEXTS, seed=1)["dev"] != divided["dev"]


def test_few_texts_are_in_all_splits_and_that_is_said(caplog):
    caplog.set_level("INFO")
    divided = divide_texts(TEXTS[:99], seed=0)

    assert all(divided[split] == TEXTS[:99] for split in SPLITS)
    assert "99 texts are fewer than 100: train, dev and test share them" in caplog.text


def test_text_meets_every_voice_before_it_meets_one_again():
    texts, num_voices = TEXTS[:3], len(voices("dev"))
    readings = plan("dev", texts, count=3 * num_voices)

    for text in texts:
        assert {r.voice for r in readings if r.text == text} == set(voices("dev"))


def test_few_texts_bring_all_voices_soon_and_each_text_equally_often():
    readings = plan(texts=TEXTS[:35], count=35 * 12)

    assert {r.voice for r in readings} == set(voices("train"))
    assert set(Counter(r.text for r in readings).values()) == {12}


def test_reading_is_a_function_of_seed_and_index_alone():
    first, longer = plan(count=50), plan(count=250)

    assert first == longer[:50]
    assert [r.seed for r in longer] == [(3, 0, index) for index in range(250)]
    assert len({r.path for r in longer}) == 250
    assert [r.text for r in longer] != [r.text for r in plan(request=replace(REQUEST, seed=4))]


def test_folders_hold_a_thousand_files():
    folders = Counter(r.path.parent.name for r in plan(count=2500))

    assert folders == {"0000": 1000, "0001": 1000, "0002": 500}


def test_accents_of_languages():
    pytest.importorskip("espeakng_loader")
    assert "en-us" in find_accents("en")
    assert find_accents("de") == ("de",)
    assert find_accents("pt") == ("pt", "pt-br")
    assert find_accents("pt-BR") == ("pt-br",)
    assert find_accents("zh") == ("cmn",)
    assert find_accents("fa") == ("fa",)  # and not Persian in Latin script
    with pytest.raises(ValueError, match=r"no voice of 'xx'; its languages: .* de "):
        find_accents("xx")


# What cannot be spoken


def outcomes(*reasons):
    for number, reason in enumerate(reasons):
        reading = Reading(Path(f"{number}.wav"), "text", "en+m1", (0,))
        yield reading, Spoken(reason=reason) if reason else Spoken(2.0)


def test_what_cannot_be_spoken_is_counted_and_the_hours_are_filled_nevertheless():
    spoken = outcomes("", "too long", "", "", "")
    made, refused = text_corpus._fill("train", spoken, 5.0, progress=False)

    assert [reading.path.stem for reading, _ in made] == ["0", "2", "3"]
    assert [(item.id, item.reason, item.detail) for item in refused] == [
        ("1", "text that its voice cannot speak", "too long")
    ]
    assert next(spoken)[0].path.stem == "4"  # nothing is taken beyond


def test_texts_that_nobody_can_speak_end_the_work():
    spoken = outcomes(*["silence"] * 200)
    with pytest.raises(ValueError, match="hardly any text can be spoken: silence"):
        text_corpus._fill("train", spoken, 5.0, progress=False)


# The corpus


@needs_voice
def test_corpus_fills_the_hours_and_not_an_utterance_more(corpus):
    for split in SPLITS:
        utterances = read_manifest(corpus / f"{split}.jsonl")
        seconds = [utterance.duration for utterance in utterances]
        assert sum(seconds) >= REQUEST.seconds(split) > sum(seconds[:-1])
        assert sorted(u.audio_filepath for u in utterances) == sorted(corpus.rglob(f"{split}-*"))
        for utterance in utterances:
            info = soundfile.info(utterance.audio_filepath)
            assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
            assert utterance.duration == pytest.approx(info.frames / 16_000, abs=1e-5)
    assert not list(corpus.glob(".*"))


@needs_voice
def test_corpus_shares_no_text_and_no_voice_between_splits(corpus):
    manifests = {split: read_manifest(corpus / f"{split}.jsonl") for split in SPLITS}
    for split in SPLITS:
        spoken_by = {str(u.extra["speaker"]).partition("+")[2] for u in manifests[split]}
        assert spoken_by <= set(VARIANTS[split])
    texts = [{u.text for u in manifests[split]} for split in SPLITS]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]
    lm_text = set((corpus / "lm_text.txt").read_text().splitlines())
    assert texts[0] <= lm_text
    assert not lm_text & (texts[1] | texts[2])


@needs_voice
def test_what_was_left_out_is_listed(corpus):
    lines = (corpus / "rejected.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [REFUSED.record()]


@needs_voice
def test_interrupted_corpus_is_finished_to_the_same_bytes_by_one_worker(corpus, tmp_path):
    # Train half read, with an utterance beyond the hours; dev and test not begun.
    out = tmp_path / "interrupted"
    shutil.copytree(corpus, out)
    record = json.loads((out / "synth.json").read_text())
    (out / "synth.json").write_text(json.dumps({**record, "splits": None}))
    for name in ("dev", "test"):
        shutil.rmtree(out / name)
    for name in ("train.jsonl", "dev.jsonl", "test.jsonl", "lm_text.txt", "rejected.jsonl"):
        (out / name).unlink()
    (out / "train").rename(out / ".train.partial")
    paths = sorted((out / ".train.partial/0000").iterdir())
    shutil.copy(paths[0], paths[0].with_name("train-0000999.wav"))
    for path in paths[1::2]:
        path.unlink()
    kept = {path.name: path.stat().st_mtime_ns for path in paths[::2]}

    read(out, num_workers=1)

    assert contents(out) == contents(corpus)
    assert {name: (out / "train/0000" / name).stat().st_mtime_ns for name in kept} == kept


@needs_voice
def test_finished_corpus_is_described_and_another_one_is_refused(corpus):
    before = contents(corpus)

    summary = read(corpus)
    with pytest.raises(FileExistsError, match="another corpus: seed 3 instead of 4"):
        read(corpus, replace(REQUEST, seed=4))
    with pytest.raises(FileExistsError, match="another corpus: texts "):
        read(corpus, script=SCRIPT._replace(texts=TEXTS[1:]))

    assert summary["train"].num_utterances == len(read_manifest(corpus / "train.jsonl"))
    assert contents(corpus) == before


def test_worker_that_dies_is_one_line():
    with (
        pytest.raises(ChildProcessError, match="a process that speaks was ended"),
        open_workers(1, partial(start_reader, Surroundings())) as pool,
    ):
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()
