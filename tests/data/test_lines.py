from hypothesis import given
from hypothesis import strategies as st

from asr.data.lines import split_lines

CONTENT = st.lists(st.sampled_from([b"", b" ", b"\t", b"a", b" {} ", b"\r"]), max_size=8)


@given(CONTENT, st.booleans())
def test_lines_are_those_that_split_gives_but_for_blank_ones(lines, mark):
    content = (b"\xef\xbb\xbf" if mark else b"") + b"\n".join(lines)

    found = split_lines(content)

    expected = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    rows = range(len(found.starts))
    assert [(int(found.numbers[row]), found.line(row)) for row in rows] == expected


def test_an_empty_file_has_no_line():
    assert not len(split_lines(b"").starts)
