"""Defects of what arrives in pieces."""

from defect import Defect

STREAMING_DEFECTS = (
    Defect(
        "streams: a recurrent layer forgets at every piece",
        "asr/models/streaming.py",
        "    return y, after if isinstance(after, tuple) else (after,)",
        "    return y, cell",
        ("models/test_streaming.py",),
    ),
    Defect(
        "streams: mirrored samples at the end lie one too early",
        "asr/features/streaming.py",
        "self._held[:, self._held.shape[1] - missing :].flip(1)",
        "self._held[:, self._held.shape[1] - missing - 1 : -1].flip(1)",
        ("features/test_streaming.py",),
    ),
    Defect(
        "streams: what the network saw of the next utterance is lost",
        "asr/recognition/streaming.py",
        "        self._num_fed = self._held_from\n",
        "",
        ("recognition/test_streaming.py",),
    ),
)
