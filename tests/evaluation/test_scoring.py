import json
import math

import jiwer
import numpy as np
import pytest
import tones
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import write_wav
from asr.data.loading import BatchLoader, ManifestCorpus, Rendered, Unusable, pad_batch
from asr.data.manifest import Utterance, write_manifest
from asr.decoding import BeamSearchDecoder, GreedyDecoder, PrefixSearchDecoder
from asr.evaluation.errors import align_texts, format_alignment, worst_first
from asr.evaluation.results import format_scores, trn_ids, write_results
from asr.evaluation.scoring import (
    Decoded,
    DecoderResult,
    Padding,
    decode_batches,
    pad_batches,
    score,
)

RATE = tones.SAMPLE_RATE
FILES = {"hyp.jsonl", "hyp.trn", "ref.trn", "wer.txt", "failures.jsonl"}


class Hyp:
    """A hypothesis as far as scoring looks at it."""

    def __init__(self, text, score=-1.0):
        self.text, self.score = text, score
        self.acoustic_score, self.lm_score, self.words = score, 0.0, ()


def result_of(*pairs):
    """A decoder's result for (reference, hypothesis...) tuples."""
    decoded = [
        Decoded(f"u{i}", reference, 2.0, [Hyp(text) for text in texts])
        for i, (reference, *texts) in enumerate(pairs)
    ]
    return DecoderResult(decoded, 0.04, acoustic_s=1.0, decoder_s=0.5)


def batch_of(texts, rng):
    class Speech:
        def __init__(self, number, text):
            self.id, self.text = f"u{number:02d}", text

    return pad_batch(
        [Rendered(Speech(i, t), tones.speak(t, rng), [1] * len(t)) for i, t in enumerate(texts)]
    )


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def model():
    return tones.trained_model()


@pytest.fixture
def decoders(model):
    tokens = model.tokenizer.tokens
    return {
        "greedy": GreedyDecoder(tokens),
        "prefix search": PrefixSearchDecoder(tokens),
        "beam": BeamSearchDecoder(tokens, n_best=4),
    }


@pytest.fixture
def texts(rng):
    return [tones.invent_text(rng, 1 + i % 4) for i in range(10)]


def test_every_decoder_reads_what_was_said(model, decoders, texts, rng):
    results = decode_batches(model, [batch_of(texts, rng)], decoders, progress=False)

    assert list(results) == list(decoders)
    for result in results.values():
        assert result.references == result.texts == texts


def test_results_do_not_depend_on_batches(model, decoders, texts, rng):
    whole = batch_of(texts, rng)
    one_by_one = [
        whole._replace(
            ids=[whole.ids[i]],
            texts=[whole.texts[i]],
            waveforms=whole.waveforms[i : i + 1, : whole.waveform_lengths[i]],
            waveform_lengths=whole.waveform_lengths[i : i + 1],
        )
        for i in reversed(range(len(texts)))
    ]

    together = decode_batches(model, [whole], decoders, progress=False)
    alone = decode_batches(model, one_by_one, decoders, progress=False)

    for name in decoders:
        for a, b in zip(together[name].utterances, alone[name].utterances, strict=True):
            assert a[:3] == b[:3]
            assert a.hypotheses[0].text == b.hypotheses[0].text
            assert a.hypotheses[0].score == pytest.approx(b.hypotheses[0].score, abs=1e-3)


def test_batches_without_utterances_are_passed_over(model, decoders, texts, rng):
    batches = [pad_batch([]), batch_of(texts, rng), pad_batch([])]

    results = decode_batches(model, batches, decoders, progress=False)

    assert results["greedy"].texts == texts


def test_timing_counts_the_model_once_and_each_decoder(model, decoders, texts, rng):
    results = decode_batches(model, [batch_of(texts, rng)], decoders, progress=False)

    assert len({result.acoustic_s for result in results.values()}) == 1
    assert all(result.acoustic_s > 0 < result.decoder_s for result in results.values())


def test_audio_seconds_are_those_of_the_waveforms(model, decoders, rng):
    batch = batch_of(["ab", "abcd"], rng)

    result = decode_batches(model, [batch], decoders, progress=False)["greedy"]

    assert result.audio_s == pytest.approx(batch.waveform_lengths.sum() / tones.SAMPLE_RATE)


