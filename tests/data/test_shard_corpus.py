import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_sets import damage, everybody, pack_speech

from asr.augment import WaveformAugment
from asr.data.fingerprint import fingerprint, fingerprint_corpus
from asr.data.loading import BatchLoader, ManifestCorpus
from asr.data.planning import plan_batches
from asr.data.shards.corpus import ShardCorpus
from asr.data.shards.streams import ShardError
from asr.data.unusable import TooManyBadError
from asr.text import CharTokenizer

# The ten recordings last 6.5 s; a buffer of 2 s holds two or three of their shards.
SMALL_H = 2.0 / 3600


def load(corpus, **changes):
    options = {
        "sample_rate": 16000,
        "batch_seconds": 2.0,
        "seed": 1,
        "order": "shuffled",
        "augment": None,
        "num_threads": 2,
        "max_bad_fraction": 0.0,
        "num_frames": lambda num_samples: num_samples // 640,
    }
    return BatchLoader(corpus, CharTokenizer("ab "), **(options | changes))


@pytest.fixture
def shards(tmp_path, rng):
    """Ten recordings of 0.2 to 1.1 s in shards of about a second."""
    return pack_speech(tmp_path, rng)


def ids_of(batches):
    return [batch.ids for batch in batches]


ALL = sorted(f"u{n}" for n in range(10))


@pytest.mark.parametrize("buffer_hours", [1e-6, SMALL_H, 1.0])
@pytest.mark.parametrize("order", ["shuffled", "sorta_grad", "sorted"])
def test_an_epoch_over_shards_hears_each_utterance_once(shards, buffer_hours, order):
    loader = load(ShardCorpus(str(shards), buffer_hours=buffer_hours), order=order)

    assert everybody(loader.batches(0)) == ALL
    assert everybody(loader.batches(1)) == ALL


@pytest.mark.parametrize("order", ["shuffled", "sorta_grad", "sorted"])
def test_a_buffer_that_holds_all_gives_the_batches_of_the_manifest(shards, order):
    augment = WaveformAugment(
        sample_rate=16000,
        speeds=[0.9, 1.1],
        gain_db=3.0,
        noise_snr_db=(10, 20),
        noise_probability=0.5,
        pad_s=0.3,
        pad_probability=0.5,
        pad_noise_db=(-100.0, -40.0),
    )
    corpora = (ManifestCorpus([str(shards.parent / "m.jsonl")]), ShardCorpus(str(shards)))

    for epoch in (0, 1):
        one, other = (list(load(c, order=order, augment=augment).batches(epoch)) for c in corpora)
        assert ids_of(one) == ids_of(other)
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a.waveforms, b.waveforms)
            assert torch.equal(a.targets, b.targets)


@pytest.mark.parametrize("start", [1, 3])
def test_an_epoch_that_starts_late_is_the_rest_of_the_whole(shards, start):
    corpus = ShardCorpus(str(shards), buffer_hours=SMALL_H)
    whole = list(load(corpus).batches(2))

    late = list(load(ShardCorpus(str(shards), buffer_hours=SMALL_H)).batches(2, start=start))

    assert ids_of(late) == ids_of(whole[start:])
    for a, b in zip(late, whole[start:], strict=True):
        assert torch.equal(a.waveforms, b.waveforms)


def test_ranks_share_every_batch_of_shards(shards):
    corpus = ShardCorpus(str(shards), buffer_hours=SMALL_H)
    whole = [sorted(batch.ids) for batch in load(corpus, batch_seconds=4.0).batches(1)]

    parts = [list(load(corpus, rank=rank, world_size=2).batches(1)) for rank in (0, 1)]

    assert [sorted(a.ids + b.ids) for a, b in zip(*parts, strict=True)] == whole


def test_an_iterator_that_is_left_ends_its_reading(shards):
    loader = load(ShardCorpus(str(shards), buffer_hours=1e-6), num_threads=1)
    batches = loader.batches(0)

    next(batches)
    batches.close()

    assert everybody(loader.batches(0)) == ALL


