"""From what a user has on disk to manifests that can be trained on.

`prepare` finds or unpacks the audio, imports, normalises the texts, verifies every file and writes
OUT/<split>.jsonl, OUT/rejected.jsonl (one line for each thing left out), OUT/suspects.jsonl (what
to listen to), OUT/splits.tsv (which speaker is where), OUT/report.json and OUT/prepare.html.
"""

import json
import os
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from asr.corpora import layouts
from asr.corpora.archives import locate
from asr.corpora.catalogue import AUTO, IMPORTERS, find_layout
from asr.corpora.delimited import TableForm
from asr.corpora.division import Division, divide
from asr.corpora.layouts import REJECTED_NAME, Imported
from asr.corpora.measurement import Sound
from asr.corpora.page import render_page
from asr.corpora.speakers import name_speakers
from asr.corpora.summary import SUSPECTS_NAME, PrepareReport, group_by_reason, summarize_split
from asr.corpora.suspicion import Suspect, find_suspects
from asr.corpora.verification import BACKGROUND_SPLITS, VerificationRules, verify
from asr.data.manifest import Utterance, write_manifest
from asr.data.unusable import Unusable
from asr.files import parse_json, printable, read_text, write_atomically, write_json_lines
from asr.text import CharTokenizer, TextNormalizer

ALPHABET = " 'abcdefghijklmnopqrstuvwxyz"
REPORT_NAME = "report.json"
SPLITS_NAME = "splits.tsv"
PAGE_NAME = "prepare.html"

# Each becomes the name of a manifest.
_SPLIT_NAME = re.compile(r"\w[\w.+-]*")


def prepare(
    corpus: str,
    source: str | Path,
    out: str | Path,
    *,
    alphabet: str = ALPHABET,
    unknown: Literal["refuse", "remove"] = "refuse",
    rules: VerificationRules | None = None,
    form: TableForm | None = None,
    division: Division | None = None,
    speaker_from: str | None = None,
    progress: bool = True,
) -> PrepareReport:
    """Turn a corpus on disk into verified manifests.

    Args:
        corpus: a key of IMPORTERS, or "auto" to find it out.
        source: the folder that holds it (also the table or the manifest itself), or a tar archive.
            A published corpus that carries manifests already (train.jsonl, ...) keeps its splits.
        out: folder to write to; not `source`.
        alphabet: characters that texts may hold after normalisation.
        unknown: whether an utterance with another character is left out, or loses the character.
        rules: what audio must fulfil.
        form: delimiter and columns, of a table.
        division: how much goes to dev and test where the corpus does not say it.
        speaker_from: who speaks: "folder", "column:NAME" or a regular expression for the path.
        progress: draw bars.

    Returns:
        Counts, hours, and every reason why something was left out, with examples.

    Raises:
        ValueError: the corpus is unknown, the source is not laid out as it should be, or not one
            utterance is usable.
    """
    if corpus not in (AUTO, *IMPORTERS):
        raise ValueError(f"corpus must be one of {AUTO}, {', '.join(IMPORTERS)}, got '{corpus}'")
    source, out = (Path(os.path.abspath(path)) for path in (source, out))
    _check_places(corpus, source, out)
    out.mkdir(parents=True, exist_ok=True)
    corpus, found, imported = _import(corpus, source, out, form)
    if speaker_from is not None:
        name_speakers(imported, speaker_from)
    for split in imported.splits:
        if not _SPLIT_NAME.fullmatch(split) or f"{split}.jsonl" in (REJECTED_NAME, SUSPECTS_NAME):
            raise ValueError(f"{source}: '{printable(split)}' cannot be the name of a split")
    normalize = TextNormalizer(alphabet, unknown)
    tokenizer = CharTokenizer(alphabet)
    rejected = list(imported.rejected)
    report = PrepareReport(corpus, str(source), str(out), found, notes=imported.notes)
    usable: dict[str, list[Utterance]] = {}
    sounds: dict[Path, Sound] = {}
    for split, utterances in imported.splits.items():
        normal, refused = _normalize(split, utterances, normalize)
        verified = verify(split, normal, tokenizer, rules or VerificationRules(), progress=progress)
        rejected += map(imported.add_line, refused + verified.rejected)
        usable[split] = verified.utterances
        sounds |= verified.sounds
    report.rejected = group_by_reason(rejected)
    report.text_changes = dict(normalize.changes)
    if not any(usable.values()):
        raise ValueError("\n".join([f"{source}: not one usable utterance", *report.lines()[1:]]))
    # What is divided is what is usable, so that no part is empty in the end.
    divided = divide(usable, division, {path: sound.digest for path, sound in sounds.items()})
    written = dict(sorted(divided.splits.items(), key=_split_order))
    report.splits = {name: summarize_split(members, sounds) for name, members in written.items()}
    suspects = find_suspects(written, sounds)
    report.suspects = group_by_reason(suspects)
    report.notes += divided.notes
    report.warnings = imported.warnings + divided.warnings
    groups = imported.groups.items()
    report.notes += [f"{group}.jsonl is {' + '.join(parts)}" for group, parts in groups]
    page = render_page(report, written, sounds, suspects)
    for group, parts in groups:
        written[group] = [utterance for part in parts for utterance in written[part]]
    _write(out, written, rejected, suspects, report)
    write_atomically(out / PAGE_NAME, page)
    return report


