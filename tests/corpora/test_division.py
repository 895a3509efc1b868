from pathlib import Path

import pytest

from asr.corpora.division import Division, divide, parse_part
from asr.corpora.layouts import Imported
from asr.corpora.speakers import name_speakers
from asr.data.manifest import Utterance


def utterances(speakers, **extra):
    """One for each name, None where the speaker is unknown."""
    return [
        Utterance(
            Path(f"/x/{n}.wav"), 1.0, "a", ({} if name is None else {"speaker": name}) | extra
        )
        for n, name in enumerate(speakers)
    ]


def divided(speakers, **options):
    found = divide({"all": utterances(speakers)}, **options)
    return {name: {u.id for u in members} for name, members in found.splits.items()}, found


def people(found):
    return {name: {u.extra["speaker"] for u in members} for name, members in found.splits.items()}


def test_many_files_stay_in_their_split_whatever_is_added():
    before, _ = divided([None] * 600)
    after, _ = divided([None] * 800)

    for split in ("train", "dev", "test"):
        assert before[split] <= after[split]
        assert len(before[split]) >= 15


@pytest.mark.parametrize("count", range(3, 40))
def test_few_files_always_have_a_dev_and_a_test_set(count):
    splits, found = divided([None] * count)

    assert sum(map(len, splits.values())) == count
    assert min(len(splits["dev"]), len(splits["test"])) >= max(1, 0.05 * count)
    assert len(splits["train"]) >= 1
    assert splits == divided([None] * count)[0]
    assert found.unit == "files"
    assert sum("in dev" in warning and "record more" in warning for warning in found.warnings) == 1


@pytest.mark.parametrize("seed", range(20))
def test_few_speakers_are_in_one_split_each_and_the_greatest_in_train(seed):
    names = [f"{seed}-{i}" for i in range(5) for _ in range(200 if i == 0 else 10)]

    splits, found = divided(names)

    parts = people(found)
    assert not parts["train"] & parts["dev"]
    assert not parts["test"] & (parts["train"] | parts["dev"])
    assert f"{seed}-0" in parts["train"]
    assert len(splits["dev"]) >= 12
    assert len(splits["test"]) >= 12


def test_twenty_nine_speakers_are_divided_by_speaker_and_that_is_said():
    names = [f"s{i}" for i in range(29) for _ in range(40)]

    _, found = divided(names)

    parts = people(found)
    assert found.unit == "speakers"
    assert [len(parts[name]) for name in ("train", "dev", "test")] == [25, 2, 2]
    assert "80 utterances of 2 speakers went to dev" in found.notes[0]
    assert found.warnings == []


def test_genders_and_sizes_are_held_out_in_proportion():
    everybody = [
        u
        for i in range(40)
        for u in utterances([f"s{i}"] * (5 + 30 * (i % 2)), gender="f" if i < 20 else "m")
    ]

    found = divide({"all": everybody}, Division(dev=0.25, test=0.25))

    for name in ("dev", "test"):
        genders = [u.extra["gender"] for u in found.splits[name]]
        assert 0.3 < genders.count("f") / len(genders) < 0.7
        sizes = {u.extra["speaker"]: 0 for u in found.splits[name]}
        for utterance in found.splits[name]:
            sizes[utterance.extra["speaker"]] += 1
        assert set(sizes.values()) == {5, 35}


def test_two_speakers_are_divided_by_files_each_into_all_and_that_is_said():
    _, found = divided(["anna"] * 40 + ["bert"] * 40)

    assert found.unit == "files"
    assert people(found) == {name: {"anna", "bert"} for name in ("train", "dev", "test")}
    assert "--speaker-from" in found.warnings[0]


def test_segments_of_a_recording_stay_together():
    members = [
        Utterance(Path(f"/x/{n}.wav"), 1.0, "a", {"recording": f"r{n // 10}"}) for n in range(60)
    ]

    found = divide({"all": members})

    assert found.unit == "recordings"
    parts = [{u.extra["recording"] for u in part} for part in found.splits.values()]
    assert sum(map(len, parts)) == 6


def test_copies_of_a_file_stay_together():
    digests = {Path(f"/x/{n}.wav"): f"d{n // 2}" for n in range(40)}

    splits, _ = divided([None] * 40, division=Division(dev=10, test=10), digests=digests)

    for members in splits.values():
        assert {int(n) ^ 1 for n in members} == {int(n) for n in members}


def test_a_corpus_of_copies_is_divided_all_the_same():
    splits, _ = divided([None] * 20, digests={Path(f"/x/{n}.wav"): "same" for n in range(20)})

    assert [len(splits[name]) for name in ("train", "dev", "test")] == [18, 1, 1]


def test_two_files_are_all_training():
    splits, found = divided([None, None])

    assert {name for name, members in splits.items() if members} == {"train"}
    assert any(warning.startswith("NO DEV SET") for warning in found.warnings)


@pytest.mark.parametrize(
    ("dev", "test", "sizes"),
    [(20, 10, (70, 20, 10)), (0.1, 0.2, (70, 10, 20)), (0, 0.1, (90, 0, 10)), (0, 0, (100, 0, 0))],
)
def test_sizes_are_counts_or_shares(dev, test, sizes):
    splits, _ = divided([None] * 100, division=Division(dev, test))

    assert tuple(len(splits.get(name, ())) for name in ("train", "dev", "test")) == sizes


