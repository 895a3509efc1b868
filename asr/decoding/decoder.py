"""What every decoder is to those who call one."""

from typing import Protocol, runtime_checkable

from asr.decoding.hypothesis import Hypothesis
from asr.decoding.inputs import Lengths, LogProbs
from asr.decoding.streaming import Partial


class Decoder(Protocol):
    """Greedy, prefix or beam search, or anything that is called as they are."""

    def __call__(self, log_probs: LogProbs, lengths: Lengths = None) -> list[list[Hypothesis]]:
        """Decode (N, T, C) log-probabilities of (N,) frames: n-best lists, best first."""
        ...


class DecoderStream(Protocol):
    """One utterance that arrives in pieces."""

    def push(self, log_probs: LogProbs) -> None:
        """Add the next (T, C), T >= 0."""
        ...

    def partial(self) -> Partial:
        """Describe what is known so far."""
        ...

    def finish(self) -> list[Hypothesis]:
        """End the utterance: return what a call with all frames gives, best first."""
        ...


@runtime_checkable
class StreamingDecoder(Protocol):
    """A decoder of utterances that arrive in pieces: greedy and beam search."""

    def stream(self) -> DecoderStream:
        """Begin an utterance; any number may be open at a time."""
        ...
