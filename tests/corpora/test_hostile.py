"""Corpora made to reach outside their folder: nothing there is written, and nothing is read."""

import json
import os
import tarfile

import numpy as np
import pytest

from asr.corpora.places import resolve_inside
from asr.corpora.prepare import IMPORTERS
from tests.corpus_files import run, write_audio, write_text

SECRET = "what the neighbour wrote"


@pytest.fixture
def home(tmp_path):
    """A folder with a recording and a text beside the corpus, which neither may touch."""
    write_audio(tmp_path / "home" / "victim.wav")
    write_audio(tmp_path / "home" / "victim.flac")
    (tmp_path / "home" / "victim.raw").write_bytes(np.ones(16000, ">i2").tobytes())
    write_text(tmp_path / "home" / "victim.txt", SECRET)
    write_text(tmp_path / "home" / "victim.trans.txt", f"1-1-0002 {SECRET}")
    return tmp_path / "home"


def an4(source, home, place):
    write_audio(source / "wav" / "good.wav")
    for split in ("train", "test"):
        write_text(source / "etc" / f"an4_{split}.fileids", "good", place)
        lines = ["<s> GOOD </s> (good)", "<s> BAD </s> (victim)"]
        write_text(source / "etc" / f"an4_{split}.transcription", *lines)


def librispeech(source, home, place):
    folder = source / "train-clean-100" / "1" / "1"
    write_audio(folder / "1-1-0001.flac")
    write_text(folder / "1-1.trans.txt", "1-1-0001 GOOD", f"{place} BAD")


def kaldi(source, home, place):
    write_audio(source / "good.wav")
    write_text(source / "train" / "wav.scp", "good good.wav", f"bad {place}.wav")
    write_text(source / "train" / "text", "good good", "bad bad")


def kaldi_segments(source, home, place):
    kaldi(source, home, place)
    write_text(source / "train" / "segments", "good good 0 0.9", "bad bad 0 0.9")


def speechocean762(source, home, place):
    write_audio(source / "WAVE" / "good.wav")
    for split in ("train", "test"):
        write_text(source / split / "wav.scp", "000010001 WAVE/good.wav", f"000020001 {place}.wav")
        write_text(source / split / "text", "000010001 GOOD", "000020001 BAD")
        write_text(source / split / "utt2spk", "000010001 0001", "000020001 0002")


def table(source, home, place):
    write_audio(source / "good.wav")
    write_text(source / "train.csv", "path,text", "good.wav,good", f"{place}.wav,bad")
    write_text(source / "test.tsv", "path\ttext", "good.wav\tgood", f"{place}.wav\tbad")


LISTS = {
    "an4": an4,
    "librispeech": librispeech,
    "speechocean762": speechocean762,
    "kaldi": kaldi,
    "kaldi_segments": kaldi_segments,
    "csv": table,
}
# Tables of the user's own: an absolute path there is a name like any other.
OWN = {"kaldi", "kaldi_segments", "csv"}


