from pathlib import Path

import pytest

from asr.corpora.division import divide
from asr.corpora.layouts import Imported


def divided(speakers):
    """Utterances of each split; `speakers` has one name an utterance, None where it is unknown."""
    imported = Imported(Path("/x"), Path("/y"))
    for number, speaker in enumerate(speakers):
        extra = {} if speaker is None else {"speaker": speaker}
        imported.add("all", Path(f"/x/{number}.wav"), "a", **extra)
    splits = divide(imported).splits
    return {name: {u.id for u in members} for name, members in splits.items()}, imported.notes


def test_many_files_stay_in_their_split_whatever_is_added():
    before, _ = divided([None] * 600)
    after, _ = divided([None] * 800)

    for split in ("train", "dev", "test"):
        assert before[split] <= after[split]
        assert len(before[split]) >= 15


@pytest.mark.parametrize("count", range(3, 40))
def test_few_files_always_have_a_dev_and_a_test_set(count):
    splits, notes = divided([None] * count)

    assert sum(map(len, splits.values())) == count
    assert min(len(splits["dev"]), len(splits["test"])) >= max(1, 0.05 * count)
    assert len(splits["train"]) >= 1
    assert (splits, notes) == divided([None] * count)
    assert f"TINY: dev holds {len(splits['dev'])} and test" in notes[-1]


@pytest.mark.parametrize("seed", range(20))
def test_few_speakers_are_in_one_split_each_and_the_greatest_in_train(seed):
    names = [f"{seed}-{i}" for i in range(5) for _ in range(200 if i == 0 else 10)]

    splits, _ = divided(names)

    people = {
        name: {names[int(identity)] for identity in members} for name, members in splits.items()
    }
    assert not people["train"] & people["dev"]
    assert not people["test"] & (people["train"] | people["dev"])
    assert f"{seed}-0" in people["train"]
    assert len(splits["dev"]) >= 12
    assert len(splits["test"]) >= 12


def test_two_speakers_are_divided_by_files_and_that_is_said():
    splits, notes = divided(["anna"] * 10 + ["bert"] * 10)

    assert set(splits) == {"train", "dev", "test"}
    assert "fewer than three speakers" in notes[0]


def test_two_files_are_all_training():
    assert set(divided([None, None])[0]) == {"train"}
