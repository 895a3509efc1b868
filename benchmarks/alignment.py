"""Time forced_align against torchaudio.functional.forced_align, one utterance and a batch.

    python benchmarks/alignment.py

Paths are asserted to be identical first. torchaudio takes one utterance a call.
"""

import argparse
import statistics
import time
import warnings

import torch
import torchaudio
from turns import time_in_turns

from asr.ctc import forced_align

# Frames, classes, labels.
SHAPES = [
    (100, 29, 20),
    (400, 29, 80),
    (750, 29, 150),
    (1500, 29, 300),
    (2000, 29, 400),
    (3000, 32, 500),
    (400, 1024, 60),
]


def bench_row(num_frames: int, num_classes: int, num_labels: int, batch: int, repeats: int) -> None:
    """Print one line: `batch` utterances of a shape."""
    generator = torch.Generator().manual_seed(1)
    log_probs = torch.randn(num_frames, batch, num_classes, generator=generator).log_softmax(-1)
    targets = torch.randint(1, num_classes, (batch, num_labels), generator=generator)
    lengths = [num_frames] * batch, [num_labels] * batch
    utterances = [(log_probs[None, :, n].contiguous(), targets[None, n]) for n in range(batch)]

    def ours() -> torch.Tensor:
        return forced_align(log_probs, targets, *lengths)[0]

    def theirs() -> torch.Tensor:
        found = [torchaudio.functional.forced_align(x, y, blank=0)[0][0] for x, y in utterances]
        return torch.stack(found).long()

    assert torch.equal(ours(), theirs()), "paths differ"
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds = time_in_turns([ours, theirs], repeats, [clock, clock])
    least = [min(times) for times in seconds]
    middle = [statistics.median(times) for times in seconds]
    print(
        f"{num_frames:6d}{num_classes:6d}{num_labels:6d}{batch:4d}{torch.get_num_threads():4d}"
        f"{1e3 * least[0]:10.3f}{1e3 * least[1]:12.3f}{least[1] / least[0]:8.1f}"
        f"{middle[1] / middle[0]:8.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="torchaudio")
    print(f"torch {torch.__version__}, torchaudio {torchaudio.__version__}")
    print("     T     C     S   N  th   ours ms  torchaudio   min x   med x")
    for num_threads in options.threads:
        torch.set_num_threads(num_threads)
        for shape in SHAPES:
            for batch in (1, 8):
                bench_row(*shape, batch, options.repeats)


if __name__ == "__main__":
    main()