def _check_places(corpus: str, source: Path, out: Path) -> None:
    if not source.exists():
        raise ValueError(f"{source}: no such file or folder")
    if out == source:
        raise ValueError(f"{out}: must not be the folder that the corpus is in")
    takes_file = corpus == AUTO or IMPORTERS[corpus].takes_file
    if source.is_file() and not takes_file and not tarfile.is_tarfile(source):
        raise ValueError(f"{source}: must be a folder or a tar archive")
    if corpus != AUTO:
        _check_previous(corpus, out)


def _check_previous(corpus: str, out: Path) -> None:
    try:
        previous = parse_json(read_text(out / REPORT_NAME))
    except ValueError:
        return
    if isinstance(previous, dict) and previous.get("corpus") != corpus:
        raise ValueError(
            f"{out}: holds the manifests of '{previous.get('corpus')}'; choose another folder"
        )


def _import(
    corpus: str, source: Path, out: Path, form: TableForm | None
) -> tuple[str, str, Imported]:
    """Give the layout's name, why it was chosen where it was not named, and what it holds."""
    place = locate(source, out)
    found = ""
    if corpus == AUTO:
        fitting = find_layout(place.root)
        if fitting is None:
            raise ValueError(
                f"{source}: holds no corpus that is known: no manifest, no table, no wav.scp, no "
                "audio with a .txt beside it, ...; `asr prepare --help` lists what is looked for"
            )
        corpus, found = fitting
        _check_previous(corpus, out)
    layout = IMPORTERS[corpus]
    if form is not None and not layout.takes_form:
        raise ValueError(f"{source}: columns and delimiter can be named for tables, not {corpus}")
    if not layout.explicit and layouts.find_manifests(place.root):
        imported = layouts.import_manifests(place.root, place.audio_root, out)
    elif layout.takes_form:
        imported = layout.read(place.root, out, form)
    else:
        imported = layout.read(place.root, out)
    imported.notes += place.notes
    return corpus, found, imported


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


def _write(
    out: Path,
    written: dict[str, list[Utterance]],
    rejected: list[Unusable],
    suspects: list[Suspect],
    report: PrepareReport,
) -> None:
    for split, utterances in written.items():
        write_manifest(out / f"{split}.jsonl", utterances)
    write_json_lines(out / REJECTED_NAME, [item.record() for item in rejected])
    write_json_lines(out / SUSPECTS_NAME, [item.record() for item in suspects])
    write_atomically(out / SPLITS_NAME, _format_splits(report.splits, written))
    write_atomically(out / REPORT_NAME, json.dumps(asdict(report), indent=2) + "\n")


def _format_splits(splits: Iterable[str], written: Mapping[str, Sequence[Utterance]]) -> str:
    """Say, in a table between tabs, which speaker has how many utterances in which split."""
    lines = ["split\tspeaker\tutterances\tseconds\n"]
    for split in splits:
        by_speaker: dict[str, list[float]] = {}
        for utterance in written[split]:
            speaker = " ".join(printable(str(utterance.extra.get("speaker", ""))).split())
            by_speaker.setdefault(speaker, []).append(utterance.duration)
        lines += [
            f"{split}\t{speaker}\t{len(durations)}\t{sum(durations):.1f}\n"
            for speaker, durations in sorted(by_speaker.items())
        ]
    return "".join(lines)
