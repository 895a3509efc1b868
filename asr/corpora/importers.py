"""Speech corpora as their publishers ship them.

An importer takes the folder that a user unpacked and gives the utterances of each split, in the
official split where there is one. `catalogue.IMPORTERS` names them all.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from asr.audio import write_wav
from asr.corpora.kaldi import read_kaldi_folder
from asr.corpora.layouts import SPLITS, Imported, find_below
from asr.corpora.places import read_lines, resolve_inside
from asr.corpora.speakers import hold_out_speakers
from asr.files import read_bytes

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_FSDD_NAME = re.compile(r"([0-9])_([^_]+)_([0-9]+)")
_AN4_LINE = re.compile(r"(?:<s>)?\s*(.*?)\s*(?:</s>)?\s*\((\S+)\)")
_AN4_SAMPLE_RATE = 16000


def import_fsdd(source: Path, out: Path) -> Imported:
    """Import the Free Spoken Digit Dataset: recordings/<digit>_<speaker>_<number>.wav.

    Numbers 0-4 are the official test set; 45-49 of the training set are dev.
    """
    imported = Imported(source, out)
    for path in sorted((find_below(source, "recordings") / "recordings").glob("*.wav")):
        match = _FSDD_NAME.fullmatch(path.stem)
        if match is None:
            detail = f"{path}: the name must be <digit>_<speaker>_<number>.wav"
            imported.reject("-", path, "unknown file name", detail)
            continue
        number = int(match[3])
        split = "test" if number < 5 else "dev" if 45 <= number < 50 else "train"
        imported.add(split, path, DIGITS[int(match[1])], id=path.stem, speaker=match[2])
    imported.notes.append("dev is recordings 45-49 of the official training part")
    return imported


def import_speech_commands(source: Path, out: Path) -> Imported:
    """Import Google's Speech Commands: <word>/<speaker>_nohash_<n>.wav and the two official lists.

    _background_noise_ (and _silence_ of the test archive) becomes the split "background".
    """
    root = find_below(source, "testing_list.txt")
    listed = {}
    for name, split in (("validation_list.txt", "dev"), ("testing_list.txt", "test")):
        for line in read_lines(resolve_inside(name, [root])):
            if line.strip():
                listed[line.strip()] = split
    imported = Imported(source, out)
    for path in sorted(root.glob("*/*.wav")):
        word = path.parent.name
        if word in ("_background_noise_", "_silence_"):
            imported.add("background", path, "", id=f"{word}-{path.stem}")
        elif word.startswith("_"):
            imported.reject("-", path, "folder is no word", f"{path}: '{word}' is no word")
        else:
            split = listed.pop(f"{word}/{path.name}", "train")
            speaker = path.stem.split("_nohash_")[0]
            imported.add(split, path, word, id=f"{word}_{path.stem}", speaker=speaker)
    for name, split in listed.items():
        detail = f"{root / name}: is in the official list, but not there"
        imported.reject(split, root / name, "no such audio file", detail)
    return imported


def import_speechocean762(source: Path, out: Path) -> Imported:
    """Import speechocean762: train/ and test/ in Kaldi's form, audio in WAVE/.

    Every seventh speaker of the official training part is dev.
    """
    root = find_below(source, "train/wav.scp")
    imported = Imported(root, out)
    for split in ("train", "test"):
        read_kaldi_folder(imported, split, root / split, absolute=False)
    for utterance in imported.splits.get("train", []):
        utterance.extra.setdefault("speaker", utterance.id[:-5])
    hold_out_speakers(imported, every=7)
    return imported


def import_librispeech(source: Path, out: Path) -> Imported:
    """Import LibriSpeech: <split>/<speaker>/<chapter>/*.trans.txt beside .flac files.

    Every official part (train-clean-100, dev-other, ...) is a split of that name. All train parts
    together are "train" too; "dev" and "test" are the clean parts, or the others without those.
    """
    imported = Imported(source, out)
    transcripts = sorted(source.rglob("*.trans.txt"))
    if not transcripts:
        raise ValueError(f"{source}: holds no *.trans.txt, so it is not LibriSpeech")
    for transcript in transcripts:
        chapter = transcript.parent
        split, speaker = chapter.parent.parent.name, chapter.parent.name
        try:
            lines = read_lines(resolve_inside(transcript, [source]))
        except ValueError as error:
            imported.reject(
                split, transcript, "transcript cannot be read", f"{transcript}: {error}"
            )
            continue
        untold = set(chapter.glob("*.flac"))
        for number, line in enumerate(lines, start=1):
            if line.strip():
                name, _, text = line.strip().partition(" ")
                where = f"{transcript}:{number}"
                path = imported.find(split, f"{name}.flac", [chapter], where)
                if path is not None:
                    untold.discard(path)
                    imported.add(split, path, text, where=where, id=name, speaker=speaker)
        for path in sorted(untold):
            detail = f"{transcript}: has no line for '{path.stem}'"
            imported.reject(split, path, "no transcript", detail)
    imported.groups = _group_parts(list(imported.splits))
    return imported


def _group_parts(parts: Sequence[str]) -> dict[str, list[str]]:
    """Say which official parts make up train, dev and test."""
    groups = {}
    for group in SPLITS:
        members = sorted(part for part in parts if part.startswith(f"{group}-"))
        clean = [part for part in members if part.startswith(f"{group}-clean")]
        if members:
            groups[group] = clean if clean and group != "train" else members
    return groups


def import_an4(source: Path, out: Path) -> Imported:
    """Import CMU AN4: etc/an4_{train,test}.{fileids,transcription} and wav/ as raw, SPHERE or WAV.

    Raw files (16-bit big-endian, 16 kHz) are converted to WAV below `out`. Every tenth speaker of
    the official training part is dev.
    """
    root = find_below(source, "etc/an4_train.transcription")
    imported = Imported(root, out)
    for split in ("train", "test"):
        list_path = resolve_inside(f"etc/an4_{split}.fileids", [root])
        places = {
            Path(line).name: (line.strip(), f"{list_path}:{number}")
            for number, line in enumerate(read_lines(list_path), start=1)
            if line.strip()
        }
        for where, name, text in _read_an4(imported, split, root):
            if name not in places:
                detail = f"{where}: '{name}' is not in {list_path}"
                imported.reject(split, Path(name), "no audio", detail)
                continue
            place, where = places[name]
            path = _find_an4_audio(imported, split, place, where)
            if path is not None:
                imported.add(split, path, text, where=where, id=name, speaker=path.parent.name)
    hold_out_speakers(imported, every=10)
    return imported


def _read_an4(imported: Imported, split: str, root: Path) -> Iterator[tuple[str, str, str]]:
    """Give (file:line, utterance, text) of each line `<s> TEXT </s> (utterance)`."""
    path = resolve_inside(f"etc/an4_{split}.transcription", [root])
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        match = _AN4_LINE.fullmatch(line.strip())
        if match is None:
            detail = f"{path}:{number}: must be 'TEXT (utterance)', got '{line.strip()}'"
            imported.reject(split, path, "broken transcript line", detail)
            continue
        yield f"{path}:{number}", match[2], match[1]


def _find_an4_audio(imported: Imported, split: str, place: str, where: str) -> Path | None:
    """Find the audio of a line of fileids, converted below `out` where it is raw."""
    folder = imported.root / "wav"
    for suffix in (".wav", ".sph", ".flac", ".raw"):
        path = imported.find(split, f"{place}{suffix}", [folder], where)
        if path is None:
            return None
        if path.is_file():
            break
    else:
        return folder / f"{place}.sph"
    if suffix != ".raw":
        return path
    content = read_bytes(path)
    samples = np.frombuffer(content[: len(content) // 2 * 2], dtype=">i2")
    if samples.size == 0:
        return path
    # Below `out` as it is below the corpus, which it does not leave.
    converted = imported.out / "wav" / path.relative_to(folder).with_suffix(".wav")
    converted.parent.mkdir(parents=True, exist_ok=True)
    write_wav(converted, samples.astype(np.float32) / 32768, _AN4_SAMPLE_RATE)
    return converted
