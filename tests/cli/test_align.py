"""`asr align` and what it is made of, with a small model that was trained to read tones."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import tones

from asr.acoustic.checkpoint import load_checkpoint, save_checkpoint
from asr.alignment.aligner import align_each
from asr.alignment.spans import Alignment
from asr.cli import main
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.data.unusable import Unusable
from asr.recognition.recognizer import Recognizer
from asr.text import CharTokenizer, TextNormalizer

TEXTS = ["ab cad", "dab", "bc da abc", "d"]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Manifest and audio of texts whose words the model can hear."""
    folder = tmp_path_factory.mktemp("spoken")
    rng = np.random.default_rng(7)
    utterances = []
    for number, text in enumerate(TEXTS):
        waveform = tones.speak(text, rng)
        path = folder / f"u{number}.wav"
        soundfile.write(path, waveform, tones.SAMPLE_RATE)
        duration = len(waveform) / tones.SAMPLE_RATE
        utterances.append(Utterance(path, duration, text, {"id": f"u{number}", "speaker": "s"}))
    write_manifest(folder / "good.jsonl", utterances)
    return folder


@pytest.fixture(scope="module")
def bad(spoken):
    """The same manifest with every kind of failure among the good."""
    good = read_manifest(spoken / "good.jsonl")
    soundfile.write(spoken / "short.wav", np.zeros(20), tones.SAMPLE_RATE)
    (spoken / "broken.wav").write_bytes(b"RIFF")
    wrong = [
        ("missing", spoken / "missing.wav", "ab"),
        ("broken", spoken / "broken.wav", "ab"),
        ("short", spoken / "short.wav", "a"),
        ("letters", good[0].audio_filepath, "ab\u00e9"),
        ("crowded", good[3].audio_filepath, "ab " * 40),
    ]
    failing = [Utterance(path, 1.0, text, {"id": name}) for name, path, text in wrong]
    write_manifest(spoken / "bad.jsonl", [failing[0], *good[:2], *failing[1:], *good[2:]])
    return spoken / "bad.jsonl"


def align(*words):
    return main(["align", f"checkpoint={tones.checkpoint_path()}", *map(str, words)])


def spoken_words(waveform):
    """Seconds (start, end) of the words in tones: what 0.2 s of silence or more part."""
    loud = np.flatnonzero(np.abs(waveform) > 0.01) / tones.SAMPLE_RATE
    breaks = np.flatnonzero(np.diff(loud) > 0.2)
    return list(zip(loud[[0, *(breaks + 1)]], loud[[*breaks, -1]], strict=True))


def test_words_are_where_the_tones_are(rng):
    model = tones.trained_model()
    errors = []
    for text in [*TEXTS, *(tones.invent_text(rng, 4) for _ in range(10))]:
        waveform = tones.speak(text, rng)
        recording = Rendered(text, text, waveform)
        (found,) = align_each(model, [recording], 1.0)
        assert [word.word for word in found.words] == text.split()
        assert all(a.end_s <= b.start_s for a, b in pairwise(found.words))
        known = spoken_words(waveform)
        errors += [
            (word.start_s - start_s, word.end_s - end_s)
            for word, (start_s, end_s) in zip(found.words, known, strict=True)
        ]

    # A tone lasts 0.12 s and the next one begins 0.18 s later.
    assert np.median(np.abs(errors), axis=0) == pytest.approx([0, 0], abs=0.1)
    assert np.abs(errors).max() < 0.2


class Rendered:
    """An utterance without a file."""

    def __init__(self, identity, text, samples):
        self.id, self.text, self.samples = identity, text, samples
        self.duration = len(samples) / tones.SAMPLE_RATE

    def waveform(self, sample_rate):
        assert sample_rate == tones.SAMPLE_RATE
        return self.samples


def test_text_that_was_recognised_is_aligned_where_it_was_heard(rng):
    recognizer = Recognizer(tones.trained_model())
    waveform = tones.speak("abc dab", rng)
    heard = recognizer.transcribe(waveform, tones.SAMPLE_RATE)

    (found,) = align_each(recognizer.model, [Rendered("a", heard.text, waveform)], 1.0)

    assert found.score == pytest.approx(heard.score, abs=1e-3)
    assert " ".join(w.word for w in found.words) == heard.text
    # A decoder times tokens by the frame of their spike, alignment by all of their frames.
    for aligned, word in zip(found.words, heard.words, strict=True):
        assert aligned.start_s <= word.start_s < word.end_s <= aligned.end_s
    assert [w.confidence for w in found.words] == pytest.approx(
        [w.confidence for w in heard.words], abs=1e-3
    )


