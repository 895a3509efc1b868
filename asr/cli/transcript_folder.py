"""A folder of transcripts: one file for each recording and format, and what failed."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from asr.cli.audio_paths import Recording
from asr.evaluation.options import differing
from asr.files import parse_json, read_text, write_atomically, write_json_lines
from asr.recognition.formats import FORMATS, format_transcript
from asr.recognition.subtitles import SubtitleLayout
from asr.recognition.transcripts import Transcript

SETTINGS = "transcribe.json"
FAILURES = "failures.jsonl"


class TranscriptFolder:
    """Where transcripts go.

    Args:
        folder: made where it is missing.
        formats: of `FORMATS`.
        layout: of subtitles.
        settings: what transcripts depend on, as JSON has it.
        overwrite: whether to do again what is done.

    Raises:
        ValueError: the folder holds transcripts of other settings, and nobody said overwrite.
    """

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        layout: SubtitleLayout,
        settings: Mapping[str, object],
        *,
        overwrite: bool,
    ) -> None:
        self.folder = folder
        self._formats = formats
        self._layout = layout
        self._overwrite = overwrite
        self._failures: list[dict[str, object]] = []
        folder.mkdir(parents=True, exist_ok=True)
        if not overwrite:
            self._check_settings(settings)
        write_atomically(folder / SETTINGS, json.dumps(settings, indent=1) + "\n")
        (folder / FAILURES).unlink(missing_ok=True)

    def is_done(self, recording: Recording, stem: str) -> bool:
        """Whether every file is there, and none is older than the recording."""
        if self._overwrite or not recording.path.exists():
            return False
        changed = recording.path.stat().st_mtime
        paths = self._paths(stem)
        return all(path.exists() and path.stat().st_mtime >= changed for path in paths.values())

    def write(self, transcript: Transcript, stem: str) -> None:
        """Write a transcript in every format, or that there is none."""
        if transcript.error is not None:
            channel = {} if transcript.channel is None else {"channel": transcript.channel}
            failure = {"audio": transcript.audio, **channel, "error": transcript.error}
            self._failures.append(failure)
            write_json_lines(self.folder / FAILURES, self._failures)
            return
        for style, path in self._paths(stem).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, format_transcript(transcript, style, self._layout))

    def _paths(self, stem: str) -> dict[str, Path]:
        return {style: self.folder / (stem + FORMATS[style]) for style in self._formats}

    def _check_settings(self, settings: Mapping[str, object]) -> None:
        path = self.folder / SETTINGS
        if not path.exists():
            return
        before = cast(dict, parse_json(read_text(path)))
        changed = list(differing([before, settings]))
        if changed:
            raise ValueError(
                f"--out {self.folder}: its transcripts were made with another {changed[0]}: give "
                "another folder, or --overwrite"
            )


def name_outputs(recordings: Sequence[Recording]) -> list[str]:
    """Say where below a folder the files of each recording go, without their ending.

    That is the recording's place without its ending, or with it where two differ in nothing else,
    or where it would be the folder's own `transcribe.json`.

    Raises:
        ValueError: two recordings would have one place.
    """
    stems = Counter([Path(SETTINGS).stem, *(str(r.place.with_suffix("")) for r in recordings)])
    names = [
        str(r.place if stems[str(r.place.with_suffix(""))] > 1 else r.place.with_suffix(""))
        for r in recordings
    ]
    owners: dict[str, Recording] = {}
    for recording, name in zip(recordings, names, strict=True):
        owner = owners.setdefault(name, recording)
        if owner is not recording:
            raise ValueError(
                f"--out: {owner.name} and {recording.name} would have the same name there: give "
                "the folder above them instead, whose subfolders are kept"
            )
    return names
