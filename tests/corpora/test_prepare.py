import json
import tarfile

import pytest

from asr.corpora.prepare import IMPORTERS
from asr.corpora.verification import VerificationRules
from asr.data.manifest import Utterance, read_manifest, write_manifest
from tests.corpus_files import rejected, run, texts, write_audio, write_text


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
    assert texts(out, "test_other") == {"clips/b": "ho"}


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
        "digit.wav,MP3",
        "none.wav,none",
        "good.wav,good again",
    )
    write_text(source / "test.csv", "path,text", "missing.wav,found")

    report = run("csv", source, out)

    assert rejected(out) == {
        ("empty", "empty transcript"),
        ("digit", "number that cannot be spelled"),
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

    with pytest.raises(ValueError, match="corpus must be one of auto, nemo, speech_commands"):
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
