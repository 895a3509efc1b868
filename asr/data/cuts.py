"""Cuts of lhotse as a corpus: parts of recordings, each with its one text.

    asr train data=lhotse data.train_cuts=cuts_train.jsonl.gz data.dev_cuts=cuts_dev.jsonl.gz

A set of cuts is JSON Lines (.jsonl, .jsonl.gz). Only a MonoCut with one supervision that lies
within it is an utterance; a set that holds anything else is refused with file and line, and says
what makes utterances of it. lhotse, the extra [lhotse], reads the audio: part, channel and what
transforms it are its affair. Paths are relative to the working directory, as it has them.
"""

import gzip
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np

from asr.audio import AudioError, check_samples
from asr.data.lazy_sequence import LazySequence
from asr.data.lines import split_lines
from asr.data.loading import ManifestCorpus
from asr.data.manifest import ManifestError, Utterance, check_names, check_utterance
from asr.files import parse_json, read_bytes
from asr.resampling import resample

# Bytes of a set of cuts, unpacked: ten million of them.
_MOST = 2**33
# A supervision may leave its cut by so many seconds: times are rounded.
_TOLERANCE_S = 0.01


@dataclass(frozen=True)
class Cut(Utterance):
    """One cut.

    Attributes:
        place: its line, from which lhotse opens the audio.
    """

    place: bytes = b""

    def waveform(self, sample_rate: int) -> np.ndarray:
        """Samples (L,) float32 in [-1, 1] at that rate, of the cut's own channel.

        Raises:
            AudioError: lhotse cannot read it, or the samples are bad.
        """
        from lhotse.serialization import deserialize_item

        cut = deserialize_item(cast(dict, parse_json(self.place)))
        try:
            samples = cut.load_audio()[0].astype(np.float32)
        except Exception as error:  # of any backend of lhotse's
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise AudioError(f"{self.audio_filepath}: cut '{self.id}': {reason}") from error
        check_samples(self.audio_filepath, samples)
        return resample(samples, cut.sampling_rate, sample_rate).clip(-1.0, 1.0)


class Cuts(LazySequence[Cut]):
    """The cuts of a set, each made from its line when it is asked for.

    Args:
        path: .jsonl or .jsonl.gz that lhotse wrote.

    Attributes:
        durations: (n,) float64, seconds.

    Raises:
        ManifestError: it cannot be read, or a line is no utterance; names file and line.
        ValueError: lhotse is missing.
    """

    def __init__(self, path: str | Path) -> None:
        if find_spec("lhotse") is None:
            raise ValueError(f"{path}: cuts need lhotse: pip install 'ctc-asr[lhotse]'")
        self._path = Path(os.path.abspath(path))
        self._lines = split_lines(_read(self._path))
        self.durations = np.empty(len(self._lines.starts))
        names: list[str | None] = []
        for row in range(len(self)):
            cut = self.make(row)
            self.durations[row] = cut.duration
            names.append(cut.id)
        check_names(self._path, self._lines, names)

    def __len__(self) -> int:
        return len(self._lines.starts)

    def make(self, row: int) -> Cut:
        """Make a cut from its line."""
        line = self._lines.line(row)
        where = f"{self._path}:{self._lines.numbers[row]}"
        try:
            return _make_cut(line)
        except ValueError as error:
            raise ManifestError(f"{where}: {error}") from error
        except (LookupError, TypeError, AttributeError) as error:
            raise ManifestError(f"{where}: must be a cut as lhotse writes it") from error


def gather_cuts(
    cuts: Sequence[str], *, max_duration: float | None = None, repeat: int = 1
) -> ManifestCorpus:
    """Make a corpus of sets of cuts; as `ManifestCorpus`."""
    return ManifestCorpus(cuts, max_duration=max_duration, repeat=repeat, read=Cuts)


def _read(path: Path) -> bytes:
    """Read a set of cuts, unpacked where its name ends in .gz."""
    try:
        content = read_bytes(path)
        if path.suffix == ".gz":
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(_MOST + 1)
    except (EOFError, OSError, ValueError) as error:
        said = str(error).removeprefix(f"{path}: ")
        raise ManifestError(f"{path}: {said}") from error
    if len(content) > _MOST:
        raise ManifestError(f"{path}: must hold at most {_MOST} bytes")
    return content


def _make_cut(line: bytes) -> Cut:
    """Take a line apart and check that it is one utterance."""
    record: Any = parse_json(line)
    kind, identity = record["type"], str(record["id"])
    if kind != "MonoCut":
        raise ValueError(
            f"cut '{identity}' must be a MonoCut, got a {kind}: save mixed cuts as audio "
            "(CutSet.save_audios), and take one channel of others"
        )
    duration, recording = float(record["duration"]), record.get("recording")
    source = _source_of(identity, recording)
    supervision = _supervision_of(identity, duration, record.get("supervisions", []))
    extra: dict[str, object] = {"id": identity, "recording": recording["id"]}
    extra |= {"recording_start": record["start"], "channel": record["channel"]}
    for key in ("speaker", "language", "gender"):
        if supervision.get(key) is not None:
            extra[key] = supervision[key]
    text = supervision.get("text")
    check_utterance(duration, text, extra)
    return Cut(Path(source), duration, cast(str, text), extra, line)


def _source_of(identity: str, recording: Any) -> str:  # noqa: ANN401 -- of a file of anybody's
    """Give the one audio file of a recording; what runs commands or asks servers is refused."""
    if not isinstance(recording, dict) or not recording.get("sources"):
        raise ValueError(f"cut '{identity}' has no recording: features alone cannot be used")
    kinds = {source.get("type") for source in recording["sources"]}
    if kinds != {"file"} or len(recording["sources"]) != 1:
        raise ValueError(
            f"cut '{identity}': its recording must be one source of type 'file', "
            f"got {len(recording['sources'])} of {', '.join(sorted(map(str, kinds)))}"
        )
    return recording["sources"][0]["source"]


def _supervision_of(identity: str, duration: float, supervisions: list[dict]) -> dict:
    """Give the one supervision of a cut, which must hold all of it."""
    if len(supervisions) != 1:
        raise ValueError(
            f"cut '{identity}' must have one supervision, got {len(supervisions)}: "
            "CutSet.trim_to_supervisions makes a cut of each; speech of others in it remains"
        )
    start = float(supervisions[0]["start"])
    end = start + float(supervisions[0]["duration"])
    if not (start >= -_TOLERANCE_S and end <= duration + _TOLERANCE_S):
        raise ValueError(
            f"cut '{identity}' of {duration} s cuts its supervision, which is from {start} to "
            f"{end:.6g} s: its text would not fit"
        )
    return supervisions[0]
