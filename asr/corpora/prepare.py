"""From what a user has on disk to manifests that can be trained on.

`prepare` finds or unpacks the audio, imports, normalises the texts, verifies every file and writes
OUT/<split>.jsonl, OUT/normalizer.json (the alphabet and the steps that brought texts into it),
OUT/rejected.jsonl (one line for each thing left out), OUT/suspects.jsonl (what to listen to),
OUT/splits.tsv (which speaker is where), OUT/report.json and OUT/prepare.html.
"""

import json
import os
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from asr.corpora import layouts
from asr.corpora.archives import locate
from asr.corpora.catalogue import AUTO, IMPORTERS, find_layout
from asr.corpora.delimited import TableForm
from asr.corpora.division import Division, divide
from asr.corpora.layouts import REJECTED_NAME, SPLITS, Imported
from asr.corpora.measurement import Sound
from asr.corpora.page import render_page
from asr.corpora.speakers import name_speakers
from asr.corpora.summary import SUSPECTS_NAME, PrepareReport, group_by_reason, summarize_split
from asr.corpora.suspicion import Suspect, find_suspects
from asr.corpora.texts import Confirm, NormalTexts, normalize_splits
from asr.corpora.verification import Inspect, Inspection, VerificationRules, verify
from asr.data.manifest import Utterance, write_manifest
from asr.data.unusable import Unusable
from asr.files import parse_json, printable, read_text, write_atomically, write_json_lines
from asr.text import CharTokenizer, TextNormalizer, write_normalizer
from asr.text.alphabet import ENGLISH
from asr.text.normalizer import FILE_NAME

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
    normalizer: TextNormalizer | None = None,
    confirm: Confirm | None = None,
    rules: VerificationRules | None = None,
    form: TableForm | None = None,
    division: Division | None = None,
    speaker_from: str | None = None,
    progress: bool = True,
    inspect: Inspect = Inspection.run,
) -> PrepareReport:
    """Turn a corpus on disk into verified manifests.

    Args:
        corpus: a key of IMPORTERS, or "auto" to find it out.
        source: the folder that holds it (also the table or the manifest itself), or a tar archive.
            A published corpus that carries manifests already (train.jsonl, ...) keeps its splits.
        out: folder to write to; not `source`.
        normalizer: brings texts into its alphabet, and what it cannot bring there is left out; one
            without an alphabet takes it from the texts. None: of English.
        confirm: asked before such an alphabet goes without a character of the texts.
        rules: what audio must fulfil.
        form: delimiter and columns, of a table.
        division: how much goes to dev and test where the corpus does not say it.
        speaker_from: who speaks: "folder", "column:NAME" or a regular expression for the path.
        progress: draw bars.
        inspect: has the audio of a split read; several processes may share that.

    Returns:
        Counts, hours, and every reason why something was left out, with examples.

    Raises:
        ValueError: the corpus is unknown, the source is not laid out as it should be, not one
            utterance is usable, or a character would be dropped and nobody agreed.
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
    normalizer = normalizer or TextNormalizer(ENGLISH, language="en")
    texts = normalize_splits(imported.splits, normalizer, confirm)
    tokenizer = CharTokenizer(str(texts.normalizer.alphabet))
    rejected = list(imported.rejected)
    report = PrepareReport(corpus, str(source), str(out), found, notes=imported.notes)
    usable: dict[str, list[Utterance]] = {}
    sounds: dict[Path, Sound] = {}
    for split, normal in texts.splits.items():
        verified = verify(
            Inspection(split, normal, tokenizer, rules or VerificationRules(), progress), inspect
        )
        rejected += map(imported.add_line, texts.rejected[split] + verified.rejected)
        usable[split] = verified.utterances
        sounds |= verified.sounds
    report.rejected = group_by_reason(rejected)
    _describe_texts(texts, report)
    if not any(usable.values()):
        raise _refuse(out, rejected, report)
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
    write_normalizer(out / FILE_NAME, texts.normalizer)
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
    return (SPLITS.index(item[0]) if item[0] in SPLITS else len(SPLITS), item[0])


def _describe_texts(texts: NormalTexts, report: PrepareReport) -> None:
    report.text_changes = dict(texts.normalizer.changes)
    report.text_samples = texts.samples
    report.unspelled = dict(texts.normalizer.unspelled.most_common())
    report.alphabet = str(texts.normalizer.alphabet)
    report.characters = texts.characters


def _write(
    out: Path,
    written: dict[str, list[Utterance]],
    rejected: list[Unusable],
    suspects: list[Suspect],
    report: PrepareReport,
) -> None:
    for split, utterances in written.items():
        write_manifest(out / f"{split}.jsonl", utterances)
    _write_rejected(out, rejected)
    write_json_lines(out / SUSPECTS_NAME, [item.record() for item in suspects])
    write_atomically(out / SPLITS_NAME, _format_splits(report.splits, written))
    record = asdict(report)
    for key in ("text_samples", "characters"):
        record[key] = [item._asdict() for item in record[key]]
    write_atomically(out / REPORT_NAME, json.dumps(record, indent=2) + "\n")


def _refuse(out: Path, rejected: list[Unusable], report: PrepareReport) -> ValueError:
    """List everything, since the error names a few and the list."""
    _write_rejected(out, rejected)
    lines = [f"{report.source}: not one usable utterance", *report.lines()[1:]]
    return ValueError("\n".join(lines))


def _write_rejected(out: Path, rejected: list[Unusable]) -> None:
    write_json_lines(out / REJECTED_NAME, [item.record() for item in rejected])


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
