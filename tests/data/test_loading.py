import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.augment import WaveformAugment
from asr.data.loading import BatchLoader, ManifestCorpus
from asr.data.manifest import Manifest, Utterance, write_manifest
from asr.data.planning import plan_batches
from asr.data.unusable import TooManyBadError
from asr.text import CharTokenizer

PADDING = {
    "sample_rate": 16000,
    "pad_s": 3.0,
    "pad_probability": 0.5,
    "pad_noise_db": (-100.0, -40.0),
}
durations = st.lists(st.floats(0.05, 30.0), max_size=60)


@pytest.fixture
def manifest(tmp_path, rng):
    """Ten recordings of 0.2 to 1.1 s."""
    utterances = []
    for n in range(10):
        path = tmp_path / f"u{n}.wav"
        soundfile.write(path, rng.normal(0, 0.1, 3200 + 1600 * n), 16000)
        utterances.append(Utterance(path, 0.2 + 0.1 * n, "ab" * (n % 3 + 1), {"id": f"u{n}"}))
    write_manifest(tmp_path / "m.jsonl", utterances)
    return tmp_path / "m.jsonl"


def loader(manifest, **changes):
    options = {
        "sample_rate": 16000,
        "batch_seconds": 2.0,
        "seed": 1,
        "order": "sorta_grad",
        "augment": None,
        "num_threads": 2,
        "max_bad_fraction": 0.0,
        "num_frames": lambda num_samples: num_samples // 640,
    }
    return BatchLoader(ManifestCorpus([str(manifest)]), CharTokenizer("ab "), **(options | changes))


@settings(max_examples=200, deadline=None)
@given(durations, st.floats(0.1, 60.0), st.integers(0, 5), st.booleans())
def test_plan_holds_every_utterance_once_within_its_seconds(lengths, seconds, epoch, sort):
    plan = plan_batches(lengths, seconds, seed=0, epoch=epoch, sort=sort)

    assert sorted(i for batch in plan for i in batch) == list(range(len(lengths)))
    for batch in plan:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= seconds


def test_plan_is_a_function_of_seed_and_epoch(rng):
    lengths = rng.uniform(1, 5, 300)

    def plan(seed, epoch):
        return plan_batches(lengths, 60.0, seed=seed, epoch=epoch, sort=False)

    assert plan(1, 2) == plan(1, 2)
    assert plan(1, 2) != plan(1, 3)
    assert plan(1, 2) != plan(2, 2)


def test_sorted_plan_goes_from_short_to_long(rng):
    lengths = rng.uniform(1, 5, 100)

    plan = plan_batches(lengths, 20.0, seed=0, epoch=0, sort=True)

    order = [lengths[i] for batch in plan for i in batch]
    assert order == sorted(order)


def test_plan_refuses_batches_of_no_seconds():
    with pytest.raises(ValueError, match="batch_seconds must be > 0, got 0"):
        plan_batches([1.0], 0.0, seed=0, epoch=0, sort=True)


def test_batches_hold_what_the_files_hold(manifest):
    for batch in loader(manifest).batches(0):
        for row, name in enumerate(batch.ids):
            samples, _ = soundfile.read(manifest.parent / f"{name}.wav", dtype="float32")
            assert batch.waveform_lengths[row] == len(samples)
            np.testing.assert_array_equal(batch.waveforms[row, : len(samples)], samples)
            assert not batch.waveforms[row, len(samples) :].any()
            size = int(batch.target_lengths[row])
            decoded = CharTokenizer("ab ").decode(batch.targets[row, :size].tolist())
            assert decoded == batch.texts[row]


def test_starting_late_gives_the_rest_of_the_epoch(manifest):
    whole = [batch.ids for batch in loader(manifest).batches(3)]

    late = [batch.ids for batch in loader(manifest).batches(3, start=2)]

    assert late == whole[2:]


def test_epochs_are_the_same_in_every_loader(manifest):
    augment = WaveformAugment(
        speeds=[0.9, 1.1], gain_db=3.0, noise_snr_db=(10, 20), noise_probability=1.0, **PADDING
    )
    first, second = (
        list(loader(manifest, augment=augment, num_threads=n).batches(2)) for n in (1, 4)
    )

    for one, other in zip(first, second, strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.waveforms, other.waveforms)


