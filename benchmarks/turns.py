"""Times of competitors that take turns, for the other benchmarks."""

import time
from collections.abc import Callable, Sequence

# OpenMP's threads go on spinning for a while, on the cores of whoever is next.
PAUSE_S = 0.05


def time_in_turns(
    runs: Sequence[Callable[[], object]],
    repeats: int,
    clocks: Sequence[Callable[[], float]],
    seconds: float = 0.02,
) -> list[list[float]]:
    """Return the durations of each run; one that is short is timed many times at once.

    Args:
        runs: what is timed, `repeats` times over after a first round that warms up.
        clocks: of each run; clocks of processor time spare the pauses between the runs.
        seconds: what a measurement should take at least.
    """
    durations: list[list[float]] = [[] for _ in runs]
    counts = [1] * len(runs)
    for trial in range(repeats + 1):
        for i, run in enumerate(runs):
            if clocks[i] is time.perf_counter:
                time.sleep(PAUSE_S)
            start = clocks[i]()
            for _ in range(counts[i]):
                run()
            elapsed = (clocks[i]() - start) / counts[i]
            if trial == 0:
                counts[i] = max(1, round(seconds / max(elapsed, 1e-6)))
            else:
                durations[i].append(elapsed)
    return durations
