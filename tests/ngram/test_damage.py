"""Damaged compiled models: whatever the file holds, an error or an answer, never a crash."""

import subprocess
import sys

import numpy as np
import pytest
from ngram_texts import draw_sentences

from asr.decoding import NGramLM
from asr.ngram.estimation import estimate_ngram

# Every file gets a name of its own: one that is mapped must not change.
COMMON = """
import struct
import sys
from pathlib import Path
import numpy as np
from asr.decoding import BeamSearchDecoder, NGramLM

HEADER = 88
rng = np.random.default_rng(int(sys.argv[2]))
whole = Path(sys.argv[1]).read_bytes()
folder = Path(sys.argv[1]).parent
log_probs = np.log(rng.dirichlet(np.full(5, 0.5), size=(1, 12)))
counts = {"refused": 0, "opened": 0}

def check(damaged):
    path = folder / f"damaged{sum(counts.values())}.bin"
    path.write_bytes(damaged)
    try:
        lm = NGramLM(path)
    except ValueError:
        counts["refused"] += 1
    else:
        use(lm)
        lm.unit = "token"
        decode(lm)
        counts["opened"] += 1
    path.unlink()

def use(lm):
    for sentence in ("", "a b zz c a l", "a a a a a a a a", "<s> </s> <unk>"):
        for marks in (True, False):
            lm.score(sentence, bos=marks, eos=marks)
    decode(lm)
    try:
        lm.words()
    except ValueError as error:
        assert str(error).endswith("a word is not UTF-8")

def decode(lm):
    try:
        BeamSearchDecoder(["", "a", "b", "c", " "], lm=lm, beam_width=8)(log_probs)
    except ValueError as error:
        assert "the tokens can spell none of its words" in str(error)
    BeamSearchDecoder(["", "a", "b", "c", " "], lm=lm, beam_width=8, lexicon=["ab", "c"])(log_probs)

def seal(header):
    checksum = 14695981039346656037  # FNV-1a
    for byte in header[: HEADER - 8]:
        checksum = (checksum ^ byte) * 1099511628211 % 2**64
    header[HEADER - 8 :] = struct.pack("<Q", checksum)
    return bytes(header)
"""
TRUNCATIONS = """
for length in [*range(HEADER + 20), *rng.integers(0, len(whole), size=150), len(whole) - 1]:
    check(whole[:length])
"""
BITS_OF_THE_HEADER = """
for bit in range(8 * HEADER):
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    check(damaged)
    check(seal(damaged[:HEADER]) + whole[HEADER:])
"""
NUMBERS_OF_THE_HEADER = """
extremes = [0, 1, 2, 3, 7, 2**31, 2**32 - 1, 2**32, 2**40 - 1, 2**40, 2**61, 2**63, 2**64 - 1]
for field in range(2, 10):
    for number in extremes:
        damaged = bytearray(whole[:HEADER])
        struct.pack_into("<Q", damaged, 8 * field, number)
        check(seal(damaged) + whole[HEADER:])
        check(seal(damaged) + bytes(rng.integers(0, 256, size=len(whole) - HEADER, dtype=np.uint8)))
"""
BITS_OF_THE_BODY = """
for case in range(500):
    damaged = bytearray(whole)
    for bit in rng.integers(8 * HEADER, 8 * len(whole), size=2 ** (case % 12)).tolist():
        damaged[bit // 8] ^= 1 << bit % 8
    check(damaged)
"""
NOISE = """
for case in range(300):
    body = np.frombuffer(whole, dtype=np.uint8)[HEADER:].copy()
    start = rng.integers(0, len(body))
    stop = min(len(body), start + rng.integers(1, 5000))
    body[start:stop] = rng.choice([0, 1, 127, 128, 255], size=stop - start)
    check(whole[:HEADER] + body.tobytes())
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    sentences = draw_sentences(np.random.default_rng(3), 60)
    estimate_ngram(sentences, 4, folder / "lm.arpa")
    NGramLM(folder / "lm.arpa").save(folder / "lm.bin")
    return folder / "lm.bin"


@pytest.mark.parametrize(
    ("damage", "refused", "opened"),
    [
        (TRUNCATIONS, True, False),
        (BITS_OF_THE_HEADER, True, True),
        (NUMBERS_OF_THE_HEADER, True, True),
        (BITS_OF_THE_BODY, False, True),
        (NOISE, False, True),
    ],
    ids=["truncations", "header_bits", "header_numbers", "body_bits", "noise"],
)
def test_damaged_file_never_crashes(compiled, damage, refused, opened):
    report = "print(counts['refused'] > 0, counts['opened'] > 0)"
    program = COMMON + damage + report

    child = subprocess.run(
        [sys.executable, "-c", program, str(compiled), "5"],
        capture_output=True,
        text=True,
        timeout=250,
    )

    assert child.returncode == 0, child.stderr
    assert child.stdout.split() == [str(refused), str(opened)]


def test_file_of_another_version_says_what_to_do(compiled, tmp_path):
    other = tmp_path / "other.bin"
    other.write_bytes(b"ASR-LM01" + compiled.read_bytes()[8:])

    with pytest.raises(ValueError, match=r"other\.bin: compiled by another version"):
        NGramLM(other)
