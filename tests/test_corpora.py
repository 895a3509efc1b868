import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import read_audio
from asr.data.corpora import IMPORTERS, prepare
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.data.verification import VerificationRules


def write_audio(path, duration_s=1.0, sample_rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).normal(0, 0.1, round(duration_s * sample_rate))
    soundfile.write(path, samples, sample_rate)
    return path


def write_text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def run(corpus, source, out, **options):
    return prepare(corpus, source, out, progress=False, **options)


def texts(out, split):
    return {item.id: item.text for item in read_manifest(out / f"{split}.jsonl")}


def speakers(out, split):
    return {item.extra["speaker"] for item in read_manifest(out / f"{split}.jsonl")}


def rejected(out):
    lines = (out / "rejected.jsonl").read_text().splitlines()
    return {(line["id"], line["reason"]) for line in map(json.loads, lines)}


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_fsdd_takes_the_official_split_and_spells_digits(source, out):
    for name in ("0_george_0", "7_george_4", "3_jackson_5", "9_jackson_44", "1_george_45"):
        write_audio(source / "recordings" / f"{name}.wav", 0.5, 8000)
    write_audio(source / "recordings" / "x_george_1.wav")

    report = run("fsdd", source, out)

    assert texts(out, "test") == {"0_george_0": "zero", "7_george_4": "seven"}
    assert texts(out, "train") == {"3_jackson_5": "three", "9_jackson_44": "nine"}
    assert texts(out, "dev") == {"1_george_45": "one"}
    assert speakers(out, "train") == {"jackson"}
    assert rejected(out) == {("x_george_1", "unknown file name")}
    assert report.splits["test"].sample_rates == {8000: 2}


def test_speech_commands_follows_the_official_lists(source, out):
    for word in ("yes", "no"):
        for speaker in ("aa", "bb", "cc"):
            write_audio(source / word / f"{speaker}_nohash_0.wav")
    write_audio(source / "_background_noise_" / "tap.wav", 61.0)
    write_audio(source / "_unknown_" / "dd_nohash_0.wav")
    write_text(source / "testing_list.txt", "yes/bb_nohash_0.wav", "no/bb_nohash_0.wav")
    write_text(source / "validation_list.txt", "yes/cc_nohash_0.wav", "no/ee_nohash_0.wav")

    run("speech_commands", source, out)

    assert texts(out, "test") == {"yes_bb_nohash_0": "yes", "no_bb_nohash_0": "no"}
    assert texts(out, "dev") == {"yes_cc_nohash_0": "yes"}
    assert set(texts(out, "train")) == {"yes_aa_nohash_0", "no_aa_nohash_0", "no_cc_nohash_0"}
    assert texts(out, "background") == {"_background_noise_-tap": ""}
    assert rejected(out) == {
        ("dd_nohash_0", "folder is no word"),
        ("ee_nohash_0", "no such audio file"),
    }


def make_speechocean(source):
    for split, numbers in (("train", range(14)), ("test", range(20, 23))):
        names = [f"{number:04d}00011" for number in numbers]
        for name in names:
            write_audio(source / "WAVE" / f"SPEAKER{name[:4]}" / f"{name}.WAV")
        scp = [f"{name}\tWAVE/SPEAKER{name[:4]}/{name}.WAV" for name in names]
        write_text(source / split / "wav.scp", *scp)
        write_text(source / split / "text", *(f"{name}\tWE CALL IT BEAR" for name in names))
        write_text(source / split / "utt2spk", *(f"{name} {name[:4]}" for name in names))


def test_speechocean762_holds_out_every_seventh_training_speaker(source, out):
    make_speechocean(source / "speechocean762")

    report = run("speechocean762", source, out)

    assert speakers(out, "dev") == {"0006", "0013"}
    assert len(texts(out, "train")) == 12
    assert speakers(out, "test") == {"0020", "0021", "0022"}
    assert set(texts(out, "test").values()) == {"we call it bear"}
    assert report.text_changes == {"lower-cased": 17 * len("WECALLITBEAR")}
    assert any("0006, 0013" in note for note in report.notes)


