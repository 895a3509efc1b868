"""Loading in processes: the batches of threads, and what happens when a process dies."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from shard_sets import pack_speech
from sounds import write_sounds

from asr.augment import WaveformAugment
from asr.augment.noise import RecordedNoise
from asr.data.loading import BatchLoader, ManifestCorpus
from asr.data.shards.corpus import ShardCorpus
from asr.data.workers import LoadingError
from asr.text import CharTokenizer


@pytest.fixture
def shards(tmp_path, rng):
    """Ten recordings of 0.2 to 1.1 s, in shards and beside their manifest."""
    return pack_speech(tmp_path, rng)


def loader(corpus, **changes):
    options = {
        "sample_rate": 16000,
        "batch_seconds": 2.0,
        "seed": 1,
        "order": "shuffled",
        "augment": None,
        "num_threads": 2,
        "max_bad_fraction": 0.1,
        "num_frames": lambda num_samples: num_samples // 640,
    }
    return BatchLoader(corpus, CharTokenizer("ab "), **(options | changes))


def augment(folder, rng):
    """Every kind of draw, recorded noise among them."""
    sounds = write_sounds(folder, {"a.wav": rng.normal(0, 0.1, 9000).astype(np.float32)})
    return WaveformAugment(
        sample_rate=16000,
        speeds=[0.9, 1.1],
        gain_db=3.0,
        noise_snr_db=(10, 20),
        noise_probability=0.5,
        pad_s=0.3,
        pad_probability=0.5,
        pad_noise_db=(-100.0, -40.0),
        tempos=[0.9, 1.1],
        noise=RecordedNoise(
            folder=str(sounds), sample_rate=16000, snr_db=(0, 10), probability=1.0, memory_mb=1.0
        ),
    )


@pytest.mark.parametrize("kind", ["manifest", "shards"])
def test_batches_of_processes_are_those_of_threads(shards, tmp_path, rng, kind):
    manifest = str(shards.parent / "m.jsonl")
    corpus = ManifestCorpus([manifest]) if kind == "manifest" else ShardCorpus(str(shards))
    change = augment(tmp_path / "noises", rng)
    # Four frames: speech that a speed makes shorter stays as it was.
    options = {"augment": change, "num_frames": lambda size: 4 if size > 5000 else size // 4000}
    options["max_bad_fraction"] = 0.9

    threads, one, three = (
        (loading := loader(corpus, num_processes=n, **options), list(loading.batches(1)))
        for n in (0, 1, 3)
    )

    assert len(threads[1]) > 2
    for other in (one, three):
        assert [b.ids for b in other[1]] == [b.ids for b in threads[1]]
        for a, b in zip(threads[1], other[1], strict=True):
            assert torch.equal(a.waveforms, b.waveforms)
            assert torch.equal(a.targets, b.targets)
        assert sorted(other[0].bad.skipped) == sorted(threads[0].bad.skipped)
    late = loader(corpus, num_processes=1, **options).batches(1, start=2)
    assert [b.ids for b in late] == [b.ids for b in threads[1][2:]]


def test_what_a_process_cannot_read_is_named(shards):
    (shards.parent / "u3.wav").write_bytes(b"RIFF....")
    batches = loader(ManifestCorpus([str(shards.parent / "m.jsonl")]), num_processes=1)

    ids = [name for batch in batches.batches(0) for name in batch.ids]

    assert sorted(ids) == sorted(f"u{n}" for n in range(10) if n != 3)
    (bad,) = batches.bad.skipped
    assert bad.id == "u3"
    assert "u3.wav" in bad.reason


@pytest.mark.parametrize("num_processes", [0, 1])
def test_a_noise_that_cannot_be_read_ends_the_pass(shards, tmp_path, rng, num_processes):
    change = augment(tmp_path / "noises", rng)
    (tmp_path / "noises/a.wav").write_bytes(b"RIFF....")
    corpus = ManifestCorpus([str(shards.parent / "m.jsonl")])

    with pytest.raises(LoadingError, match=r"a\.wav"):
        list(loader(corpus, num_processes=num_processes, augment=change).batches(0))


def test_a_killed_process_is_one_line_and_a_new_pass_is_whole(shards):
    corpus = ManifestCorpus([str(shards.parent / "m.jsonl")], repeat=20)
    batches = loader(corpus, num_processes=1)
    running = batches.batches(0)
    next(running)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGKILL)

    with pytest.raises(LoadingError, match="one of 1 loading processes was ended from outside"):
        list(running)

    assert sum(len(batch.ids) for batch in batches.batches(0)) == 200
    assert not multiprocessing.active_children()


def test_a_pass_that_is_left_ends_its_processes(shards):
    corpus = ManifestCorpus([str(shards.parent / "m.jsonl")], repeat=20)
    running = loader(corpus, num_processes=1).batches(0)
    next(running)

    running.close()

    assert not multiprocessing.active_children()


@pytest.mark.parametrize("count", [-1, 1.5, True])
def test_counts_of_processes_that_are_none_are_refused(shards, count):
    with pytest.raises(ValueError, match="num_processes must be a whole number >= 0, got"):
        loader(ShardCorpus(str(shards)), num_processes=count)


KILLED = """
import multiprocessing, os, signal, sys
sys.path.insert(0, {tests!r})
from data.test_workers import loader
from asr.data.loading import ManifestCorpus
if __name__ == "__main__":
    running = loader(ManifestCorpus([{manifest!r}], repeat=20), num_processes=1).batches(0)
    next(running)
    print(multiprocessing.active_children()[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_killed_training_leaves_no_process_behind(shards, tmp_path):
    tests = os.path.dirname(os.path.dirname(__file__))
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(tests=tests, manifest=str(shards.parent / "m.jsonl")))
    found = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, check=False)
    pid = int(found.stdout)

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and os.path.exists(f"/proc/{pid}"):
        time.sleep(0.05)

    assert found.returncode == -signal.SIGKILL
    assert not os.path.exists(f"/proc/{pid}")
