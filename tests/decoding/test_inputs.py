"""What the decoders accept, refuse and define at the edges."""

import logging
import math
import pickle
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
import torch

from asr.decoding import BeamSearchDecoder, GreedyDecoder, PrefixSearchDecoder

TOKENS = ["<blank>", "a", "b", " ", "c"]
DECODERS = [GreedyDecoder, PrefixSearchDecoder, BeamSearchDecoder]

every_decoder = pytest.mark.parametrize("decoder_class", DECODERS)


@every_decoder
def test_decoder_batch_equals_one_by_one(decoder_class, log_probs):
    decoder = decoder_class(TOKENS)
    lengths = [12, 0, 5, 1, 12, 7]

    batch = decoder(log_probs, lengths)

    assert batch == [
        decoder(row[:length])[0] for row, length in zip(log_probs, lengths, strict=True)
    ]


@pytest.mark.parametrize("decoder_class", [PrefixSearchDecoder, BeamSearchDecoder])
def test_decoder_threads_do_not_change_results(decoder_class, log_probs):
    assert decoder_class(TOKENS, num_threads=1)(log_probs) == decoder_class(TOKENS, num_threads=8)(
        log_probs
    )


@every_decoder
def test_decoder_ignores_frames_beyond_the_length(decoder_class, log_probs):
    padded = log_probs.copy()
    padded[:, 8:] = np.nan

    assert decoder_class(TOKENS)(padded, [8] * 6) == decoder_class(TOKENS)(log_probs, [8] * 6)


@every_decoder
@pytest.mark.parametrize(
    "convert",
    [
        torch.from_numpy,
        lambda x: torch.from_numpy(x).requires_grad_(),
        lambda x: x.astype(np.float64),
        np.ndarray.tolist,
        np.asfortranarray,
        lambda x: x.astype(x.dtype.newbyteorder()),
        lambda x: np.repeat(x, 2, axis=2)[:, :, ::2],
    ],
    ids=["torch", "requires_grad", "float64", "lists", "fortran", "byteorder", "strided"],
)
def test_decoder_result_is_the_same_for_any_container(decoder_class, convert, log_probs):
    decoder = decoder_class(TOKENS)

    converted = decoder(convert(log_probs), torch.tensor([12, 3, 12, 8, 12, 12]))

    for (actual, *_), (expected, *_) in zip(
        converted, decoder(log_probs, [12, 3, 12, 8, 12, 12]), strict=True
    ):
        assert actual.token_ids == expected.token_ids
        assert actual.score == pytest.approx(expected.score, abs=1e-5)


@every_decoder
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_decoder_takes_half_precision(decoder_class, dtype, log_probs):
    half = torch.from_numpy(log_probs).to(dtype)

    assert decoder_class(TOKENS)(half) == decoder_class(TOKENS)(half.float())


@every_decoder
def test_decoder_reads_time_major_view_without_transposing_wrongly(decoder_class, log_probs):
    time_major = np.ascontiguousarray(log_probs.transpose(1, 0, 2))  # (T, N, C)

    assert decoder_class(TOKENS)(time_major.transpose(1, 0, 2)) == decoder_class(TOKENS)(log_probs)


@every_decoder
def test_decoder_of_one_utterance_gives_a_list_of_one(decoder_class, log_probs):
    decoder = decoder_class(TOKENS)

    assert decoder(log_probs[0]) == decoder(log_probs[:1])
    assert decoder(log_probs[0], 5) == decoder(log_probs[:1], [5])


@every_decoder
def test_decoder_refuses_wrong_number_of_classes(decoder_class, log_probs):
    with pytest.raises(ValueError, match=r"must have C=5 classes.* got 4 in utterance 0, frame 0"):
        decoder_class(TOKENS)(log_probs[:, :, :4])


