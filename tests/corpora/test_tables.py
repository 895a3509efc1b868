"""Tables as people have them, and tables that hurt."""

import pytest

from asr.cli import main
from asr.corpora.delimited import TableForm
from asr.corpora.tables import split_of
from tests.corpora.layout_makers import write_speech
from tests.corpus_files import rejected, run, texts, write_text


@pytest.fixture
def source(tmp_path):
    for number, name in enumerate("abcdef"):
        write_speech(tmp_path / "source" / f"{name}.wav", number)
    return tmp_path / "source"


def kept(out):
    names = ("train", "dev", "test")
    found = {}
    for name in names:
        if (out / f"{name}.jsonl").exists():
            found |= texts(out, name)
    return found


def details(report):
    return [example for item in report.rejected.values() for example in item.examples]


@pytest.mark.parametrize(
    ("name", "delimiter"), [("t.csv", ","), ("t.csv", ";"), ("t.tsv", "\t"), ("t.psv", "|")]
)
def test_any_separator_is_found(source, out, name, delimiter):
    rows = [["Sentence", "PATH"], ["one", "a.wav"], ["two", "b.wav"], ["three", "c.wav"]]
    table = write_text(source / name, *(delimiter.join(row) for row in rows))

    report = run("csv", table, out)

    assert kept(out) == {"a": "one", "b": "two", "c": "three"}
    assert ("columns are separated by semicolons" in str(report.notes)) == (delimiter == ";")


def test_columns_are_named_by_header_or_number(source, out):
    table = write_text(
        source / "t.csv",
        "Datei:Satz:Wer:Teil",
        "a.wav:one:anna:train",
        "b.wav:two:bert:Validation",
        "c.wav:three:carl:test",
    )
    form = TableForm(":", {"path": "datei", "text": "2", "speaker": "Wer", "split": "Teil"})

    run("csv", table, out, form=form)

    assert texts(out, "train") == {"a": "one"}
    assert texts(out, "dev") == {"b": "two"}
    assert texts(out, "test") == {"c": "three"}


def test_columns_of_a_table_without_a_header_are_named_by_number(source, out):
    table = write_text(source / "t.csv", "anna,one,a.wav", "bert,two,b.wav", "carl,three,c.wav")

    run("csv", table, out, form=TableForm(None, {"path": "3", "text": "2", "speaker": "1"}))

    assert kept(out) == {"a": "one", "b": "two", "c": "three"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--columns", "path=Nr"], "--columns path=Nr: no such column; there are 'datei', 'satz'"),
        (["--columns", "path"], "--columns must be path=NAME,text=NAME,..., got 'path'"),
        (["--columns", "file=Datei"], "columns must name path, text, speaker, split, got 'file'"),
        (["--delimiter", "ab"], "delimiter must be one character, got 'ab'"),
        ([], "no column holds the path (none of path, audio_filepath"),
        (["--columns", "path=datei"], "no column holds the text (none of text, transcript"),
        (["--dev", "none.txt"], "--dev must be a count (20), a share (0.1 or 10%) or a file"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(source, out, capsys, words, message):
    write_text(source / "t.csv", "Datei,Satz", "a.wav,one")

    assert main(["prepare", "auto", "--from", str(source), "--out", str(out), *words]) == 2

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_columns_of_what_is_no_table_are_refused(source, out):
    write_text(source / "a.txt", "one")

    with pytest.raises(ValueError, match="can be named for tables, not folder"):
        run("auto", source, out, form=TableForm(";"))


HOSTILE = {
    "nul": (b"a\0.wav,two", "holds a NUL character"),
    "latin": ("b.wav,gr\u00fcn".encode("latin-1"), "is not UTF-8 at byte 8"),
    "quote": (b'b.wav,"two', "a quote is opened and not closed"),
    "inner quote": (b'b.wav,"two" three"', "a quote is opened and not closed"),
    "after quote": (b'b.wav,"two"x', "',' expected after '\"'"),
    "formula": (b'"=HYPERLINK(""http://x"")",two', "got the formula"),
    "formula text": (b"b.wav,=1+1", "got the formula '=1+1'"),
    "climbing": (b"../../etc/passwd,two", "path leaves the folder: ../../etc/passwd"),
    "short": (b"b.wav", "must have at least 2 columns, got 1"),
    "nameless": (b",two", "names no audio"),
    "huge": (b"b.wav," + b"x" * 10_000_000, "field larger than field limit"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_row_gets_one_line_and_spoils_no_other(source, out, kind):
    row, message = HOSTILE[kind]
    content = b"\n".join(
        [b"\xef\xbb\xbfpath,text", b"a.wav,one", row, b"c.wav,three", b"d.wav,four"]
    )
    (source / "t.csv").write_bytes(content.replace(b"\n", b"\r\n"))

    report = run("csv", source, out)

    assert kept(out) == {"a": "one", "c": "three", "d": "four"}
    (detail,) = details(report)
    assert detail.startswith(f"{source / 't.csv'}:3: ")
    assert message in detail
    assert "\n" not in detail
    assert len(detail) < 400


def test_a_hostile_header_is_one_line(source, out, capsys):
    for content in (b"\0\0\0", b"\xff\xfe", b"path,text", b"", b'"path', b"x" * 10_000_000):
        (source / "t.csv").write_bytes(content)

        assert main(["prepare", "csv", "--from", str(source), "--out", str(out)]) == 2

        captured = capsys.readouterr().err
        assert str(source) in captured
        assert len(captured.splitlines()) == 1
        assert "Traceback" not in captured


def test_utf16_tables_are_read(source, out):
    content = "path\ttext\r\na.wav\tone\r\nb.wav\ttwo\r\nc.wav\tthree\r\n"
    (source / "t.tsv").write_bytes(content.encode("utf-16"))

    run("csv", source, out)

    assert kept(out) == {"a": "one", "b": "two", "c": "three"}


def test_every_unclosed_quote_spoils_its_own_line(source, out):
    rows = [f'{name}.wav,"{name}' for name in "bcd"]
    write_text(source / "t.csv", "path,text", "a.wav,one", *rows, "e.wav,five", "f.wav,six")

    report = run("csv", source, out)

    assert kept(out) == {"a": "one", "e": "five", "f": "six"}
    assert {reason for _, reason in rejected(out)} == {"row cannot be read"}
    assert len(details(report)) == 3


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("train", "train"),
        ("cv-valid-train", "train"),
        ("asr_dev", "dev"),
        ("Validation", "dev"),
        ("test2", "test"),
        ("trainer", None),
        ("metadata", None),
    ],
)
def test_names_of_files_tell_splits(stem, split):
    assert split_of(stem) == split


def test_what_verification_finds_names_the_row(source, out):
    (source / "b.wav").write_bytes(b"")
    table = write_text(
        source / "t.csv", "path,text", "a.wav,one", "b.wav,two", "c.wav,", "d.wav,ж", "a.wav,one"
    )

    report = run("csv", source, out)

    assert {d.partition(": ")[0] for d in details(report)} == {
        f"{table}:3",
        f"{table}:4",
        f"{table}:5",
        f"{table}:2 or {table}:6",
    }
