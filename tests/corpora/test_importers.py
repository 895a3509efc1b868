import numpy as np
import pytest
import soundfile

from asr.audio import read_audio
from asr.data.manifest import read_manifest
from tests.corpus_files import rejected, run, speakers, texts, write_audio, write_text


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

    report = run("csv", table, out)

    found = {
        item.id: item
        for split in ("train", "dev", "test")
        if (out / f"{split}.jsonl").exists()
        for item in read_manifest(out / f"{split}.jsonl")
    }
    assert found["a"].text == "hello world"
    assert found["a"].extra == {"id": "a", "speaker": "anna", "accent": "us"}
    assert found["b"].extra == {"id": "b", "speaker": "bert"}
    assert report.text_changes["punctuation made spaces"] == 1
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

    report = run("csv", source, out)

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


def test_csv_rows_of_equal_file_names_are_named_after_their_paths(source, out):
    rows = [f"{person}/1.wav" for person in ("anna", "bert", "carl")]
    for row in rows:
        write_audio(source / row)
    write_text(source / "train.csv", "path,text", *(f"{row},hello" for row in rows[:2]))
    write_text(source / "test.csv", "path,text", f"{source / rows[2]},hello")

    run("csv", source, out)

    assert set(texts(out, "train")) == {"anna/1", "bert/1"}
    assert set(texts(out, "test")) == {"carl/1"}


def test_csv_column_split_says_where_a_row_belongs(source, out):
    for name in "abcd":
        write_audio(source / f"{name}.wav")
    table = write_text(
        source / "table.csv",
        "path,text,split,where,anywhere,self",
        "a.wav,a,train,x,x,x",
        "b.wav,b,Validation,,,",
        "c.wav,c,test,,,",
        "d.wav,d,,,,",
    )

    report = run("csv", table, out)

    assert [set(texts(out, name)) for name in ("train", "dev", "test")] == [{"a"}, {"b"}, {"c"}]
    assert report.rejected["no split"].examples == [f"{table}:5: the column split is empty"]
    assert not any("hash" in note for note in report.notes)


def test_csv_without_header_takes_path_and_text(source, out):
    for split in ("train", "dev"):
        write_audio(source / f"{split}.wav")
        write_text(source / f"{split}.csv", f"{split}.wav,hello")

    run("csv", source, out)

    assert texts(out, "train") == {"train": "hello"}
    assert texts(out, "dev") == {"dev": "hello"}


def test_importers_leave_their_source_untouched(source, out):
    make_an4(source, write_raw)
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}

    run("an4", source, out)

    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before
