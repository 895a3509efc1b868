"""Hostile input in a child process: a defined result or one clear error, never a crash.

Damaged files of language models are in ngram/test_damage.py.
"""

import json
import math
import subprocess
import sys

import pytest

PROGRAM = r"""
import json
import sys
from pathlib import Path
import numpy as np
from asr.decoding import BeamSearchDecoder, GreedyDecoder, NGramLM, PrefixSearchDecoder

TOKENS = ["<blank>", "a", "b", " "]
N, T, C = 3, 6, 4
ARPA = (
    "\\data\\\nngram 1=5\n\n\\1-grams:\n-99 <s> 0\n-1 </s>\n-2 <unk>\n-0.5 a\n-0.6 ab\n\n\\end\\\n"
)
path = Path(sys.argv[1], "lm.arpa")
path.write_text(ARPA)
rules = {"hotwords": ["ab"], "hotword_weight": 2.0, "grammar": "(a | ab)*", "lexicon": ["a", "ab"]}

def make(tokens=TOKENS, blank=0):
    beam = lambda **options: BeamSearchDecoder(tokens, blank, **options)
    return {
        "greedy": GreedyDecoder(tokens, blank),
        "prefix": PrefixSearchDecoder(tokens, blank),
        "sections": PrefixSearchDecoder(tokens, blank, section_threshold=0.5),
        "beam": beam(),
        "beam 1": beam(beam_width=1),
        "beam 10000": beam(beam_width=10_000, n_best=10_000),
        "beam skip": beam(blank_skip_threshold=0.5),
        "beam lm": beam(lm=NGramLM(path)) if "a" in tokens else beam(),
        "beam rules": beam(lm=NGramLM(path), **rules) if "a" in tokens else beam(),
        "stream": lambda x, n=None: [stream_all(beam(max_delay=2), x)],
    }

def stream_all(decoder, x):
    stream = decoder.stream()
    for row in x[0]:
        stream.push(row[np.newaxis])
        stream.partial()
    return stream.finish()

def good():
    x = np.random.default_rng(0).dirichlet(np.full(C, 0.5), size=(N, T))
    return np.log(x + 1e-9).astype(np.float32)

def having(value, place=(1, 4, 2)):
    x = good()
    x[place] = value
    return x

def unaligned():
    raw = np.zeros(good().nbytes + 1, np.uint8)
    raw[1:] = good().view(np.uint8).ravel()
    return raw[1:].view(np.float32).reshape(N, T, C)

records = np.zeros((N, T), [("flag", "u1"), ("row", np.float32, C)])
records["row"] = good()

CASES = {
    "NaN": (having(np.nan),),
    "+inf": (having(np.inf),),
    "-inf frame": (having(-np.inf, (1, 4)),),
    "-inf everywhere": (np.full((N, T, C), -np.inf),),
    "huge": (having(-3e38, (1, 4)),),
    "above 0": (having(50.0),),
    "C too small": (good()[..., :3],),
    "C too large": (np.zeros((N, T, 5)),),
    "C = 0": (np.zeros((N, T, 0)),),
    "T = 0": (np.zeros((N, 0, C)),),
    "N = 0": (np.zeros((0, T, C)),),
    "length beyond T": (good(), [6, 7, 6]),
    "length below 0": (good(), [6, -1, 6]),
    "length huge": (good(), [6, 2**62, 6]),
    "lengths too few": (good(), [6]),
    "plain": (good(),),
    "negative strides": (np.ascontiguousarray(good()[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],),
    "transposed": (np.asfortranarray(good()),),
    "repeated row": (np.broadcast_to(good()[:, :1], (N, T, C)),),
    "unaligned": (unaligned(),),
    "odd strides": (records["row"],),
}

def outcome(decode, arguments):
    try:
        batch = decode(*arguments)
        return [[[h.text, h.score] for h in hypotheses][:1] for hypotheses in batch]
    except ValueError as error:
        return str(error)

report = {}
for name, decode in make().items():
    for case, arguments in CASES.items():
        if name != "stream" or (len(arguments) == 1 and len(arguments[0])):
            report[f"{case}/{name}"] = outcome(decode, arguments)
for name, decode in make(["<blank>"]).items():
    report[f"C = 1/{name}"] = outcome(decode, (np.full((N, T, 1), -0.5),))
for blank in (-1, 4, 2**40):
    report[f"blank {blank}/"] = outcome(lambda: make(TOKENS, blank), ())
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What the child made of "case/decoder": texts and scores of the utterances, or its error."""
    folder = tmp_path_factory.mktemp("hostile")
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True, timeout=120
    )
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