def test_order_of_shards_is_a_function_of_seed_and_epoch(shards):
    corpus = ShardCorpus(str(shards), buffer_hours=1e-6)

    def row(seed, epoch):
        return np.concatenate(corpus.buffers(seed, epoch, shuffle=True)).tolist()

    assert row(1, 2) == row(1, 2)
    assert row(1, 2) != row(1, 3)
    assert row(1, 2) != row(2, 2)
    assert np.concatenate(corpus.buffers(1, 2, shuffle=False)).tolist() == list(range(10))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.1, 20.0), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(0, 3),
    st.booleans(),
)
def test_batches_stay_in_their_buffer_and_buffers_in_their_order(lengths, count, epoch, sort):
    row = np.random.default_rng(epoch).permutation(len(lengths))
    buffers = [part for part in np.array_split(row, count) if len(part)]

    plan = plan_batches(lengths, 30.0, seed=1, epoch=epoch, sort=sort, buffers=buffers)

    number = {int(index): n for n, buffer in enumerate(buffers) for index in buffer}
    assert sorted(index for batch in plan for index in batch) == list(range(len(lengths)))
    of_batches = [{number[index] for index in batch} for batch in plan]
    assert all(len(numbers) == 1 for numbers in of_batches)
    assert [n for (n,) in of_batches] == sorted(n for (n,) in of_batches)


def test_buffers_hold_about_what_they_are_told_to(shards):
    corpus = ShardCorpus(str(shards), buffer_hours=SMALL_H)

    seconds = [corpus.durations[part].sum() for part in corpus.buffers(1, 0, shuffle=True)]

    assert len(seconds) == 3  # 6.5 s in buffers of 2 s
    # Each ends with the utterance, of at most 1.1 s, within which it is full.
    assert all(6.5 / 3 - 1.1 <= size <= 6.5 / 3 + 1.1 for size in seconds)


def test_an_utterance_of_shards_reads_its_audio_by_itself(shards):
    utterances = ShardCorpus(str(shards)).utterances(0)
    (same,) = ManifestCorpus([str(shards.parent / "m.jsonl")]).utterances(0)[3:4]

    np.testing.assert_array_equal(utterances[3].waveform(16000), same.waveform(16000))
    assert utterances[-7].id == same.id == "u3"
    assert [u.extra["speaker"] for u in utterances[2:4]] == ["s0", "s1"]


def test_corpus_of_shards_counts_what_is_too_long(shards):
    corpus = ShardCorpus([str(shards)], max_duration=0.55)

    assert corpus.num_too_long == 6
    assert [u.id for u in corpus.utterances(0)] == ["u0", "u1", "u2", "u3"]
    assert everybody(load(corpus).batches(0)) == ["u0", "u1", "u2", "u3"]


def test_several_sets_are_one_corpus(shards, tmp_path):
    corpus = ShardCorpus([str(shards), str(shards)], buffer_hours=SMALL_H)

    assert everybody(load(corpus).batches(0)) == sorted(ALL * 2)


def test_fingerprint_is_that_of_the_manifest_and_knows_the_buffer(shards):
    manifest = ManifestCorpus([str(shards.parent / "m.jsonl")])
    corpora = [ShardCorpus(str(shards), buffer_hours=hours) for hours in (1.0, 1.0, 2.0)]

    assert fingerprint(corpora[0].utterances(0)) == fingerprint(manifest.utterances(0))
    same, again, other = map(fingerprint_corpus, corpora)
    assert same == again != other


def test_a_truncated_tar_loses_what_lies_behind_the_cut_alone(shards):
    tar = shards / "shard-000001.tar"
    held = [u.id for u in ShardCorpus(str(shards)).utterances(0) if "1.tar" in locate(shards, u)]
    tar.write_bytes(tar.read_bytes()[:20000])
    loader = load(ShardCorpus(str(shards)), max_bad_fraction=1.0)

    heard = everybody(loader.batches(0))

    lost = [bad.id for bad in loader.bad.skipped]
    assert sorted(heard + lost) == ALL
    assert sorted(lost) == held[1:]
    assert all(f"{tar}: ends at byte 20000" == bad.reason for bad in loader.bad.skipped)


def locate(shards, utterance):
    corpus = ShardCorpus(str(shards))
    return corpus._locate(utterance.place)[0]


def test_a_missing_shard_is_counted_and_named(shards):
    (shards / "shard-000001.tar").unlink()
    loader = load(ShardCorpus(str(shards)), max_bad_fraction=1.0)

    heard = everybody(loader.batches(0))

    assert sorted(heard + [bad.id for bad in loader.bad.skipped]) == ALL
    assert {bad.reason for bad in loader.bad.skipped} == {
        f"{shards / 'shard-000001.tar'}: no such file"
    }