def test_librispeech_makes_a_split_of_each_part(source, out):
    root = source / "LibriSpeech"
    for part, chapter in (("dev-clean", "84/121"), ("train-clean-5", "19/198")):
        name = chapter.replace("/", "-")
        folder = root / part / chapter
        for number in range(2):
            write_audio(folder / f"{name}-000{number}.flac", 2.0)
        write_text(folder / f"{name}.trans.txt", f"{name}-0000 MISTER QUILTER'S MANNER")

    run("librispeech", source, out)

    assert texts(out, "dev-clean") == {"84-121-0000": "mister quilter's manner"}
    assert texts(out, "train-clean-5") == {"19-198-0000": "mister quilter's manner"}
    assert speakers(out, "train-clean-5") == {"19"}
    assert rejected(out) == {("84-121-0001", "no transcript"), ("19-198-0001", "no transcript")}


def make_an4(root, write):
    for split, folder, people in (("train", "an4_clstk", 10), ("test", "an4test_clstk", 2)):
        names = [f"an{i}-p{i:02d}{split}-b" for i in range(people)]
        places = [f"{folder}/p{i:02d}{split}/{name}" for i, name in enumerate(names)]
        for place in places:
            write(root / "wav" / place)
        write_text(root / "etc" / f"an4_{split}.fileids", *places)
        lines = [f"<s> RUBOUT G M </s> ({name})" for name in names]
        write_text(root / "etc" / f"an4_{split}.transcription", *lines)


def write_raw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.arange(-8000, 8000, dtype=">i2")
    path.with_name(path.name + ".raw").write_bytes(samples.tobytes())


