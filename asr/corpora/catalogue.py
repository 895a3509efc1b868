"""Every layout that `asr prepare` reads, and how `auto` knows each from what lies there."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from asr.corpora import (
    common_voice,
    huggingface,
    importers,
    kaldi,
    layouts,
    lj_speech,
    multilingual_librispeech,
    nemo,
    saved_datasets,
    stm,
    subtitles,
    tables,
    ted_lium,
    textgrids,
    voxpopuli,
)
from asr.corpora.delimited import SUFFIXES, find_delimiter, read_header
from asr.corpora.layouts import AUDIO_SUFFIXES, Imported, find_near, walk

AUTO = "auto"


class Layout(NamedTuple):
    """How a corpus lies on the disk.

    Attributes:
        read: gives its utterances, from the folder and the folder to write to.
        expected: what must lie there, for `--help` and messages.
        find: gives what of that lies in a folder, to be shown; none where it is another layout.
        takes_form: whether it is a table whose columns a user may name.
        explicit: whether it is read as it is although manifests lie beside it.
        takes_file: whether it may be a single file.
    """

    read: Callable[..., Imported]
    expected: str
    find: Callable[[Path], list[Path]]
    takes_form: bool = False
    explicit: bool = True
    takes_file: bool = False


def _near(*patterns: str) -> Callable[[Path], list[Path]]:
    """Look for names in the folder, and one and two levels below it."""
    return lambda source: find_near(source, *patterns)


def _beside(*suffixes: str) -> Callable[[Path], list[Path]]:
    """Look for endings anywhere below the folder; the first is enough."""

    def find(source: Path) -> list[Path]:
        return [path for path in walk(source) if path.suffix.lower() in suffixes][:1]

    return find


def _tables_with(*columns: str) -> Callable[[Path], list[Path]]:
    def find(source: Path) -> list[Path]:
        found = [source] if source.is_file() else tables.find_tables(source)
        found = [path for path in found if path.suffix.lower() in SUFFIXES]
        return [path for path in found if set(columns) <= set(read_header(path))]

    return find


def _find_lj_speech(source: Path) -> list[Path]:
    found = find_near(source, lj_speech.TABLE)
    found = [path for path in found if (path.parent / lj_speech.FOLDER).is_dir()]
    return [path for path in found if find_delimiter(path) == "|"]


def _find_kaldi(source: Path) -> list[Path]:
    return [path for pattern in ("wav.scp", "*/wav.scp") for path in sorted(source.glob(pattern))]


def _find_pairs(source: Path) -> list[Path]:
    """Look for an audio file with a text beside it; the first is enough."""
    for path in walk(source):
        if path.suffix.lower() in AUDIO_SUFFIXES and path.with_suffix(".txt").is_file():
            return [path.with_suffix(".txt")]
    return []


def _find_manifests(source: Path) -> list[Path]:
    if source.is_file():
        return [source] if "audio_filepath" in nemo.first_keys(source) else []
    return nemo.find_nemo_manifests(source)


# In the order in which `auto` looks: what can be mistaken for another comes after it.
IMPORTERS: dict[str, Layout] = {
    "nemo": Layout(
        nemo.import_nemo,
        "manifests of JSON lines with audio_filepath, text, also offset; audio in tars too",
        _find_manifests,
        takes_file=True,
    ),
    "speech_commands": Layout(
        importers.import_speech_commands,
        "<word>/*.wav, testing_list.txt, validation_list.txt",
        _near("testing_list.txt"),
        explicit=False,
    ),
    "fsdd": Layout(
        importers.import_fsdd,
        "recordings/<digit>_<speaker>_<number>.wav",
        _near("recordings/[0-9]_*_[0-9]*.wav"),
        explicit=False,
    ),
    "an4": Layout(
        importers.import_an4,
        "etc/an4_{train,test}.{fileids,transcription}, wav/",
        _near("etc/an4_train.transcription"),
        explicit=False,
    ),
    "speechocean762": Layout(
        importers.import_speechocean762,
        "train/ and test/ with wav.scp, audio in WAVE/",
        lambda source: [path for path in find_near(source, "WAVE") if _find_kaldi(path.parent)],
        explicit=False,
    ),
    "librispeech": Layout(
        importers.import_librispeech,
        "<part>/<speaker>/<chapter>/*.trans.txt beside .flac",
        lambda source: sorted(source.rglob("*.trans.txt"))[:1],
        explicit=False,
    ),
    "multilingual_librispeech": Layout(
        multilingual_librispeech.import_multilingual_librispeech,
        "<split>/transcripts.txt, <split>/audio/",
        lambda source: [
            p / "transcripts.txt" for p in multilingual_librispeech.find_splits(source)
        ],
    ),
    "common_voice": Layout(
        common_voice.import_common_voice,
        "train.tsv, dev.tsv, test.tsv beside clips/, any language",
        lambda source: [path / "clips" for path in common_voice.find_languages(source)],
    ),
    "voxpopuli": Layout(
        voxpopuli.import_voxpopuli,
        "asr_<split>.tsv with ids, audio anywhere below",
        voxpopuli.find_tables,
    ),
    "audiofolder": Layout(
        huggingface.import_audiofolder,
        "metadata.csv or metadata.jsonl with file_name (Hugging Face)",
        huggingface.find_metadata,
    ),
    "lj_speech": Layout(
        lj_speech.import_lj_speech,
        "metadata.csv (name|text|normalised text), wavs/",
        _find_lj_speech,
    ),
    "kaldi": Layout(
        kaldi.import_kaldi,
        "wav.scp, text, also utt2spk, segments; one folder, or one a split",
        _find_kaldi,
    ),
    "dataset": Layout(
        saved_datasets.import_saved_dataset,
        "Parquet or Arrow files with audio in them (Hugging Face; extra [parquet])",
        _beside(*saved_datasets.SUFFIXES),
    ),
    "ted_lium": Layout(
        ted_lium.import_ted_lium,
        "{train,dev,test}/ with stm/ and sph/, of release 3 those in legacy/",
        ted_lium.find_splits,
    ),
    "stm": Layout(
        stm.import_stm,
        "*.stm beside long recordings, or in stm/ beside sph/",
        _beside(".stm"),
    ),
    "textgrid": Layout(
        textgrids.import_textgrids,
        "*.TextGrid beside long recordings (Praat)",
        _beside(textgrids.SUFFIX),
    ),
    "subtitles": Layout(
        subtitles.import_subtitles,
        "*.srt or *.vtt beside long recordings",
        _beside(*subtitles.SUFFIXES),
    ),
    "deepspeech": Layout(
        tables.import_csv,
        "*.csv with wav_filename, wav_filesize, transcript",
        _tables_with("wav_filename", "transcript"),
        takes_form=True,
        takes_file=True,
    ),
    "csv": Layout(
        tables.import_csv,
        "a table (.csv, .tsv, .psv) of audio and text, any header; or one a split",
        _tables_with(),
        takes_form=True,
        takes_file=True,
    ),
    "folder": Layout(
        layouts.import_folder,
        "audio with a .txt of the same name beside each",
        _find_pairs,
        explicit=False,
    ),
}


def find_layout(source: Path) -> tuple[str, str] | None:
    """Tell a folder's layout from what lies in it.

    Returns:
        Its name and why, or None where it is none that is known.
    """
    fitting = {
        name: found
        for name, layout in IMPORTERS.items()
        if (layout.takes_file or source.is_dir()) and (found := layout.find(source))
    }
    if not fitting:
        return None
    name, *others = fitting
    # Nearly every layout has a table, or texts beside audio.
    others = [other for other in others if other not in ("csv", "folder")]
    first = fitting[name][0]
    place = first.name if first == source else first.relative_to(source)
    why = f"found {name}: there is {place} ({IMPORTERS[name].expected})"
    if others:
        why += f"; {' and '.join(others)} would fit too, name one instead of auto to take it"
    return name, why
