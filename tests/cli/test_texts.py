"""From transcripts to a checkpoint: the alphabet and the steps go along."""

import json

import pytest

from asr.acoustic.checkpoint import load_checkpoint, save_checkpoint
from asr.cli import main
from asr.cli.hydra_config import compose_config
from asr.cli.texts import open_normalizer, settle_texts
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.text import TextNormalizer, write_normalizer
from asr.text.alphabet import ENGLISH
from tests import tiny, tones
from tests.corpus_files import rejected, write_audio, write_text

GERMAN = ["Fünf größere Flüsse fließen hier.", "Am 3. Mai", "Dr. Weiß aß 20 Äpfel", "Café"]


@pytest.fixture
def recordings(tmp_path):
    for split in ("train", "dev"):
        for n, text in enumerate(GERMAN):
            write_audio(tmp_path / "wav" / split / f"{n}.wav", 3.0)
            write_text(tmp_path / "wav" / split / f"{n}.txt", text)
    return tmp_path / "wav"


def prepare(recordings, *options):
    out = recordings.parent / "out"
    return main(["prepare", "folder", "--from", str(recordings), "--out", str(out), *options]), out


def words(text, out):
    return {item.text for item in read_manifest(out / f"{text}.jsonl")}


def test_letters_of_a_language_and_what_does_not_fit(recordings, capsys):
    code, out = prepare(recordings, "--alphabet", "de")

    assert code == 0
    assert words("train", out) == {
        "fünf größere flüsse fließen hier",
        "doktor weiß aß zwanzig äpfel",
    }
    assert rejected(out) == {
        (name, reason)
        for split in ("train", "dev")
        for name, reason in (
            (f"{split}-1", "number that cannot be spelled"),
            (f"{split}-3", "text outside the alphabet"),
        )
    }
    said = capsys.readouterr().out
    assert "    before: Dr. Weiß aß 20 Äpfel\n    after:  doktor weiß aß zwanzig äpfel\n" in said
    assert "1 numbers cannot be spelled: '3.' 2" in said
    report = json.loads((out / "report.json").read_text())
    assert report["text_changes"]["abbreviations written out"] == 2
    assert report["unspelled"] == {"3.": 2}


def test_alphabet_of_the_texts_asks_before_it_drops(recordings, capsys):
    code, out = prepare(recordings, "--alphabet", "auto", "--language", "de")

    assert code == 2
    assert not (out / "normalizer.json").exists()
    error = capsys.readouterr().err
    assert "would leave out 1 characters" in error
    assert "'3' (U+0033) DIGIT THREE: 2 times, as in 'am 3 mai'" in error


def test_alphabet_of_the_texts_that_somebody_agreed_to(recordings, capsys):
    code, out = prepare(recordings, "--alphabet", "auto", "--language", "de", "--yes")

    assert code == 0
    normalizer = open_normalizer(out)
    assert normalizer.alphabet == "".join(sorted(set("".join(words("train", out)))))
    assert "é" in normalizer.alphabet
    said = capsys.readouterr().out
    assert "- '3' (U+0033) DIGIT THREE: 2 times, as in 'am 3 mai'" in said
    assert "  'é' (U+00E9) LATIN SMALL LETTER E WITH ACUTE: 2 times, as in 'café'" in said


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("", 2)])
def test_alphabet_of_the_texts_on_a_terminal(recordings, monkeypatch, capsys, answer, code):
    class Terminal:
        def isatty(self):
            return True

        def readline(self):
            return answer

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)

    assert prepare(recordings, "--alphabet", "auto", "--language", "de")[0] == code

    assert "go on? [y/N]" in capsys.readouterr().err


def test_steps_are_left_out_and_own_abbreviations_are_taken(recordings):
    own = write_text(recordings.parent / "own.tsv", "Weiß\tschwarz")
    letters = write_text(recordings.parent / "letters.txt", " ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÜẞÉ.3")

    code, out = prepare(
        recordings, "--alphabet", str(letters), "--language", "de", "--no-numbers",
        "--abbreviations", str(own),
    )  # fmt: skip

    assert code == 0
    assert words("train", out) == {"FÜNF GRÖẞERE FLÜSSE FLIEẞEN HIER.", "AM 3. MAI", "CAFÉ"}
    state = json.loads((out / "normalizer.json").read_text(encoding="utf-8"))
    assert "numbers" not in state["steps"]
    assert state["abbreviations"]["Weiß"] == "schwarz"
    assert state["abbreviations"]["Dr."] == "doktor"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--alphabet", "zz"], "--alphabet must be auto, a file of characters or one of"),
        (["--alphabet", "de", "--language", "zz"], "language must be one of"),
        (["--abbreviations", "none.tsv"], "none.tsv: cannot be read"),
    ],
)
def test_wrong_options_are_one_line(recordings, capsys, options, message):
    assert prepare(recordings, *options)[0] == 2

    assert message in capsys.readouterr().err


@pytest.fixture
def tones_folder(tmp_path):
    tiny.make_corpus(tmp_path, num_train=4, num_dev=2)
    return tmp_path


def options_of(folder):
    options = tiny.overrides(folder, folder / "run")
    return [option for option in options if "tokenizer.alphabet" not in option]


