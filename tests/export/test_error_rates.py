"""Rates of several systems on the same utterances, by hand."""

import re
from types import SimpleNamespace

import numpy as np
import tones
import torch
from decoded_sets import batch_of

from asr.decoding import GreedyDecoder
from asr.export.error_rates import format_measured, measure_errors, rows_of

TOKENS = ["", "a", "b", " "]
TEXTS = ["a b", "b", "a"]


def rows_that_say(text):
    """Log-probabilities of a text, a blank after each token."""
    ids = [i for character in text for i in (TOKENS.index(character), 0)]
    return np.log(np.where(np.eye(4)[ids] > 0, 0.97, 0.01)).astype(np.float32)


def loader_of(*batches):
    return SimpleNamespace(batches=lambda epoch: iter(batches), sample_rate=tones.SAMPLE_RATE)


def test_systems_are_compared_with_the_first():
    batch = batch_of(TEXTS, np.random.default_rng(0))
    texts = dict(zip(batch.waveform_lengths.tolist(), TEXTS, strict=True))
    assert len(texts) == 3

    measured = measure_errors(
        {
            # By length: padding that is not taken off would be none of the three.
            "right": lambda waveform: rows_that_say(texts[len(waveform)]),
            "deaf to b": lambda waveform: rows_that_say(texts[len(waveform)].replace("b", "a")),
        },
        loader_of(batch),
        GreedyDecoder(TOKENS),
        "wer",
    )

    right, deaf = measured["right"], measured["deaf to b"]
    assert (right.error_rate.rate, right.change) == (0, None)
    assert deaf.error_rate[:5] == (2 / 4, 0, 0, 2, 4)
    assert (deaf.change.difference, deaf.change.better) == (2 / 4, 0)
    assert 0 <= deaf.change.low < 2 / 4 < deaf.change.high <= 1
    table = format_measured(measured, {"deaf to b": 2_500_000}, "wer")
    header, _, *rows = [re.split(" {2,}", line.strip()) for line in table.splitlines()]
    assert header == ["WER %", "95 % interval", "change", "95 % interval", "MB", "RTF"]
    assert rows[0][:3] == ["right", "0.00", "0.00 - 0.00"]
    assert (rows[1][1], rows[1][3], rows[1][5]) == ("50.00", "+50.00", "2.50")


def test_order_of_batches_changes_nothing():
    rng = np.random.default_rng(1)
    batches = [batch_of([text], rng) for text in TEXTS]
    batches = [batch._replace(ids=[f"u{i}"]) for i, batch in enumerate(batches)]
    systems = {"a": lambda _: rows_that_say("a"), "b": lambda _: rows_that_say("b")}
    found = [
        measure_errors(systems, loader_of(*order), GreedyDecoder(TOKENS), "wer")
        for order in (batches, batches[::-1])
    ]

    for name in systems:
        assert found[0][name].error_rate == found[1][name].error_rate
        assert found[0][name].change == found[1][name].change


def test_threads_are_given_back_where_a_system_fails():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        batch = batch_of(["a"], np.random.default_rng(2))
        try:
            measure_errors({"": lambda _: 1 / 0}, loader_of(batch), GreedyDecoder(TOKENS), "wer")
        except ZeroDivisionError:
            assert torch.get_num_threads() == 2
        else:
            raise AssertionError("the system's error was lost")
    finally:
        torch.set_num_threads(threads)


def test_model_hears_an_utterance_as_alone():
    model = tones.untrained_model()
    batch = batch_of(["ab", "a"], np.random.default_rng(3))
    rows, lengths = model.log_probs(batch.waveforms, batch.waveform_lengths)

    for row, waveform, size, length in zip(
        rows, batch.waveforms, batch.waveform_lengths, lengths, strict=True
    ):
        alone = rows_of(model)(waveform[:size].numpy())
        np.testing.assert_allclose(alone, row[:length], atol=1e-4)
