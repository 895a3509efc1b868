"""The page of error messages holds every message of the code, with cause and remedy."""

from pathlib import Path

from manual.errors import Message, assign, read_messages, read_remedies, write_errors

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "manual/remedies.yaml"

SOURCE = '''
import argparse
class OwnError(ValueError):
    """Ours."""
class DeeperError(OwnError):
    """Ours too."""
MOST = 3
def check(path, number, parser, text):
    if number > MOST:
        raise ValueError(f"number must be <= {MOST}, got {number}")
    if not text:
        parser.error("give a text")
    try:
        pass
    except DeeperError as error:
        raise OwnError(f"{path}: {error}") from error
    if text == "a":
        raise DeeperError("reason", f"{path}:{number + 1}: is broken: " + text)
    raise KeyError("not a user's")
def refuse():
    return OwnError("made here,"
                    " raised elsewhere")
'''
NATIVE = """
void f() {
    if (a) throw std::invalid_argument("blank must be in 0.." + std::to_string(n) + ", got " +
                                       std::to_string(blank));
    if (b) throw std::runtime_error(path + ": cannot be mapped");
}
"""


def project(folder):
    for name, text in (("asr/a.py", SOURCE), ("native/src/b.cpp", NATIVE)):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    return folder


def test_messages_are_read_with_gaps_for_values(tmp_path):
    texts = [message.text for message in read_messages(project(tmp_path))]

    assert sorted(texts) == [
        "<path>:…: is broken: …",
        "blank must be in 0..…, got …",
        "give a text",
        "made here, raised elsewhere",
        "number must be <= <MOST>, got <number>",
        "…: cannot be mapped",
    ]


def test_every_message_has_a_cause_and_a_remedy():
    missing = assign(read_messages(ROOT), read_remedies(TABLE)).get(None, [])

    said = "; ".join(f"{message.place}: {message.text}" for message in missing)
    assert not missing, f"manual/remedies.yaml: nothing fits {said}"


def test_every_remedy_is_of_a_message():
    remedies = read_remedies(TABLE)
    found = assign(read_messages(ROOT), remedies)

    unused = [remedy.title for remedy in remedies if not found.get(remedy)]
    assert not unused, f"manual/remedies.yaml: no message fits {', '.join(unused)}"
    assert all(remedy.cause and remedy.do for remedy in remedies)


def test_first_remedy_that_fits_counts(tmp_path):
    table = tmp_path / "remedies.yaml"
    table.write_text(
        "- {title: A, in: asr/x, messages: ['b+c'], cause: c, do: d}\n"
        "- {title: B, messages: ['.'], cause: c, do: d}\n"
    )
    first, second = read_remedies(table)
    messages = [Message("abbc", "asr/x.py"), Message("abbc", "asr/y.py"), Message("", "asr/x.py")]

    assert assign(messages, [first, second]) == {
        first: messages[:1],
        second: messages[1:2],
        None: messages[2:],
    }


def test_page_has_each_message_and_where_it_is_said():
    page = write_errors(ROOT)

    assert "| `<path>: no such audio file` | `asr/audio.py` |" in page
    assert page.count("**What to do.**") == len(read_remedies(TABLE))
