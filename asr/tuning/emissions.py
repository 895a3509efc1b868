"""Log-probabilities of a set of utterances with what was said: computed once, decoded often.

The file is safetensors, so reading it never executes anything, and any program can write one:

    tensors    log_probs  (frames, C)  natural logarithms, the utterances one after the other
               lengths    (N,)         frames of each utterance
    metadata   tokens      JSON list of C strings, as a decoder takes them
               references  JSON list of N texts
               blank       class of the blank; "0" where it is missing
               ids         JSON list of N names; numbers from 0 where they are missing
               fingerprint JSON object of what the numbers were computed from; ours alone
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tqdm import tqdm

from asr.acoustic.chunks import group_by_length
from asr.files import write_atomically
from asr.text import BLANK

if TYPE_CHECKING:  # PyTorch would take seconds to load for users of other models
    from asr.acoustic.model import AcousticModel
    from asr.data.loading import BatchLoader

# Padded values that a decoder is given at once: 64 MB.
MAX_BATCH_VALUES = 2**24
# ln of a probability is not above 0; half precision rounds a little.
MAX_LOG_PROB = 1e-3


class EmissionsError(ValueError):
    """A file of log-probabilities that cannot be used; names the file and the rule."""


class EmissionBatch(NamedTuple):
    """Utterances of similar length, padded."""

    indices: list[int]  # places in the set
    log_probs: np.ndarray  # (N, T, C)
    lengths: np.ndarray  # (N,) frames


@dataclass(frozen=True)
class Emissions:
    """Log-probabilities and references of N utterances.

    Attributes:
        log_probs: N arrays (T, C) of natural logarithms.
        references: what was said, N texts.
        tokens: C strings in the order of the classes.
        blank: class of the blank.
        ids: N names.
        fingerprint: what the numbers were computed from; empty where nobody said.
    """

    log_probs: list[np.ndarray]
    references: list[str]
    tokens: list[str]
    blank: int = 0
    ids: list[str] = field(default_factory=list)
    fingerprint: dict[str, str] = field(default_factory=dict)

    def batches(self, max_values: int = MAX_BATCH_VALUES) -> Iterator[EmissionBatch]:
        """Yield all utterances, longest first, padded to at most `max_values` numbers a batch."""
        lengths = [len(rows) for rows in self.log_probs]
        for indices in group_by_length(lengths, max_values // len(self.tokens)):
            longest = lengths[indices[0]]
            rows = [self.log_probs[i] for i in indices]
            padded = np.zeros((len(rows), longest, len(self.tokens)), rows[0].dtype)
            for place, row in zip(padded, rows, strict=True):
                place[: len(row)] = row
            yield EmissionBatch(indices, padded, np.array([len(row) for row in rows]))


def save_emissions(
    path: str | Path,
    log_probs: Sequence[Any],
    references: Sequence[str],
    tokens: Sequence[str],
    blank: int = 0,
    ids: Sequence[str] | None = None,
    fingerprint: Mapping[str, str] | None = None,
) -> None:
    """Write log-probabilities and references for `asr tune`, under a temporary name first.

    Args:
        path: the file; its folder must exist.
        log_probs: N arrays (T, C), numpy or CPU tensors, without padding.
        references: N texts, as a decoder writes them.
        tokens: C strings in the order of the classes; " " separates words, or pieces that begin
            with U+2581 start them.
        blank: class of the blank.
        ids: N names; None: numbers from 0.
        fingerprint: what the numbers were computed from.

    Raises:
        EmissionsError: the parts do not fit each other, or these are no log-probabilities.
    """
    path = Path(path)
    arrays = [np.asarray(rows) for rows in log_probs]
    lengths = np.array([len(rows) for rows in arrays], dtype=np.int64)
    flat = np.concatenate(arrays) if arrays else np.zeros((0, len(tokens)), np.float32)
    names = [str(i) for i in range(len(arrays))] if ids is None else list(ids)
    _check(path, flat, lengths, list(references), list(tokens), blank, names)
    metadata = {
        "tokens": json.dumps(list(tokens), ensure_ascii=False),
        "references": json.dumps(list(references), ensure_ascii=False),
        "blank": str(blank),
        "ids": json.dumps(names, ensure_ascii=False),
        "fingerprint": json.dumps(dict(fingerprint or {})),
    }
    write_atomically(path, save({"log_probs": flat, "lengths": lengths}, metadata))


def read_emissions(path: str | Path) -> Emissions:
    """Read what `save_emissions`, or another program, wrote.

    Raises:
        EmissionsError: the file is missing, cut short or of another format, its parts do not fit
            each other, or these are no log-probabilities.
    """
    path = Path(path)
    if not path.is_file():
        raise EmissionsError(f"{path}: no such file of log-probabilities")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            flat, lengths = file.get_tensor("log_probs"), file.get_tensor("lengths")
        tokens, references = (json.loads(metadata[key]) for key in ("tokens", "references"))
        blank, ids = int(metadata.get("blank", 0)), json.loads(metadata.get("ids", "null"))
        fingerprint = json.loads(metadata.get("fingerprint", "{}"))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise EmissionsError(
            f"{path}: not a readable file of log-probabilities (cut short, or of another "
            f"format): {error}"
        ) from error
    names = [str(i) for i in range(len(lengths))] if ids is None else ids
    _check(path, flat, lengths, references, tokens, blank, names)
    if flat.dtype == np.float16:  # decoders would convert it in every trial
        flat = flat.astype(np.float32)
    rows = np.split(flat, np.cumsum(lengths)[:-1]) if len(lengths) else []
    return Emissions(rows, references, tokens, blank, names, fingerprint)


def compute_emissions(
    model: "AcousticModel", loader: "BatchLoader", path: Path, fingerprint: Mapping[str, str]
) -> None:
    """Run a model over a loader's utterances and save the log-probabilities.

    Raises:
        TooManyBadError: more of the set cannot be read than the loader allows.
        EmissionsError: nothing could be read.
    """
    ids: list[str] = []
    texts: list[str] = []
    rows: list[np.ndarray] = []
    total = len(loader.corpus.utterances(0))
    with tqdm(total=total, desc="log-probabilities", unit="utt", leave=False) as bar:
        for batch in loader.batches(0):
            if not batch.ids:
                continue
            log_probs, lengths = model.log_probs(batch.waveforms, batch.waveform_lengths)
            ids += batch.ids
            texts += batch.texts
            rows += [
                row[:length].numpy().copy()  # (T, C)
                for row, length in zip(log_probs, lengths.tolist(), strict=True)
            ]
            bar.update(len(batch.ids))
    save_emissions(path, rows, texts, model.tokenizer.tokens, BLANK, ids, fingerprint)


def _check(
    path: Path,
    flat: np.ndarray,
    lengths: np.ndarray,
    references: Any,  # noqa: ANN401
    tokens: Any,  # noqa: ANN401
    blank: int,
    ids: Any,  # noqa: ANN401
) -> None:
    """Refuse parts that do not fit each other; the file may be anybody's."""
    for name, texts in (("references", references), ("tokens", tokens), ("ids", ids)):
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise EmissionsError(f"{path}: {name} must be a list of strings")
    if flat.ndim != 2 or flat.shape[1] != len(tokens) or flat.dtype.kind != "f":
        raise EmissionsError(
            f"{path}: log_probs must be floats (frames, C={len(tokens)}), a class for every "
            f"token, got {flat.dtype} {flat.shape}"
        )
    if not 0 <= blank < len(tokens):
        raise EmissionsError(f"{path}: blank must be in 0..{len(tokens) - 1}, got {blank}")
    whole = lengths.ndim == 1 and lengths.dtype.kind in "iu" and lengths.min(initial=0) >= 0
    if not whole or lengths.sum() != len(flat):
        raise EmissionsError(
            f"{path}: lengths must be integers that add up to the {len(flat)} frames of log_probs"
        )
    if not len(references) == len(ids) == len(lengths):
        raise EmissionsError(
            f"{path}: references, ids and lengths must be as many, got {len(references)}, "
            f"{len(ids)} and {len(lengths)}"
        )
    if not any(text.split() for text in references):
        raise EmissionsError(f"{path}: references must hold at least one word")
    _check_values(path, flat, lengths, ids)


def _check_values(path: Path, flat: np.ndarray, lengths: np.ndarray, ids: list[str]) -> None:
    """Refuse probabilities, logits and NaN; name the first bad frame."""
    bad = ~(flat <= MAX_LOG_PROB).all(axis=1)
    if bad.any():
        frame = int(bad.argmax())
        owner = int(np.searchsorted(np.cumsum(lengths), frame, side="right"))
        start = int(lengths[:owner].sum())
        value = flat[frame][~(flat[frame] <= MAX_LOG_PROB)][0]
        raise EmissionsError(
            f"{path}: log_probs must be ln of probabilities, at most 0 (log_softmax), got "
            f"{value:.6g} in utterance '{ids[owner]}', frame {frame - start}"
        )
