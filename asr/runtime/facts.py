"""What an exported file says of itself: all that is needed beside the graph to turn audio to text.

Written into ONNX's metadata, or into TorchScript's extra files, as one JSON text.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from asr.files import parse_json
from asr.resampling import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE

# Where the text stands: a key of ONNX's metadata, and a name of TorchScript's extra files.
KEY = "asr"
FILE = "asr.json"
FORMAT = 1

# What the graph takes: frames of `asr.runtime.statics` (N, T, S), or samples (N, L).
GraphInput = Literal["statics", "samples"]


class ModelFileError(ValueError):
    """An exported file that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True)
class Facts:
    """What an exported file says of itself.

    Attributes:
        tokens: C strings in the order of the classes, the blank first.
        sample_rate: Hz that the graph, or what computes its input, takes.
        graph_input: "statics" or "samples".
        statics: options of `asr.runtime.statics.Statics`; empty where the graph takes samples.
        hop_length: samples between frames of the input.
        samples_per_frame: samples between two frames of the output.
        frame_steps: how frames of the output follow from samples: each (a, d, m) makes
            max(0, n + a) // d * m of n, one after the other.
        clip_frames: frames that come out of any clip, of models of whole clips; otherwise 0.
        max_samples: of the longest clip of such a model; 0 for any.
        separates_words: whether texts have spaces between words.
    """

    tokens: list[str]
    sample_rate: int
    graph_input: GraphInput
    statics: dict[str, Any]
    hop_length: int
    samples_per_frame: int
    frame_steps: list[list[int]]
    clip_frames: int
    max_samples: int
    separates_words: bool

    def num_frames(self, num_samples: int) -> int:
        """Count frames of the output for that many samples."""
        frames = num_samples
        for offset, divisor, factor in self.frame_steps:
            frames = max(0, frames + offset) // divisor * factor
        return self.clip_frames * min(frames, 1) if self.clip_frames else frames

    def to_json(self) -> str:
        """Write as JSON."""
        return json.dumps({"format": FORMAT} | asdict(self), ensure_ascii=False)


def read_facts(text: str | None, path: object) -> Facts:
    """Read what `Facts.to_json` wrote; anybody may have changed it.

    Args:
        text: the JSON text, or None where the file has none.
        path: of the file, for messages.

    Raises:
        ModelFileError: it is missing, no such text, or its values cannot be.
    """
    if text is None:
        raise ModelFileError(
            f"{path}: metadata has no key {KEY!r}: the file was not written by `asr export`"
        )
    try:
        record = parse_json(text)
        if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
            raise ValueError(f"format must be {FORMAT}")
        names = {field.name for field in fields(Facts)}
        if wrong := names ^ set(record):
            raise ValueError(f"keys must be {', '.join(sorted(names))}; {sorted(wrong)} differ")
        facts = Facts(**record)
        _check(facts)
    except (ValueError, TypeError) as error:
        raise ModelFileError(f"{path}: metadata {KEY!r}: {error}") from error
    return facts


def _check(facts: Facts) -> None:
    numbers = (facts.hop_length, facts.samples_per_frame, facts.clip_frames, facts.max_samples)
    if not all(type(number) is int and 0 <= number < 2**40 for number in numbers):
        raise ValueError(f"sizes must be integers >= 0, got {numbers}")
    if facts.hop_length < 1 or facts.samples_per_frame < 1:
        raise ValueError(f"hop_length and samples_per_frame must be >= 1, got {numbers[:2]}")
    rate = facts.sample_rate
    if type(rate) is not int or not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise ValueError(
            f"sample_rate must be {MIN_SAMPLE_RATE}..{MAX_SAMPLE_RATE} Hz, got {rate!r}"
        )
    if facts.graph_input not in ("statics", "samples"):
        raise ValueError(f"graph_input must be statics or samples, got {facts.graph_input!r}")
    steps = facts.frame_steps
    if not isinstance(steps, list) or not all(
        isinstance(step, list) and [type(n) for n in step] == [int] * 3 and step[1] > 0
        for step in steps
    ):
        raise ValueError(f"frame_steps must be triples of integers, got {steps!r}")
    if not isinstance(facts.tokens, list) or not all(isinstance(t, str) for t in facts.tokens):
        raise ValueError("tokens must be a list of strings")
