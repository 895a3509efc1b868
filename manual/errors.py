"""The page of every error message: read from the code, with cause and remedy from a table.

Messages are what the project's code gives to an exception that a user may see, in Python and in the
native core. `remedies.yaml` says, for patterns of messages, what they mean and what to do.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

# What ends a command with one line; the project's own classes are found by these, their bases.
BASES = {"ValueError", "TypeError", "OSError", "RuntimeError", "ImportError", "ModuleNotFoundError"}
BASES |= {"ArgumentTypeError", "FileExistsError", "ChildProcessError", "ConnectionError"}
GAP = "…"
HEAD = """# Error messages

A user's mistake is one line that names the parameter, the rule and the value, or the file and the
line; the exit code is 2. `ASR_DEBUG=1` shows where in the code it was said. Search this page for
the words of your message that are not your own names and numbers: these stand as `<name>` and …
here. Messages and places are read from the code.
"""
NATIVE = re.compile(r"(?:throw (?:std|nb)::\w+|lines_\.fail|require)\((.*?)\);", re.DOTALL)
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Message:
    """A message with gaps where values stand, and the file that says it."""

    text: str
    place: str


@dataclass(frozen=True)
class Remedy:
    """What messages of some patterns mean, and what to do."""

    title: str
    patterns: tuple[re.Pattern[str], ...]
    places: str
    cause: str
    do: str

    def fits(self, message: Message) -> bool:
        """Say whether it is about a message."""
        return message.place.startswith(self.places) and any(
            pattern.search(message.text) for pattern in self.patterns
        )


@cache
def read_messages(root: Path) -> tuple[Message, ...]:
    """Every message of the code, by file, each once a file."""
    trees = {path: ast.parse(path.read_text()) for path in sorted((root / "asr").rglob("*.py"))}
    classes = _error_classes(trees.values())
    found: dict[Message, None] = {}
    for path, tree in trees.items():
        place = str(path.relative_to(root))
        found |= {Message(text, place): None for text in _python_messages(tree, classes)}
    for path in sorted((root / "native/src").glob("*.[ch]pp")):
        place = str(path.relative_to(root))
        found |= {Message(text, place): None for text in _native_messages(path.read_text())}
    return tuple(message for message in found if _says_something(message.text))


def _error_classes(trees: Iterable[ast.Module]) -> set[str]:
    """Names of exceptions, the project's own with their bases."""
    classes = set(BASES)
    definitions = [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    for _ in range(3):  # classes of classes
        classes |= {d.name for d in definitions if classes & set(map(ast.unparse, d.bases))}
    return classes


def _python_messages(tree: ast.Module, classes: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name):
                says = name in classes
            case ast.Attribute(attr="error", value=ast.Name(id="parser")):
                says = True
            case ast.Attribute(attr=name):
                says = name in classes
            case _:
                says = False
        if not says:
            continue
        texts = [text for argument in node.args if (text := _template(argument)) is not None]
        if texts:
            yield _tidy(texts[-1])


def _native_messages(source: str) -> Iterator[str]:
    for thrown in NATIVE.findall(source):
        start = "" if thrown.startswith('"') else GAP
        end = "" if thrown.rstrip().endswith('"') else GAP
        text = start + GAP.join(LITERAL.findall(thrown)) + end
        yield _tidy(text.replace("\\\\", "\\"))


def _template(node: ast.expr) -> str | None:
    """Return a text with gaps for its values; None where there is no text of its own."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_template(part) or GAP for part in parts)
        case ast.FormattedValue(value=value):
            return _gap(value)
        case ast.BinOp(left=left, right=right):
            return (_template(left) or GAP) + (_template(right) or GAP)
        case ast.IfExp(body=body, orelse=other):
            return _template(body) or _template(other)
    return None


def _gap(value: ast.expr) -> str:
    """Return a value's place, by its name where it has one."""
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return f"<{name.strip('_')}>"
    return GAP


def _tidy(text: str) -> str:
    return re.sub(f"({GAP}[, ]*)+{GAP}", GAP, " ".join(text.split()))


def _says_something(text: str) -> bool:
    """Say whether a message has words of its own; others pass on what another one says."""
    return bool(re.search(r"[a-zA-Z]{2}", re.sub("<[^>]*>", "", text)))


def read_remedies(path: Path) -> list[Remedy]:
    """Read the table beside this file."""
    return [
        Remedy(
            title=entry["title"],
            patterns=tuple(re.compile(pattern) for pattern in entry["messages"]),
            places=entry.get("in", ""),
            cause=entry["cause"].strip(),
            do=entry["do"].strip(),
        )
        for entry in YAML(typ="safe").load(path.read_text())
    ]


def assign(
    messages: Iterable[Message], remedies: list[Remedy]
) -> dict[Remedy | None, list[Message]]:
    """Messages by the first remedy that fits; by None where there is none."""
    found: dict[Remedy | None, list[Message]] = defaultdict(list)
    for message in messages:
        found[next((r for r in remedies if r.fits(message)), None)].append(message)
    return found


def write_errors(root: Path) -> str:
    """Write the page.

    Raises:
        ValueError: a message has no remedy; names it.
    """
    table = root / "manual/remedies.yaml"
    remedies = read_remedies(table)
    found = assign(read_messages(root), remedies)
    if missing := found.get(None):
        raise ValueError(f"{table}: nothing fits {missing[0].text!r} of {missing[0].place}")
    lines = [HEAD]
    for remedy in remedies:
        lines += [f"## {remedy.title}", "", f"**Cause.** {remedy.cause}", ""]
        lines += [f"**What to do.** {remedy.do}", "", "| message | said in |", "|---|---|"]
        for message in sorted(found[remedy], key=lambda message: message.text):
            lines.append(f"| {_shown(message.text)} | `{message.place}` |")
        lines.append("")
    return "\n".join(lines)


def _shown(text: str) -> str:
    """Return a message as code, whatever signs it holds."""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text.replace('|', chr(92) + '|')}{space}{fence}"
