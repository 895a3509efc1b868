"""From what a user has on disk to manifests that can be trained on.

`prepare` finds or unpacks the audio, imports, normalises the texts, verifies every file and writes
OUT/<split>.jsonl, OUT/rejected.jsonl (one line for each thing left out) and OUT/report.json.
"""

import json
import os
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from asr.corpora import importers, kaldi, layouts, tables
from asr.corpora.division import divide
from asr.corpora.layouts import REJECTED_NAME, Imported
from asr.corpora.verification import (
    BACKGROUND_SPLITS,
    VerificationRules,
    Verified,
    verify,
)
from asr.data.manifest import Utterance, write_manifest
from asr.data.unusable import Unusable
from asr.files import (
    parse_json,
    printable,
    read_text,
    temporary_name,
    write_atomically,
    write_json_lines,
)
from asr.text import CharTokenizer, TextNormalizer

ALPHABET = " 'abcdefghijklmnopqrstuvwxyz"
IMPORTERS: dict[str, Callable[[Path, Path], Imported]] = {
    "fsdd": importers.import_fsdd,
    "speech_commands": importers.import_speech_commands,
    "speechocean762": importers.import_speechocean762,
    "librispeech": importers.import_librispeech,
    "an4": importers.import_an4,
    "folder": layouts.import_folder,
    "kaldi": kaldi.import_kaldi,
    "csv": tables.import_csv,
}
REPORT_NAME = "report.json"

# Each becomes the name of a manifest.
_SPLIT_NAME = re.compile(r"\w[\w.+-]*")
_UNPACKED = "audio"
_EXAMPLES = 3
_ARCHIVES = ("*.tar", "*.tar.gz", "*.tgz")
# These say what they are; in others a manifest beside the audio counts more than the layout.
_EXPLICIT = frozenset({"kaldi", "csv"})


@dataclass
class SplitReport:
    """A manifest that was written; keys of the counters are Hz and channels."""

    utterances: int
    hours: float
    speakers: int
    sample_rates: dict[int, int]
    channels: dict[int, int]


@dataclass
class ReasonReport:
    """How many utterances were left out for one reason, and the first few of them."""

    count: int
    examples: list[str]


