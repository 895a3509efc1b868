"""Speech as people keep it: manifests, and audio files with a text beside each.

An importer takes a folder and gives the utterances of each split. Durations are NaN until
`verification` has measured them; whatever an importer must pass over, it lists.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from asr.audio import AUDIO_SUFFIXES
from asr.corpora.places import read_lines, resolve_inside
from asr.data.manifest import Utterance, name_by_path, read_manifest
from asr.data.unusable import Unusable

# Why a name that a list gives is passed over.
OUTSIDE = "path outside the folder"
REJECTED_NAME = "rejected.jsonl"
# Archives are unpacked there, below --out.
UNPACKED = "audio"
# The split of what comes without one, until `divide` has found it one.
ALL = "all"
SPLITS = ("train", "dev", "test")
SPLIT_NAMES = {
    "training": "train",
    "valid": "dev",
    "val": "dev",
    "validation": "dev",
    "devel": "dev",
    "development": "dev",
    "testing": "test",
}
# How far down a corpus is looked for: people unpack it into a folder of a folder.
_DEPTHS = ("", "*/", "*/*/")


class UnusableError(ValueError):
    """Why one utterance is passed over: a short reason, and a line that names file and value."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass
class Imported:
    """Utterances by split, what was passed over and why, and what the user should know.

    Attributes:
        root: folder of the corpus; audio lies in it, or in `out` where it was converted.
        out: the only folder that is written to.
        groups: further manifests, each of several splits together.
        origins: the recording that a file in `out` was cut from.
        lines: file and line of the lists that name an audio file.
        warnings: what the user should not miss.
    """

    root: Path
    out: Path
    splits: dict[str, list[Utterance]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    rejected: list[Unusable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    origins: dict[Path, Path] = field(default_factory=dict)
    lines: dict[Path, list[str]] = field(default_factory=dict)

    def add(
        self,
        split: str,
        path: Path,
        text: str,
        *,
        where: str | None = None,
        anywhere: bool = False,
        **extra: object,
    ) -> None:
        """Place an utterance whose duration is not measured yet."""
        self.place(split, Utterance(path, math.nan, text, extra), where=where, anywhere=anywhere)

    def place(
        self, split: str, utterance: Utterance, *, where: str | None = None, anywhere: bool = False
    ) -> None:
        """Put an utterance into a split; one whose audio lies outside the folder is listed.

        Args:
            where: file and line that name the audio, for the message.
            anywhere: whether it may lie outside: an absolute path in a table of the user's own.
        """
        path = utterance.audio_filepath
        try:
            if not anywhere:
                self.check_inside(path, where or str(path))
        except UnusableError as error:
            self.reject(split, path, error.reason, str(error), utterance.id)
            return
        if where:
            self.lines.setdefault(path, []).append(where)
        self.splits.setdefault(split, []).append(utterance)

    def add_line(self, unusable: Unusable) -> Unusable:
        """Say which line of a list named what turned out to be unusable."""
        lines = self.lines.get(unusable.audio_filepath or Path(), [])
        if not lines:
            return unusable
        shown = " or ".join(lines[:2]) + (" or ..." if len(lines) > 2 else "")
        return unusable._replace(detail=f"{shown}: {unusable.detail}")

    def check_inside(self, path: Path, where: str) -> None:
        """Refuse audio that lies neither in the corpus nor in what was made of it.

        Raises:
            UnusableError: it does; names `where`.
        """
        try:
            resolve_inside(path, [self.out if path.is_relative_to(self.out) else self.root])
        except ValueError as error:
            raise UnusableError(OUTSIDE, f"{where}: {error}") from error

    def name_by_path(self, folder: Path) -> None:
        """Give ids, by their paths below `folder`, to the utterances that have none."""
        everything = [u for utterances in self.splits.values() for u in utterances]
        named = iter(name_by_path(everything, folder))
        self.splits = {
            split: [next(named) for _ in utterances] for split, utterances in self.splits.items()
        }

    def find(self, split: str, name: str, folders: Sequence[Path], where: str) -> Path | None:
        """Resolve a name of the corpus's own lists; None, and listed, where it leads outside."""
        try:
            return resolve_inside(name, folders)
        except ValueError as error:
            self.reject(split, Path(name), OUTSIDE, f"{where}: {error}")
            return None

    def reject(
        self, split: str, path: Path, reason: str, detail: str, identity: str | None = None
    ) -> None:
        """List something that is passed over."""
        self.rejected.append(Unusable(identity or path.stem, reason, detail, split, path))


def import_manifests(source: Path, audio_root: Path, out: Path) -> Imported:
    """Import a folder of manifests (`<split>.jsonl`); splits, texts and further keys are kept.

    Args:
        audio_root: where audio lies that is not below `source`, because it was unpacked elsewhere.
    """
    imported = Imported(source, out)
    for manifest in find_manifests(source):
        imported.splits[manifest.stem] = []
        for item in read_manifest(manifest):
            path = _relocate(item.audio_filepath, source, audio_root)
            utterance = replace(item, audio_filepath=path)
            # Only an absolute path can lead elsewhere: `read_manifest` refuses the others.
            anywhere = not (path.is_relative_to(source) or path.is_relative_to(out))
            imported.place(manifest.stem, utterance, where=str(manifest), anywhere=anywhere)
    return imported


def find_manifests(source: Path) -> list[Path]:
    """List the manifests of a folder."""
    return sorted(path for path in source.glob("*.jsonl") if path.name != REJECTED_NAME)


def import_folder(source: Path, out: Path) -> Imported:
    """Import audio files with a .txt of the same name beside each.

    Folders train, dev (or valid, val) and test are the splits; without a folder train, speech is
    divided by a hash of each name.
    """
    imported = Imported(source, out)
    has_splits = (source / "train").is_dir()
    transcripts = {path for path in walk(source, out) if path.suffix.lower() == ".txt"}
    for path in walk(source, out):
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            continue
        relative = path.relative_to(source)
        split = SPLIT_NAMES.get(relative.parts[0], relative.parts[0]) if has_splits else ALL
        transcript = path.with_suffix(".txt")
        if has_splits and len(relative.parts) == 1:
            imported.reject("-", path, "outside the split folders", f"{path}: is in no split")
        elif transcript not in transcripts:
            imported.reject(split, path, "no transcript", f"{path}: has no {transcript.name}")
        else:
            _add_pair(imported, split, path, transcript, relative)
        transcripts.discard(transcript)
    for transcript in sorted(transcripts):
        imported.reject("-", transcript, "no audio", f"{transcript}: has no audio beside it")
    return imported


def find_near(source: Path, *patterns: str) -> list[Path]:
    """List what fits one of the patterns in a folder, or one or two levels below it, in order."""
    return sorted(
        path for depth in _DEPTHS for pattern in patterns for path in source.glob(depth + pattern)
    )


def find_below(source: Path, marker: str) -> Path:
    """Find the folder that holds `marker`: `source`, or one at most two levels below it.

    Raises:
        ValueError: none does.
    """
    for depth in _DEPTHS:
        for path in sorted(source.glob(depth + marker)):
            return Path(*path.parts[: len(path.parts) - len(Path(marker).parts)])
    raise ValueError(f"{source}: holds no {marker}, nor do the folders in it")


def _relocate(path: Path, source: Path, audio_root: Path) -> Path:
    """Point to the unpacked copy where the file is not where its manifest says."""
    moved = audio_root / path.relative_to(source) if path.is_relative_to(source) else path
    return moved if not path.exists() and moved.exists() else path


def split_of_folder(folder: Path, source: Path) -> str:
    """Tell the split of what lies in a folder from its name, or from those above it."""
    for part in reversed(folder.relative_to(source).parts):
        name = SPLIT_NAMES.get(part.lower(), part.lower())
        if name in SPLITS:
            return name
    return ALL


def walk(source: Path, out: Path | None = None) -> Iterator[Path]:
    """Give all files below `source` but not below `out`, in order."""
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if Path(folder, name) != out)
        yield from (Path(folder, name) for name in sorted(names))


def _add_pair(imported: Imported, split: str, path: Path, transcript: Path, relative: Path) -> None:
    try:
        text = "\n".join(read_lines(resolve_inside(transcript, [imported.root])))
    except ValueError as error:
        detail = str(error) if str(transcript) in str(error) else f"{transcript}: {error}"
        imported.reject(split, path, "transcript cannot be read", detail)
        return
    imported.add(split, path, text, id="-".join(relative.with_suffix("").parts))
