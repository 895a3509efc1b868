"""Who goes to dev and test, where a corpus does not say it: speakers, decided by their names."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.corpora.layouts import ALL
from asr.corpora.places import read_lines
from asr.data.manifest import Utterance

# For dev, and as many for test, of speakers (or files) that come without a split.
HELD_OUT = 0.05
# From here on a hash alone divides: where it would leave a part small, its luck is not asked.
MANY_KEYS = 200
# Fewer utterances than this are no measure of anything.
TINY = 50

# How much is held out: a number of utterances, a share of them, or ids and speakers by name.
Part = int | float | frozenset[str]


@dataclass(frozen=True)
class Division:
    """What goes to dev and test; None: a twentieth where the corpus has no splits at all.

    Raises:
        ValueError: nothing would be left to train on.
    """

    dev: Part | None = None
    test: Part | None = None

    def __post_init__(self) -> None:
        """Check that shares leave something."""
        shares = [part for part in (self.dev, self.test) if isinstance(part, float)]
        if sum(shares) >= 1:
            raise ValueError(
                f"--dev and --test must be less than all together, got {sum(shares):.0%}"
            )


@dataclass
class Divided:
    """The splits, and what a user should know of them.

    Attributes:
        unit: what was divided: "speakers", "recordings", "files"; empty: the corpus had splits.
    """

    splits: dict[str, list[Utterance]]
    unit: str = ""
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def parse_part(name: str, text: str) -> Part:
    """Read `--dev` or `--test`: a count (20), a share (0.1, 10%), or a file of ids or speakers.

    Raises:
        ValueError: it is none of these; the message names the option.
    """
    if re.fullmatch(r"\d+", text):
        return int(text)
    if found := re.fullmatch(r"(\d*\.?\d+)(%?)", text):
        share = float(found[1]) / (100 if found[2] else 1)
        if not 0 <= share < 1:
            raise ValueError(f"--{name} must be a share below 1, got {text}")
        return share
    if not Path(text).is_file():
        raise ValueError(
            f"--{name} must be a count (20), a share (0.1 or 10%) or a file of ids or speakers, "
            f"one a line; got '{text}'"
        )
    names = frozenset(line.strip() for line in read_lines(Path(text)) if line.strip())
    if not names:
        raise ValueError(f"{text}: names nobody")
    return names


def divide(
    splits: Mapping[str, list[Utterance]],
    division: Division | None = None,
    digests: Mapping[Path, str] | None = None,
) -> Divided:
    """Give dev and test their utterances: by speakers, by recordings or files where none is known.

    Many are divided by a hash of each name, so that an utterance stays in its split whatever is
    added later. Of few, that would leave dev or test without any now and then: they are dealt out
    until dev and test have their share, one speaker at least, and great and small speakers (and
    genders, where they are given) in proportion.

    Args:
        division: sizes; a corpus with splits of its own is divided only where it lacks one and
            that one is asked for.
        digests: of audio files, so that two copies of one stay together.

    Raises:
        ValueError: a split is asked for that the corpus has, or a list names nobody.
    """
    division = division or Division()
    divided = Divided({name: list(members) for name, members in splits.items()})
    given = {"dev": division.dev, "test": division.test}
    for name, part in given.items():
        if part is not None and divided.splits.get(name):
            raise ValueError(f"--{name}: the corpus has a {name} set already; leave --{name} away")
    pool = divided.splits.pop(ALL, [])
    if pool:
        lacking = [name for name in given if not divided.splits.get(name)]
        parts = {n: HELD_OUT if (p := given[n]) is None else p for n in lacking}
    else:
        parts = {name: part for name, part in given.items() if part is not None}
        pool = divided.splits.pop("train", []) if parts else []
    if pool:
        wanted = {name: part for name, part in parts.items() if part != 0}
        _hold_out(divided, pool, wanted, digests or {})
    _warn_of_sizes(divided)
    if not divided.unit:
        _warn_of_known_voices(divided)
    return divided


def _hold_out(
    divided: Divided,
    pool: list[Utterance],
    parts: Mapping[str, Part],
    digests: Mapping[Path, str],
) -> None:
    """Move a pool's utterances to the splits: first those on a list, then the others by speaker."""
    for name, part in parts.items():
        if isinstance(part, frozenset):
            pool = _take_listed(divided, name, pool, part)
    total = len(pool)
    sizes = {
        name: part if isinstance(part, int) else math.ceil(round(part * total, 6))
        for name, part in parts.items()
        if not isinstance(part, frozenset)
    }
    divided.splits.setdefault("train", [])
    if not sizes:
        divided.splits["train"] += pool
        return
    by_key, divided.unit = _group(pool, len(sizes) + 1, digests)
    shares = [part for part in parts.values() if isinstance(part, float)]
    if len(by_key) >= MANY_KEYS and len(shares) == len(sizes):
        split_of = _split_by_hash(by_key, dict(zip(sizes, shares, strict=True)))
    else:
        split_of = _deal_out(_spread(by_key, divided.unit), by_key, sizes)
    for key, members in by_key.items():
        divided.splits.setdefault(split_of[key], []).extend(members)
    held = " and ".join(
        f"{len(divided.splits.get(name, []))} utterances of "
        f"{sum(split == name for split in split_of.values())} {divided.unit} went to {name}"
        for name in sizes
    )
    divided.notes.append(f"no split was given: {held}, by a hash of the name (splits.tsv)")
    if divided.unit == "files":
        divided.warnings.append(
            "fewer than three speakers are known, so files were divided and each speaker may be in "
            "all splits; if there are more, say who speaks: --speaker-from folder, a regular "
            "expression, or column:NAME"
        )


