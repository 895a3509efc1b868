"""What the decoders take -> arrays that the native code reads.

Log-probabilities, logits or probabilities (N, T, C) or (T, C) of any float type, numpy, torch or
nested lists.
"""

import operator
import sys
from collections.abc import Mapping, Sequence, Set
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

LogProbs = Any  # numpy array, torch tensor or nested lists: checked by `as_batch`
Lengths = Any  # None, an int, or a sequence, array or tensor of them
Input = Literal["log_probs", "logits", "probs"]

_NATIVE_TYPES = (np.dtype(np.float32), np.dtype(np.float64))  # of this machine's byte order
# Utterances of one frame that nobody gave lengths: so many are one utterance of so many frames.
_MAX_SINGLE_FRAMES = 10
_MAX_SUM = 1.01  # of a frame's probabilities; half precision rounds
_WORD_MARK = "\u2581"


def as_batch(
    log_probs: LogProbs,
    lengths: Lengths,
    num_classes: int,
    input: Input = "log_probs",
    first_frame: int = 0,
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.int64] | None]:
    """Check a batch and bring it into the form the native code reads.

    That the values are log-probabilities is seen by the native code, as it reads them.

    Args:
        log_probs: (N, T, C) or (T, C).
        lengths: (N,) frames of each utterance, 0..T; None means T for all. For (T, C) an int.
        num_classes: C the decoder was made for.
        input: what the values are.
        first_frame: number of the first frame within its utterance, for messages.

    Returns:
        (N, T, C) float32 or float64 natural logarithms whose classes are contiguous, and lengths
        (N,) int64 or None.

    Raises:
        TypeError: log_probs are not floating point, or lengths not integers.
        ValueError: a list of utterances of different lengths, a wrong number of dimensions or
            classes, a length out of range, many utterances of one frame without lengths, or
            probabilities that are none.
    """
    array = as_floats(log_probs)
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
    if lengths is None and array.shape[1] == 1 and len(array) > _MAX_SINGLE_FRAMES:
        raise ValueError(
            f"log_probs of shape {array.shape} are {len(array)} utterances of one frame: give (T, "
            "C) or (1, T, C) for one utterance, or lengths if that is what they are"
        )
    frames = None
    if lengths is not None:
        frames = _as_lengths(lengths, array.shape[0], array.shape[1], single=single)
    if input != "log_probs":
        array = _to_log_probs(array, frames, input, first_frame)
    if array.strides[-1] != array.itemsize or not array.flags.aligned:
        array = np.array(array, order="C")
    return array, frames


def _to_log_probs(
    array: npt.NDArray[np.floating],
    lengths: npt.NDArray[np.int64] | None,
    input: Input,
    first_frame: int,
) -> npt.NDArray[np.floating]:
    if input == "logits":
        return log_softmax(array)
    if input != "probs":
        raise ValueError(f"input must be 'log_probs', 'logits' or 'probs', got {input!r}")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total = array.sum(axis=-1)  # (N, T)
        bad = ~((array >= 0).all(axis=-1) & (total <= _MAX_SUM))
        if lengths is not None:
            bad &= np.arange(array.shape[1]) < lengths[:, np.newaxis]
        for utterance, frame in np.argwhere(bad)[:1]:
            raise ValueError(
                "probs must be at least 0 and sum to at most 1 in each frame, got "
                f"{array[utterance, frame].min():.6g} and more, {total[utterance, frame]:.6g} in "
                f"all, in utterance {utterance}, frame {first_frame + frame}"
            )
        return np.log(array)


def log_softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Normalise over the last axis; rows of -inf stay so, NaN and +inf leave NaN."""
    peak = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    peak[~np.isfinite(peak)] = 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        masses = logits - peak
        total = np.log(np.exp(masses, out=masses).sum(axis=-1, keepdims=True))
        total[total == -np.inf] = 0
        return logits - (peak + total)


def _to_numpy(values: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    """Copy a tensor from any device; leave arrays as they are."""
    if type(values) is np.ndarray:
        return values
    torch = sys.modules.get("torch")  # no tensor exists before torch is imported
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    first = values[0] if isinstance(values, list | tuple) and values else None
    if torch is not None and isinstance(first, torch.Tensor):
        return np.asarray([_to_numpy(value) for value in values])
    return np.asarray(values)


def as_floats(log_probs: LogProbs) -> npt.NDArray[np.floating]:
    """Bring any container to an array of float32 or float64."""
    try:
        array = _to_numpy(log_probs)
    except ValueError as error:
        raise ValueError(
            "log_probs must be one array: pad utterances of different lengths to (N, T, C), and "
            "give lengths"
        ) from error
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


def check_tokens(tokens: Sequence[str], blank: int) -> list[str]:
    """Refuse what is no list of different strings, or separates words in two ways.

    Tokens that write nothing may be called "", as many as there are.

    Raises:
        TypeError: not a sequence of strings, or `blank` no integer.
        ValueError: two classes share a string, or " " stands beside pieces that begin with U+2581.
    """
    if isinstance(tokens, str | bytes | Mapping | Set):
        raise TypeError(
            "tokens must be a sequence of strings in the order of the classes, got "
            f"{type(tokens).__name__}"
        )
    if not hasattr(blank, "__index__"):
        raise TypeError(f"blank must be an integer, the class of the blank, got {blank!r}")
    tokens = list(tokens)
    if not all(isinstance(token, str) for token in tokens):
        raise TypeError("tokens must be a sequence of strings, one per class")
    classes: dict[str, int] = {}
    for index, token in enumerate(tokens):
        if index == blank or not token:
            continue
        if token in classes:
            raise ValueError(
                f"tokens must differ, but classes {classes[token]} and {index} are both {token!r}"
            )
        classes[token] = index
    if " " in classes and (piece := next((t for t in classes if t[0] == _WORD_MARK), None)):
        raise ValueError(
            f"tokens must separate words by ' ' or by pieces that begin with U+2581, got both ' ' "
            f"and {piece!r}"
        )
    return tokens


def check_at_least(name: str, value: int, least: int) -> int:
    """Refuse integers below `least`."""
    value = operator.index(value)
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
    return value