@dataclass
class PrepareReport:
    """What `prepare` did; `lines` is what a user reads, report.json the same for programs."""

    corpus: str
    source: str
    out: str
    splits: dict[str, SplitReport] = field(default_factory=dict)
    rejected: dict[str, ReasonReport] = field(default_factory=dict)
    text_changes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Describe the result, one line each."""
        lines = [f"{self.corpus} from {self.source}"]
        for name, split in self.splits.items():
            formats = [f"{count} at {rate} Hz" for rate, count in split.sample_rates.items()]
            formats += [f"{n} of {c} channels" for c, n in split.channels.items() if c > 1]
            lines.append(
                f"  {name:<12} {split.utterances:>7} utterances {split.hours:>9.3f} h"
                f" {split.speakers:>5} speakers   {', '.join(formats)}"
            )
        for reason, rejected in self.rejected.items():
            lines.append(f"  left out {rejected.count}: {reason}")
            lines += [f"    {example}" for example in rejected.examples]
        if self.rejected:
            lines.append(f"  all that was left out: {Path(self.out) / REJECTED_NAME}")
        lines += [f"  texts: {change}: {count}" for change, count in self.text_changes.items()]
        lines += [f"  note: {note}" for note in self.notes]
        return lines


def prepare(
    corpus: str,
    source: str | Path,
    out: str | Path,
    *,
    alphabet: str = ALPHABET,
    unknown: Literal["refuse", "remove"] = "refuse",
    rules: VerificationRules | None = None,
    progress: bool = True,
) -> PrepareReport:
    """Turn a corpus on disk into verified manifests.

    Args:
        corpus: a key of IMPORTERS.
        source: the folder that holds it (for "csv" also the table itself), or a tar archive. A
            folder that carries manifests already (train.jsonl, ...) keeps its splits.
        out: folder to write to; not `source`.
        alphabet: characters that texts may hold after normalisation.
        unknown: whether an utterance with another character is left out, or loses the character.
        rules: what audio must fulfil.
        progress: draw bars.

    Returns:
        Counts, hours, and every reason why something was left out, with examples.

    Raises:
        ValueError: the corpus is unknown, the source is not laid out as it should be, or not one
            utterance is usable.
    """
    if corpus not in IMPORTERS:
        raise ValueError(f"corpus must be one of {', '.join(IMPORTERS)}, got '{corpus}'")
    source, out = (Path(os.path.abspath(path)) for path in (source, out))
    _check_places(corpus, source, out)
    out.mkdir(parents=True, exist_ok=True)
    imported = divide(_import(corpus, source, out))
    for split in imported.splits:
        if not _SPLIT_NAME.fullmatch(split) or f"{split}.jsonl" == REJECTED_NAME:
            raise ValueError(f"{source}: '{printable(split)}' cannot be the name of a split")
    normalize = TextNormalizer(alphabet, unknown)
    tokenizer = CharTokenizer(alphabet)
    rejected = list(imported.rejected)
    report = PrepareReport(corpus, str(source), str(out), notes=imported.notes)
    written: dict[str, list[Utterance]] = {}
    for split, utterances in sorted(imported.splits.items(), key=_split_order):
        normal, refused = _normalize(split, utterances, normalize)
        verified = verify(split, normal, tokenizer, rules or VerificationRules(), progress=progress)
        rejected += refused + verified.rejected
        written[split] = verified.utterances
        report.splits[split] = _summarize(verified)
    for group, parts in imported.groups.items():
        written[group] = [utterance for part in parts for utterance in written[part]]
        report.notes.append(f"{group}.jsonl is {' + '.join(parts)}")
    report.rejected = _group(rejected)
    report.text_changes = dict(normalize.changes)
    if not any(written.values()):
        raise ValueError("\n".join([f"{source}: not one usable utterance", *report.lines()[1:]]))
    _write(out, written, rejected, report)
    return report


def _check_places(corpus: str, source: Path, out: Path) -> None:
    if not source.exists():
        raise ValueError(f"{source}: no such file or folder")
    if out == source:
        raise ValueError(f"{out}: must not be the folder that the corpus is in")
    if source.is_file() and corpus != "csv" and not tarfile.is_tarfile(source):
        raise ValueError(f"{source}: must be a folder or a tar archive")
    try:
        previous = parse_json(read_text(out / REPORT_NAME))
    except ValueError:
        return
    if isinstance(previous, dict) and previous.get("corpus") != corpus:
        raise ValueError(
            f"{out}: holds the manifests of '{previous.get('corpus')}'; choose another folder"
        )


def _import(corpus: str, source: Path, out: Path) -> Imported:
    """Import from `source`, or from what its archives hold."""
    if source.is_file() and corpus != "csv":
        audio_root = _unpack([source], out / _UNPACKED)
        imported = _import_folder(corpus, audio_root, audio_root, out)
        imported.notes.append(f"unpacked {source.name} to {audio_root}")
        return imported
    archives = sorted(path for pattern in _ARCHIVES for path in source.glob(pattern))
    if not archives:
        return _import_folder(corpus, source, source, out)
    if _has_audio(source, out):
        imported = _import_folder(corpus, source, source, out)
        names = ", ".join(path.name for path in archives)
        imported.notes.append(f"passed over {names}: audio lies unpacked beside it")
        return imported
    audio_root = _unpack(archives, out / _UNPACKED)
    has_manifests = bool(layouts.find_manifests(source))
    imported = _import_folder(corpus, source if has_manifests else audio_root, audio_root, out)
    imported.notes += [f"unpacked {path.name} to {audio_root}" for path in archives]
    return imported


def _import_folder(corpus: str, source: Path, audio_root: Path, out: Path) -> Imported:
    if corpus not in _EXPLICIT and layouts.find_manifests(source):
        return layouts.import_manifests(source, audio_root, out)
    return IMPORTERS[corpus](source, out)


def _has_audio(source: Path, out: Path) -> bool:
    return any(path.suffix.lower() in layouts.AUDIO_SUFFIXES for path in layouts.walk(source, out))


def _unpack(archives: list[Path], folder: Path) -> Path:
    """Unpack archives into one new folder, whole or not at all; a folder that is there is kept."""
    stamp = "".join(f"{path.name} {path.stat().st_size}\n" for path in archives)
    marker = folder / ".unpacked"
    if marker.is_file() and marker.read_text(encoding="utf-8") == stamp:
        return folder
    temporary = temporary_name(folder)
    try:
        for archive in archives:
            with tarfile.open(archive) as tar:
                # "data" refuses paths and links that lead outside, and device files.
                tar.extractall(temporary, filter="data")
        (temporary / marker.name).write_text(stamp, encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{archives[0].parent}: cannot unpack: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _split_order(item: tuple[str, list[Utterance]]) -> tuple[int, str]:
    order = ("train", "dev", "test")
    return (order.index(item[0]) if item[0] in order else len(order), item[0])


def _normalize(
    split: str, utterances: list[Utterance], normalize: TextNormalizer
) -> tuple[list[Utterance], list[Unusable]]:
    if split in BACKGROUND_SPLITS:
        return utterances, []
    normal, rejected = [], []
    for utterance in utterances:
        try:
            normal.append(replace(utterance, text=normalize(utterance.text)))
        except ValueError as error:
            path = utterance.audio_filepath
            reason = "text outside the alphabet"
            rejected.append(Unusable(utterance.id, reason, f"{path}: {error}", split, path))
    return normal, rejected


def _summarize(verified: Verified) -> SplitReport:
    speakers = {item.extra["speaker"] for item in verified.utterances if "speaker" in item.extra}
    return SplitReport(
        utterances=len(verified.utterances),
        hours=round(sum(item.duration for item in verified.utterances) / 3600, 4),
        speakers=len(speakers),
        sample_rates=dict(verified.sample_rates.most_common()),
        channels=dict(verified.channels.most_common()),
    )


def _group(rejected: list[Unusable]) -> dict[str, ReasonReport]:
    counts = Counter(item.reason for item in rejected)
    return {
        reason: ReasonReport(
            count, [item.detail for item in rejected if item.reason == reason][:_EXAMPLES]
        )
        for reason, count in counts.most_common()
    }


def _write(
    out: Path,
    written: dict[str, list[Utterance]],
    rejected: list[Unusable],
    report: PrepareReport,
) -> None:
    for split, utterances in written.items():
        write_manifest(out / f"{split}.jsonl", utterances)
    write_json_lines(out / REJECTED_NAME, [item.record() for item in rejected])
    write_atomically(out / REPORT_NAME, json.dumps(asdict(report), indent=2) + "\n")