def _take_listed(
    divided: Divided, name: str, pool: list[Utterance], names: frozenset[str]
) -> list[Utterance]:
    """Move what a list names, by id or speaker, to a split; give what is left."""
    listed = [u for u in pool if {u.id, str(u.extra.get("speaker", ""))} & names]
    found = {n for u in listed for n in (u.id, str(u.extra.get("speaker", "")))}
    if missing := sorted(names - found):
        text = f"{len(missing)} of {len(names)} names are no id or speaker of a usable utterance"
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        if len(missing) == len(names):
            raise ValueError(f"--{name}: {text}: {shown}")
        divided.warnings.append(f"--{name}: {text}: {shown}")
    divided.splits.setdefault(name, []).extend(listed)
    divided.notes.append(f"{name} is {len(listed)} utterances that --{name} names")
    taken = {id(u) for u in listed}
    return [u for u in pool if id(u) not in taken]


def _group(
    pool: Sequence[Utterance], needed: int, digests: Mapping[Path, str]
) -> tuple[dict[str, list[Utterance]], str]:
    """Group utterances that must stay together, and say by what: speakers, if there are enough."""
    for unit in ("speaker", "recording"):
        if any(unit in u.extra for u in pool):
            by_key: dict[str, list[Utterance]] = {}
            for utterance in pool:
                by_key.setdefault(str(utterance.extra.get(unit, utterance.id)), []).append(
                    utterance
                )
            if len(by_key) >= needed:
                return by_key, f"{unit}s"
    by_file: dict[str, list[Utterance]] = {}
    first_of: dict[str, str] = {}
    for number, utterance in enumerate(pool):
        digest = digests.get(utterance.audio_filepath, str(number))
        # Ids of one split are its own, but several splits may have been put together.
        key = first_of.setdefault(digest, utterance.id if utterance.id not in by_file else digest)
        by_file.setdefault(key, []).append(utterance)
    if len(by_file) < needed:  # nearly all are copies, which the suspects will show
        by_file = {str(number): [utterance] for number, utterance in enumerate(pool)}
    return by_file, "files"


