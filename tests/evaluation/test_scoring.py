import math

import jiwer
import numpy as np
import pytest
import tones
import torch
from decoded_sets import batch_of, read_lines, result_of
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import write_wav
from asr.data.loading import BatchLoader, ManifestCorpus, pad_batch
from asr.data.manifest import Utterance, write_manifest
from asr.evaluation.results import write_results
from asr.evaluation.scoring import (
    Padding,
    decode_batches,
    pad_batches,
    score,
)

RATE = tones.SAMPLE_RATE
FILES = {"hyp.jsonl", "hyp.trn", "ref.trn", "wer.txt", "failures.jsonl"}


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