def of_case(report, case):
    """Outcome of each decoder."""
    outcomes = {
        key.split("/")[1]: value for key, value in report.items() if key.startswith(f"{case}/")
    }
    assert outcomes
    return outcomes


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("NaN", "log_probs must be finite or -inf, got NaN in utterance 1, frame 4, class 2"),
        ("+inf", "log_probs must be finite or -inf, got +inf in utterance 1, frame 4, class 2"),
        (
            "above 0",
            "log_probs must be ln of probabilities, at most 0, got 50 in utterance 1, frame 4, "
            'class 2: give input="logits" or input="probs" if they are such',
        ),
        ("C too small", "must have C=4 classes, one per token, got 3 in utterance 0, frame 0"),
        ("C too large", "must have C=4 classes, one per token, got 5 in utterance 0, frame 0"),
        ("C = 0", "must have C=4 classes, one per token, got 0 in utterance 0, frame 0"),
        ("length beyond T", "lengths must be in 0..T=6, got 7 for utterance 1"),
        ("length below 0", "lengths must be in 0..T=6, got -1 for utterance 1"),
        ("length huge", f"lengths must be in 0..T=6, got {2**62} for utterance 1"),
        ("lengths too few", "lengths must have shape (3,), got (1,)"),
        ("blank -1", "blank must be in 0..3, got -1"),
        ("blank 4", "blank must be in 0..3, got 4"),
        (f"blank {2**40}", f"blank must be in 0..3, got {2**40}"),
    ],
)
def test_hostile_input_is_one_clear_error(report, case, message):
    for decoder, outcome in of_case(report, case).items():
        # A stream sees only the first utterance, which is sound.
        if decoder != "stream" or case.startswith("C "):
            assert message in outcome, decoder
            assert "\n" not in outcome


@pytest.mark.parametrize(
    "case", ["negative strides", "transposed", "unaligned", "odd strides", "-inf frame", "huge"]
)
def test_utterances_in_any_layout_or_beside_a_bad_one_are_decoded_alike(report, case):
    plain = of_case(report, "plain")
    for decoder, outcome in of_case(report, case).items():
        same = [0, 2] if case in ("-inf frame", "huge") and decoder != "stream" else range(3)
        assert [outcome[n] for n in same if n < len(outcome)] == [
            plain[decoder][n] for n in same if n < len(outcome)
        ], decoder


@pytest.mark.parametrize("case", ["-inf everywhere", "-inf frame"])
def test_impossible_frames_give_an_empty_text_of_probability_zero(report, case):
    for decoder, outcome in of_case(report, case).items():
        if decoder != "stream" or case == "-inf everywhere":
            assert outcome[min(1, len(outcome) - 1)] == [["", -math.inf]], decoder


def test_no_frames_no_utterances_and_one_class(report):
    for decoder, outcome in of_case(report, "T = 0").items():
        assert [text for ((text, _),) in outcome] == [""] * len(outcome), decoder
    for decoder, outcome in of_case(report, "N = 0").items():
        assert outcome == [], decoder
    for decoder, outcome in of_case(report, "C = 1").items():
        assert {text for ((text, _),) in outcome} == {""}, decoder


@pytest.mark.parametrize("case", ["repeated row", "huge"])
def test_finite_rows_of_any_probability_up_to_one_are_decoded(report, case):
    for decoder, outcome in of_case(report, case).items():
        assert all(math.isfinite(score) for ((_, score),) in outcome), decoder
