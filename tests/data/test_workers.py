"""Loading in processes: the batches of threads, and what happens when a process dies."""

import logging
import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from shard_sets import pack_speech
from sounds import write_sounds

from asr.augment import WaveformAugment
from asr.augment.noise import RecordedNoise
from asr.augment.rooms import SimulatedRooms
from asr.data.loading import BatchLoader, ManifestCorpus
from asr.data.manifest import Utterance
from asr.data.shards.corpus import ShardCorpus
from asr.data.workers import LoadingError, LoadingProcesses, Preparation
from asr.text import CharTokenizer


@pytest.fixture
def shards(tmp_path, rng):
    """Ten recordings of 0.2 to 1.1 s, in shards and beside their manifest."""
    return pack_speech(tmp_path, rng)


@pytest.fixture
def speech(shards):
    return ManifestCorpus([str(shards.parent / "m.jsonl")], repeat=2)


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


@pytest.fixture
def processes(request):
    """Makes loaders whose processes end with the test."""

    def make(corpus, count, **changes):
        made = loader(corpus, num_processes=count, **changes)
        request.addfinalizer(made.close)
        return made

    return make


def augment(folder, rng):
    """Every kind of draw, rooms and recorded noise among them."""
    sounds = write_sounds(folder, {"a.wav": rng.normal(0, 0.1, 9000).astype(np.float32)}, 22050)
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
        room=SimulatedRooms(
            sample_rate=16000,
            probability=0.3,
            num_rooms=2,
            smallest_m=[2, 2, 2],
            largest_m=[3, 3, 3],
            rt60_s=(0.1, 0.15),
        ),
        noise=RecordedNoise(
            folder=str(sounds), sample_rate=16000, snr_db=(0, 10), probability=1.0, memory_mb=1.0
        ),
    )


@pytest.fixture
def threads_of_pytorch():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", ["manifest", "shards"])
def test_batches_of_processes_are_those_of_threads(
    shards, speech, tmp_path, rng, processes, threads_of_pytorch, kind
):
    corpus = speech if kind == "manifest" else ShardCorpus(str(shards))
    # Four frames: speech that a speed makes shorter stays as it was.
    options = {"augment": augment(tmp_path / "noises", rng), "max_bad_fraction": 0.9}
    options["num_frames"] = lambda size: 4 if size > 5000 else size // 4000
    threads_of_pytorch(3)  # which no process has
    ours, theirs = loader(corpus, **options), processes(corpus, 2, **options)

    for epoch, start in ((0, 0), (1, 0), (1, 2)):
        pairs = list(zip(ours.batches(epoch, start), theirs.batches(epoch, start), strict=True))
        assert len(pairs) > 1
        for one, other in pairs:
            assert one.ids == other.ids
            assert torch.equal(one.waveforms, other.waveforms)
            assert torch.equal(one.targets, other.targets)
        assert sorted(theirs.bad.skipped) == sorted(ours.bad.skipped)


def test_what_a_process_cannot_read_is_named(shards, speech, processes):
    (shards.parent / "u3.wav").write_bytes(b"RIFF....")
    batches = processes(speech, 1)

    ids = [name for batch in batches.batches(0) for name in batch.ids]

    assert sorted(ids) == sorted(2 * [f"u{n}" for n in range(10) if n != 3])
    assert [bad.id for bad in batches.bad.skipped] == ["u3", "u3"]
    assert "u3.wav" in batches.bad.skipped[0].reason


@pytest.mark.parametrize("count", [0, 1])
def test_a_noise_that_cannot_be_read_ends_the_pass(speech, tmp_path, rng, processes, count):
    change = augment(tmp_path / "noises", rng)
    (tmp_path / "noises/a.wav").write_bytes(b"RIFF....")

    with pytest.raises(LoadingError, match=r"a\.wav"):
        list(processes(speech, count, augment=change).batches(0))


def test_what_processes_say_is_said_once(tmp_path, rng, processes, caplog):
    soundfile.write(tmp_path / "a.wav", rng.normal(0, 0.1, 8000), 8000)
    (tmp_path / "m.jsonl").write_text('{"audio_filepath": "a.wav", "duration": 1, "text": "a"}\n')
    corpus = ManifestCorpus([str(tmp_path / "m.jsonl")], repeat=12)

    with caplog.at_level(logging.INFO):
        list(processes(corpus, 2).batches(0))

    assert caplog.messages.count("mono audio at 8000 Hz becomes mono at 16000 Hz") == 1


def test_a_killed_process_is_one_line_and_a_new_pass_is_whole(speech, processes):
    batches = processes(speech, 2)
    running = batches.batches(0)
    next(running)
    os.kill(active_children()[0].pid, signal.SIGKILL)

    with pytest.raises(LoadingError, match="one of 2 loading processes was ended from outside"):
        list(running)

    assert not active_children()
    assert sum(len(batch.ids) for batch in batches.batches(0)) == 20


def test_a_process_killed_within_an_answer_is_noticed(tmp_path, rng, monkeypatch):
    # 4 MB: most of the answer waits for room in the pipe when the process is killed.
    soundfile.write(tmp_path / "long.wav", rng.normal(0, 0.1, 1_000_000), 16000)
    pool = LoadingProcesses(Preparation(16000, None, 0), 1)
    pool.start()
    (process,) = active_children()
    pipe = pool._all[0]._pipe
    question = Utterance(tmp_path / "long.wav", 62.5, "a"), 0, 0
    pipe.send(question)
    assert pipe.poll(60)  # it has begun to answer
    os.kill(process.pid, signal.SIGKILL)
    monkeypatch.setattr(pipe, "send", lambda _: None)

    with pytest.raises(LoadingError, match="one of 1 loading processes was ended from outside"):
        pool(*question)

    pool.close()


def test_signals_to_stop_and_leaving_a_pass_do_no_harm(speech, processes):
    batches = processes(speech, 1)
    running = batches.batches(0)
    next(running)
    (process,) = active_children()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process.pid, number)

    running.close()

    assert sum(len(batch.ids) for batch in batches.batches(0)) == 20
    assert active_children() == [process]  # it stays for the next pass
    batches.close()
    assert not active_children()


def test_a_pass_whose_processes_are_closed_ends(speech, processes):
    batches = processes(speech, 1)
    running = batches.batches(0)
    next(running)

    batches.close()

    with pytest.raises(LoadingError):
        list(running)


@pytest.mark.parametrize("count", [-1, 1.5, True])
def test_counts_of_processes_that_are_none_are_refused(speech, count):
    with pytest.raises(ValueError, match="num_processes must be a whole number >= 0, got"):
        loader(speech, num_processes=count)


KILLED = """
import os, signal, sys
from multiprocessing import active_children
from pathlib import Path
sys.path.insert(0, {tests!r})
from data.test_workers import loader
from asr.data.loading import ManifestCorpus
if __name__ == "__main__":
    running = loader(ManifestCorpus([{manifest!r}], repeat=20), num_processes=2).batches(0)
    next(running)
    print(*(process.pid for process in active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_killed_program_leaves_no_process_behind(shards, tmp_path):
    script = tmp_path / "killed.py"
    tests = str(Path(__file__).parents[1])
    script.write_text(KILLED.format(tests=tests, manifest=str(shards.parent / "m.jsonl")))

    found = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, check=False)

    assert found.returncode == -signal.SIGKILL
    pids = found.stdout.split()
    assert len(pids) == 2
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(Path("/proc", p.decode()).exists() for p in pids):
        time.sleep(0.05)
    assert not any(Path("/proc", p.decode()).exists() for p in pids)