def test_decoding_without_decoders_is_refused(model):
    with pytest.raises(ValueError, match="at least one decoder, got none"):
        decode_batches(model, [], {}, progress=False)


def test_progress_bar_counts_utterances(model, decoders, texts, rng, capsys):
    decode_batches(model, [batch_of(texts, rng)], decoders, progress=True, total=10)

    assert "decoding" in capsys.readouterr().err


def test_score_equals_jiwer():
    pairs = [("a b c", "a x c d"), ("a", ""), ("b b", "b")]

    scored = score(result_of(*pairs))

    references, texts = map(list, zip(*pairs, strict=True))
    assert scored.wer.rate == pytest.approx(jiwer.wer(references, texts))
    assert scored.cer.rate == pytest.approx(jiwer.cer(references, texts))


def test_real_time_factor_is_all_seconds_spent_over_seconds_of_audio():
    assert score(result_of(("a", "a"), ("b", "b"))).real_time_factor == (1.0 + 0.5) / 4.0


def test_oracle_takes_the_best_of_each_list():
    scored = score(result_of(("a b", "a", "a b"), ("c", "d", "e f")))

    assert (scored.wer.rate, scored.oracle_wer.rate) == (2 / 3, 1 / 3)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.sampled_from(["", "a", "a b", "b"]), min_size=2, max_size=4)))
def test_oracle_is_never_worse(pairs):
    scored = score(result_of(*pairs))

    assert scored.oracle_wer.rate <= scored.wer.rate


def test_empty_references_are_scored():
    silence, murmur = score(result_of(("", ""))), score(result_of(("", "a b")))

    assert (silence.wer.rate, murmur.wer.rate, murmur.wer.insertions) == (0.0, math.inf, 2)


def test_single_decoder_is_written_into_the_folder(tmp_path):
    scores = write_results(tmp_path / "test", {"greedy": result_of(("a b", "a"))}, [])

    assert {p.name for p in (tmp_path / "test").iterdir()} == FILES | {"scores.json"}
    assert scores["greedy"].wer.deletions == 1


def test_several_decoders_are_written_into_a_folder_each(tmp_path):
    results = {"greedy": result_of(("a", "a")), "beam + language model": result_of(("a", "b"))}

    write_results(tmp_path, results, [])

    for name in ("greedy", "beam_language_model"):
        assert {p.name for p in (tmp_path / name).iterdir()} == FILES
    table = json.loads((tmp_path / "scores.json").read_text())
    assert table["beam + language model"]["folder"] == "beam_language_model"
    assert table["beam + language model"]["wer"]["rate"] == 1.0


def test_decoder_names_that_share_a_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must differ in letters or digits"):
        write_results(tmp_path, {"a b": result_of(), "a+b": result_of()}, [])


def test_hypotheses_file_has_all_of_an_utterance(model, decoders, tmp_path, rng):
    results = decode_batches(model, [batch_of(["ab cad"], rng)], decoders, progress=False)

    write_results(tmp_path, {"beam": results["beam"]}, [], {"u00": tmp_path / "a.wav"})

    (record,) = read_lines(tmp_path / "hyp.jsonl")
    assert record["id"] == "u00"
    assert record["audio_filepath"] == str(tmp_path / "a.wav")
    assert record["text"] == record["pred_text"] == "ab cad"
    assert record["wer"] == record["errors"] == 0
    assert record["duration"] == pytest.approx(results["beam"].audio_s, abs=1e-3)
    assert [word["word"] for word in record["words"]] == ["ab", "cad"]
    assert 0 < record["words"][0]["start"] < record["words"][0]["end"] < record["duration"]
    assert 1 < len(record["nbest"]) <= 4
    assert record["nbest"][0] == {"text": "ab cad", "score": record["score"]}


def test_files_of_an_empty_set_are_empty_but_there(tmp_path):
    scores = write_results(tmp_path, {"greedy": result_of()}, [])

    assert scores["greedy"].num_utterances == 0
    assert (tmp_path / "hyp.jsonl").read_text() == (tmp_path / "hyp.trn").read_text() == ""
    assert "0 utterances" in (tmp_path / "wer.txt").read_text()