def config_of(folder, *changes):
    return compose_config("train", [*options_of(folder), *changes])


def test_training_finds_the_alphabet_beside_its_manifest(tones_folder):
    write_normalizer(tones_folder / "normalizer.json", TextNormalizer(" abc", language="de"))

    config, normalizer = settle_texts(config_of(tones_folder))

    assert config["tokenizer"]["alphabet"] == " abc"
    assert normalizer.language == "de"


def test_alphabet_is_english_where_nothing_says_otherwise(tones_folder):
    config, normalizer = settle_texts(config_of(tones_folder))

    assert config["tokenizer"]["alphabet"] == ENGLISH
    assert normalizer is None


def test_configured_alphabet_counts_more_than_the_one_found(tones_folder):
    write_normalizer(tones_folder / "normalizer.json", TextNormalizer(" abc"))

    config, normalizer = settle_texts(config_of(tones_folder, "tokenizer.alphabet=' abcd'"))

    assert config["tokenizer"]["alphabet"] == normalizer.alphabet == " abcd"


def test_sets_that_were_prepared_differently_are_refused(tones_folder):
    tiny.make_corpus(tones_folder / "other", num_train=4, num_dev=2)
    write_normalizer(tones_folder / "normalizer.json", TextNormalizer(" abc"))
    write_normalizer(tones_folder / "other" / "normalizer.json", TextNormalizer(" abcd"))
    both = f"[{tones_folder / 'train.jsonl'},{tones_folder / 'other' / 'train.jsonl'}]"

    with pytest.raises(ValueError, match=r"normalizer\.json and .*other.*normalizer\.json differ"):
        settle_texts(config_of(tones_folder, f"data.train.manifests={both}"))


def test_checkpoint_carries_the_steps_and_references_go_through_them(tones_folder, capsys):
    write_normalizer(tones_folder / "normalizer.json", TextNormalizer(" abc", language="en"))
    words_of_train = [
        o
        for o in tiny.overrides(tones_folder, tones_folder / "run")
        if "tokenizer.alphabet" not in o
    ]
    assert main(["train", *words_of_train, "trainer.max_epochs=1"]) == 0
    checkpoint = tones_folder / "run" / "ckpt" / "best.ckpt"
    first = read_manifest(tones_folder / "dev.jsonl")[0]
    raw = [
        Utterance(
            first.audio_filepath, first.duration, "[noise] ABC, a \u2013 b & A4!", {"id": "u"}
        )
    ]
    write_manifest(tones_folder / "raw.jsonl", raw)
    capsys.readouterr()

    options = {
        "checkpoint": checkpoint,
        "data": "manifest",
        "data.test_manifest": tones_folder / "raw.jsonl",
        "output_dir": tones_folder / "decoded",
    }
    code = main(["decode", *(f"{key}={value}" for key, value in options.items())])

    assert code == 0
    model = load_checkpoint(checkpoint)
    assert model.tokenizer.tokens == ["<blank>", " ", "a", "b", "c"]
    assert model.normalizer.state() == TextNormalizer(" abc", language="en").state()
    assert open_normalizer(checkpoint).state() == model.normalizer.state()
    (record,) = map(json.loads, (tones_folder / "decoded" / "hyp.jsonl").read_text().splitlines())
    assert record["text"] == "abc a b and a4"
    assert "1 of 1 changed by the model's normaliser, 1 hold" in capsys.readouterr().err


def test_language_model_takes_the_steps_of_a_folder(tmp_path, capsys):
    write_normalizer(tmp_path / "normalizer.json", TextNormalizer(ENGLISH, language="en"))
    text = write_text(
        tmp_path / "text.txt", "Dr. Who has 3 cats!", "It\u2019s 10:30", "Caf\u00e9", "", "so"
    )
    arpa = tmp_path / "lm.arpa"

    code = main(
        ["lm", "build", str(text), "--order", "2", "--normalizer", str(tmp_path), "-o", str(arpa)]
    )

    assert code == 0
    unigrams = {
        line.split("\t")[1]
        for line in arpa.read_text().split("\\2-grams:")[0].splitlines()
        if "\t" in line
    }
    assert set(unigrams) == {"<unk>", "<s>", "</s>", "doctor", "who", "has", "three", "cats", "so"}
    said = capsys.readouterr().out
    assert "in 2 sentences (1 empty lines skipped" in said
    assert "left out 1 lines: number that cannot be spelled\n" in said
    assert "left out 1 lines: text outside the alphabet\n" in said
    assert "cannot spell '10:30' (en)" in said
    assert "texts: numbers spelled out: 1\n" in said


def test_model_without_a_normalizer_and_no_model_are_named(tmp_path):
    save_checkpoint(tmp_path / "plain.ckpt", tones.untrained_model())

    with pytest.raises(ValueError, match=r"plain\.ckpt: this model was trained .* without"):
        open_normalizer(tmp_path / "plain.ckpt")
    with pytest.raises(ValueError, match="none: must be a folder that `asr prepare` wrote"):
        open_normalizer(tmp_path / "none")
    with pytest.raises(ValueError, match=r"normalizer\.json: cannot be read"):
        open_normalizer(tmp_path)