def test_ranks_share_every_batch(manifest):
    whole = [sorted(b.ids) for b in loader(manifest, batch_seconds=4.0).batches(1)]
    parts = [
        list(loader(manifest, batch_seconds=2.0, rank=r, world_size=2).batches(1)) for r in (0, 1)
    ]

    assert [sorted(a.ids + b.ids) for a, b in zip(*parts, strict=True)] == whole


def test_batches_are_planned_with_the_silence_that_augmentation_adds(manifest):
    augment = WaveformAugment(
        speeds=[0.9, 1.1], gain_db=0.0, noise_snr_db=None, noise_probability=0.0, **PADDING
    )

    batches = list(loader(manifest, augment=augment, batch_seconds=4.0).batches(1))

    padded = [batch for batch in batches if len(batch.ids) > 1]
    assert padded
    for batch in padded:
        assert batch.waveforms.numel() <= 4.0 * 16000
    assert max(batch.waveforms.shape[1] for batch in batches) > 1.3 * 16000


def test_broken_audio_is_skipped_and_named(manifest):
    (manifest.parent / "u3.wav").write_bytes(b"RIFF....")
    batches = loader(manifest, max_bad_fraction=0.1)

    ids = [name for batch in batches.batches(0) for name in batch.ids]

    assert sorted(ids) == sorted(f"u{n}" for n in range(10) if n != 3)
    assert [bad.id for bad in batches.bad.skipped] == ["u3"]
    assert "u3.wav" in batches.bad.skipped[0].reason


def test_too_much_broken_audio_stops_and_names_the_last(manifest):
    for n in (3, 4):
        (manifest.parent / f"u{n}.wav").unlink()

    with pytest.raises(TooManyBadError, match=r"2 of 10 utterances .* max_bad_fraction=0.1"):
        list(loader(manifest, max_bad_fraction=0.1).batches(0))


def test_a_set_goes_on_while_one_utterance_can_be_used(manifest):
    for n in range(9):
        (manifest.parent / f"u{n}.wav").unlink()
    batches = loader(manifest, max_bad_fraction=1.0)

    assert [name for batch in batches.batches(0) for name in batch.ids] == ["u9"]
    lines = batches.bad.summary(examples=1)
    assert lines[0] == "9 of 10 utterances could not be used:"
    assert lines[1].startswith("  u0: ")
    assert "u0.wav: no such audio file" in lines[1]
    assert lines[2:] == ["  and 8 more"]


def test_a_set_without_a_usable_utterance_is_refused(manifest):
    for n in range(10):
        (manifest.parent / f"u{n}.wav").unlink()

    with pytest.raises(TooManyBadError, match="not one of 10 utterances could be used; the last"):
        list(loader(manifest, max_bad_fraction=1.0).batches(0))


def test_nothing_is_said_of_a_set_that_can_be_used(manifest):
    batches = loader(manifest)
    list(batches.batches(0))

    assert batches.bad.summary() == []


def test_speech_that_a_speed_makes_too_short_stays_as_it_was(manifest):
    faster = WaveformAugment(
        speeds=[1.05],
        gain_db=0.0,
        noise_snr_db=(9, 9),
        noise_probability=0.0,
        **(PADDING | {"pad_probability": 0.0}),
    )
    # As many frames as the text needs: not one to spare.
    frames = {3200 + 1600 * n: 2 * (n % 3 + 1) for n in range(10)}
    batches = loader(
        manifest, augment=faster, num_frames=lambda size: frames.get(size, 0), batch_seconds=0.1
    )

    lengths = {b.ids[0]: int(b.waveform_lengths[0]) for b in batches.batches(0)}

    assert lengths == {f"u{n}": 3200 + 1600 * n for n in range(10)}


@pytest.mark.parametrize(
    ("order", "sorted_epochs"),
    [("shuffled", [False, False]), ("sorta_grad", [True, False]), ("sorted", [True, True])],
)
def test_order_says_which_epochs_go_from_short_to_long(manifest, order, sorted_epochs):
    batches = loader(manifest, order=order, batch_seconds=0.1)

    found = [[index for (index,) in batches.plan(epoch)] for epoch in (0, 1)]

    assert [plan == list(range(10)) for plan in found] == sorted_epochs


