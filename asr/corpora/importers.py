"""Speech corpora as their publishers ship them.

An importer takes the folder that a user unpacked and gives the utterances of each split, in the
official split where there is one. To add a corpus write an importer here and name it in
`corpora.IMPORTERS`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asr.audio import write_wav
from asr.corpora.kaldi import read_kaldi_folder
from asr.corpora.layouts import Imported, find_below, hold_out_speakers, read_lines

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_FSDD_NAME = re.compile(r"([0-9])_([^_]+)_([0-9]+)")
_AN4_LINE = re.compile(r"(?:<s>)?\s*(.*?)\s*(?:</s>)?\s*\((\S+)\)")
_AN4_SAMPLE_RATE = 16000


def import_fsdd(source: Path, out: Path) -> Imported:
    """Import the Free Spoken Digit Dataset: recordings/<digit>_<speaker>_<number>.wav.

    Numbers 0-4 are the official test set; 45-49 of the training set are dev.
    """
    imported = Imported()
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
        for line in read_lines(root / name):
            if line.strip():
                listed[line.strip()] = split
    imported = Imported()
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
    imported = Imported()
    for split in ("train", "test"):
        read_kaldi_folder(imported, split, root / split, root, out)
    for utterance in imported.splits.get("train", []):
        utterance.extra.setdefault("speaker", utterance.id[:-5])
    hold_out_speakers(imported, every=7)
    return imported


def import_librispeech(source: Path, out: Path) -> Imported:
    """Import LibriSpeech: <split>/<speaker>/<chapter>/*.trans.txt beside .flac files.

    Every official part (train-clean-100, dev-clean, ...) is a split of that name.
    """
    imported = Imported()
    transcripts = sorted(source.rglob("*.trans.txt"))
    if not transcripts:
        raise ValueError(f"{source}: holds no *.trans.txt, so it is not LibriSpeech")
    for transcript in transcripts:
        chapter = transcript.parent
        split, speaker = chapter.parent.parent.name, chapter.parent.name
        untold = set(chapter.glob("*.flac"))
        for line in read_lines(transcript):
            if line.strip():
                name, _, text = line.strip().partition(" ")
                path = chapter / f"{name}.flac"
                untold.discard(path)
                imported.add(split, path, text, id=name, speaker=speaker)
        for path in sorted(untold):
            detail = f"{transcript}: has no line for '{path.stem}'"
            imported.reject(split, path, "no transcript", detail)
    return imported


def import_an4(source: Path, out: Path) -> Imported:
    """Import CMU AN4: etc/an4_{train,test}.{fileids,transcription} and wav/ as raw, SPHERE or WAV.

    Raw files (16-bit big-endian, 16 kHz) are converted to WAV below `out`. Every tenth speaker of
    the official training part is dev.
    """
    root = find_below(source, "etc/an4_train.transcription")
    imported = Imported()
    for split in ("train", "test"):
        list_path = root / "etc" / f"an4_{split}.fileids"
        places = {Path(line).name: line.strip() for line in read_lines(list_path) if line.strip()}
        for where, name, text in _read_an4(imported, split, root):
            if name not in places:
                detail = f"{where}: '{name}' is not in {list_path}"
                imported.reject(split, Path(name), "no audio", detail)
                continue
            path = _find_an4_audio(root, places[name], out)
            imported.add(split, path, text, id=name, speaker=path.parent.name)
    hold_out_speakers(imported, every=10)
    return imported


def _read_an4(imported: Imported, split: str, root: Path) -> Iterator[tuple[str, str, str]]:
    """Give (file:line, utterance, text) of each line `<s> TEXT </s> (utterance)`."""
    path = root / "etc" / f"an4_{split}.transcription"
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        match = _AN4_LINE.fullmatch(line.strip())
        if match is None:
            detail = f"{path}:{number}: must be 'TEXT (utterance)', got '{line.strip()}'"
            imported.reject(split, path, "broken transcript line", detail)
            continue
        yield f"{path}:{number}", match[2], match[1]


def _find_an4_audio(root: Path, place: str, out: Path) -> Path:
    for suffix in (".wav", ".sph", ".flac"):
        path = root / "wav" / f"{place}{suffix}"
        if path.is_file():
            return path
    raw = root / "wav" / f"{place}.raw"
    if not raw.is_file():
        return root / "wav" / f"{place}.sph"
    samples = np.frombuffer(raw.read_bytes()[: raw.stat().st_size // 2 * 2], dtype=">i2")
    if samples.size == 0:
        return raw
    path = out / "wav" / f"{place}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, samples.astype(np.float32) / 32768, _AN4_SAMPLE_RATE)
    return path