def write_sphere(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.arange(-8000, 8000, dtype=np.int16)
    soundfile.write(path.with_name(path.name + ".sph"), samples, 16000, format="NIST")


@pytest.mark.parametrize("write", [write_raw, write_sphere])
def test_an4_reads_raw_and_sphere(source, out, write):
    make_an4(source / "an4", write)

    run("an4", source, out)

    assert texts(out, "test") == {
        "an0-p00test-b": "rubout g m",
        "an1-p01test-b": "rubout g m",
    }
    assert speakers(out, "dev") == {"p09train"}
    assert len(texts(out, "train")) == 9
    audio = read_audio(read_manifest(out / "train.jsonl")[0].audio_filepath)
    np.testing.assert_array_equal(audio.waveform * 32768, np.arange(-8000, 8000))
    assert audio.source_rate == 16000


def test_an4_names_a_broken_transcript_line(source, out):
    make_an4(source, write_raw)
    path = source / "etc" / "an4_test.transcription"
    path.write_text(path.read_text() + "NO NAME HERE\n")

    report = run("an4", source, out)

    (example,) = report.rejected["broken transcript line"].examples
    assert example == f"{path}:3: must be 'TEXT (utterance)', got 'NO NAME HERE'"


def test_folder_pairs_audio_with_text_in_split_folders(source, out):
    for name in ("train/a", "train/deep/a", "valid/b", "test/c"):
        write_audio(source / f"{name}.wav")
        write_text(source / f"{name}.txt", "Hello", "World")
    write_audio(source / "train" / "lonely.flac")
    write_text(source / "notes.txt", "not a transcript")
    write_audio(source / "stray.wav")

    run("folder", source, out)

    assert texts(out, "train") == {"train-a": "hello world", "train-deep-a": "hello world"}
    assert texts(out, "dev") == {"valid-b": "hello world"}
    assert texts(out, "test") == {"test-c": "hello world"}
    assert rejected(out) == {
        ("lonely", "no transcript"),
        ("notes", "no audio"),
        ("stray", "outside the split folders"),
    }


def test_folder_without_splits_is_divided_the_same_way_whatever_is_added(source, out, tmp_path):
    for number in range(60):
        write_audio(source / f"{number}.wav", 0.2)
        write_text(source / f"{number}.txt", "a")
    report = run("folder", source, out)
    for number in range(60, 80):
        write_audio(source / f"{number}.wav", 0.2)
        write_text(source / f"{number}.txt", "a")

    run("folder", source, tmp_path / "later")

    sizes = {name: split.utterances for name, split in report.splits.items()}
    assert set(sizes) == {"train", "dev", "test"}
    assert sum(sizes.values()) == 60
    assert sizes["train"] > 45
    for split in sizes:
        assert set(texts(out, split)) <= set(texts(tmp_path / "later", split))


def test_folder_ignores_what_it_wrote_below_its_source(source):
    write_audio(source / "train" / "a.wav")
    write_text(source / "train" / "a.txt", "a")
    out = source / "prepared"

    run("folder", source, out)
    write_audio(out / "b.wav")
    report = run("folder", source, out)

    assert texts(out, "train") == {"train-a": "a"}
    assert report.rejected == {}


def make_kaldi(folder, scp, text, segments=()):
    write_text(folder / "wav.scp", *scp)
    write_text(folder / "text", *text)
    if segments:
        write_text(folder / "segments", *segments)


def test_kaldi_reads_split_folders(source, out):
    write_audio(source / "wav" / "a.wav")
    absolute = write_audio(source.parent / "elsewhere" / "b.wav")
    make_kaldi(source / "train", ["u.1 wav/a.wav"], ["u.1 hello"])
    make_kaldi(source / "test", [f"u2 {absolute}"], ["u2 bye"])
    write_text(source / "train" / "utt2spk", "u.1 anna")

    run("kaldi", source, out)

    assert texts(out, "train") == {"u.1": "hello"}
    assert speakers(out, "train") == {"anna"}
    assert texts(out, "test") == {"u2": "bye"}
    assert rejected(out) == set()


def test_kaldi_refuses_commands_and_names_the_line(source, out):
    target = source / "ran"
    write_audio(source / "a.wav")
    make_kaldi(
        source / "train",
        ["u1 a.wav", f"u2 touch {target} |", "u3 ../../a.wav", "u4"],
        ["u1 one", "u2 two", "u3 three", "u4 four"],
    )

    report = run("kaldi", source, out)

    assert not target.exists()
    assert texts(out, "train") == {"u1": "one"}
    scp = source / "train" / "wav.scp"
    assert report.rejected["audio is a command"].examples == [
        f"{scp}:2: 'u2' is a command, which is not run: touch {target} |"
    ]
    assert report.rejected["path outside the folder"].examples == [
        f"{scp}:3: 'u3': path leaves the folder: ../../a.wav"
    ]
    assert report.rejected["no audio"].examples == [f"{scp}:4: 'u4' names no file"]


def test_kaldi_lists_what_has_no_partner(source, out):
    write_audio(source / "a.wav")
    make_kaldi(source / "train", ["u1 a.wav", "u2 a.wav"], ["u1 one", "u3 three"])

    run("kaldi", source, out)

    assert rejected(out) == {("u2", "no transcript"), ("u3", "no audio")}


def test_kaldi_cuts_segments(source, out):
    ramp = np.arange(32000, dtype=np.float32) / 32768
    soundfile.write(source / "long.wav", ramp, 16000)
    make_kaldi(
        source / "train",
        ["rec long.wav", "pipe cat x |"],
        [f"u/{i} word" for i in range(6)],
        [
            "u/0 rec 0.5 1.0",
            "u/1 rec 1.5 -1",
            "u/2 rec 1.0 9.0",
            "u/3 rec one two",
            "u/4 pipe 0 1",
            "u/5 nowhere 0 1",
        ],
    )

    report = run("kaldi", source, out)

    first, second = read_manifest(out / "train.jsonl")
    assert (first.id, second.id) == ("u/0", "u/1")
    np.testing.assert_array_equal(read_audio(first.audio_filepath).waveform, ramp[8000:16000])
    np.testing.assert_array_equal(read_audio(second.audio_filepath).waveform, ramp[24000:])
    segments = source / "train" / "segments"
    assert report.rejected["bad segment"].examples == [
        f"{segments}:3: 'u/2' 1.0 to 9.0 s leaves {source / 'long.wav'} of 2.000 s",
        f"{segments}:4: 'u/3' must be 'utterance recording start end', got 'rec one two'",
    ]
    assert rejected(out) >= {("u/4", "audio is a command"), ("u/5", "no audio")}


def test_kaldi_refuses_a_key_that_occurs_twice(source, out):
    make_kaldi(source / "train", ["u1 a.wav", "u1 b.wav"], ["u1 one"])

    with pytest.raises(ValueError, match=r"wav\.scp:2: key 'u1' is on line 1 already"):
        run("kaldi", source, out)


def test_csv_reads_headers_quotes_and_further_columns(source, out):
    for name in "abcd":
        write_audio(source / f"{name}.wav")
    table = write_text(
        source / "table.csv",
        "Speaker,path,transcript,accent",
        'anna,a.wav,"Hello, World",us',
        "bert,b.wav,bye,",
        "carl,../c.wav,bye,uk",
        "short",
        "dora,d.wav,,uk",
    )

    report = run("csv", table, out, unknown="remove")

    found = {
        item.id: item
        for split in ("train", "dev", "test")
        if (out / f"{split}.jsonl").exists()
        for item in read_manifest(out / f"{split}.jsonl")
    }
    assert found["a"].text == "hello world"
    assert found["a"].extra == {"speaker": "anna", "accent": "us"}
    assert found["b"].extra == {"speaker": "bert"}
    assert report.text_changes["removed ','"] == 1
    assert report.rejected["path outside the folder"].examples[0].startswith(f"{table}:4: ")
    assert report.rejected["row too short"].examples == [
        f"{table}:5: must have at least 3 columns, got 1"
    ]
    assert ("d", "empty transcript") in rejected(out)


def test_csv_reads_common_voice_tables(source, out):
    for name in ("x", "y"):
        write_audio(source / "clips" / f"{name}.wav")
    header = "client_id\tpath\tsentence\tup_votes"
    write_text(source / "train.tsv", header, 'c1\tx.wav\t"Go on\t2')
    write_text(source / "test.tsv", header, "c2\ty.wav\tstop\t2")
    write_text(source / "validated.tsv", header)

    report = run("csv", source, out, unknown="remove")

    assert texts(out, "train") == {"x": "go on"}
    assert speakers(out, "test") == {"c2"}
    assert "passed over validated.tsv: not named train, dev or test" in report.notes


def test_csv_keeps_words_apart_across_quoted_line_breaks(source, out):
    write_audio(source / "a.wav")
    write_audio(source / "b.wav")
    write_text(source / "train.csv", "path,text", 'a.wav,"hello', 'world"')
    write_text(source / "test.csv", "path,text", "b.wav,bye")

    run("csv", source, out)

    assert texts(out, "train") == {"a": "hello world"}


def test_csv_without_header_takes_path_and_text(source, out):
    for split in ("train", "dev"):
        write_audio(source / f"{split}.wav")
        write_text(source / f"{split}.csv", f"{split}.wav,hello")

    run("csv", source, out)

    assert texts(out, "train") == {"train": "hello"}
    assert texts(out, "dev") == {"dev": "hello"}


def make_manifests(folder):
    write_audio(folder / "clips" / "a.wav")
    write_audio(folder / "clips" / "b.wav")
    extra = {"id": "u1", "speaker": "s", "age": 6}
    write_manifest(
        folder / "train.jsonl", [Utterance(folder / "clips" / "a.wav", 1.0, "hi", extra)]
    )
    write_manifest(folder / "test_other.jsonl", [Utterance(folder / "clips" / "b.wav", 1.0, "ho")])


def test_manifests_beside_the_audio_keep_splits_texts_and_keys(source, out):
    make_manifests(source)

    run("fsdd", source, out)

    (utterance,) = read_manifest(out / "train.jsonl")
    assert utterance == Utterance(
        source / "clips" / "a.wav", 1.0, "hi", {"id": "u1", "speaker": "s", "age": 6}
    )
    assert texts(out, "test_other") == {"b": "ho"}


def make_archived(source):
    """Manifests with their audio in a tar beside them."""
    build = source.parent / "build"
    make_manifests(build)
    with tarfile.open(source / "source.tar", "w") as tar:
        tar.add(build / "clips", "clips")
    for name in ("train.jsonl", "test_other.jsonl"):
        (build / name).rename(source / name)


def test_archive_is_unpacked_into_out_once(source, out):
    make_archived(source)

    report = run("folder", source, out)
    unpacked = out / "audio" / "clips" / "a.wav"
    before = unpacked.stat().st_mtime_ns, unpacked.stat().st_ino
    run("folder", source, out)

    assert read_manifest(out / "train.jsonl")[0].audio_filepath == unpacked
    assert '"audio/clips/a.wav"' in (out / "train.jsonl").read_text()
    assert report.notes == [f"unpacked source.tar to {out / 'audio'}"]
    assert (unpacked.stat().st_mtime_ns, unpacked.stat().st_ino) == before
    assert sorted(path.name for path in source.iterdir()) == [
        "source.tar",
        "test_other.jsonl",
        "train.jsonl",
    ]


def test_archive_itself_can_be_the_source(source, out):
    for number in (0, 5):
        write_audio(source / "fsdd" / "recordings" / f"1_anna_{number}.wav")
    archive = source / "fsdd.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source / "fsdd", "free-spoken-digit-dataset")

    run("fsdd", archive, out)

    assert set(texts(out, "train")) == {"1_anna_5"}


def test_archive_that_leads_outside_is_refused_whole(source, out):
    audio = write_audio(source.parent / "a.wav")
    with tarfile.open(source / "a.tar", "w") as tar:
        tar.add(audio, "fine.wav")
        tar.add(audio, "../../evil.wav")

    with pytest.raises(ValueError, match=r"cannot unpack: .*outside the destination"):
        run("folder", source, out)

    assert not list(source.parent.rglob("evil.wav"))
    assert list(out.iterdir()) == []


def test_archive_cut_short_is_refused_whole(source, out):
    make_archived(source)
    archive = source / "source.tar"
    archive.write_bytes(archive.read_bytes()[:40000])

    with pytest.raises(ValueError, match=r"source: cannot unpack: "):
        run("folder", source, out)

    assert list(out.iterdir()) == []


def test_prepare_reports_each_reason_and_writes_it_down(source, out):
    for name in ("good", "empty", "digit", "missing"):
        write_audio(source / f"{name}.wav")
    write_text(
        source / "train.csv",
        "path,text",
        "good.wav,good",
        "empty.wav,",
        "digit.wav,4",
        "none.wav,none",
        "good.wav,good again",
    )
    write_text(source / "test.csv", "path,text", "missing.wav,found")

    report = run("csv", source, out)

    assert rejected(out) == {
        ("empty", "empty transcript"),
        ("digit", "text outside the alphabet"),
        ("none", "no such audio file"),
        ("good", "duplicate id"),
    }
    assert {reason: item.count for reason, item in report.rejected.items()} == dict.fromkeys(
        (reason for _, reason in rejected(out)), 1
    )
    saved = json.loads((out / "report.json").read_text())
    assert saved["splits"]["train"]["utterances"] == 1
    text = "\n".join(report.lines())
    for path in ("empty.wav", "digit.wav", "none.wav", "good.wav", "rejected.jsonl"):
        assert path in text


def test_prepare_replaces_what_it_wrote_before(source, out):
    path = write_audio(source / "train" / "a.wav")
    write_text(source / "train" / "a.txt", "a?")
    write_audio(source / "train" / "b.wav")
    write_text(source / "train" / "b.txt", "b")
    run("folder", source, out)
    write_text(path.with_suffix(".txt"), "a")

    report = run("folder", source, out)

    assert report.rejected == {}
    assert (out / "rejected.jsonl").read_text() == ""
    assert len(texts(out, "train")) == 2
    assert not [item for item in out.iterdir() if item.name.startswith(".")]


@pytest.mark.parametrize("corpus", sorted(IMPORTERS))
def test_prepare_of_a_folder_without_the_corpus_says_so(source, out, corpus):
    write_text(source / "readme.md", "nothing here")

    with pytest.raises(ValueError, match=str(source)) as caught:
        run(corpus, source, out)

    assert "holds no" in str(caught.value) or "not one usable utterance" in str(caught.value)


def test_prepare_names_a_bad_manifest_line(source, out):
    make_manifests(source)
    with (source / "train.jsonl").open("a") as file:
        file.write("not json\n")

    with pytest.raises(ValueError, match=r"train\.jsonl:2: is not JSON"):
        run("folder", source, out)


def test_prepare_refuses_wrong_places(source, out):
    make_manifests(source)
    run("folder", source, out)

    with pytest.raises(ValueError, match="corpus must be one of fsdd, speech_commands"):
        run("timit", source, out)
    with pytest.raises(ValueError, match="no such file or folder"):
        run("fsdd", source / "nowhere", out)
    with pytest.raises(ValueError, match="must not be the folder that the corpus is in"):
        run("folder", source, source)
    with pytest.raises(ValueError, match="must be a folder or a tar archive"):
        run("folder", source / "train.jsonl", out)
    with pytest.raises(ValueError, match="holds the manifests of 'folder'"):
        run("fsdd", source, out)


def test_prepare_drops_nothing_when_nothing_is_usable(source, out):
    make_manifests(source)
    (source / "clips" / "a.wav").unlink()
    (source / "clips" / "b.wav").write_bytes(b"")

    with pytest.raises(ValueError, match="not one usable utterance") as caught:
        run("folder", source, out)

    assert "no such audio file" in str(caught.value)
    assert not (out / "train.jsonl").exists()


README_COUNTS = {
    "fsdd": {"train": (1600, 11.03), "dev": (200, 1.40), "test": (200, 1.42)},
    "librispeech-mini": {
        "train": (223, 48.49),
        "dev": (58, 7.46),
        "test": (59, 8.70),
        "test_other": (50, 6.80),
    },
    "an4-mini": {"train": (67, 2.43), "test": (12, 0.24)},
    "wake-words": {"test": (240, 11.41)},
    "misc": {"test": (13, 1.17)},
    "noise": {"noise": (80, 6.67), "rir": (3, 0.07)},
}
SLOW_COUNTS = {
    "speech-commands-mini": {
        "train": (2824, 47.05),
        "dev": (432, 7.19),
        "test": (709, 11.81),
        "background": (100, 1.67),
    },
    "speechocean762": {
        "train": (2140, 2.473 * 60),
        "dev": (360, 0.403 * 60),
        "test": (1980, 2.115 * 60),
    },
}
CORPUS_OF_FOLDER = {
    "fsdd": "fsdd",
    "librispeech-mini": "librispeech",
    "an4-mini": "an4",
    "speech-commands-mini": "speech_commands",
    "speechocean762": "speechocean762",
}


@pytest.mark.parametrize(
    "folder",
    [*README_COUNTS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_COUNTS)],
)
def test_real_corpus_matches_its_published_counts(real_speech, out, folder):
    # At 0.04 s a frame five of FSDD's train clips are too short for "three" on its own.
    rules = VerificationRules(seconds_per_frame=0.02)

    report = run(CORPUS_OF_FOLDER.get(folder, "folder"), real_speech / folder, out, rules=rules)

    expected = (README_COUNTS | SLOW_COUNTS)[folder]
    assert report.rejected == {}
    assert {name: split.utterances for name, split in report.splits.items()} == {
        name: count for name, (count, _) in expected.items()
    }
    for name, (_, minutes) in expected.items():
        assert report.splits[name].hours * 60 == pytest.approx(minutes, abs=0.04)
        assert len(read_manifest(out / f"{name}.jsonl")) == expected[name][0]


def test_real_fsdd_loses_five_clips_at_four_hundredths_of_a_second(real_speech, out):
    report = run("fsdd", real_speech / "fsdd", out)

    assert report.splits["train"].utterances == 1595
    assert {reason: item.count for reason, item in report.rejected.items()} == {
        "text too long for CTC": 5
    }


def test_real_fsdd_layout_agrees_with_its_manifests(real_speech, out, tmp_path):
    rules = VerificationRules(seconds_per_frame=0.02)
    archive = real_speech / "fsdd" / "fsdd.tar"

    run("fsdd", archive, out, rules=rules)

    for split in ("train", "dev", "test"):
        ours = {(u.id, u.text, round(u.duration, 6)) for u in read_manifest(out / f"{split}.jsonl")}
        theirs = {
            (u.id, u.text, u.duration)
            for u in read_manifest(real_speech / "fsdd" / f"{split}.jsonl")
        }
        assert ours == theirs


def test_importers_leave_their_source_untouched(source, out):
    make_an4(source, write_raw)
    before = {path: path.stat().st_mtime_ns for path in Path(source).rglob("*")}

    run("an4", source, out)

    assert {path: path.stat().st_mtime_ns for path in Path(source).rglob("*")} == before