def test_every_line_of_json_is_strict_where_scores_are_infinite(tmp_path):
    result = result_of(("", "a"))
    result.utterances[0].hypotheses[0].score = -math.inf

    write_results(tmp_path, {"greedy": result}, [])

    def refuse(constant):
        raise AssertionError(constant)

    text = (tmp_path / "hyp.jsonl").read_text()
    record = json.loads(text, parse_constant=refuse)
    json.loads((tmp_path / "scores.json").read_text(), parse_constant=refuse)
    assert record["score"] is None
    assert record["wer"] is None
    assert record["errors"] == 1


def test_listing_marks_errors_and_counts_confusions(tmp_path):
    result = result_of(("turn the light", "turn on a light"), ("left", "left"))

    write_results(tmp_path, {"greedy": result}, [Unusable("x", "no such file")])

    listing = (tmp_path / "wer.txt").read_text()
    assert listing.startswith("%WER 50.00 [ 2 / 4, 1 ins, 0 del, 1 sub ] 95 % interval ")
    assert "2 utterances, 1 with errors, 1 not decoded" in listing
    assert "     1  the -> " in listing
    assert listing.index("u0  2 of 3 words") < listing.index("u1  0 of 1 words")


def test_alignment_is_in_columns_with_marks_below():
    assert format_alignment(align_texts("u", "turn the red light", "turn a light now")) == (
        "u  3 of 4 words\n"
        "ref: turn the red light ***\n"
        "hyp: turn a   *** light now\n"
        "          S   D         I"
    )


def test_alignment_of_two_empty_texts_has_a_header_only():
    assert format_alignment(align_texts("u", "", "")) == "u  0 of 0 words\nref:\nhyp:"


def test_worst_utterances_come_first():
    texts = [("a", "a b", "a b"), ("b", "a", "x"), ("c", "a b c", "a")]

    assert [a.id for a in worst_first([align_texts(*t) for t in texts])] == ["c", "b", "a"]


def test_failures_are_listed(tmp_path):
    failures = [Unusable("x", "x.wav: no such audio file")]

    write_results(tmp_path, {"greedy": result_of(("a", "a"))}, failures)

    assert read_lines(tmp_path / "failures.jsonl") == [
        {"id": "x", "reason": "x.wav: no such audio file"}
    ]


def test_trn_files_pair_hypotheses_with_references(tmp_path):
    write_results(tmp_path, {"greedy": result_of(("a b", "a"), ("", "c"))}, [])

    assert (tmp_path / "ref.trn").read_text() == "a b (u0)\n (u1)\n"
    assert (tmp_path / "hyp.trn").read_text() == "a (u0)\nc (u1)\n"


@settings(deadline=None)
@given(st.lists(st.text("ab ()_-2", max_size=4), max_size=12))
def test_trn_ids_are_unique_and_plain(ids):
    names = trn_ids(ids)

    assert len(set(names)) == len(names) == len(ids)
    assert all(name and not set(name) & set(" ()") for name in names)


def test_table_has_a_row_for_every_decoder_and_columns_that_line_up():
    scores = {"greedy": score(result_of(("a b c d", "a b c")))}
    scores["beam + language model"] = score(result_of(("a b c d", "a b c d")))

    lines = format_scores(scores).splitlines()

    columns = [" ".join(line.split()) for line in lines]
    assert columns[0] == "decoder WER % 95 % interval CER % ins / del / sub utterances RTF"
    assert columns[2] == "greedy 25.00 25.00 - 25.00 28.57 0 / 1 / 0 1 0.7500"
    assert lines[3].startswith("beam + language model")
    assert len({len(line) for line in lines}) == 1


def test_markdown_table_has_a_rule_below_its_header():
    lines = format_scores({"greedy": score(result_of(("a", "a")))}, markdown=True).splitlines()

    assert [line.count("|") for line in lines] == [8, 8, 8]
    assert set(lines[1]) == set("|-: ")


def test_table_and_scores_say_how_many_could_not_be_decoded(tmp_path):
    failures = [Unusable(f"x{i}", "no such file") for i in range(2)]

    scores = write_results(tmp_path, {"greedy": result_of(("a", "a"), ("b", "b"))}, failures)

    assert " 2 of 4 " in format_scores(scores)
    assert json.loads((tmp_path / "scores.json").read_text())["greedy"]["num_unusable"] == 2
    assert "2 utterances, 0 with errors, 2 not decoded" in (tmp_path / "wer.txt").read_text()


