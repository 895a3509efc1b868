"""What damaged files, odd lengths, kills, a full disk and a shared folder do: docs/reliability.md.

    python tests/reliability.py                          2,000 damaged files of each kind, 40 kills
    python tests/reliability.py --files 100 --kills 4    a quick look
    python tests/reliability.py --seed 7                 other cases

Every file that the project reads is damaged in many ways (bytes flipped, cut, doubled, inserted,
blanked; some become a pickle that writes a marker) and read in another process. Good is: it is
read, or refused by the exception of its kind in words that name it. Ends with 1 when anything else
happened. The full disk is a tmpfs that Linux's `unshare` mounts for one process.
"""

import argparse
import collections
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path[:0] = [str(Path(__file__).parent)]

MAX_LENGTH = 2000


def damage_files(cases: int, seed: int, folder: Path) -> bool:
    """Print a row a kind; return whether all went well."""
    from damaged_files import make_kinds
    from damaged_readers import READ, REFUSED, read_damaged, table_row

    marker = folder / "marker"
    kinds = make_kinds(folder, marker)
    outcomes = [collections.Counter() for _ in kinds]
    with tqdm(total=len(kinds) * cases, unit="file", smoothing=0.05) as bar:

        def count(number: int, outcome: str) -> None:
            outcomes[number][outcome] += 1
            bar.update()

        read_damaged(kinds, cases, seed, folder, count)
    print("| file | damaged | read all the same | refused by name | anything else |")
    print("|---|---:|---:|---:|---|")
    print("\n".join(map(table_row, kinds, outcomes)))
    total = sum(outcomes, collections.Counter())
    print(
        f"\n{total.total()} files; markers of pickles written: {int(marker.exists())}", flush=True
    )
    return total.keys() <= {READ, REFUSED} and not marker.exists()


def try_lengths() -> bool:
    """Recognise noise of every length with the model in the box."""
    import asr

    model = asr.load()
    noise = np.random.default_rng(0).normal(0, 0.1, MAX_LENGTH).astype(np.float32)
    outcomes: dict[str, list[int]] = {"read": [], "refused": [], "other": []}
    for length in tqdm(range(MAX_LENGTH + 1), unit="length"):
        try:
            found = model.transcribe(noise[:length], model.sample_rate)
            is_good = found.duration_s == length / model.sample_rate
            outcomes["read" if is_good else "other"].append(length)
        except ValueError as error:
            outcomes["refused" if str(error) else "other"].append(length)
        except Exception as error:
            print(f"{length} samples: {error!r}", file=sys.stderr)
            outcomes["other"].append(length)
    shown = [f"{len(n)} {name} ({min(n)} to {max(n)})" for name, n in outcomes.items() if n]
    print(f"\n{MAX_LENGTH + 1} lengths in samples: {', '.join(shown)}", flush=True)
    return not outcomes["other"] and max(outcomes["refused"]) < min(outcomes["read"])


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000, help="damaged files of each kind")
    parser.add_argument("--kills", type=int, default=40, help="kills of one training")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    # One thread a process: there is a process a core. And trainings fork from this one.
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    import interruptions
    from tiny import make_corpus

    with tempfile.TemporaryDirectory() as name:
        folder, corpus = Path(name), Path(name) / "corpus"
        good = damage_files(args.files, args.seed, folder)
        make_corpus(corpus)
        interruptions.load()
        rng = np.random.default_rng(args.seed)
        good &= interruptions.kill_training(corpus, folder, args.kills, rng)
        good &= interruptions.share_folder(corpus, folder, max(1, args.kills // 4))
        good &= interruptions.fill_disk(corpus, folder)
        good &= try_lengths()
    sys.exit(not good)


if __name__ == "__main__":
    main()
