import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from shard_sets import SHORT, pack_speech, write_speech

from asr.data.manifest import Manifest
from asr.data.shards.encoding import check_format
from asr.data.shards.index import ShardSet
from asr.data.shards.ogg import number_stream
from asr.data.shards.packing import pack
from asr.data.shards.streams import Patience, ShardError


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def records_of(folder):
    shards = ShardSet(str(folder), Patience()).shards
    return [record for shard in shards for record in shard.records()]


def test_shards_hold_every_utterance_at_its_offset(tmp_path, rng):
    folder = pack_speech(tmp_path, rng)

    records = records_of(folder)

    assert [record["id"] for record in records] == [f"u{n}" for n in range(10)]
    assert [record["extra"] for record in records[:2]] == [{"speaker": "s0"}, {"speaker": "s1"}]
    shards = json.loads((folder / "shards.json").read_text())["shards"]
    assert len(shards) > 2
    for name in shards:
        header, *lines = map(json.loads, (folder / name).read_text().splitlines())
        tar = (folder / header["tar"]).read_bytes()
        assert header["bytes"] == len(tar)
        for line in lines:
            samples, _ = soundfile.read(
                io.BytesIO(tar[line["offset"] : line["offset"] + line["size"]]), dtype="int16"
            )
            expected, _ = soundfile.read(tmp_path / f"{line['id']}.wav", dtype="int16")
            np.testing.assert_array_equal(samples, expected)


def test_a_shard_is_a_tar_of_samples_as_webdataset_names_them(tmp_path, rng):
    folder = pack_speech(tmp_path, rng)

    with tarfile.open(folder / "shard-000000.tar") as tar:
        names = tar.getnames()
        facts = json.load(tar.extractfile(names[1]))

    assert names[:4] == ["000000000.flac", "000000000.json", "000000001.flac", "000000001.json"]
    assert facts == {"id": "u0", "text": "ab", "duration": 0.2, "speaker": "s0"}


@pytest.mark.parametrize("style", ["flac", "opus", "keep"])
def test_the_same_call_writes_the_same_bytes(tmp_path, rng, style):
    utterances = Manifest(write_speech(tmp_path, rng, 4))
    packing = replace(SHORT, style=style)

    for name in ("first", "second"):
        pack(utterances, tmp_path / name, packing, source="test")

    assert content_of(tmp_path / "first") == content_of(tmp_path / "second")


def test_packing_goes_on_after_a_kill(tmp_path, rng):
    folder = pack_speech(tmp_path, rng)
    whole = content_of(folder)
    kept = (folder / "shard-000000.tar").stat().st_mtime_ns
    (folder / "shards.json").unlink()
    (folder / "shard-000001.jsonl").unlink()  # the tar was written, its index was not
    (folder / "shard-000001.tar").write_bytes(b"half of it")
    done = []

    utterances = Manifest(tmp_path / "m.jsonl")
    pack(utterances, folder, SHORT, source="test", advance=done.append)

    assert content_of(folder) == whole
    assert (folder / "shard-000000.tar").stat().st_mtime_ns == kept
    assert sum(done) == 10


def test_shards_of_something_else_are_not_written_over(tmp_path, rng):
    folder = pack_speech(tmp_path, rng)

    with pytest.raises(ShardError, match=r"shard-000000.jsonl: is of other manifests"):
        pack(Manifest(tmp_path / "m.jsonl"), folder, SHORT, source="other")


def test_what_cannot_be_packed_is_named_in_the_index(tmp_path, rng):
    manifest = write_speech(tmp_path, rng, 4)
    (tmp_path / "u1.wav").write_bytes(b"RIFF....")

    headers = pack(Manifest(manifest), tmp_path / "shards", SHORT, source="test")

    rejected = [item for header in headers for item in header.rejected]
    assert [item["id"] for item in rejected] == ["u1"]
    assert "u1.wav: cannot be decoded" in rejected[0]["reason"]
    assert [record["id"] for record in records_of(tmp_path / "shards")] == ["u0", "u2", "u3"]


def test_a_set_of_which_nothing_can_be_packed_is_refused(tmp_path, rng):
    manifest = write_speech(tmp_path, rng, 1)
    (tmp_path / "u0.wav").unlink()

    with pytest.raises(ValueError, match="not one of 1 utterances could be packed"):
        pack(Manifest(manifest), tmp_path / "shards", SHORT, source="test")


def test_a_shard_is_closed_when_it_is_as_large_as_it_may_be(tmp_path, rng):
    packing = replace(SHORT, shard_seconds=1e6, shard_mb=0.01)

    folder = pack_speech(tmp_path, rng, 5, packing)

    assert len(list(folder.glob("*.tar"))) > 2


def test_audio_is_resampled_where_that_is_asked_for(tmp_path, rng):
    folder = pack_speech(tmp_path, rng, 2, replace(SHORT, style="opus", sample_rate=8000))

    record = records_of(folder)[1]
    tar = (folder / "shard-000000.tar").read_bytes()
    content = tar[record["offset"] : record["offset"] + record["size"]]
    samples, rate = soundfile.read(io.BytesIO(content))
    expected, _ = soundfile.read(tmp_path / "u1.wav")
    assert rate == 8000
    assert len(samples) == len(expected) / 2


def checksum(page):
    """Ogg's checksum of a page by its definition: bit by bit, its own field zero."""
    register = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ (0x104C11DB7 if register >> 31 else 0)
    return register


def test_a_numbered_ogg_stream_has_pages_with_their_checksums(rng):
    buffer = io.BytesIO()
    soundfile.write(buffer, rng.normal(0, 0.1, 20000), 16000, format="OGG", subtype="OPUS")

    numbered = number_stream(buffer.getvalue(), 7)

    pages = [b"OggS" + page for page in numbered.split(b"OggS")[1:]]
    assert len(pages) > 2
    for page in pages:
        assert int.from_bytes(page[14:18], "little") == 7
        assert int.from_bytes(page[22:26], "little") == checksum(page)
    np.testing.assert_array_equal(
        soundfile.read(io.BytesIO(numbered))[0], soundfile.read(io.BytesIO(buffer.getvalue()))[0]
    )


def test_what_is_no_ogg_is_refused():
    with pytest.raises(ValueError, match="no Ogg page at byte 0"):
        number_stream(b"RIFF")


@pytest.mark.parametrize(
    ("style", "rate", "message"),
    [
        ("keep", 16000, "format=keep leaves it as it is"),
        ("opus", 44100, "must be one of 8000, 12000, 16000, 24000, 48000 Hz, got 44100"),
    ],
)
def test_formats_refuse_rates_that_they_cannot_have(style, rate, message):
    with pytest.raises(ValueError, match=message):
        check_format(style, rate)


@pytest.mark.parametrize("name", ["shard_seconds", "shard_mb", "num_threads"])
def test_shards_of_no_size_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be > 0, got 0"):
        replace(SHORT, **{name: 0})