def test_lone_surrogates_and_escapes_lose_nothing_and_reach_no_listing(tmp_path):
    hostile = "a \udcff\x1b[2J b"

    write_results(tmp_path, {"greedy": result_of((hostile, "a"), ("x", hostile))}, [])

    lines = read_lines(tmp_path / "hyp.jsonl")
    assert [lines[0]["text"], lines[1]["pred_text"]] == [hostile, hostile]
    assert (tmp_path / "hyp.trn").read_text().count("(u") == 2
    assert (tmp_path / "wer.txt").read_text().replace("\n", "").isprintable()
    assert "\\udcff\\x1b[2J" in (tmp_path / "wer.txt").read_text()


def test_silence_is_put_around_the_speech_and_nothing_else_changes(texts, rng):
    batch = batch_of(texts, rng)
    padding = Padding(before_s=0.5, after_s=1.0, noise=1e-3)

    (padded,) = pad_batches([batch], padding, RATE)
    (again,) = pad_batches([batch], padding, RATE)

    assert torch.equal(padded.waveforms, again.waveforms)
    added = padded.waveform_lengths - batch.waveform_lengths
    assert set(added.tolist()) == {RATE * 3 // 2}
    for old, new, length in zip(
        batch.waveforms, padded.waveforms, batch.waveform_lengths, strict=True
    ):
        end = RATE // 2 + int(length)
        assert torch.equal(new[RATE // 2 : end], old[:length])
        assert new[end : end + RATE].std() == pytest.approx(1e-3, rel=0.1)
        assert new[: RATE // 2].std() == pytest.approx(1e-3, rel=0.1)


def test_padding_without_noise_is_zero(texts, rng):
    (padded,) = pad_batches([batch_of(texts, rng)], Padding(0.0, 0.25, 0.0), RATE)

    for row, length in zip(padded.waveforms, padded.waveform_lengths, strict=True):
        assert row[: int(length)][-RATE // 4 :].count_nonzero() == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((-1, 0, 0), "before_s must be in"),
        ((0, float("nan"), 0), "after_s"),
        ((0, 0, 2), "noise"),
    ],
)
def test_padding_out_of_range_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Padding(*values)


def test_padding_says_what_it_is():
    assert str(Padding(0.0, 1.0, 0.0)) == "1 s of silence after"
    assert str(Padding(0.5, 0.25, 0.0)) == "0.5 s of silence before and 0.25 s after"
    assert str(Padding(1.0, 1.0, 0.0)) == "1 s of silence on both sides"


def test_manifest_with_a_broken_file_is_scored_without_it(model, decoders, tmp_path, rng):
    utterances = []
    for i, text in enumerate(["ab", "cad", "d"]):
        path = tmp_path / f"clip{i}.wav"
        write_wav(path, tones.speak(text, rng), tones.SAMPLE_RATE)
        utterances.append(Utterance(path, 1.0, text))
    (tmp_path / "clip1.wav").write_bytes(b"broken")
    write_manifest(tmp_path / "test.jsonl", utterances)
    loader = BatchLoader(
        ManifestCorpus([str(tmp_path / "test.jsonl")]),
        model.tokenizer,
        sample_rate=model.sample_rate,
        batch_seconds=10,
        seed=0,
        order="shuffled",
        augment=None,
        num_threads=1,
        max_bad_fraction=0.5,
        num_frames=lambda num_samples: num_samples // 320,
    )

    results = decode_batches(model, loader.batches(0), decoders, progress=False)
    scores = write_results(tmp_path / "out", results, loader.bad.skipped)

    assert scores["greedy"].wer.rate == 0
    assert [u.id for u in results["greedy"].utterances] == ["clip0", "clip2"]
    (failure,) = read_lines(tmp_path / "out" / "greedy" / "failures.jsonl")
    assert failure["id"] == "clip1"
    assert "clip1.wav: cannot be decoded" in failure["reason"]


def test_untrained_model_is_scored_too(decoders, texts, rng):
    model = tones.untrained_model()
    with torch.no_grad():
        model.network.linear.weight.mul_(30)

    results = decode_batches(model, [batch_of(texts, rng)], decoders, progress=False)

    assert all(np.isfinite(score(r).wer.rate) and score(r).wer.rate > 0.5 for r in results.values())