@every_decoder
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([12, 12, 13, 12, 12, 12], "0..T=12, got 13 for utterance 2"),
        ([12, -1, 12, 12, 12, 12], "0..T=12, got -1 for utterance 1"),
        ([12, 12], r"must have shape \(6,\)"),
    ],
)
def test_decoder_refuses_bad_lengths(decoder_class, lengths, message, log_probs):
    with pytest.raises(ValueError, match=message):
        decoder_class(TOKENS)(log_probs, lengths)


@every_decoder
def test_decoder_refuses_wrong_types_and_shapes(decoder_class, log_probs):
    decoder = decoder_class(TOKENS)

    with pytest.raises(TypeError, match="floating point, got int"):
        decoder(np.zeros((2, 3, 5), dtype=int))
    with pytest.raises(TypeError, match="lengths must be integers"):
        decoder(log_probs, np.full(6, 2.0))
    with pytest.raises(ValueError, match=r"\(N, T, C\) or \(T, C\)"):
        decoder(log_probs[0, 0])


@every_decoder
@pytest.mark.parametrize(
    ("tokens", "blank", "error"),
    [
        ([], 0, "tokens must not be empty"),
        (["a", "b"], 2, r"blank must be in 0\.\.1, got 2"),
        (["a", "b"], -1, r"blank must be in 0\.\.1, got -1"),
        (["-", "a", "a"], 0, "must differ, but classes 1 and 2 are both 'a'"),
        (["-", "\u2581a", " "], 0, "got both ' ' and '\u2581a'"),
    ],
)
def test_decoder_refuses_bad_alphabet(decoder_class, tokens, blank, error):
    with pytest.raises(ValueError, match=error):
        decoder_class(tokens, blank)


@every_decoder
@pytest.mark.parametrize("tokens", ["ab", [1, 2], ["a", None], {"a": 0, "b": 1}, {"a", "b"}])
def test_decoder_refuses_tokens_that_are_no_strings(decoder_class, tokens):
    with pytest.raises(TypeError, match="tokens must be a sequence of strings"):
        decoder_class(tokens)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("beam_width", 0, "beam_width must be >= 1, got 0"),
        ("n_best", 0, "n_best must be >= 1, got 0"),
        ("token_top_n", 0, "token_top_n must be >= 1, got 0"),
        ("num_threads", -1, "num_threads must be >= 0, got -1"),
        ("max_delay", 0, "max_delay must be >= 1, got 0"),
        ("lm_alpha", -0.1, "lm_alpha must be >= 0"),
        ("lm_beta", math.nan, "lm_beta must be finite"),
        ("unk_score", math.inf, "unk_score must be finite"),
        ("token_min_logp", math.nan, "token_min_logp must be a number or -inf"),
        ("beam_prune_logp", 0.5, "beam_prune_logp must be <= 0"),
    ],
)
def test_beam_search_refuses_options_out_of_range(option, value, message):
    with pytest.raises(ValueError, match=message):
        BeamSearchDecoder(TOKENS, **{option: value})


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_prefix_search_refuses_section_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match="section_threshold must be in"):
        PrefixSearchDecoder(TOKENS, section_threshold=threshold)


@every_decoder
def test_tokens_that_write_nothing_and_the_blank_may_share_a_string(decoder_class, log_probs):
    decoder = decoder_class(["a", "a", "", "", "b"], blank=0)

    assert set(decoder(log_probs)[0][0].text) <= {"a", "b"}


@every_decoder
def test_decoder_of_no_frames_gives_empty_text_with_probability_one(decoder_class):
    ((hypothesis,),) = decoder_class(TOKENS)(np.zeros((1, 0, 5), dtype=np.float32))

    assert hypothesis.text == ""
    assert hypothesis.tokens == hypothesis.words == ()
    assert hypothesis.score == 0.0


@every_decoder
def test_decoder_of_no_utterances_gives_nothing(decoder_class):
    assert decoder_class(TOKENS)(np.zeros((0, 3, 5))) == []


