"""Alignments of a manifest -> files: JSON Lines, NIST's CTM or Praat's TextGrid."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from asr.alignment.spans import Alignment
from asr.data.manifest import Utterance, write_manifest
from asr.data.unusable import Unusable
from asr.evaluation.results import trn_ids
from asr.files import write_atomically, write_json_lines
from asr.recognition.formats import format_transcripts
from asr.recognition.textgrid import format_textgrid
from asr.recognition.transcripts import TimedWord, Transcript, finite, word_record

FORMATS = ("json", "ctm", "textgrid")
# What an alignment adds to an utterance of a manifest.
KEYS = ("score", "words", "tokens")


def write_alignments(
    folder: Path,
    style: str,
    utterances: Sequence[Utterance],
    results: Sequence[Alignment | Unusable],
) -> list[Unusable]:
    """Write what was aligned, and failures.jsonl; every file is whole or not there.

    "json" gives alignments.jsonl, the manifest with three keys more; "ctm" gives words.ctm and
    tokens.ctm; "textgrid" gives a <id>.TextGrid for each utterance. In names of files and in CTM,
    what an id should not hold there becomes "_".

    Args:
        folder: made where it is missing.
        style: one of `FORMATS`.
        utterances: of the manifest.
        results: of `asr.alignment.aligner.align_each`, as many.

    Returns:
        The utterances that were not aligned.

    Raises:
        ValueError: `style` is none of these.
    """
    check_format(style)
    folder.mkdir(parents=True, exist_ok=True)
    pairs = list(zip(utterances, results, strict=True))
    aligned = [(u, found) for u, found in pairs if isinstance(found, Alignment)]
    if style == "json":
        path = folder / "alignments.jsonl"
        write_manifest(path, [add_alignment(u, alignment) for u, alignment in aligned])
    else:
        write = _write_ctm if style == "ctm" else _write_textgrids
        names = safe_names([u.id for u, _ in aligned])
        write(folder, dict(zip(names, [alignment for _, alignment in aligned], strict=True)))
    failures = [found for found in results if isinstance(found, Unusable)]
    write_json_lines(folder / "failures.jsonl", [f.record() for f in failures])
    return failures


def check_format(style: str) -> None:
    """Refuse what is no format."""
    if style not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {style!r}")


def add_alignment(utterance: Utterance, alignment: Alignment) -> Utterance:
    """Return the utterance with the keys `KEYS`; the manifest's own are kept."""
    tokens = [word_record(token) for token in alignment.tokens]
    added = {
        "score": finite(alignment.score),
        "words": [word_record(word) for word in alignment.words],
        "tokens": [{"token": token.pop("word"), **token} for token in tokens],
    }
    return replace(utterance, extra=utterance.extra | added)


def format_ctm(items: Mapping[str, Sequence[TimedWord]]) -> str:
    """Write words by recording as NIST's CTM, sorted by recording and time as sclite wants it."""
    transcripts = [Transcript("", list(items[name]), audio=name) for name in sorted(items)]
    return format_transcripts(transcripts, "ctm")


def safe_names(ids: Sequence[str]) -> list[str]:
    """Make ids that a file's name and a CTM can hold, each once, in the same order."""
    return trn_ids([re.sub(r"[^\w.+@=-]+", "_", identity) for identity in ids])


def _write_ctm(folder: Path, alignments: Mapping[str, Alignment]) -> None:
    words = {name: alignment.words for name, alignment in alignments.items()}
    tokens = {name: alignment.tokens for name, alignment in alignments.items()}
    write_atomically(folder / "words.ctm", format_ctm(words))
    write_atomically(folder / "tokens.ctm", format_ctm(tokens))


def _write_textgrids(folder: Path, alignments: Mapping[str, Alignment]) -> None:
    for name, alignment in alignments.items():
        tiers = {"words": alignment.words, "tokens": alignment.tokens}
        text = format_textgrid(tiers, alignment.duration_s)
        write_atomically(folder / f"{name}.TextGrid", text)
