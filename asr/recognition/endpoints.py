"""When an utterance of a stream has ended.

Three rules, looked at after every frame; each asks for silence, which is frames whose best token
is the blank or a separator of words, at the end of the utterance so far:

    words were said, and `silence_s` of silence follow
    words were said for `long_s`, and `long_silence_s` follow
    nothing was said in `empty_s`
    the utterance lasts `longest_s`, and one silent frame follows; or twice as long

Source: Kaldi, src/online2/online-endpoint.h, whose rules these follow; that the decoder of CTC asks
for blanks instead of silence phones is sherpa-onnx's way.
"""

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Endpoints:
    """When utterances end; seconds, > 0.

    Attributes:
        silence_s: silence after words that ends an utterance.
        long_s: length from which an utterance ends at shorter silences.
        long_silence_s: those.
        longest_s: length from which it ends at the next silent frame, which may be within a word.
        empty_s: silence without words that is forgotten; nothing comes of it.

    Raises:
        ValueError: a value is out of its range.
    """

    silence_s: float = 0.8
    long_s: float = 20.0
    long_silence_s: float = 0.2
    longest_s: float = 30.0
    empty_s: float = 2.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < math.inf:
                raise ValueError(f"{field.name} must be > 0 s, got {value}")
        if self.long_s > self.longest_s:
            raise ValueError(
                f"long_s <= longest_s must hold, got {self.long_s} and {self.longest_s}"
            )

    def has_ended(self, length_s: float, silence_s: float, *, has_words: bool) -> bool:
        """Whether an utterance of `length_s`, the last `silence_s` of it silent, is over."""
        if length_s >= (self.longest_s if silence_s > 0 else 2 * self.longest_s):
            return True
        if not has_words:
            return silence_s >= self.empty_s
        least_s = self.long_silence_s if length_s >= self.long_s else self.silence_s
        return silence_s >= least_s

    def is_pause(self, silence_s: float) -> bool:
        """Whether that much silence stands between utterances, not within a word."""
        return silence_s >= min(self.silence_s, self.long_silence_s)


DEFAULT_ENDPOINTS = Endpoints()