def test_lists_name_ids_and_speakers():
    names = ["anna"] * 5 + ["bert"] * 5 + ["carl"] * 5
    division = Division(dev=frozenset({"anna"}), test=frozenset({"7", "12", "nobody"}))

    splits, found = divided(names, division=division)

    assert splits["dev"] == {"0", "1", "2", "3", "4"}
    assert splits["test"] == {"7", "12"}
    assert len(splits["train"]) == 8
    assert any("1 of 3 names are no id or speaker" in warning for warning in found.warnings)
    with pytest.raises(ValueError, match="--dev: 1 of 1 names"):
        divided(names, division=Division(dev=frozenset({"nobody"})))


def test_splits_of_the_corpus_are_kept_and_what_it_lacks_can_be_asked_for():
    splits = {"train": utterances([f"s{n // 10}" for n in range(200)]), "test": utterances(["x"])}

    kept = divide(splits)
    asked = divide(splits, Division(dev=0.1))

    assert {name: len(members) for name, members in kept.splits.items()} == {
        "train": 200,
        "test": 1,
    }
    assert kept.warnings[0].startswith("NO DEV SET")
    assert "--dev 10%" in kept.warnings[0]
    assert kept.warnings[1].startswith("ONE UTTERANCE in test")
    assert len(asked.splits["dev"]) == 20
    assert len(asked.splits["test"]) == 1
    with pytest.raises(ValueError, match="--test: the corpus has a test set already"):
        divide(splits, Division(test=0.1))


def test_sets_without_training_are_left_alone():
    found = divide({"test": utterances([None] * 3), "noise": utterances([None])})

    assert set(found.splits) == {"test", "noise"}
    assert found.warnings == []


@pytest.mark.parametrize(
    ("text", "part"), [("20", 20), ("0", 0), ("0.1", 0.1), (".5", 0.5), ("10%", 0.1)]
)
def test_parse_part_reads_counts_and_shares(text, part):
    assert parse_part("dev", text) == part


def test_parse_part_reads_lists_and_refuses_the_rest(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("anna\n\n bert \n")

    assert parse_part("dev", str(path)) == {"anna", "bert"}
    for text in ("1.5", "100%"):
        with pytest.raises(ValueError, match=f"--test must be a share below 1, got {text}"):
            parse_part("test", text)
    for text in ("-1", "many", str(tmp_path)):
        with pytest.raises(ValueError, match="--dev must be a count"):
            parse_part("dev", text)
    path.write_text("\n")
    with pytest.raises(ValueError, match="names nobody"):
        parse_part("dev", str(path))


@pytest.mark.parametrize(
    ("rule", "speakers"),
    [
        ("folder", ["anna", "bert"]),
        ("^([^/]+)/", ["anna", "bert"]),
        ("_[mf]_", ["_f_", "_m_"]),
        ("column:Reader", ["r1", "r2"]),
    ],
)
def test_speakers_come_from_folders_names_and_columns(rule, speakers):
    imported = Imported(Path("/x"), Path("/y"))
    imported.add("all", Path("/x/anna/a_f_1.wav"), "a", reader="r1")
    imported.add("all", Path("/x/bert/a_m_1.wav"), "a", reader="r2")

    name_speakers(imported, rule)

    assert [u.extra["speaker"] for u in imported.splits["all"]] == speakers


def test_speakers_that_no_rule_gives_are_said():
    imported = Imported(Path("/x"), Path("/y"))
    imported.add("all", Path("/x/anna-1.wav"), "a")
    imported.add("all", Path("/x/2.wav"), "a")

    name_speakers(imported, r"([a-z]+)-\d")

    assert imported.warnings == [
        r"--speaker-from ([a-z]+)-\d: no speaker in 1 of 2 utterances, as in /x/2.wav"
    ]
    with pytest.raises(ValueError, match=r"of no utterance, as in /x/anna-1\.wav"):
        name_speakers(imported, "column:age")
    with pytest.raises(ValueError, match="no regular expression"):
        name_speakers(imported, "(")


def test_voices_that_a_corpus_has_in_two_sets_are_said():
    found = divide({"train": utterances("ab"), "dev": utterances("cd"), "test": utterances("bc")})

    (said,) = [warning for warning in found.warnings if "in train too" in warning]
    assert said.startswith("1 of 2 speakers of test are in train too, by the corpus: ")
    apart = divide({"train": utterances("ab"), "dev": utterances([None]), "test": utterances("c")})
    assert not any("in train too" in warning for warning in apart.warnings)


def test_shares_leave_something_to_train_on():
    with pytest.raises(
        ValueError, match="--dev and --test must be less than all together, got 180%"
    ):
        Division(0.9, 0.9)
    assert Division(0.5, 100).test == 100


@pytest.mark.parametrize(("share", "is_advised"), [(0.1, True), (0.2, False)])
def test_who_holds_out_a_fifth_is_told_to_record_more_alone(share, is_advised):
    _, found = divided([None] * 20, division=Division(share, 0.2))

    (warning,) = [text for text in found.warnings if "in dev" in text]
    assert "record more" in warning
    assert ("--dev 20%" in warning) == is_advised
