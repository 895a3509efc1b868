"""Where a long recording may be cut: in silences, told by their energy.

Networks read best what is as long as their training utterances, and every voice by itself. So a
long recording falls into pieces at its silences, each of which the network sees alone; none is
left out, since what is silence beside a loud voice may be a faint one.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

# A pause this long ends a piece. People pause for less between words of a sentence.
PAUSE_S = 0.4
# Longer pieces are cut at their longest silence, of at least SHORT_SILENCE_S.
LONG_PIECE_S = 6.0
SHORT_SILENCE_S = 0.1
# Shorter pieces would be too few to normalise features by.
MIN_PIECE_S = 1.0
# Resolution.
STEP_S = 0.01

# Decibels. Quiet is what lies below the floor by this part of the way from it to loud speech,
# or by that many; floors that no microphone has are those of edited files.
_QUIET_SHARE = 0.3
_QUIET_LEAST_DB = 6.0
_MAX_RANGE_DB = 45.0

Silence = tuple[int, int]  # samples [begin, end)


class SilenceFinder(Protocol):
    """Finds the silences of one recording while it is read."""

    def find(self, waveform: np.ndarray, first: int) -> list[Silence]:
        """Find those of a window, but for one that reaches its end: it may be longer.

        Args:
            waveform: (L,) samples of the recording from `first` on. No window begins before the
                last one, or after its end.
            first: the window's place in the recording.

        Returns:
            In order, as samples of the window.
        """
        ...


class EnergySilences:
    """Quiet is what lies near the floor of the window.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._step = int(STEP_S * sample_rate)

    def find(self, waveform: np.ndarray, first: int) -> list[Silence]:
        """As `SilenceFinder`; speech in the window tells what is loud."""
        step = self._step
        num_steps = len(waveform) // step
        if num_steps == 0:
            return []
        blocks = waveform[: num_steps * step].reshape(num_steps, step)
        level = 10 * np.log10(np.square(blocks, dtype=np.float64).mean(axis=1) + 1e-10)  # dB
        loud = np.percentile(level, 90)
        floor = max(np.percentile(level, 5), loud - _MAX_RANGE_DB)
        quiet = level < floor + max(_QUIET_LEAST_DB, _QUIET_SHARE * (loud - floor))
        return [(step * begin, step * end) for begin, end in find_stretches(quiet)]


# For a sample rate, what finds the silences of one recording.
MakeFinder = Callable[[int], SilenceFinder]


def find_stretches(silent: np.ndarray) -> list[tuple[int, int]]:
    """Say where stretches of True in (T,) begin and end, but for one that reaches the end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silent]).astype(np.int8))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=False))


def choose_cut(
    silences: Sequence[Silence], first: int, last: int, sample_rate: int, frame_samples: int
) -> int | None:
    """Say where the first piece of a recording ends.

    Args:
        silences: of a window of the recording.
        first: sample of the window where the piece begins.
        last: samples of the window.
        sample_rate: Hz.
        frame_samples: the cut is a multiple of it.

    Returns:
        The middle of a silence; None where there is none.
    """
    least, margin = (int(s * sample_rate) for s in (SHORT_SILENCE_S, MIN_PIECE_S))

    def before(last: int, shortest: int) -> list[tuple[int, int]]:
        """Lengths and cuts in silences between the piece's beginning and `last`."""
        found = [(end - begin, (begin + end) // 2) for begin, end in silences]
        found = [(length, _near(cut, frame_samples)) for length, cut in found if length >= shortest]
        return [(n, cut) for n, cut in found if first + margin <= cut <= last - margin]

    whole = before(last, int(PAUSE_S * sample_rate))
    cut = whole[0][1] if whole else None
    end = last if cut is None else cut
    while end - first > LONG_PIECE_S * sample_rate and (shorter := before(end, least)):
        _, cut = max(shorter)
        end = cut
    return cut


def _near(sample: int, multiple: int) -> int:
    return (sample + multiple // 2) // multiple * multiple
