"""`asr prepare` shared by processes: what one writes, or nothing."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from asr.cli import main
from asr.cli.prepare_ranks import on_first_rank
from asr.corpora.verification import Inspection, VerificationRules
from asr.data.manifest import Utterance
from asr.text import CharTokenizer
from asr.training import distributed
from tests.corpora.layout_makers import write_speech
from tests.corpus_files import write_text

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
# Takes its share, and is killed with it.
DYING = """
import os
from asr.training import distributed
distributed.start()
assert distributed.scatter(None).utterances
os._exit(9)
"""


@pytest.fixture
def corpus(tmp_path):
    """Fifteen recordings in two splits: one broken, one twice, one clipped, one without a text."""
    rows = {"train": [], "dev": []}
    for number in range(15):
        split = "dev" if number % 5 == 4 else "train"
        write_speech(tmp_path / "source" / f"{number}.wav", number, 0.3 + 0.1 * number)
        rows[split].append(f"{number}.wav,{'' if number == 3 else 'hello'}")
    (tmp_path / "source/6.wav").write_bytes(b"RIFF....")
    soundfile.write(tmp_path / "source/8.wav", np.ones(16000), 16000)
    rows["train"].append("0.wav,hello")
    for split, lines in rows.items():
        write_text(tmp_path / "source" / f"{split}.csv", "path,text", *lines)
    return tmp_path / "source"


def prepare_words(corpus, out):
    return ["prepare", "csv", "--from", str(corpus), "--out", str(out)]


def rank_environments():
    """Of two ranks, as torchrun would tell them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    return [ENVIRONMENT | place | {"RANK": str(rank)} for rank in (0, 1)]


def run_python(*words):
    """What a process of its own prints, which no other test was in."""
    command = [sys.executable, *words]
    return subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("count", [1, 3, 8])
def test_shares_come_back_in_order(corpus, monkeypatch, count):
    utterances = [Utterance(corpus / f"{n}.wav", float("nan"), "hello") for n in range(7)]
    whole = Inspection("train", utterances, CharTokenizer("helo"), VerificationRules(), False)
    dealt = []
    monkeypatch.setattr(distributed, "world_size", lambda: count)
    monkeypatch.setattr(distributed, "scatter", lambda shares: dealt.append(shares) or shares[0])
    monkeypatch.setattr(distributed, "gather", lambda _: [share.run() for share in dealt[0]])

    assert on_first_rank(lambda inspect: inspect(whole)) == whole.run()

    sizes = [len(share.utterances) for share in dealt[0]]
    assert sum(sizes) == 7
    assert max(sizes) - min(sizes) <= 1
    assert dealt[1:] == [[None] * count]


def test_what_one_process_does_is_refused_with_several(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")

    assert main(["prepare", "synth"]) == 2

    assert "asr prepare synth cannot be shared by ranks" in capsys.readouterr().err


@pytest.mark.slow
def test_two_ranks_write_what_one_process_does(corpus, tmp_path):
    out = tmp_path / "out"
    words = ["-m", "asr", *prepare_words(corpus, out)]
    ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]

    one = run_python(*words)
    out.rename(tmp_path / "one")
    two = run_python(*ranks, *words)

    assert two == one
    assert contents(out) == contents(tmp_path / "one")
    assert len((out / "rejected.jsonl").read_text().splitlines()) == 3
    assert b"clipped" in contents(out)["suspects.jsonl"]


@pytest.mark.slow
def test_a_rank_that_dies_leaves_one_line_and_nothing_written(corpus, tmp_path):
    out = tmp_path / "out"
    ours, theirs = rank_environments()
    other = subprocess.Popen([sys.executable, "-c", DYING], env=theirs)

    found = subprocess.run(
        [sys.executable, "-m", "asr", *prepare_words(corpus, out)],
        env=ours,
        capture_output=True,
        text=True,
        check=False,
    )

    assert other.wait() == 9
    assert found.returncode == 2
    assert found.stdout == ""
    line = found.stderr.splitlines()[-1]
    assert line.startswith("asr prepare: another rank ended; run the same command again: ")
    assert contents(out) == {}


@pytest.mark.slow
def test_a_mistake_lets_the_other_rank_go(corpus, tmp_path):
    words = [*prepare_words(corpus, tmp_path / "out"), "--dev", "3"]  # there is a dev set

    first, other = (
        subprocess.Popen(
            [sys.executable, "-m", "asr", *words],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in rank_environments()
    )

    assert "the corpus has a dev set already" in first.communicate()[1]
    assert "Traceback" not in other.communicate()[1]
    assert (first.returncode, other.returncode) == (2, 0)
