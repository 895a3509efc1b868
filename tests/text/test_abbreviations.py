import pytest

from asr.text.abbreviations import ABBREVIATIONS, Expander, read_abbreviations


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("Dr. No", "doctor No"),
        ("dr. no, DR. NO", "doctor no, doctor NO"),
        ("Dr.No", "doctor No"),
        ("Mr Smith and Mrs", "mister Smith and missus"),
        ("MrX etc. quiDr.", "MrX et cetera quiDr."),
        ("R&B 50%", "R and B 50 percent"),
        ("5 p.m.", "5 p m"),
        ("", ""),
    ],
)
def test_abbreviations_are_written_out(text, expanded):
    assert Expander(ABBREVIATIONS["en"]).expand(text)[0] == expanded


def test_single_letter_stands_for_itself_alone():
    assert Expander(ABBREVIATIONS["fr"]).expand("M. Un, m. deux") == ("monsieur Un, m. deux", 1)


@pytest.mark.parametrize("language", ABBREVIATIONS)
def test_tables_have_no_abbreviation_in_what_is_said(language):
    table = ABBREVIATIONS[language]

    assert all(Expander(table).expand(said) == (said, 0) for said in table.values())


def test_own_file_comes_before_the_table(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("# ours\nDr.\tdrive\n\nkm\tkilometres\n", encoding="utf-8")

    table = ABBREVIATIONS["en"] | read_abbreviations(path)

    assert Expander(table).expand("3 km up Dr. Way")[0] == "3 kilometres up drive Way"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tb\nno tab\n", r"mine\.tsv:2: must be an abbreviation, a tab"),
        ("a\t\n", r"mine\.tsv:1: must be"),
        ("a\tb\na\tc\n", r"mine\.tsv:2: 'a' occurs twice"),
    ],
)
def test_bad_file_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "mine.tsv"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(ValueError, match=message):
        read_abbreviations(path)


def test_what_is_said_must_not_hold_an_abbreviation():
    with pytest.raises(ValueError, match=r"what 'a\.b\.' says must not hold an abbreviation"):
        Expander({"a.b.": "c a.b."})