def _split_by_hash(keys: Iterable[str], shares: Mapping[str, float]) -> dict[str, str]:
    """Give each key the split that its name alone decides."""
    splits = {}
    for key in keys:
        number = _hash(key)
        place = number % 100 * 1000 + number // 100 % 1000  # of 100,000; percent come first
        splits[key] = "train"
        for name, share in shares.items():
            if 0 <= place < round(share * 100_000):
                splits[key] = name
            place -= round(share * 100_000)
    return splits


def _deal_out(
    order: Sequence[str], by_key: Mapping[str, Sequence[Utterance]], sizes: Mapping[str, int]
) -> dict[str, str]:
    """Give each split keys until it has its utterances, and leave one key for each of the others.

    A key of more than a third of all utterances is training's as long as there are others.
    """
    total = sum(map(len, by_key.values()))
    waiting = [key for key in order if 3 * len(by_key[key]) <= total]
    waiting += [key for key in order if 3 * len(by_key[key]) > total]
    splits = dict.fromkeys(by_key, "train")
    if len(by_key) <= len(sizes):
        return splits
    for left, (name, size) in zip(range(len(sizes), 0, -1), sizes.items(), strict=True):
        count = 0
        while len(waiting) > left and count < size:
            key = waiting.pop(0)
            splits[key] = name
            count += len(by_key[key])
    return splits


def _spread(by_key: Mapping[str, Sequence[Utterance]], unit: str) -> list[str]:
    """Order keys so that any first few hold all kinds in proportion; within a kind a hash decides.

    Kinds of files are their speakers; kinds of speakers are genders, where they are given, and
    those with few, more and many utterances.
    """
    by_size = sorted(by_key, key=lambda key: (len(by_key[key]), _hash(key)))
    kinds: dict[tuple[str, int], list[str]] = {}
    for rank, key in enumerate(by_size):
        extra = by_key[key][0].extra
        if unit == "files":
            kind = (str(extra.get("speaker", "")), 0)
        else:
            kind = (str(extra.get("gender", "")), 3 * rank // len(by_size))
        kinds.setdefault(kind, []).append(key)
    place = {
        key: ((number + 0.5) / len(members), _hash(key))
        for members in kinds.values()
        for number, key in enumerate(sorted(members, key=_hash))
    }
    return sorted(by_key, key=lambda key: place[key])


def _hash(key: str) -> int:
    return int(hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest(), 16)


def _warn_of_known_voices(divided: Divided) -> None:
    """Say which sets of a corpus hold speakers that training hears too."""
    heard = _speakers(divided.splits.get("train", []))
    for name in ("dev", "test"):
        speakers = _speakers(divided.splits.get(name, []))
        if known := speakers & heard:
            divided.warnings.append(
                f"{len(known)} of {len(speakers)} speakers of {name} are in train too, by the "
                "corpus: error rates measured there are of voices that training heard"
            )


def _speakers(utterances: Sequence[Utterance]) -> set[str]:
    return {str(u.extra["speaker"]) for u in utterances if u.extra.get("speaker") is not None}


def _warn_of_sizes(divided: Divided) -> None:
    """Say loudly what a training or a measurement would miss, and what helps."""
    if not divided.splits.get("train"):
        return  # a test set, noise, or sets with names of their own
    total = sum(map(len, divided.splits.values()))
    uses = {"dev": "training chooses its best epoch by it", "test": "a model is judged by it"}
    for name, use in uses.items():
        count = len(divided.splits.get(name, []))
        if count == 0:
            remedy = f"take it from train with --{name} 10% (or a number, or a list)"
            if divided.unit:  # and there was too little to be divided
                remedy = "record more"
            divided.warnings.append(f"NO {name.upper()} SET, and {use}: {remedy}")
        elif count < TINY:
            size = "ONE UTTERANCE" if count == 1 else f"TINY: {count} of {total} utterances"
            remedy = "record more"
            if 5 * count < total:
                remedy += f", or hold out more with --{name} 20%"
            if not divided.unit:
                remedy = "the corpus says so; record more"
            divided.warnings.append(
                f"{size} in {name}, and {use}: error rates measured there say little; {remedy}"
            )
