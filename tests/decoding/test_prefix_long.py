"""Prefix search of long recordings: bounded work and memory, and scores that stay finite."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from asr.decoding import GreedyDecoder, PrefixSearchDecoder

TOKENS = ["<blank>", "a", "b", " ", "c"]


@pytest.fixture
def utterance(rng):
    """(T=25, C=5) that begins and ends in a frame of P(blank) = 1."""
    probs = rng.dirichlet(np.full(len(TOKENS), 0.1), size=25)
    probs[[0, -1]] = [1, 0, 0, 0, 0]
    with np.errstate(divide="ignore"):
        return np.log(probs)


@pytest.mark.parametrize("repeats", [1, 40, 2000])
def test_sections_of_a_long_recording_are_those_of_its_utterances(utterance, repeats):
    options = {"max_expansions": 10**6, "section_threshold": 1.0}

    ((one,),) = PrefixSearchDecoder(TOKENS, **options)(utterance)
    ((long,),) = PrefixSearchDecoder(TOKENS, **options)(np.tile(utterance, (repeats, 1)))

    assert not long.bound_hit
    assert long.token_ids == one.token_ids * repeats
    assert long.score == pytest.approx(repeats * one.score)
    starts = 25 * np.arange(repeats)[:, None]
    assert long.token_frames == tuple((starts + one.token_frames).ravel())


@pytest.mark.parametrize("repeats", [40, 2000])
def test_long_recording_as_a_whole_ends_at_its_bound(utterance, repeats):
    log_probs = np.tile(utterance, (repeats, 1))

    ((hypothesis,),) = PrefixSearchDecoder(TOKENS, max_expansions=300)(log_probs)

    assert hypothesis.bound_hit
    assert GreedyDecoder(TOKENS)(log_probs)[0][0].score <= hypothesis.score < math.inf


def test_score_of_a_long_labelling_is_that_of_all_its_alignments(utterance):
    log_probs = np.tile(np.maximum(utterance, -50.0), (100, 1))  # (T=2500, C=5)

    ((hypothesis,),) = PrefixSearchDecoder(TOKENS, section_threshold=1.0)(log_probs)

    labelling = torch.tensor([hypothesis.token_ids])
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(log_probs), labelling[0], (2500,), (labelling.shape[1],), reduction="sum"
    )
    assert hypothesis.acoustic_score == pytest.approx(-loss.item())


MEMORY = """
import resource
import numpy as np
from asr.decoding import PrefixSearchDecoder
rng = np.random.default_rng(0)
log_probs = np.log(rng.dirichlet(np.full(5, 0.05), size=20_000) + 1e-9)
decoder = PrefixSearchDecoder(["", "a", "b", "c", "d"], max_expansions=3000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
((hypothesis,),) = decoder(log_probs)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_frames_times_expansions():
    child = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=120
    )

    assert int(child.stdout) < 200  # MiB; 960 if every prefix kept all frames