def test_wrong_word_gets_a_low_confidence(rng):
    waveform = tones.speak("abc dab", rng)
    model = tones.trained_model()

    right, wrong = align_each(
        model, [Rendered(t, t, waveform) for t in ("abc dab", "abc cba")], 1.0
    )

    assert wrong.words[1].confidence < 0.1 < right.words[1].confidence
    assert wrong.score < right.score


def test_long_recording_keeps_its_times(rng):
    model = tones.trained_model()
    texts = [tones.invent_text(rng, 4) for _ in range(30)]
    parts = [tones.speak(text, rng) for text in texts]
    whole = Rendered("long", " ".join(texts), np.concatenate(parts))
    assert whole.duration > 60

    (found,) = align_each(model, [whole], 1.0)

    assert [word.word for word in found.words] == whole.text.split()
    starts = np.array([word.start_s for word in found.words])
    known, offset = [], 0.0
    for part in parts:
        known += [offset + start_s for start_s, _ in spoken_words(part)]
        offset += len(part) / tones.SAMPLE_RATE
    assert np.median(np.abs(starts - known)) < 0.1
    assert np.abs(starts - known).max() < 0.5


def test_windows_do_not_change_results_or_their_order(rng, monkeypatch):
    model = tones.trained_model()
    recordings = [Rendered(str(i), text, tones.speak(text, rng)) for i, text in enumerate(TEXTS)]
    recordings.insert(2, Rendered("bad", "?", recordings[0].samples))
    together = list(align_each(model, recordings, 1.0))
    monkeypatch.setattr("asr.acoustic.recordings.WINDOW_S", 1.0)

    apart = list(align_each(model, recordings, 1.0))

    assert [isinstance(found, Unusable) for found in apart] == [False, False, True, False, False]
    for one, other in zip(together, apart, strict=True):
        if isinstance(one, Alignment):
            assert [w[:3] for w in one.words] == [w[:3] for w in other.words]
            assert one.score == pytest.approx(other.score, rel=1e-3)


def test_empty_text_is_silence(rng):
    (found,) = align_each(tones.trained_model(), [Rendered("a", "", tones.speak("a", rng))], 1.0)

    assert found.words == []


def test_table_beyond_the_limit_is_refused_and_the_rest_aligned(rng):
    waveform = tones.speak("ab", rng)
    recordings = [Rendered(t, t, waveform) for t in ("ab ab", "a")]
    frames = tones.trained_model().num_frames(len(waveform))

    large, small = align_each(tones.trained_model(), recordings, 4.9 * frames / 1e9)

    assert f"{frames} frames x 5 labels need a table of" in large.reason
    assert "raise it, or cut the recording" in large.reason
    assert [word.word for word in small.words] == ["a"]


def test_table_limit_must_be_positive():
    with pytest.raises(ValueError, match="max_table_gb must be > 0, got 0"):
        list(align_each(tones.untrained_model(), [], 0))


def test_token_over_several_words_is_refused(rng):
    model = tones.untrained_model()

    class Pieces(CharTokenizer):
        """Label 2 stands for two words, as some SentencePiece models have it."""

        def encode(self, text):
            return [2]

    model.tokenizer = Pieces(tones.ALPHABET)
    (found,) = align_each(model, [Rendered("x", "a b", tones.speak("a b", rng))], 1.0)

    assert found == Unusable("x", "a token of the model reaches over several words")


def test_unknown_option_is_refused(spoken, capsys):
    with pytest.raises(SystemExit) as stop:
        align(f"manifest={spoken / 'good.jsonl'}", "--formt", "ctm")

    assert stop.value.code == 2
    assert "unrecognized arguments: --formt ctm" in capsys.readouterr().err


@pytest.mark.parametrize("style", ["json", "ctm", "textgrid"])
def test_command_writes_every_format(spoken, tmp_path, style):
    words = ("--format", style, f"manifest={spoken / 'good.jsonl'}", f"output_dir={tmp_path}")

    assert align(*words) == 0

    assert (tmp_path / "failures.jsonl").read_text() == ""
    spelled = " ".join(TEXTS).split()
    if style == "json":
        aligned = read_manifest(tmp_path / "alignments.jsonl")
        assert [u.text for u in aligned] == TEXTS
        assert [u.extra["speaker"] for u in aligned] == ["s"] * 4
        assert [w["word"] for u in aligned for w in u.extra["words"]] == spelled
    elif style == "ctm":
        lines = [line.split() for line in (tmp_path / "words.ctm").read_text().splitlines()]
        assert [fields[4] for fields in lines] == spelled
        assert all(float(start) >= 0 < float(length) for _, _, start, length, *_ in lines)
    else:
        assert sorted(path.stem for path in tmp_path.glob("*.TextGrid")) == ["u0", "u1", "u2", "u3"]