@every_decoder
def test_decoder_with_only_a_blank_gives_empty_text(decoder_class):
    ((hypothesis,),) = decoder_class(["<blank>"])(np.full((4, 1), -0.5))

    assert hypothesis.text == ""
    assert hypothesis.score == pytest.approx(-2.0)


@every_decoder
def test_decoder_with_an_impossible_frame_gives_empty_text_with_probability_zero(
    decoder_class, log_probs
):
    log_probs[1, 5] = -np.inf

    batch = decoder_class(TOKENS)(log_probs)

    assert batch[1][0].text == ""
    assert batch[1][0].score == -math.inf
    assert math.isfinite(batch[0][0].score)


@pytest.mark.parametrize("beam_width", [1, 10_000])
def test_beam_search_takes_any_width(beam_width, log_probs):
    results = BeamSearchDecoder(TOKENS, beam_width=beam_width, n_best=3)(log_probs)

    assert all(1 <= len(hypotheses) <= 3 for hypotheses in results)


def test_beam_search_scores_extreme_values_without_underflow():
    log_probs = np.full((3, 2), -1e4)
    log_probs[:, 0] = -1e-5
    decoder = BeamSearchDecoder(
        ["<blank>", "a"], n_best=3, token_min_logp=-math.inf, beam_prune_logp=-math.inf
    )

    (hypotheses,) = decoder(log_probs)

    # "aa" needs frames 0 and 2; "a" any run of 1..3 frames.
    assert [h.text for h in hypotheses] == ["", "a", "aa"]
    assert hypotheses[1].score == pytest.approx(-1e4 + math.log(3) - 2e-5, abs=1e-6)
    assert hypotheses[2].score == pytest.approx(-2e4 - 1e-5, abs=1e-6)


def test_beam_search_never_scores_below_greedy(rng):
    log_probs = np.log(rng.dirichlet(np.full(5, 0.2), size=(20, 30)) + 1e-9)

    greedy = GreedyDecoder(TOKENS)(log_probs)
    beam = BeamSearchDecoder(TOKENS)(log_probs)

    assert all(b[0].score >= g[0].score - 1e-9 for b, g in zip(beam, greedy, strict=True))


def test_n_best_is_sorted_and_its_texts_differ(log_probs):
    for hypotheses in BeamSearchDecoder(TOKENS, n_best=20)(log_probs):
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({h.text for h in hypotheses}) == len(hypotheses) > 1


@every_decoder
def test_decoder_survives_pickling(decoder_class, log_probs):
    decoder = decoder_class(TOKENS)

    assert pickle.loads(pickle.dumps(decoder))(log_probs) == decoder(log_probs)


def test_hypothesis_survives_pickling(log_probs):
    results = BeamSearchDecoder(TOKENS)(log_probs)

    assert pickle.loads(pickle.dumps(results)) == results


def test_prefix_search_reports_its_bound(rng, caplog):
    flat = np.log(rng.dirichlet(np.full(5, 50.0), size=(2, 60)))
    flat[1] = np.log([0.96, 0.01, 0.01, 0.01, 0.01])
    decoder = PrefixSearchDecoder(TOKENS, max_expansions=50)

    with caplog.at_level(logging.WARNING, logger="asr.decoding"):
        cut, proven = decoder(flat, [60, 3])

    assert cut[0].bound_hit
    assert not proven[0].bound_hit
    assert "max_expansions=50 in 1 of 2 utterances" in caplog.text


def test_prefix_search_at_its_bound_is_never_below_greedy(rng):
    log_probs = np.log(rng.dirichlet(np.full(5, 1.0), size=(10, 40)))

    greedy = GreedyDecoder(TOKENS)(log_probs)
    prefix = PrefixSearchDecoder(TOKENS, max_expansions=0)(log_probs)

    assert all(p[0].score >= g[0].score for p, g in zip(prefix, greedy, strict=True))


