"""What every decoder is to those who call one."""

from typing import Protocol

from asr.decoding.hypothesis import Hypothesis
from asr.decoding.inputs import Lengths, LogProbs


class Decoder(Protocol):
    """Greedy, prefix or beam search, or anything that is called as they are."""

    def __call__(self, log_probs: LogProbs, lengths: Lengths = None) -> list[list[Hypothesis]]:
        """Decode (N, T, C) log-probabilities of (N,) frames: n-best lists, best first."""
        ...
