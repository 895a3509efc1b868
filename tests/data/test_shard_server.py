import logging

import numpy as np
import pytest
from shard_sets import everybody, pack_speech, serving, sleepless

from asr.data.loading import BatchLoader
from asr.data.shards.corpus import ShardCorpus
from asr.data.shards.streams import HttpStream, Patience, ShardError, SourceError, is_url
from asr.text import CharTokenizer

ALL = sorted(f"u{n}" for n in range(10))


@pytest.fixture
def shards(tmp_path, rng):
    """Ten recordings in shards of about a second."""
    return pack_speech(tmp_path, rng)


@pytest.fixture
def server(shards, monkeypatch):
    """A server of these shards whose clients do not sleep between tries."""
    sleepless(monkeypatch)
    with serving(shards) as server:
        yield server


def load(corpus):
    return BatchLoader(
        corpus,
        CharTokenizer("ab "),
        sample_rate=16000,
        batch_seconds=2.0,
        seed=1,
        order="shuffled",
        augment=None,
        num_threads=2,
        num_frames=None,
    )


def batches_of(place, **options):
    loader = load(ShardCorpus(str(place), **options))
    return loader, list(loader.batches(1))


def test_shards_of_a_server_give_the_batches_of_the_folder(server, shards):
    _, from_folder = batches_of(shards)

    _, from_server = batches_of(server.url)

    for a, b in zip(from_folder, from_server, strict=True):
        assert a.ids == b.ids
        np.testing.assert_array_equal(a.waveforms, b.waveforms)
    tars = [path for path, _ in server.requests if path.endswith(".tar")]
    assert len(tars) == len(set(tars)) == len(list(shards.glob("*.tar")))


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("fault", ["stall", "cut", 503])
def test_a_server_that_fails_for_a_while_is_asked_again(server, ranges, fault, caplog):
    server.ranges = ranges
    server.faults = [fault]

    with caplog.at_level(logging.WARNING):
        loader, batches = batches_of(server.url, timeout_s=2.0 if fault == "stall" else 30.0)

    assert everybody(batches) == ALL
    assert not loader.bad.skipped
    assert loader.corpus.patience.num_retries == 1
    (line,) = caplog.messages
    assert line.startswith(f"{server.url}/shard-")
    assert line.endswith("retry 1 of 3")


def test_a_server_that_stalls_for_good_is_given_up_with_a_line(server, shards):
    # The first tar that is read answers nothing more; the others are as they should be.
    server.faults = ["stall"] * 2

    loader, batches = batches_of(server.url, timeout_s=1.0, retries=1)

    lost = [bad.id for bad in loader.bad.skipped]
    assert lost
    assert sorted(everybody(batches) + lost) == ALL
    (reason,) = {bad.reason for bad in loader.bad.skipped}
    assert reason.endswith(".tar: no byte for 1 s, 2 tries")


def test_a_missing_shard_of_a_server_is_asked_for_once(server, shards):
    (shards / "shard-000001.tar").unlink()

    loader, batches = batches_of(server.url)

    assert sorted(everybody(batches) + [bad.id for bad in loader.bad.skipped]) == ALL
    assert {bad.reason for bad in loader.bad.skipped} == {
        f"{server.url}/shard-000001.tar: 404 Not Found"
    }
    assert [path for path, _ in server.requests].count("/shard-000001.tar") == 1


def test_a_truncated_shard_of_a_server_loses_its_end_alone(server, shards):
    tar = shards / "shard-000001.tar"
    tar.write_bytes(tar.read_bytes()[:20000])

    loader, batches = batches_of(server.url)

    lost = [bad.id for bad in loader.bad.skipped]
    assert sorted(everybody(batches) + lost) == ALL
    assert {bad.reason for bad in loader.bad.skipped} == {
        f"{server.url}/shard-000001.tar: ends at byte 20000"
    }


def test_a_server_without_a_list_is_refused(server, shards):
    (shards / "shards.json").unlink()

    with pytest.raises(ShardError, match=r"/shards.json: 404 Not Found$"):
        ShardCorpus(server.url)


def test_a_server_that_nobody_answers_at_is_refused(server, shards):
    with pytest.raises(SourceError, match=r"^http://127.0.0.1:9/shards.json: .*, 1 tries$"):
        ShardCorpus("http://127.0.0.1:9", retries=0)


def test_a_stream_reads_small_gaps_through_and_asks_anew_beyond(server, shards, monkeypatch):
    monkeypatch.setattr("asr.data.shards.streams._GAP", 100)
    content = bytes(range(256)) * 4
    (shards / "x.tar").write_bytes(content)

    with HttpStream(f"{server.url}/x.tar", Patience()) as stream:
        found = [stream.read(start, 10) for start in (0, 50, 500, 20)]
        with pytest.raises(ShardError, match=r"ends at byte 1024$"):
            stream.read(1000, 100)
        with pytest.raises(ShardError, match=r"ends at byte 2000$"):
            stream.read(2000, 1)

    assert found == [content[start : start + 10] for start in (0, 50, 500, 20)]
    assert [start for _, start in server.requests[:4]] == [0, 500, 20, 1000]


@pytest.mark.parametrize(
    ("place", "expected"),
    [("http://a/b", True), ("HTTPS://a", True), ("/a/b", False), ("ftp://a", False)],
)
def test_places_on_servers_are_told_by_their_beginning(place, expected):
    assert is_url(place) is expected
