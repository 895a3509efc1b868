"""Phones as tokens, from a dictionary to a phone error rate."""

import json
import logging

import pytest
from tiny import make_corpus, overrides

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli import main
from asr.cli.hydra_config import compose_config
from asr.cli.train import train
from asr.data.manifest import Utterance, read_manifest, write_manifest

# A tone is a letter of the corpus; what a word of them is said as.
PHONES = {"a": "AH0", "b": "B", "c": "S IY1"}


def spell(word):
    return " ".join(PHONES[letter] for letter in word).replace("0", "").replace("1", "")


def mislabelled(text):
    return [name for name in ("WER", "CER") if name in text]


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


def test_phones_train_go_on_and_are_decoded_without_the_dictionary(
    corpus, tmp_path, caplog, capsys, monkeypatch
):
    run = tmp_path / "run"
    with caplog.at_level(logging.INFO):
        train(compose_config("train", words(corpus, run, trainer__max_epochs=1)))
        validation = train(
            compose_config("train", words(corpus, run, trainer__max_epochs=2, resume="auto"))
        )

    log = caplog.text
    assert "PER " in log
    assert not mislabelled(log)
    assert "the pronouncing dictionary lacks 'zebra': 'zebra'" in log
    assert "dev: 1 of 3 utterances could not be used" in log
    dev = [u.text for u in read_manifest(corpus / "dev.jsonl")]
    assert sorted(validation.references) == sorted(spell(text) for text in dev[:2])
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(row["epoch"], "dev_wer" in row) for row in rows if "dev_per" in row] == [
        (1, False),
        (2, False),
    ]

    (corpus / "tones.dict").rename(corpus / "away.dict")
    checkpoint = run / "ckpt/best.ckpt"
    model = load_checkpoint(checkpoint)
    assert model.says_phones
    assert model.tokenizer.encode(dev[0])
    capsys.readouterr()
    decoded = ["decode", f"checkpoint={checkpoint}", "data=manifest"]
    decoded += [f"data.test_manifest={corpus / 'dev.jsonl'}", f"output_dir={tmp_path / 'out'}"]
    assert main(decoded) == 2  # one utterance was not decoded
    table = capsys.readouterr().out
    (corpus / "away.dict").rename(corpus / "tones.dict")

    assert "PER %" in table
    assert not mislabelled(table)
    assert "2 of 3" in table
    listing = (tmp_path / "out/wer.txt").read_text()
    assert listing.startswith("%PER ")
    assert "%oracle PER" in listing
    assert not mislabelled(listing)
    assert "most confused phones" in listing
    scores = json.loads((tmp_path / "out/scores.json").read_text())["greedy"]
    spelt = [spell(text).split() for text in dev[:2]]
    assert scores["per"]["reference_length"] == sum(map(len, spelt))
    assert "wer" not in scores
    (failure,) = (tmp_path / "out/failures.jsonl").read_text().splitlines()
    assert "lacks 'zebra'" in failure
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
