"""How far forced alignment's word boundaries are from known ones, in milliseconds.

    python benchmarks/alignment_accuracy.py --checkpoint A.ckpt B.ckpt --fsdd-root data/fsdd

The test strings of conf/data/fsdd_connected.yaml are single recorded digits with pauses between
them, so that each word's start and end are known to the sample: its clip's edges. Clips are trimmed
close to the word, not exactly: what is left of silence in them counts against every row alike.
The first row, `even spread`, has heard nothing: it shares out the string's time by letters.

Intervals are 95 %, bootstrapped over strings; the same draws for every row, so that the last lines
are paired differences of checkpoints to the first one.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from asr.acoustic.checkpoint import load_checkpoint
from asr.alignment.aligner import align_each
from asr.cli.environment import environment
from asr.cli.hydra_config import build, compose_config
from asr.corpora.connected_digits import ComposedUtterance
from asr.data.unusable import Unusable

REPLICATES = 2000
MAX_TABLE_GB = 1.0  # strings of seven digits need a millionth of it


class Errors(NamedTuple):
    """Estimated minus known times of one checkpoint, for every word of every string."""

    name: str
    starts_ms: np.ndarray  # (words,)
    ends_ms: np.ndarray  # (words,)
    strings: np.ndarray  # (words,) which string a word is of


def known_boundaries(utterance: ComposedUtterance) -> np.ndarray:
    """Return (words, 2) seconds: where each clip was put, and where it ends."""
    durations = np.array([clip.duration for clip in utterance.clips])
    pauses = np.array(utterance.pauses_s[: len(durations)])
    starts = np.cumsum(pauses) + np.cumsum(durations) - durations
    return np.stack([starts, starts + durations], axis=1)


def spread_evenly(utterance: ComposedUtterance) -> np.ndarray:
    """Return (words, 2) seconds: the string's time shared out by letters, without pauses."""
    letters = np.cumsum([0, *(len(word) for word in utterance.text.split())])
    borders = letters / letters[-1] * utterance.duration
    return np.stack([borders[:-1], borders[1:]], axis=1)


def compare(
    name: str, utterances: Sequence[ComposedUtterance], found: Sequence[np.ndarray]
) -> Errors:
    known = [known_boundaries(utterance) for utterance in utterances]
    errors = 1000 * (np.concatenate(list(found)) - np.concatenate(known))  # (words, 2)
    strings = np.repeat(np.arange(len(known)), [len(words) for words in known])
    return Errors(name, errors[:, 0], errors[:, 1], strings)


def align(path: Path, utterances: Sequence[ComposedUtterance]) -> Errors:
    """Align all strings with a checkpoint; a string that cannot be aligned stops the benchmark."""
    model = load_checkpoint(path)
    found = []
    results = align_each(model, utterances, MAX_TABLE_GB)
    for result in tqdm(results, desc=str(path), total=len(utterances), leave=False):
        if isinstance(result, Unusable):
            raise SystemExit(f"{path}: {result.id} cannot be aligned: {result.reason}")
        found.append(np.array([[word.start_s, word.end_s] for word in result.words]))
    return compare(str(path), utterances, found)


def interval(values: np.ndarray, strings: np.ndarray, draws: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean of `values` over strings drawn with replacement."""
    size = draws.shape[1]
    sums = np.bincount(strings, values, size)[draws].sum(axis=1)
    means = sums / np.bincount(strings, minlength=size)[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def format_row(errors: Errors, draws: np.ndarray) -> str:
    cells = [errors.name]
    for values in (errors.starts_ms, errors.ends_ms):
        size = np.abs(values)
        low, high = interval(size, errors.strings, draws)
        cells += [
            f"{size.mean():.1f}",
            f"{low:.1f} - {high:.1f}",
            f"{np.median(size):.1f}",
            f"{values.mean():+.1f}",
            f"{100 * (size <= 50).mean():.1f}",
        ]
    return f"| {' | '.join(cells)} |"


def format_difference(first: Errors, other: Errors, draws: np.ndarray) -> str:
    parts = []
    for side in ("starts", "ends"):
        pair = [np.abs(getattr(errors, f"{side}_ms")) for errors in (other, first)]
        low, high = interval(pair[0] - pair[1], first.strings, draws)
        parts.append(f"{side} {(pair[0] - pair[1]).mean():+.1f} ({low:+.1f} - {high:+.1f}) ms")
    return f"{other.name} minus {first.name}, mean absolute error: {', '.join(parts)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, nargs="+", required=True)
    parser.add_argument("--fsdd-root", type=Path, default=Path("data/fsdd"))
    parser.add_argument("--split", choices=["dev", "test"], default="test")
    options = parser.parse_args()
    words = ["data=fsdd_connected", f"data.root={options.fsdd_root.resolve()}"]
    corpus = build(compose_config("train", words)["data"], options.split)
    utterances = corpus.utterances(0)
    rows = [compare("even spread", utterances, [spread_evenly(u) for u in utterances])]
    rows += [align(path, utterances) for path in options.checkpoint]
    draws = np.random.default_rng(0).integers(len(utterances), size=(REPLICATES, len(utterances)))
    facts = environment()
    print(f"commit {facts['commit']}, {options.split} strings of {options.fsdd_root}")
    print(f"{len(utterances)} strings, {len(rows[0].strings)} words; milliseconds, absolute errors")
    print("\n| checkpoint | starts, mean | 95 % | median | bias | <= 50 ms, % ", end="")
    print("| ends, mean | 95 % | median | bias | <= 50 ms, % |")
    print("|---|" + "---:|" * 10)
    for row in rows:
        print(format_row(row, draws))
    for row in rows[2:]:
        print(format_difference(rows[1], row, draws))


if __name__ == "__main__":
    main()