def test_format_is_also_a_key_and_json_the_default(spoken, tmp_path):
    manifest = f"manifest={spoken / 'good.jsonl'}"

    assert align(manifest, f"output_dir={tmp_path / 'a'}", "format=ctm") == 0
    assert align(manifest, f"output_dir={tmp_path / 'b'}") == 0

    assert (tmp_path / "a/words.ctm").exists()
    assert (tmp_path / "b/alignments.jsonl").exists()


def test_texts_take_the_form_of_the_models(spoken, tmp_path):
    model = load_checkpoint(tones.checkpoint_path())
    model.normalizer = TextNormalizer(tones.ALPHABET, language="en")
    save_checkpoint(tmp_path / "named.ckpt", model)
    written = [replace(u, text=u.text.upper() + "!") for u in read_manifest(spoken / "good.jsonl")]
    write_manifest(tmp_path / "loud.jsonl", written)

    words = [f"checkpoint={tmp_path / 'named.ckpt'}", f"manifest={tmp_path / 'loud.jsonl'}"]
    assert main(["align", *words, f"output_dir={tmp_path / 'out'}"]) == 0

    assert [u.text for u in read_manifest(tmp_path / "out/alignments.jsonl")] == TEXTS


def test_failures_are_listed_with_reasons_and_nothing_else_is_lost(bad, tmp_path, capsys):
    assert align(f"manifest={bad}", f"output_dir={tmp_path}") == 2

    log = capsys.readouterr().err
    lines = (tmp_path / "failures.jsonl").read_text().splitlines()
    reasons = {record["id"]: record["reason"] for record in map(json.loads, lines)}
    assert list(reasons) == ["missing", "broken", "short", "letters", "crowded"]
    assert "no such audio file" in reasons["missing"]
    assert "cannot be decoded" in reasons["broken"]
    assert "20 samples at 8000 Hz are too short" in reasons["short"]
    assert "character '\u00e9' (U+00E9) is not in the alphabet" in reasons["letters"]
    assert "frames are too few for S = 120 labels" in reasons["crowded"]
    assert [u.id for u in read_manifest(tmp_path / "alignments.jsonl")] == ["u0", "u1", "u2", "u3"]
    assert f"not aligned: letters: {reasons['letters']}" in log
    assert "4 of 9 utterances aligned, 7 words" in log


def test_results_go_beside_the_checkpoint_and_realigning_replaces_them(spoken, tmp_path, capsys):
    checkpoint = tmp_path / "run/ckpt/best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(tones.checkpoint_path().read_bytes())
    first = tmp_path / "run/align/good/alignments.jsonl"

    assert main(["align", f"checkpoint={checkpoint}", f"manifest={spoken / 'good.jsonl'}"]) == 0
    again = ["align", f"checkpoint={checkpoint}", f"manifest={first}", f"output_dir={tmp_path}"]
    assert main(again) == 0

    assert read_manifest(tmp_path / "alignments.jsonl") == read_manifest(first)
    assert "the key 'words' of 4 utterances is replaced" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["manifest=none.jsonl"], "none.jsonl: cannot be read"),
        (["manifest=empty.jsonl"], "empty.jsonl: holds no utterances"),
        ([], "give a value for manifest=..."),
        (["manifest=u.jsonl", "format=srt"], "format must be one of json, ctm, textgrid"),
        (["manifest=u.jsonl", "max_table_gb=0"], "max_table_gb must be > 0, got 0"),
        (["manifest=u.jsonl", "fromat=ctm"], "did you mean format?"),
        (["manifest=u.jsonl", "device=tpu"], "device must be auto, cpu, cuda"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "u.jsonl").write_text(
        '{"audio_filepath": "u.wav", "duration": 1.0, "text": "ab"}\n'
    )

    assert align(*words) == 2

    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("asr align: ")
    assert message in last


def test_missing_checkpoint_is_one_line(spoken, capsys):
    assert main(["align", "checkpoint=no.ckpt", f"manifest={spoken / 'good.jsonl'}"]) == 2

    assert "no.ckpt: no such checkpoint" in capsys.readouterr().err