def test_too_many_utterances_of_broken_shards_stop_the_epoch(shards):
    (shards / "shard-000001.tar").unlink()

    with pytest.raises(TooManyBadError, match=r"max_bad_fraction=0.1; the last: .* no such file"):
        list(load(ShardCorpus(str(shards)), max_bad_fraction=0.1).batches(0))


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("shard-000000.tar", b"000000001.flac", bytes(14), "'000000001.flac' here, the tar no m"),
        ("shard-000000.jsonl", b"000000001.flac", b"000000007.flac", "the tar '000000001.flac' of"),
    ],
)
def test_index_and_tar_that_differ_are_said(shards, file, old, new, reason):
    damage(shards / file, old, new)
    loader = load(ShardCorpus(str(shards)), max_bad_fraction=1.0)

    heard = everybody(loader.batches(0))

    (bad,) = loader.bad.skipped
    assert heard == sorted({*ALL} - {"u1"})
    assert bad.id == "u1"
    assert bad.reason.startswith(f"{shards / 'shard-000000.tar'}: byte ")
    assert reason in bad.reason


def test_the_index_of_another_set_is_noticed(shards, tmp_path_factory, rng):
    other = pack_speech(tmp_path_factory.mktemp("other"), rng)
    for tar in other.glob("*.tar"):
        (shards / tar.name).write_bytes(tar.read_bytes())
    loader = load(ShardCorpus(str(shards)), max_bad_fraction=1.0)

    with pytest.raises(TooManyBadError, match=r"not one of 10 .* (the index has|is damaged)"):
        list(loader.batches(0))


def test_a_bit_that_changed_is_noticed(shards):
    tar = shards / "shard-000000.tar"
    content = bytearray(tar.read_bytes())
    content[1000] ^= 1
    tar.write_bytes(content)
    loader = load(ShardCorpus(str(shards)), max_bad_fraction=1.0)

    list(loader.batches(0))

    assert [bad.id for bad in loader.bad.skipped] == ["u0"]
    assert "'000000000.flac' is damaged" in loader.bad.skipped[0].reason


def test_a_set_that_is_not_finished_is_refused(shards):
    (shards / "shards.json").unlink()

    with pytest.raises(ShardError, match=r"holds no shards\.json"):
        ShardCorpus(str(shards))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("shards.json", b'"format": 1', b'"format": 2', "format must be 1"),
        ("shards.json", b'"shard-000001.jsonl"', b'"../x.jsonl"', "must be a list of file names"),
        ("shards.json", b'"utterances": 10', b'"utterances": 9', "says 9 utterances, the indi"),
        ("shards.json", b'"format"', b'"format', "is not JSON"),
        ("shard-000000.jsonl", b'"first": 0', b'"last": 0', "000000.jsonl:1: is no header"),
        ("shard-000000.jsonl", b'"tar": "', b'"tar": "../', "'tar' must name a file beside"),
        ("shard-000000.jsonl", b'"u1"', b"{}", r"000000.jsonl:3: 'id' must be a string"),
        ("shard-000000.jsonl", b'"offset": 512', b'"offset": -1', ":2: 'offset' must be a whole"),
        ("shard-000000.jsonl", b'"text": "abab"', b'"txt": ""', ":3: lacks the key 'text'"),
        ("shard-000000.jsonl", b'"utterances": 4', b'"utterances": 5', "its first line says 5"),
    ],
)
def test_an_index_that_breaks_a_rule_is_refused(shards, file, old, new, message):
    damage(shards / file, old, new)

    with pytest.raises(ShardError, match=message):
        ShardCorpus(str(shards))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buffer_hours": 0}, "buffer_hours must be > 0, got 0"),
        ({"timeout_s": 0}, "timeout_s must be > 0, got 0"),
        ({"retries": -1}, "retries must be >= 0, got -1"),
        ({"max_duration": 0.1}, "at least one utterance of at most max_duration=0.1 s"),
    ],
)
def test_corpus_of_shards_refuses_options_out_of_range(shards, options, message):
    with pytest.raises(ValueError, match=message):
        ShardCorpus(str(shards), **options)


@pytest.mark.parametrize("places", [[], [None]])
def test_corpus_of_no_shards_is_refused(places):
    with pytest.raises(ValueError, match="shards must name one or more folders or URLs"):
        ShardCorpus(places)