@pytest.mark.parametrize(
    ("lines", "limit", "message"),
    [
        ("", None, r"m\.jsonl: must hold at least one utterance$"),
        ("\n\n", 5.0, r"m\.jsonl: must hold at least one utterance$"),
        (None, 0.1, r"at least one utterance of at most max_duration=0.1 s"),
    ],
)
def test_corpus_refuses_a_set_without_utterances(manifest, lines, limit, message):
    if lines is not None:
        manifest.write_text(lines)

    with pytest.raises(ValueError, match=message):
        ManifestCorpus([str(manifest)], max_duration=limit)


def test_text_that_does_not_fit_its_frames_is_skipped(manifest):
    batches = loader(manifest, max_bad_fraction=1.0, num_frames=lambda n: 3)

    ids = [name for batch in batches.batches(0) for name in batch.ids]

    assert ids == ["u0", "u3", "u6", "u9"]
    assert "3 frames are fewer than the 4 that its text needs" in batches.bad.skipped[0].reason


def test_test_sets_keep_what_cannot_be_aligned(manifest):
    batches = loader(manifest, num_frames=None)
    batches.tokenizer = CharTokenizer("x")

    ids = [name for batch in batches.batches(0) for name in batch.ids]

    assert sorted(ids) == [f"u{n}" for n in range(10)]
    assert not batches.bad.skipped


def test_unknown_character_is_skipped_and_named(manifest):
    corpus = loader(manifest, max_bad_fraction=1.0)
    corpus.tokenizer = CharTokenizer("a ")

    with pytest.raises(TooManyBadError, match="not one of 10"):
        list(corpus.batches(0))
    assert "'b'" in corpus.bad.skipped[0].reason


def test_corpus_counts_what_is_too_long(manifest):
    corpus = ManifestCorpus([str(manifest)], max_duration=0.55)

    assert len(corpus.utterances(0)) == 4
    assert corpus.num_too_long == 6


def test_corpus_repeats_small_sets(manifest):
    assert len(ManifestCorpus(str(manifest), repeat=3).utterances(0)) == 30


@pytest.mark.parametrize("manifests", [[], [None]])
def test_corpus_refuses_no_manifest(manifests):
    with pytest.raises(ValueError, match="manifests must name one or more files"):
        ManifestCorpus(manifests)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_threads": 0}, "num_threads must be >= 1, got 0"),
        ({"order": "backwards"}, "order must be one of shuffled, sorta_grad, sorted"),
        ({"max_bad_fraction": 2.0}, r"max_bad_fraction must be in \[0, 1\], got 2.0"),
    ],
)
def test_loader_refuses_parameters_out_of_range(manifest, change, message):
    with pytest.raises(ValueError, match=message):
        loader(manifest, **change)


def test_a_sample_comes_from_all_over_the_corpus(manifest):
    batches = loader(manifest, batch_seconds=1.0)
    plan = batches.plan(0)

    sampled = [batch.ids for batch in batches.sample(2.0)]

    assert 2 <= len(sampled) < len(plan)
    assert sampled[0] == [f"u{i}" for i in plan[0]]
    assert max(int(name[1:]) for ids in sampled for name in ids) >= 5  # they are sorted by length


def test_a_sample_of_more_than_there_is_is_all(manifest):
    batches = loader(manifest)

    assert [b.ids for b in batches.sample(1e9)] == [b.ids for b in batches.batches(0)]


def test_several_manifests_are_one_corpus(manifest, tmp_path):
    read = Manifest(manifest)
    write_manifest(tmp_path / "few.jsonl", read[7:9])

    utterances = ManifestCorpus(
        [str(manifest), str(tmp_path / "few.jsonl")], max_duration=1.0, repeat=2
    ).utterances(0)

    once = [f"u{n}" for n in range(9)] + ["u7", "u8"]
    assert [u.id for u in utterances] == once * 2
    assert [u.id for u in utterances[8:11]] == ["u8", "u7", "u8"]
    assert utterances[-1] == read[-2]
    assert [u.duration for u in utterances] == utterances.durations.tolist()
