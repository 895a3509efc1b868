"""Phones as tokens, from a dictionary to a phone error rate."""

import json
import logging
import re
from pathlib import Path

import pytest
from tiny import make_corpus, overrides

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli import main
from asr.cli.hydra_config import compose_config
from asr.cli.train import train
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.recognition.lexicon import find_lexicon
from asr.text import CharTokenizer
from asr.text.pronunciations import read_pronunciations

# A tone is a letter of the corpus; what a word of them is said as.
PHONES = {"a": "AH0", "b": "B", "c": "S IY1"}


def spell(word):
    return " ".join(PHONES[letter] for letter in word).replace("0", "").replace("1", "")


def mislabelled(text):
    # What follows a name is not in base64, of which a page has much.
    return re.findall(r"\b(?:WER|CER)[\s,<]", text)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Tones, a dictionary that lacks one word of dev and one of train, and a run of two epochs."""
    folder = tmp_path_factory.mktemp("phones")
    make_corpus(folder, num_train=6, num_dev=3)
    utterances = {s: list(read_manifest(folder / f"{s}.jsonl")) for s in ("train", "dev")}
    lines = {
        f"{u.text.upper()}  {' '.join(PHONES[letter] for letter in u.text)}\n"
        for found in utterances.values()
        for u in found
    }
    (folder / "tones.dict").write_text("".join(sorted(lines)))
    for split, found in utterances.items():
        last = found[-1]
        named = Utterance(last.audio_filepath, last.duration, "zebra", last.extra)
        write_manifest(folder / f"{split}.jsonl", [*found[:-1], named])
    return folder


def words(corpus, run_dir, **changes):
    changes |= {"tokenizer": "phones", "tokenizer__dictionary": corpus / "tones.dict"}
    changes |= {"loading__max_bad_fraction": 0.5, "trainer__show_samples": 1}
    found = overrides(corpus, run_dir, **changes)
    return [word for word in found if not word.startswith("tokenizer.alphabet")]


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    """A run of an epoch that went on for another one."""
    folder = tmp_path_factory.mktemp("run") / "phones"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger(), "level", logging.INFO)
        for epochs, changes in ((1, {}), (2, {"resume": "auto"})):
            found = words(corpus, folder, trainer__max_epochs=epochs, **changes)
            train(compose_config("train", found))
    return folder


def said(corpus):
    """Phones of the dev utterances whose words are in the dictionary."""
    return [spell(u.text) for u in list(read_manifest(corpus / "dev.jsonl"))[:-1]]


def test_training_says_per_and_names_the_words_that_the_dictionary_lacks(corpus, run):
    log = (run / "log.txt").read_text()

    assert "resuming at epoch 2" in log
    assert "PER " in log
    assert not mislabelled(log)
    assert "the pronouncing dictionary lacks 'zebra': 'zebra'" in log
    assert "dev: 1 of 3 utterances could not be used" in log
    assert f"reference:  {said(corpus)[0]}\n" in log or f"reference:  {said(corpus)[1]}\n" in log
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    validations = [row for row in rows if "dev_per" in row]
    assert [row["epoch"] for row in validations] == [1, 2]
    assert not any("dev_wer" in row for row in validations)


def test_phones_are_decoded_without_the_dictionary(corpus, run, tmp_path, capsys):
    checkpoint = run / "ckpt/best.ckpt"
    command = ["decode", f"checkpoint={checkpoint}", "data=manifest", f"output_dir={tmp_path}"]
    (corpus / "tones.dict").rename(corpus / "away.dict")
    try:
        assert load_checkpoint(checkpoint).says_phones
        # One utterance cannot be scored.
        assert main([*command, f"data.test_manifest={corpus / 'dev.jsonl'}"]) == 2
    finally:
        (corpus / "away.dict").rename(corpus / "tones.dict")

    table = capsys.readouterr().out
    assert "PER %" in table
    assert "2 of 3" in table
    listing = (tmp_path / "wer.txt").read_text()
    assert listing.startswith("%PER ")
    assert "%oracle PER" in listing
    assert "most confused phones" in listing
    assert not mislabelled(table + listing)
    (failure,) = (tmp_path / "failures.jsonl").read_text().splitlines()
    assert "lacks 'zebra'" in failure
    scores = json.loads((tmp_path / "scores.json").read_text())["greedy"]
    assert scores["per"]["reference_length"] == sum(len(text.split()) for text in said(corpus))
    assert "wer" not in scores


def test_words_are_found_among_phones_and_counted(corpus, run, tmp_path, capsys):
    checkpoint = run / "ckpt/best.ckpt"
    texts = [u.text for u in read_manifest(corpus / "dev.jsonl")]
    command = [f"checkpoint={checkpoint}", "data=manifest"]
    command += ["decoder.lm_alpha=1", f"decoder.lexicon={corpus / 'tones.dict'}"]
    (tmp_path / "text.txt").write_text("\n".join(texts[:-1]) + "\n")
    assert main(["lm", "build", str(tmp_path / "text.txt"), "-o", str(tmp_path / "lm.arpa")]) == 0
    command += [f"decoder.lm={tmp_path / 'lm.arpa'}"]
    test = f"data.test_manifest={corpus / 'dev.jsonl'}"

    # A word that the dictionary lacks is an error, not an utterance that cannot be scored.
    assert main(["decode", *command, test, "decoder=beam", f"output_dir={tmp_path / 'out'}"]) == 0

    table = capsys.readouterr().out
    assert "WER %" in table
    scores = json.loads((tmp_path / "out/scores.json").read_text())["beam"]
    assert scores["wer"]["reference_length"] == len(texts)
    (listing,) = (tmp_path / "out").rglob("hyp.jsonl")
    found = [json.loads(line) for line in listing.read_text().splitlines()]
    assert sorted(row["text"] for row in found) == sorted(texts)
    known = {u.text for s in ("train", "dev") for u in read_manifest(corpus / f"{s}.jsonl")}
    assert {word for row in found for word in row["pred_text"].split()} <= known - {"zebra"}
    assert (
        main(["tune", *command, f"data.dev_manifest={corpus / 'dev.jsonl'}", "num_trials=2"]) == 0
    )
    assert "WER" in capsys.readouterr().out


def test_report_says_per(run, tmp_path):
    assert main(["report", str(run), "-o", str(tmp_path / "report.html")]) == 0

    page = (tmp_path / "report.html").read_text()
    assert "PER" in page
    assert not mislabelled(page)


def test_missing_dictionary_is_one_clear_line(corpus, tmp_path, capsys):
    (missing,) = [w for w in words(corpus, tmp_path / "run") if w.startswith("tokenizer.dict")]
    found = [w for w in words(corpus, tmp_path / "run") if w != missing]

    for change in ([], [f"tokenizer.dictionary={tmp_path / 'none.dict'}"]):
        assert main(["train", *found, *change]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "dictionary" in line or "none.dict: cannot be read" in line
    assert not (tmp_path / "run").exists()


def test_words_are_not_counted_of_phones(corpus, tmp_path, capsys):
    assert main(["train", *words(corpus, tmp_path / "run", metric="wer")]) == 2

    assert "metric must be auto or per" in capsys.readouterr().err


def hypotheses(folder):
    (listing,) = folder.rglob("hyp.jsonl")
    return [json.loads(line)["pred_text"] for line in listing.read_text().splitlines()]


@pytest.mark.parametrize("named", ["words.txt", "dictionary"])
def test_words_are_pronounced_by_the_dictionary_of_the_model(
    corpus, run, tmp_path, monkeypatch, capsys, named
):
    monkeypatch.chdir(tmp_path)
    known = sorted(read_pronunciations(corpus / "tones.dict").phones_of)
    (tmp_path / "words.txt").write_text("\n".join([*known, ""]))
    command = [f"checkpoint={run}/ckpt/best.ckpt", "data=manifest", "decoder=beam"]
    command += [f"data.test_manifest={corpus}/dev.jsonl", "output_dir=out", "overwrite=true"]

    assert main(["decode", *command, f"decoder.lexicon={corpus}/tones.dict"]) == 0
    by_file = hypotheses(tmp_path / "out")
    assert main(["decode", *command, f"decoder.lexicon={named}"]) == 0

    assert "WER %" in capsys.readouterr().out
    assert hypotheses(tmp_path / "out") == by_file


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("quagga\n", "words.txt: the pronouncing dictionary lacks 'quagga'"),
        ("one two\n", "words.txt:1: must hold one word, got 'one two'"),
        (" \n", "words.txt: must hold at least one word"),
    ],
)
def test_a_list_that_cannot_be_pronounced_is_one_clear_line(run, tmp_path, content, message):
    (tmp_path / "words.txt").write_text(content)
    tokenizer = load_checkpoint(run / "ckpt/best.ckpt").tokenizer

    with pytest.raises(ValueError, match=re.escape(message)):
        find_lexicon(tmp_path / "words.txt", tokenizer)


def test_a_model_of_letters_has_no_dictionary(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ValueError, match="lexicon dictionary: only a model of phones has one"):
        find_lexicon("dictionary", CharTokenizer("ab"))

    (tmp_path / "dictionary").write_text("ab\n")
    assert find_lexicon("dictionary", CharTokenizer("ab")) == Path("dictionary")
