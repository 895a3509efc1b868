"""TED-LIUM as its three releases lie on the disk."""

import pytest

from tests.corpora.layout_makers import long_recording, make_ted_lium
from tests.corpus_files import rejected, run, speakers, texts, write_text


def make_release_1(root, *lines, split="train"):
    long_recording(root / split / "sph" / "talk.wav")
    texts = (f"talk 1 talk {n} {n + 1} <o,f0,male> {line}" for n, line in enumerate(lines))
    write_text(root / split / "stm" / "talk.stm", *texts)
    return root


def test_release_3_is_read_once_in_the_division_of_the_releases_before_it(tmp_path):
    make_ted_lium(tmp_path / "source")

    report = run("ted_lium", tmp_path / "source", tmp_path / "out")

    assert {split: speakers(tmp_path / "out", split) for split in ("train", "dev", "test")} == {
        "train": {"SpeakerA", "SpeakerB"},
        "dev": {"SpeakerC"},
        "test": {"SpeakerD"},
    }
    assert "ends of words joined, as in 'doesn 't': 4" in report.notes
    assert "marks of pronunciations removed, as in 'for(2)': 4" in report.notes


def test_what_stands_in_texts_and_was_not_said_goes(tmp_path):
    source = make_release_1(
        tmp_path / "source",
        "{COUGH} but <sil> it 's for(2) you {SMACK} (talk-0.00-1.00-<o,f0,male>)",
        "'em at o 'clock",
        "the <unk> of all",
    )

    run("ted_lium", source, tmp_path / "out")

    assert sorted(texts(tmp_path / "out", "train").values()) == [
        "'em at o 'clock",
        "but it's for you",
    ]
    assert rejected(tmp_path / "out") == {("talk-3", "a word is missing")}


def test_a_test_set_keeps_what_lacks_a_word(tmp_path):
    source = make_release_1(tmp_path / "source", "the <unk> of all", split="test")

    run("ted_lium", source, tmp_path / "out")

    assert list(texts(tmp_path / "out", "test").values()) == ["the of all"]


def test_a_division_whose_links_lead_outside_names_them(tmp_path):
    make_ted_lium(tmp_path / "source")

    with pytest.raises(ValueError, match=r"A\.stm: path leaves the folder by a symbolic link"):
        run("ted_lium", tmp_path / "source/TEDLIUM_release-3/legacy", tmp_path / "out")

    assert {reason for _, reason in rejected(tmp_path / "out")} == {"path outside the folder"}


def test_two_releases_are_refused(tmp_path):
    make_release_1(tmp_path / "TEDLIUM_release1", "one")
    make_release_1(tmp_path / "TEDLIUM_release2", "one")

    with pytest.raises(ValueError, match=r"several releases; name one with --from: .*release1, "):
        run("ted_lium", tmp_path, tmp_path / "out")
