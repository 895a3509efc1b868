"""Silences as silero-vad hears them: where nobody speaks, however loud it is.

A small network tells speech from other sounds, 31 times a second. Its file is in the wheel of
silero-vad, whose own code is not run: it sets PyTorch's threads for the whole process.

Source: https://github.com/snakers4/silero-vad (MIT).
"""

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from asr.acoustic.silences import EnergySilences, MakeFinder, Silence, find_stretches
from asr.resampling import resample

# What the network takes: frames at this rate, each behind the last samples of the one before.
_RATE = 16000
_FRAME = 512
_CONTEXT = 64
_STATE = (1, 1, 128)
# Frames whose samples are a whole number at any rate in Hz: 4 s.
_BLOCK = 125
_BLOCK_S = _BLOCK * _FRAME // _RATE
# Speech begins at this probability and ends below that one, as in silero-vad's own code.
_BEGINS = 0.5
_ENDS = 0.35


CUTS = ("energy", "silero")


def choose_finder(cut: str) -> MakeFinder:
    """Say what finds the silences of long recordings.

    Args:
        cut: one of `CUTS`.

    Raises:
        ValueError: it is none of these, or as `SileroSilences`.
    """
    if cut not in CUTS:
        raise ValueError(f"cut must be one of {', '.join(CUTS)}, got {cut!r}")
    if cut == "energy":
        return EnergySilences
    open_silero()
    return SileroSilences


class SileroSilences:
    """The silences of one recording; every sample goes through the network once or twice.

    Args:
        sample_rate: Hz; others than 16 kHz are converted for this network alone.

    Raises:
        ValueError: silero-vad or onnxruntime is not installed; says what to do.
    """

    def __init__(self, sample_rate: int) -> None:
        self._session = open_silero()
        self._rate = sample_rate
        self._num_read = 0
        self._waiting = np.empty(0, np.float32)  # read, but no whole block
        self._spoken = np.empty(0, bool)  # frames of whole blocks, from `_first_frame` on
        self._first_frame = 0
        self._speaking = False
        self._context = np.zeros(_CONTEXT, np.float32)
        self._state = np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32)

    def find(self, waveform: np.ndarray, first: int) -> list[Silence]:
        """As `SilenceFinder`."""
        self._waiting = np.concatenate([self._waiting, waveform[self._num_read - first :]])
        self._num_read = first + len(waveform)
        block = _BLOCK_S * self._rate
        while len(self._waiting) >= block:
            self._advance(self._waiting[:block])
            self._waiting = self._waiting[block:]
        self._forget(first)
        rest, _, _ = self._run(self._waiting)
        spoken = np.concatenate([self._spoken, [*_follow(rest, self._speaking)]]).astype(bool)
        borders = (self._first_frame + np.arange(len(spoken) + 1)) * _FRAME * self._rate // _RATE
        places = np.maximum(borders - first, 0).tolist()  # of frames, in the window
        return [(places[begin], places[end]) for begin, end in find_stretches(~spoken)]

    def _advance(self, block: np.ndarray) -> None:
        probabilities, self._context, self._state = self._run(block)
        spoken = [*_follow(probabilities, self._speaking)]
        self._speaking = spoken[-1]
        self._spoken = np.concatenate([self._spoken, spoken])

    def _forget(self, first: int) -> None:
        """Drop frames before a sample of the recording."""
        past = first * _RATE // (_FRAME * self._rate) - self._first_frame
        past = min(past, len(self._spoken))
        self._spoken = self._spoken[past:]
        self._first_frame += past

    def _run(
        self, waveform: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Compute the probability of speech (T,) in whole frames, the next context and state."""
        samples = resample(waveform, self._rate, _RATE)
        num_frames = len(samples) // _FRAME
        if num_frames == 0:
            return np.empty(0, np.float32), self._context, self._state
        frames = samples[: num_frames * _FRAME].reshape(num_frames, _FRAME)
        contexts = np.concatenate([self._context[None], frames[:, -_CONTEXT:]])
        seen = np.concatenate([contexts[:-1], frames], axis=1)  # (T, 576)
        inputs = {"input": seen, "h": self._state[0], "c": self._state[1]}
        probabilities, hidden, cell = self._session.run(["speech_probs", "hn", "cn"], inputs)
        return probabilities.reshape(-1), contexts[-1], (hidden, cell)


def _follow(probabilities: np.ndarray, speaking: bool) -> Iterator[bool]:
    """Say of each frame whether it is speech, after one that was or was not."""
    for probability in probabilities.tolist():
        speaking = probability >= (_ENDS if speaking else _BEGINS)
        yield speaking


@lru_cache(maxsize=1)
def open_silero() -> Any:  # noqa: ANN401
    """Open the network in onnxruntime, on one core of the CPU.

    Raises:
        ValueError: as `SileroSilences`.
    """
    spec = find_spec("silero_vad")
    folder = next(iter(spec.submodule_search_locations or []), "") if spec else ""
    path = Path(folder, "data", "silero_vad_16k_sequence.onnx")
    if not path.is_file() or find_spec("onnxruntime") is None:
        raise ValueError("cut=silero needs silero-vad: pip install 'ctc-asr[vad]'")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
