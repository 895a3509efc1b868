"""An exported model in onnxruntime: waveforms in, log-probabilities out."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from asr.acoustic.chunks import Chunk, check_longest, check_shortest, keep_core, num_seen
from asr.files import read_bytes
from asr.runtime.facts import KEY, ModelFileError, read_facts
from asr.runtime.statics import make_statics

INPUTS = ["x", "x_lens"]
OUTPUTS = ["log_probs", "log_probs_len"]


class OnnxModel:
    """A file of `asr export format=onnx`, ready to compute.

    Args:
        path: the file.
        num_threads: of onnxruntime; 0 for one a core.

    Attributes:
        facts: what the file says of itself.

    Raises:
        ModelFileError: the file is missing, broken, or of another program.
        ModuleNotFoundError: onnxruntime is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], num_threads: int = 0) -> None:
        if num_threads < 0:
            raise ValueError(f"num_threads must be >= 0, got {num_threads}")
        self._session = open_session(path, num_threads)
        text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        self.facts = read_facts(text, path)
        self._statics = None
        if self.facts.graph_input == "statics":
            try:
                self._statics = make_statics(self.facts.statics)
            except ValueError as error:
                raise ModelFileError(f"{path}: metadata {KEY!r}: {error}") from error
        self._check_graph(path)

    @property
    def sample_rate(self) -> int:
        """Hz that waveforms must have."""
        return self.facts.sample_rate

    @property
    def tokens(self) -> list[str]:
        """What a decoder is made with."""
        return self.facts.tokens

    @property
    def seconds_per_frame(self) -> float:
        """Time between two frames of the output; infinite where each stands for a clip."""
        if self.facts.max_samples:
            return math.inf
        return self.facts.samples_per_frame / self.sample_rate

    def check_length(self, num_samples: int) -> None:
        """Refuse what is too short for the network, or too long.

        Raises:
            ValueError: so many samples give no frame, or more than a model of clips takes.
        """
        check_longest(num_samples, self.sample_rate, self.facts.max_samples)
        check_shortest(num_samples, self.sample_rate, self.facts.num_frames)

    def graph_input(self, waveform: np.ndarray) -> np.ndarray:
        """Compute what the graph takes of a waveform (L,): (T, S), or the samples themselves."""
        waveform = np.ascontiguousarray(waveform, np.float32)
        return waveform if self._statics is None else self._statics(waveform)

    def run(self, x: np.ndarray, x_lens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run the graph on a padded batch of `graph_input`: log_probs (N, T, C), lengths (N,)."""
        log_probs, lengths = self._session.run(OUTPUTS, {"x": x, "x_lens": x_lens})
        return log_probs, lengths

    def log_probs(self, waveform: np.ndarray) -> np.ndarray:
        """Compute log-probabilities (T, C) of a waveform (L,) of at most some seconds."""
        x = self.graph_input(waveform)
        log_probs, lengths = self.run(x[None], np.array([len(x)], np.int64))
        return log_probs[0, : int(lengths[0])]

    def chunk_log_probs(self, chunk: Chunk) -> np.ndarray:
        """Compute log-probabilities (T, C) of a chunk's core."""
        step = self.facts.samples_per_frame
        seen = num_seen(chunk, self.facts.hop_length, step, self.facts.num_frames)
        return keep_core(self.log_probs(chunk.samples[:seen]), chunk, step, self.tokens)

    def _check_graph(self, path: object) -> None:
        """Refuse a graph that is not that of the metadata."""
        names = [item.name for item in self._session.get_inputs()]
        outputs = self._session.get_outputs()
        if names != INPUTS or [item.name for item in outputs] != OUTPUTS:
            raise ModelFileError(f"{path}: the graph must map {INPUTS} to {OUTPUTS}")
        classes = outputs[0].shape[-1]
        if classes != len(self.tokens):
            raise ModelFileError(
                f"{path}: the graph gives {classes} classes, the metadata {len(self.tokens)} tokens"
            )
        sizes = self._session.get_inputs()[0].shape[2:]
        wanted = [] if self._statics is None else [self._statics.size]
        if sizes != wanted:
            raise ModelFileError(f"{path}: the graph takes {sizes} values a frame, not {wanted}")


def open_session(path: str | os.PathLike[str], num_threads: int = 0) -> Any:  # noqa: ANN401
    """Open an ONNX file in onnxruntime, on the CPU.

    Raises:
        ModelFileError: it is missing or no such file.
        ModuleNotFoundError: onnxruntime is not installed.
    """
    import onnxruntime

    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 4  # what is wrong is raised
    try:
        content = read_bytes(path)
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a dozen types of onnxruntime's own
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{path}: not a readable ONNX file: {reason}") from error