def tree(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


def listed(out):
    lines = (out / "rejected.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def manifests(out):
    return "".join(path.read_text() for path in out.glob("*.jsonl") if path.stem != "rejected")


@pytest.mark.parametrize("kind", ["climbing", "absolute", "link", "link_of_a_folder"])
@pytest.mark.parametrize("layout", LISTS)
def test_a_list_that_leads_outside_is_refused_and_named(tmp_path, home, layout, kind):
    source, out = tmp_path / "source", tmp_path / "out"
    place = {
        "climbing": "../" * 9 + str(home / "victim").lstrip("/"),
        "absolute": str(home / "victim"),
        "link": "victim",
        "link_of_a_folder": "door/victim",
    }[kind]
    LISTS[layout](source, home, place)
    corpus = layout.partition("_")[0]
    if kind.startswith("link"):
        for folder in [source, *(p for p in source.rglob("*") if p.is_dir())]:
            (folder / "door").symlink_to(home)
            for suffix in (".wav", ".flac", ".raw"):
                (folder / f"victim{suffix}").symlink_to(home / f"victim{suffix}")
    before = tree(home), tree(source)

    run(corpus, source, out)

    assert (tree(home), tree(source)) == before
    if kind == "absolute" and layout in OWN:
        assert '"bad"' in manifests(out)
        return
    assert "victim" not in manifests(out)
    assert '"bad"' not in manifests(out)
    refused = [item for item in listed(out) if item["reason"] == "path outside the folder"]
    assert refused
    for item in refused:
        where = item["detail"].partition(": ")[0]
        assert where.startswith(str(source))
        assert where.rpartition(":")[2].isdigit()


def test_raw_audio_is_never_written_outside_out(tmp_path, home):
    source, out = tmp_path / "source", tmp_path / "out"
    an4(source, home, "../../home/new")
    (home / "new.raw").write_bytes(np.ones(16000, ">i2").tobytes())
    (source / "etc" / "an4_test.transcription").write_text("<s> BAD </s> (new)\n")

    run("an4", source, out)

    assert not list(tmp_path.rglob("new.wav"))


FOUND = {
    "fsdd": ("recordings/1_anna_10.wav", "recordings/1_anna_11.wav"),
    "speech_commands": ("yes/a_nohash_0.wav", "yes/b_nohash_0.wav"),
    "librispeech": ("train-clean-5/1/1/1-1-0001.flac", "train-clean-5/1/1/1-1-0002.flac"),
    "folder": ("train/a.wav", "train/b.wav"),
}


@pytest.mark.parametrize("corpus", FOUND)
def test_a_link_out_of_the_folder_is_not_followed_to_audio(tmp_path, home, corpus):
    source, out = tmp_path / "source", tmp_path / "out"
    good, bad = (source / name for name in FOUND[corpus])
    write_audio(good)
    bad.symlink_to(home / f"victim{bad.suffix}")
    for path in (good, bad):
        write_text(path.with_suffix(".txt"), "good")
    write_text(source / "testing_list.txt")
    write_text(source / "validation_list.txt")
    lines = ["1-1-0001 GOOD", "1-1-0002 BAD"]
    write_text(source / "train-clean-5" / "1" / "1" / "1-1.trans.txt", *lines)

    run(corpus, source, out)

    assert good.name in manifests(out)
    assert bad.name not in manifests(out)
    assert "path outside the folder" in {item["reason"] for item in listed(out)}


@pytest.mark.parametrize("kind", ["link", "pipe", "device"])
@pytest.mark.parametrize("corpus", ["folder", "librispeech"])
def test_a_transcript_must_be_a_file_of_the_folder(tmp_path, home, corpus, kind):
    source, out = tmp_path / "source", tmp_path / "out"
    folder = source / "train" / "1" / "2"
    for name in ("good/a", "bad/1-1-0002"):
        write_audio((folder / name).with_suffix(".flac"))
    write_text(folder / "good" / "a.txt", "good")
    write_text(folder / "good" / "a.trans.txt", "a good")
    bad = folder / "bad" / ("1-1-0002.txt" if corpus == "folder" else "1-1.trans.txt")
    if kind == "pipe":
        os.mkfifo(bad)
    else:
        victim = home / ("victim.txt" if corpus == "folder" else "victim.trans.txt")
        bad.symlink_to(victim if kind == "link" else "/dev/zero")

    run(corpus, source, out)

    assert "good" in manifests(out)
    assert SECRET not in manifests(out) + (out / "rejected.jsonl").read_text()
    assert str(bad) in " ".join(item["detail"] for item in listed(out))


@pytest.mark.parametrize("name", ["text", "wav.scp", "segments", "utt2spk"])
def test_a_table_must_be_a_file_of_the_folder(tmp_path, home, name):
    source, out = tmp_path / "source", tmp_path / "out"
    kaldi_segments(source, home, "x")
    (source / "train" / name).unlink(missing_ok=True)
    os.mkfifo(source / "train" / name)

    with pytest.raises(ValueError, match=rf"{name}: is not a regular file"):
        run("kaldi", source, out)


def test_a_manifest_beside_links_that_lead_outside_is_refused_there(tmp_path, home):
    source, out = tmp_path / "source", tmp_path / "out"
    write_audio(source / "good.wav")
    (source / "bad.wav").symlink_to(home / "victim.wav")
    lines = [
        json.dumps({"audio_filepath": name, "duration": 1.0, "text": "good"})
        for name in ("good.wav", "bad.wav", str(home / "victim.wav"))
    ]
    write_text(source / "train.jsonl", *lines)

    run("folder", source, out)

    assert [(item["id"], item["reason"]) for item in listed(out)] == [
        ("source/bad", "path outside the folder")
    ]
    assert str(home / "victim.wav") in manifests(out)


@pytest.mark.parametrize("corpus", sorted(IMPORTERS))
def test_an_archive_that_leads_outside_is_refused_whole(tmp_path, home, corpus):
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(home / "victim.wav", "../../victim.wav")
    if corpus == "csv":
        pytest.skip("a table is no archive")

    with pytest.raises(ValueError, match="cannot unpack"):
        run(corpus, archive, tmp_path / "deep" / "er" / "out")

    assert not (tmp_path / "deep" / "victim.wav").exists()


@pytest.mark.parametrize("name", ["../a.wav", "a/../../a.wav", "/etc/passwd", "", "a\0b"])
def test_places_outside_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"path|name a file"):
        resolve_inside(name, [tmp_path])


def test_places_inside_are_found_in_the_first_folder_that_has_them(tmp_path):
    write_text(tmp_path / "clips" / "a")
    write_text(tmp_path / "a")
    write_text(tmp_path / "b")
    (tmp_path / "link").symlink_to(tmp_path / "b")

    def find(name):
        return resolve_inside(name, [tmp_path / "clips", tmp_path]).relative_to(tmp_path)

    assert str(find("a")) == "clips/a"
    assert str(find("b")) == "b"
    assert str(find("link")) == "link"
    assert str(find("x/../b")) == "b"


@pytest.mark.parametrize("name", ["rejected", "a b", "-x", "x\x1b[2J"])
def test_the_name_of_a_split_must_make_a_name_of_a_manifest(tmp_path, name):
    source = tmp_path / "source"
    write_audio(source / "a.wav")
    for folder in (name, "train"):
        write_text(source / folder / "wav.scp", "a a.wav")
        write_text(source / folder / "text", "a good")

    with pytest.raises(ValueError, match="cannot be the name of a split") as caught:
        run("kaldi", source, tmp_path / "out")

    assert "\x1b" not in str(caught.value)
