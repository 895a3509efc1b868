"""What the decoders return, and how their input becomes arrays the native code reads.

Takes log-probabilities (N, T, C) or (T, C) of any float type, numpy, torch or nested lists; gives
one list of hypotheses per utterance, best first. All scores are natural logarithms.
"""

import operator
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asr import _native

LogProbs = Any  # numpy array, torch tensor or nested lists: checked by `as_batch`
Lengths = Any  # None, an int, or a sequence, array or tensor of them

_NATIVE_TYPES = (np.dtype(np.float32), np.dtype(np.float64))  # of this machine's byte order


class Word(NamedTuple):
    """A word and where it was heard.

    Attributes:
        word: its text.
        start_frame: frame of the spike of its first token.
        end_frame: one past the frame of the spike of its last token.
        confidence: in [0, 1], the product of its tokens' probabilities at their spikes.
    """

    word: str
    start_frame: int
    end_frame: int
    confidence: float


class Hypothesis(NamedTuple):
    """One way to read an utterance.

    Attributes:
        text: the words joined by one space.
        tokens: strings of the labelling, separators included.
        score: what is ranked.
        acoustic_score: ln of the labelling's probability, summed over its alignments (greedy: of
            its best path).
        lm_score: ln probability of the words and the end of the sentence, unweighted; 0 without a
            language model.
        words: the words with frames and confidence.
        token_ids: class of each token.
        token_frames: frame of each token's spike.
        bound_hit: prefix search stopped at its bound before it could prove this result the best; or
            no whole text of lexicon or grammar was in the beam, and this is the best prefix's.
    """

    text: str
    tokens: tuple[str, ...]
    score: float
    acoustic_score: float
    lm_score: float
    words: tuple[Word, ...]
    token_ids: tuple[int, ...]
    token_frames: tuple[int, ...]
    bound_hit: bool = False


def hypothesis_factory(tokens: list[str]) -> _native.HypothesisFactory:
    """Tell the native decoders what their results are made of."""
    return _native.HypothesisFactory(tokens, Hypothesis, Word)


def as_batch(
    log_probs: LogProbs, lengths: Lengths, num_classes: int
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.int64] | None]:
    """Check a batch and bring it into the form the native code reads.

    Args:
        log_probs: (N, T, C) or (T, C), natural logarithms.
        lengths: (N,) frames of each utterance, 0..T; None means T for all. For (T, C) an int.
        num_classes: C the decoder was made for.

    Returns:
        (N, T, C) float32 or float64 whose classes are contiguous, and lengths (N,) int64 or None.

    Raises:
        TypeError: log_probs are not floating point, or lengths not integers.
        ValueError: a wrong number of dimensions or classes, or a length out of range.
    """
    array = _as_floats(log_probs)
    if array.ndim not in (2, 3):
        raise ValueError(f"log_probs must be (N, T, C) or (T, C), got shape {array.shape}")
    single = array.ndim == 2
    if array.shape[-1] != num_classes:
        raise ValueError(
            f"log_probs must have C={num_classes} classes, one per token, got {array.shape[-1]} "
            f"in utterance 0, frame 0 (shape {array.shape})"
        )
    if single:
        array = array[np.newaxis]  # (1, T, C)
    if array.strides[-1] != array.itemsize or not array.flags.aligned:
        array = np.array(array, order="C")
    if lengths is None:
        return array, None
    return array, _as_lengths(lengths, array.shape[0], array.shape[1], single=single)


def _to_numpy(values: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    """Copy a tensor from any device; leave arrays as they are."""
    if type(values) is np.ndarray:
        return values
    torch = sys.modules.get("torch")  # no tensor exists before torch is imported
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return np.asarray(values)


def _as_floats(log_probs: LogProbs) -> npt.NDArray[np.floating]:
    array = _to_numpy(log_probs)
    if array.dtype in _NATIVE_TYPES:
        return array
    if array.size == 0:  # an empty list has no type of its own
        return array.astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"log_probs must be floating point, got {array.dtype}")
    return array.astype(np.float32 if array.itemsize < 8 else np.float64)


def _as_lengths(
    lengths: Lengths, num_utterances: int, num_frames: int, *, single: bool
) -> npt.NDArray[np.int64]:
    array = _to_numpy(lengths)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"lengths must be integers, got {array.dtype}")
    if single and array.ndim == 0:
        array = array[np.newaxis]
    if array.shape != (num_utterances,):
        raise ValueError(f"lengths must have shape ({num_utterances},), got {array.shape}")
    for utterance in np.flatnonzero((array < 0) | (array > num_frames))[:1]:
        raise ValueError(
            f"lengths must be in 0..T={num_frames}, got {array[utterance]} for utterance "
            f"{utterance}"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def check_tokens(tokens: Sequence[str]) -> list[str]:
    """Refuse what is no list of strings."""
    if isinstance(tokens, str) or not all(isinstance(token, str) for token in tokens):
        raise TypeError("tokens must be a sequence of strings, one per class")
    return list(tokens)


def check_at_least(name: str, value: int, least: int) -> int:
    """Refuse integers below `least`."""
    value = operator.index(value)
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
    return value
