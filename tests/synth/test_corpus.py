import dataclasses
import hashlib
import importlib.util
import json
import math
import multiprocessing
import random
import re
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asr.synth.corpus as synth
from asr.data.manifest import read_manifest
from asr.synth import espeak, grammar, recording
from asr.synth.corpus import SPLITS, SynthRequest, generate
from asr.synth.voices import ACCENTS, VARIANTS

REQUEST = SynthRequest(train_hours=0.015, num_dev=9, num_test=9, num_lm_sentences=300, seed=3)
MANNER = espeak.Manner(words_per_minute=170, pitch=50, pitch_range=50, word_gap=0)

needs_voice = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="the voice is an extra: pip install 'ctc-asr[synth]'",
)


def make(out: Path, request: SynthRequest = REQUEST, num_workers: int = 2, **options):
    return generate(out, request, num_workers=num_workers, progress=False, **options)


def digests(folder: Path) -> dict[str, str]:
    """Every file below the folder with a hash of its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "corpus"
    make(out)
    return out


# Grammar


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (47, "forty seven"),
        (300, "three hundred"),
        (125, "one hundred and twenty five"),
        (999, "nine hundred and ninety nine"),
    ],
)
def test_cardinal_of_known_numbers(number, words):
    assert grammar.cardinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "first"), (12, "twelfth"), (20, "twentieth"), (22, "twenty second"), (30, "thirtieth")],
)
def test_ordinal_of_known_numbers(number, words):
    assert grammar.ordinal(number) == words


def test_vocabulary_has_at_least_300_words_all_in_the_alphabet():
    words = grammar.vocabulary()
    assert len(words) >= 300
    assert set("".join(words)) <= set(grammar.ALPHABET) - {" "}


def test_quickstart_sentences_hold_every_word_often_enough_to_learn():
    counts = dict.fromkeys(grammar.vocabulary(), 0)
    for sentence in synth.compose_sentences(synth.QUICKSTART, "train"):
        for word in grammar.transcript(sentence).split():
            counts[word] += 1
    assert min(counts.values()) >= 10, sorted(counts.items(), key=lambda item: item[1])[:5]


def test_quickstart_sentences_are_disjoint_and_new():
    sentences = {split: synth.compose_sentences(synth.QUICKSTART, split) for split in SPLITS}
    texts = {
        split: {grammar.transcript(sentence) for sentence in sentences[split]} for split in SPLITS
    }
    for split in SPLITS:
        assert len(texts[split]) == len(sentences[split])
    assert not texts["train"] & texts["dev"]
    assert not texts["train"] & texts["test"]
    assert not texts["dev"] & texts["test"]


def test_transcripts_use_the_alphabet_and_single_spaces():
    rng = random.Random(1)
    for _ in range(2000):
        text = grammar.transcript(grammar.compose(rng))
        assert set(text) <= set(grammar.ALPHABET)
        assert text == " ".join(text.split())


def test_capitals_are_single_letters_only():
    rng = random.Random(2)
    for _ in range(2000):
        for word in grammar.compose(rng).split():
            assert word.islower() or len(word) == 1


def test_variants_are_in_one_split_only():
    everything = [variant for split in SPLITS for variant in VARIANTS[split]]
    assert len(everything) == len(set(everything))


# Requests


@pytest.mark.parametrize(
    "wrong",
    [
        {"train_hours": 0.0},
        {"train_hours": math.nan},
        {"train_hours": math.inf},
        {"num_dev": 0},
        {"num_test": -1},
        {"num_lm_sentences": 0},
        {"seed": -1},
    ],
)
def test_request_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SynthRequest(**wrong)


def test_generate_refuses_no_workers(tmp_path):
    with pytest.raises(ValueError, match="num_workers must be >= 1, got 0"):
        make(tmp_path, num_workers=0)


def test_missing_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ctc-asr\[synth\]'") as error:
        make(tmp_path / "corpus")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "corpus").exists()


def test_speak_refuses_the_main_process():
    with pytest.raises(RuntimeError, match="worker processes only"):
        espeak.speak("hello", "en-us+m3", MANNER)


# The voice


@needs_voice
def test_speak_depends_on_nothing_spoken_before():
    # Echo, breath, flutter and Klatt voices: each keeps another state of espeak-ng's.
    calls = [
        ("set an alarm", voice, MANNER) for voice in ("en+f2", "en-us+f1", "en-029+Reed", "en+m2")
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        forwards = [pool.submit(espeak.speak, *call).result() for call in calls]
        backwards = [pool.submit(espeak.speak, *call).result() for call in reversed(calls)]
    for one, other in zip(forwards, reversed(backwards), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({samples.tobytes() for samples in forwards}) == len(calls)


@needs_voice
@pytest.mark.parametrize("voice", ["en-us+nobody", "en-us+", "nowhere", "nowhere+m3"])
def test_unknown_voice_is_refused(voice):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        spoken = pool.submit(espeak.speak, "hello", voice, MANNER)
        with pytest.raises(ValueError, match=re.escape(f"no voice {voice!r}")):
            spoken.result()


@needs_voice
def test_voices_all_sound_different():
    # At their own rate and pitch; a name that espeak-ng passes over would sound like another.
    names = [f"en-us+{variant}" for split in SPLITS for variant in VARIANTS[split]]
    names += [f"{accent}+m3" for accent in ACCENTS if accent != "en-us"]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        spoken = [
            pool.submit(espeak.speak, "gate A four in the garden tomorrow", name, MANNER)
            for name in names
        ]
        samples = {name: future.result() for name, future in zip(names, spoken, strict=True)}
    assert len({waveform.tobytes() for waveform in samples.values()}) == len(names)
    assert all(np.abs(waveform).max() > 500 for waveform in samples.values())


@needs_voice
def test_letter_a_is_not_spoken_as_the_article():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        letter = pool.submit(espeak.speak, "gate A two", "en-us+m3", MANNER).result()
        article = pool.submit(espeak.speak, "gate a two", "en-us+m3", MANNER).result()
    assert letter.size > article.size + 0.03 * espeak.SAMPLE_RATE


# The corpus


@needs_voice
def test_corpus_holds_what_was_asked(corpus):
    for split in SPLITS:
        utterances = read_manifest(corpus / f"{split}.jsonl")
        assert len(utterances) == REQUEST.num_utterances(split)
        for utterance in utterances:
            info = soundfile.info(utterance.audio_filepath)
            assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
            assert utterance.duration == pytest.approx(info.frames / 16_000, abs=1e-5)
    assert len((corpus / "lm_text.txt").read_text().splitlines()) == REQUEST.num_lm_sentences
    assert not list(corpus.glob(".*"))


@needs_voice
def test_corpus_fits_ctc_at_40_ms_a_frame(corpus):
    for split in SPLITS:
        for utterance in read_manifest(corpus / f"{split}.jsonl"):
            frames = math.floor(utterance.duration / 0.04)
            assert frames >= recording.minimum_frames(utterance.text)
            assert 1.0 <= utterance.duration <= 5.01


@needs_voice
def test_corpus_shares_no_sentence_and_no_speaker_between_splits(corpus):
    manifests = {split: read_manifest(corpus / f"{split}.jsonl") for split in SPLITS}
    texts = {split: {u.text for u in manifests[split]} for split in SPLITS}
    variants = {
        split: {str(u.extra["speaker"]).split("+")[1] for u in manifests[split]} for split in SPLITS
    }
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not texts[one] & texts[other]
        assert not variants[one] & variants[other]
    lm_text = set((corpus / "lm_text.txt").read_text().splitlines())
    assert not lm_text & (texts["dev"] | texts["test"])


@needs_voice
def test_corpus_is_audible_and_not_clipped(corpus):
    for path in corpus.rglob("*.wav"):
        waveform, _ = soundfile.read(path)
        assert np.abs(waveform).max() <= 0.951
        assert -40 < 10 * math.log10(np.mean(waveform**2)) < -14


@needs_voice
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
def test_corpus_leaves_the_main_process_free_of_espeak(corpus):
    assert "espeak" not in Path("/proc/self/maps").read_text()
    assert "espeakng_loader" not in sys.modules


@needs_voice
def test_corpus_has_the_bytes_it_always_had(corpus):
    # Made before any text could be read, with espeakng-loader 0.2.4: the quickstart's corpus must
    # not change by what is added beside it.
    whole = hashlib.sha256(json.dumps(digests(corpus)).encode()).hexdigest()
    assert whole == "aebe93bf2f3301c797b079524160f704b3d471d8b2e4b951684fb333b1a95c89"


@needs_voice
def test_same_seed_gives_same_bytes_with_any_number_of_workers(corpus, tmp_path):
    make(tmp_path / "again", num_workers=1)
    assert digests(tmp_path / "again") == digests(corpus)


@needs_voice
def test_other_seed_gives_other_corpus(corpus, tmp_path):
    make(tmp_path / "other", dataclasses.replace(REQUEST, seed=4))
    theirs, ours = digests(tmp_path / "other"), digests(corpus)
    assert set(theirs) == set(ours)
    assert not set(theirs.values()) & set(ours.values())


@needs_voice
def test_finished_corpus_is_only_described(corpus, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    # Not even the voice is needed.
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    summary = make(corpus)
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before
    assert summary["dev"].num_utterances == REQUEST.num_dev
    seconds = sum(u.duration for u in read_manifest(corpus / "dev.jsonl"))
    assert summary["dev"].hours == pytest.approx(seconds / 3600, abs=1e-4)


@needs_voice
def test_interrupted_corpus_is_finished_to_the_same_bytes(corpus, tmp_path):
    # Train is done but for its manifest, dev half spoken, test not begun.
    out = tmp_path / "interrupted"
    shutil.copytree(corpus, out)
    record = json.loads((out / "synth.json").read_text())
    (out / "synth.json").write_text(json.dumps({**record, "splits": None}))
    shutil.rmtree(out / "test")
    for name in ("train.jsonl", "dev.jsonl", "test.jsonl", "lm_text.txt"):
        (out / name).unlink()
    (out / "dev").rename(out / ".dev.partial")
    for path in sorted((out / ".dev.partial").iterdir())[::2]:
        path.unlink()
    kept = {path: path.stat().st_mtime_ns for path in (out / "train").iterdir()}
    make(out)
    assert digests(out) == digests(corpus)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@needs_voice
def test_other_corpus_is_refused_and_only_replaced_on_demand(corpus, tmp_path):
    out = tmp_path / "taken"
    shutil.copytree(corpus, out)
    (out / "notes.txt").write_text("mine")
    other = dataclasses.replace(REQUEST, num_dev=2, num_test=2, seed=5, train_hours=0.002)
    with pytest.raises(FileExistsError, match="seed 3 instead of 5"):
        make(out, other)
    assert {**digests(corpus), "notes.txt": digests(out)["notes.txt"]} == digests(out)
    make(out, other, num_workers=1, overwrite=True)
    assert len(read_manifest(out / "dev.jsonl")) == 2
    assert len(list((out / "dev").iterdir())) == 2
    assert (out / "notes.txt").read_text() == "mine"


@needs_voice
def test_folder_with_other_files_of_these_names_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(FileExistsError, match=r"no corpus of ours \(there is no synth.json\)"):
        make(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"parameters": {}}', "3"])
def test_broken_record_is_named(tmp_path, content):
    (tmp_path / "synth.json").write_text(content)
    with pytest.raises(ValueError, match=r"synth.json: not the record of a corpus"):
        make(tmp_path)
