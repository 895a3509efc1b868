"""Who goes to dev and test, where a corpus does not say it: speakers, decided by their names."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from asr.corpora.layouts import ALL, Imported
from asr.data.manifest import Utterance

# For dev, and as many for test, of speakers (or files) that come without a split.
HELD_OUT_PERCENT = 5
# From here on a hash alone divides: where it would leave a part small, its luck is not asked.
MANY_KEYS = 200
# Fewer utterances than this are no measure of anything.
TINY = 50


def divide(imported: Imported) -> Imported:
    """Divide the split "all" by speakers, or by utterances where fewer than three are known.

    Many are divided by a hash of each name, so that an utterance stays in its split whatever is
    added later. Of few, that would leave dev or test without any now and then: they are dealt out
    by count, in the order of the hash, so that dev and test hold 5 % each and one at least.
    """
    utterances = imported.splits.pop(ALL, [])
    if not utterances:
        return imported
    by_key: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        by_key.setdefault(str(utterance.extra.get("speaker", utterance.id)), []).append(utterance)
    unit = "speakers" if any("speaker" in u.extra for u in utterances) else "files"
    if len(by_key) < 3 <= len(utterances):
        by_key = {str(number): [u] for number, u in enumerate(utterances)}
        unit = "files, since fewer than three speakers are known: each may be in all,"
    split_of = _split_by_hash(by_key) if len(by_key) >= MANY_KEYS else _deal_out(by_key)
    for key, members in by_key.items():
        imported.splits.setdefault(split_of[key], []).extend(members)
    imported.notes.append(
        f"no split was given: about {HELD_OUT_PERCENT} % of {unit} went to dev, as many to test, "
        "by a hash of the name"
    )
    sizes = {name: len(imported.splits.get(name, [])) for name in ("dev", "test")}
    if min(sizes.values()) < TINY:
        imported.notes.append(
            f"TINY: dev holds {sizes['dev']} and test {sizes['test']} of {len(utterances)} "
            "utterances; error rates measured there say little, record more"
        )
    return imported


def _split_by_hash(keys: Iterable[str]) -> dict[str, str]:
    """Give each key the split that its name alone decides."""
    splits = {}
    for key in keys:
        percent = _hash(key) % 100
        held_out = "dev" if percent < HELD_OUT_PERCENT else "test"
        splits[key] = held_out if percent < 2 * HELD_OUT_PERCENT else "train"
    return splits


def _deal_out(by_key: Mapping[str, Sequence[Utterance]]) -> dict[str, str]:
    """Give dev, then test, keys in the order of their hash until each has its share.

    A key of more than a third of all utterances is training's as long as there are others.
    """
    total = sum(map(len, by_key.values()))
    waiting = sorted(by_key, key=lambda key: (3 * len(by_key[key]) > total, _hash(key)))
    splits = dict.fromkeys(by_key, "train")
    if len(by_key) < 3:
        return splits
    for needed_after, split in ((2, "dev"), (1, "test")):
        count = 0
        while len(waiting) > needed_after and 100 * count < HELD_OUT_PERCENT * total:
            key = waiting.pop(0)
            splits[key] = split
            count += len(by_key[key])
    return splits


def _hash(key: str) -> int:
    return int(hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest(), 16)


def hold_out_speakers(imported: Imported, every: int) -> None:
    """Move every n-th speaker of train, in alphabetical order, to dev."""
    train = imported.splits.get("train", [])
    held_out = set(sorted({str(item.extra["speaker"]) for item in train})[every - 1 :: every])
    imported.splits["train"] = [i for i in train if i.extra["speaker"] not in held_out]
    imported.splits["dev"] = [i for i in train if i.extra["speaker"] in held_out]
    imported.notes.append(
        f"dev is every {every}th speaker of the official training part: "
        f"{', '.join(sorted(held_out))}"
    )
