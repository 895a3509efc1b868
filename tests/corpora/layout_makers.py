"""A small copy of every layout that people have, made as its publisher lays it out.

Each maker fills a folder with six utterances or more: id -> text is what must come out of it.
"""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import soundfile

from tests.corpus_files import write_text

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def speech(seed, duration_s=1.0):
    """Noise and loudness of its own for every seed, so that no two recordings are copies."""
    level = 0.05 + 0.001 * (37 * seed % 50)
    noise = np.random.default_rng(seed).normal(0, level, round(duration_s * 16000))
    return noise.astype(np.float32)


def write_speech(path, seed, duration_s=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech(seed, duration_s), 16000)
    return path


def long_recording(path):
    """Ten seconds, in which the sample at second t is t / 32: a cut shows where it was made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.repeat(np.arange(10), 16000) / 32 + 1 / 64
    soundfile.write(path, samples, 16000)
    return path


def make_lj_speech(root):
    for number in range(6):
        write_speech(root / "wavs" / f"LJ001-{number:04d}.wav", number)
    rows = [f'LJ001-{n:04d}|No. {n} is "{w}"|number {w}' for n, w in enumerate(WORDS[:6])]
    write_text(root / "metadata.csv", *rows)
    return {f"LJ001-{n:04d}": f"number {w}" for n, w in enumerate(WORDS[:6])}


def make_common_voice(root):
    folder = root / "cv-corpus-24.0-2025-12-05" / "de"
    header = (
        "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\t"
        "gender\taccents\tvariant\tlocale\tsegment"
    )
    expected = {}
    for number in range(6):
        name = f"common_voice_de_{number}"
        write_speech(folder / "clips" / f"{name}.mp3", number)
        expected[name] = WORDS[number]
    for split, members in (("train", (0, 1, 2)), ("dev", (3,)), ("test", (4, 5))):
        rows = [
            f"c{n}\tcommon_voice_de_{n}.mp3\ts{n}\t{WORDS[n].title()}.\t\t2\t0\t\t\t\t\tde\t"
            for n in members
        ]
        write_text(folder / f"{split}.tsv", header, *rows)
    for name in ("validated", "invalidated", "other"):
        write_text(folder / f"{name}.tsv", header)
    write_text(folder / "clip_durations.tsv", "clip\tduration[ms]", "common_voice_de_0.mp3\t1000")
    sentences = "sentence_id\tsentence\tsentence_domain\tsource\tis_used\tclips_count"
    write_text(folder / "validated_sentences.tsv", sentences)
    write_text(folder / "unvalidated_sentences.tsv", "sentence_id\tsentence\tsource")
    write_text(folder / "reported.tsv", "sentence_id\tsentence\tlocale\treason")
    return expected


def make_kaldi(root):
    for number in range(6):
        write_speech(root / "audio" / f"u{number}.wav", number)
    write_text(root / "data" / "wav.scp", *(f"u{n} audio/u{n}.wav" for n in range(6)))
    write_text(root / "data" / "text", *(f"u{n} {WORDS[n]}" for n in range(6)))
    write_text(root / "data" / "utt2spk", *(f"u{n} s{n}" for n in range(6)))
    return {f"u{n}": WORDS[n] for n in range(6)}


def make_nemo(root):
    for number in range(5):
        write_speech(root / "wavs" / f"{number}.wav", number)
    long_recording(root / "wavs" / "long.wav")
    lines = [
        {"audio_filepath": f"wavs/{n}.wav", "duration": 1.0, "text": WORDS[n]} for n in range(5)
    ]
    lines.append({"audio_filepath": "wavs/long.wav", "offset": 4.0, "duration": 1.5, "text": "cut"})
    write_text(root / "train_manifest.json", *map(json.dumps, lines[:3] + lines[5:]))
    write_text(root / "dev_manifest.json", json.dumps(lines[3]))
    write_text(root / "test_manifest.json", json.dumps(lines[4]))
    return {f"wavs/{n}": WORDS[n] for n in range(5)} | {"wavs/long-4.0": "cut"}


def make_nemo_tarred(root):
    root.mkdir(parents=True, exist_ok=True)
    lines = []
    for shard in range(2):
        with tarfile.open(root / f"audio_{shard}.tar", "w") as tar:
            for number in range(3 * shard, 3 * shard + 3):
                content = io.BytesIO()
                soundfile.write(content, speech(number), 16000, format="FLAC")
                entry = tarfile.TarInfo(f"data_{number}.flac")
                entry.size = content.getbuffer().nbytes
                content.seek(0)
                tar.addfile(entry, content)
                line = {"audio_filepath": entry.name, "duration": 1.0, "text": WORDS[number]}
                lines.append(line | {"shard_id": shard})
    write_text(root / "tarred_audio_manifest.json", *map(json.dumps, lines))
    return {f"data_{n}": WORDS[n] for n in range(6)}


def make_audiofolder_csv(root):
    rows = []
    for number in range(6):
        write_speech(root / "data" / f"{number}.flac", number)
        rows.append(f"data/{number}.flac,{WORDS[number]},s{number}")
    write_text(root / "metadata.csv", "file_name,transcription,speaker_id", *rows)
    return {f"data/{n}": WORDS[n] for n in range(6)}


def make_audiofolder_jsonl(root):
    for number, split in enumerate(("train",) * 4 + ("validation", "test")):
        write_speech(root / split / f"{number}.flac", number)
    for split, members in (("train", range(4)), ("validation", (4,)), ("test", (5,))):
        lines = [{"file_name": f"{n}.flac", "text": WORDS[n], "age": 30 + n} for n in members]
        write_text(root / split / "metadata.jsonl", *map(json.dumps, lines))
    names = ["train/0", "train/1", "train/2", "train/3", "validation/4", "test/5"]
    return dict(zip(names, WORDS, strict=False))


def make_librispeech(root):
    expected = {}
    for number, part in enumerate(("train-clean-100",) * 4 + ("dev-clean", "test-clean")):
        name = f"{number}-1-0000"
        folder = root / "LibriSpeech" / part / str(number) / "1"
        write_speech(folder / f"{name}.flac", number)
        write_text(folder / f"{number}-1.trans.txt", f"{name} {WORDS[number].upper()}")
        expected[name] = WORDS[number]
    return expected


def make_multilingual_librispeech(root):
    expected = {}
    folder = root / "mls_german_opus"
    for number, split in enumerate(("train",) * 4 + ("dev", "test")):
        name = f"{number}_77_000001"
        write_speech(folder / split / "audio" / f"{number}" / "77" / f"{name}.ogg", number)
        line = f"{name}\t{WORDS[number]}\n"
        with (folder / split / "transcripts.txt").open("a") as file:
            file.write(line)
        expected[name] = WORDS[number]
    return expected


def make_voxpopuli(root):
    header = "id\traw_text\tnormalized_text\tspeaker_id\tsplit\tgender"
    for number, split in enumerate(("train",) * 4 + ("dev", "test")):
        name = f"2010-PLENARY-{number}"
        write_speech(root / "transcribed_data" / "en" / "2010" / f"{name}.ogg", number)
        path = root / "transcribed_data" / "en" / f"asr_{split}.tsv"
        if not path.exists():
            write_text(path, header)
        with path.open("a") as file:
            text = WORDS[number]
            file.write(f"{name}\t{text.title()}.\t{text}\ts{number}\t{split}\tfemale\n")
    return {f"2010-PLENARY-{n}": WORDS[n] for n in range(6)}


def make_stm(root):
    long_recording(root / "talk.wav")
    write_text(
        root / "talk.stm",
        ";; a comment",
        "talk 1 Anna 1.00 2.50 <o,f0,male> one two",
        "talk 1 inter_segment_gap 2.50 3.00 <o,f3,> ignore_time_segment_in_scoring",
        "talk 1 Ben 6.00 7.00 three",
    )
    return {"talk-0000100-0000250-1": "one two", "talk-0000600-0000700-1": "three"}


def write_sphere(path, samples, coding="pcm", byte_format="01"):
    """Write 16-bit SPHERE as NIST's tools do: a text header of 1,024 bytes, then samples."""
    header = (
        "NIST_1A\n   1024\n"
        f"sample_count -i {len(samples)}\nsample_rate -i 16000\nchannel_count -i 1\n"
        f"sample_n_bytes -i 2\nsample_byte_format -s2 {byte_format}\nsample_sig_bits -i 16\n"
        f"sample_coding -s{len(coding)} {coding}\nend_head\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.rint(np.asarray(samples) * 32768).astype({"01": "<i2", "10": ">i2"}[byte_format])
    path.write_bytes(header.encode().ljust(1024, b"\0") + numbers.tobytes())
    return path


def make_ted_lium(root):
    """Release 3: the talks in data/, and twice more behind links."""
    release = root / "TEDLIUM_release-3"
    steps = np.repeat(np.arange(10), 16000) / 32 + 1 / 64
    expected = {}
    for split, talks in (("train", ("A", "B")), ("dev", ("C",)), ("test", ("D",))):
        for talk in talks:
            write_sphere(release / "data" / "sph" / f"{talk}.sph", steps)
            label = "<F0_M>" if split == "dev" else "<o,f0,male>"
            write_text(
                release / "data" / "stm" / f"{talk}.stm",
                f"{talk} 1 Speaker{talk} 1.00 2.50 {label} one doesn 't",
                f"{talk} 1 Speaker{talk} 3.00 4.00 {label} ignore_time_segment_in_scoring",
                f"{talk} 1 Speaker{talk} 6.00 7.00 {label} {{NOISE}} three(2) <sil>",
            )
            for division in ("legacy", "speaker-adaptation"):
                folder = release / division / split
                for kind, name in (("sph", f"{talk}.sph"), ("stm", f"{talk}.stm")):
                    (folder / kind).mkdir(parents=True, exist_ok=True)
                    (folder / kind / name).symlink_to(Path("../../../data") / kind / name)
            expected[f"{talk}-0000100-0000250-1"] = "one doesn't"
            expected[f"{talk}-0000600-0000700-1"] = "three"
    write_text(release / "LM" / "readme.txt", "texts for language models")
    return expected


def make_deepspeech(root):
    header = "wav_filename,wav_filesize,transcript"
    for split, members in (("train", range(4)), ("dev", (4,)), ("test", (5,))):
        rows = []
        for number in members:
            path = write_speech(root / split / f"{number}.wav", number)
            rows.append(f"{path.relative_to(root)},{path.stat().st_size},{WORDS[number]}")
        write_text(root / f"{split}.csv", header, *rows)
    return {f"{'train' if n < 4 else ('dev', 'test')[n - 4]}/{n}": WORDS[n] for n in range(6)}


TEXTGRID = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 10
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "{speaker}"
        xmin = 0
        xmax = 10
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1
            text = ""
        intervals [2]:
            xmin = 1
            xmax = 2.5
            text = "one ""two"""
        intervals [3]:
            xmin = 2.5
            xmax = 10
            text = "three"
    item [2]:
        class = "IntervalTier"
        name = "{speaker} - words"
        xmin = 0
        xmax = 10
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 10
            text = "one"
    item [3]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 10
        points: size = 1
        points [1]:
            number = 2
            mark = "click"
'''
SHORT_TEXTGRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n10\n<exists>\n1\n'
    '"IntervalTier"\n"utterances"\n0\n10\n2\n0\n4\n"four"\n4\n10\n""\n'
)


def make_textgrid(root):
    for number in range(2):
        long_recording(root / f"talk{number}.wav")
        content = TEXTGRID.format(speaker=f"anna{number}")
        (root / f"talk{number}.TextGrid").write_text(content, encoding="utf-16")
    long_recording(root / "short.wav")
    (root / "short.TextGrid").write_text(SHORT_TEXTGRID)
    expected = {f"talk{n}-{i:05d}": t for n in range(2) for i, t in ((1, "one two"), (2, "three"))}
    return expected | {"short-00001": "four"}


SRT = """1
00:00:01,000 --> 00:00:02,500
<i>one</i>
two

2
00:00:03,000 --> 00:00:04,000
[MUSIC]

3
00:00:06,000 --> 00:00:07,000
three
"""
VTT = """WEBVTT

NOTE a remark

00:01.000 --> 00:02.500 align:start
<v Anna>four &amp; five</v>
"""


def make_subtitles(root):
    long_recording(root / "talk.wav")
    (root / "talk.srt").write_text(SRT)
    long_recording(root / "other.wav")
    (root / "other.en.vtt").write_text(VTT)
    return {"talk-00001": "one two", "talk-00003": "three", "other.en-00001": "four and five"}


def make_csv(root):
    rows = [f"{w};{n}.wav;s{n}" for n, w in enumerate(WORDS[:6])]
    for number in range(6):
        write_speech(root / f"{number}.wav", number)
    (root / "table.csv").write_text("\n".join(["Text;Audio_File;Speaker", *rows]), "utf-8-sig")
    return {f"{n}": WORDS[n] for n in range(6)}


def make_folder(root):
    for number in range(6):
        write_text(write_speech(root / f"{number}.wav", number).with_suffix(".txt"), WORDS[number])
    return {f"{n}": WORDS[n] for n in range(6)}


def make_an4(root):
    for split, people in (("train", 10), ("test", 2)):
        places = [f"an4_clstk/{split}{i}/u{i}-{split}-b" for i in range(people)]
        for number, place in enumerate(places):
            samples = speech(10 * people + number)
            write_sphere(root / "an4" / "wav" / f"{place}.sph", samples, byte_format="10")
        write_text(root / "an4" / "etc" / f"an4_{split}.fileids", *places)
        lines = [f"<s> RUBOUT </s> ({place.rpartition('/')[2]})" for place in places]
        write_text(root / "an4" / "etc" / f"an4_{split}.transcription", *lines)
    people = {"train": 10, "test": 2}
    return {f"u{i}-{s}-b": "rubout" for s, count in people.items() for i in range(count)}


# Layout that `auto` must find -> what makes a copy of it.
MAKERS = {
    "lj_speech": make_lj_speech,
    "common_voice": make_common_voice,
    "kaldi": make_kaldi,
    "nemo": make_nemo,
    "nemo tarred": make_nemo_tarred,
    "audiofolder csv": make_audiofolder_csv,
    "audiofolder jsonl": make_audiofolder_jsonl,
    "librispeech": make_librispeech,
    "multilingual_librispeech": make_multilingual_librispeech,
    "voxpopuli": make_voxpopuli,
    "ted_lium": make_ted_lium,
    "stm": make_stm,
    "deepspeech": make_deepspeech,
    "textgrid": make_textgrid,
    "subtitles": make_subtitles,
    "csv": make_csv,
    "folder": make_folder,
    "an4": make_an4,
}