def test_prefix_search_sections_split_at_dominant_blanks():
    sure = [0.9999, 0.0001, 0.0, 0.0, 0.0]
    unsure = [0.6, 0.4, 0.0, 0.0, 0.0]
    with np.errstate(divide="ignore"):
        log_probs = np.log([unsure, unsure, sure, unsure, unsure])

    ((whole,),) = PrefixSearchDecoder(TOKENS)(log_probs)
    ((split,),) = PrefixSearchDecoder(TOKENS, section_threshold=0.999)(log_probs)

    # Each section alone is rather "a" (0.64), both together rather one of them (2 * 0.64 * 0.36).
    assert whole.text == "a"
    assert split.text == "aa"
    assert split.acoustic_score == pytest.approx(math.log(0.64 * 0.9999 * 0.64), abs=1e-3)
    assert split.token_frames == (0, 3)


def ticks_during(call):
    """How often this thread runs while another one is in `call`."""
    worker = threading.Thread(target=call)
    ticks = 0
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        worker.start()
        while worker.is_alive():
            ticks += 1
            time.sleep(1e-4)
    finally:
        sys.setswitchinterval(switch_interval)
        worker.join()
    return ticks


def test_beam_search_releases_the_interpreter_lock(rng):
    log_probs = np.log(rng.dirichlet(np.full(200, 1.0), size=(1, 100)))
    decoder = BeamSearchDecoder(
        [str(c) for c in range(200)], beam_width=300, token_min_logp=-math.inf, num_threads=1
    )

    # A busy machine leaves this thread few ticks of a short call; a call that held the lock would
    # leave it one or two however long it is.
    sizes = (4, 16, 64)
    ticks = (ticks_during(partial(decoder, log_probs.repeat(n, axis=0))) for n in sizes)

    assert any(count > 10 for count in ticks)


FEW_THREADS = """
import resource
import sys
import numpy as np
from asr.decoding import BeamSearchDecoder

log_probs = np.log(np.random.default_rng(0).dirichlet(np.full(5, 0.5), size=(64, 40)))
one = BeamSearchDecoder(["", "a", "b", "c", " "], num_threads=1)
many = BeamSearchDecoder(["", "a", "b", "c", " "], num_threads=64)
expected = one(log_probs)
with open("/proc/self/statm") as file:
    in_use = int(file.read().split()[0]) * resource.getpagesize()
# Room for the stacks of two more threads.
resource.setrlimit(resource.RLIMIT_AS, (in_use + (24 << 20),) * 2)
print(many(log_probs) == expected)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process as Linux does")
def test_beam_search_goes_on_with_the_threads_that_it_gets():
    child = subprocess.run([sys.executable, "-c", FEW_THREADS], capture_output=True, text=True)

    assert (child.returncode, child.stdout.strip()) == (0, "True"), child.stderr


@every_decoder
def test_list_of_tensors_is_a_batch(decoder_class, log_probs):
    rows = [torch.tensor(row, dtype=torch.bfloat16, requires_grad=True) for row in log_probs]

    assert decoder_class(TOKENS)(rows) == decoder_class(TOKENS)(torch.stack(rows))


@every_decoder
def test_utterances_of_different_lengths_are_told_to_be_padded(decoder_class, log_probs):
    rows = [log_probs[0], log_probs[1, :5]]

    for ragged in (rows, [*map(torch.tensor, rows)]):
        with pytest.raises(ValueError, match="pad utterances of different lengths"):
            decoder_class(TOKENS)(ragged)


@every_decoder
@pytest.mark.parametrize("blank", [None, "<blank>", 0.0])
def test_blank_is_the_number_of_a_class(decoder_class, blank):
    with pytest.raises(TypeError, match="blank must be an integer, the class of the blank, got"):
        decoder_class(TOKENS, blank=blank)


def test_model_is_no_path():
    with pytest.raises(TypeError, match=r"lm must be an NGramLM, such as .*, got .lm.arpa."):
        BeamSearchDecoder(TOKENS, lm="lm.arpa")
