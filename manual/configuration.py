"""The pages of every configuration key: default, comment of the YAML, line of the docstring."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import griffe
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarfloat import ScalarFloat

COMMANDS_HEAD = """# Commands and their keys

Every command that takes `key=value` is composed from `conf/`: a file for the command, and one
choice of each group ([all choices](choices.md)). `asr train --cfg` prints all of it with its
values, `asr train --info defaults` where they come from.

    asr train data=fsdd model=ds2_gru model.hidden_size=256 trainer.max_epochs=20

`group=choice` takes another file, `group.key=value` changes a value. A misspelt key and a value out
of range are one line and exit code 2, before any data is read. This page is written from the files.
"""
CHOICES_HEAD = """# Choices of every group

A file of `conf/GROUP/` is a choice: `GROUP=NAME` on the command line, `GROUP.KEY=VALUE` for a value
of it. A choice that extends another has all keys of that one too. "In the code" is the line of the
constructor's docstring, where the file has one to call. Commands' own keys are
[on their page](configuration.md). This page is written from the files.
"""
TABLE = "| key | default | what | in the code |\n|---|---|---|---|"


@dataclass(frozen=True)
class Key:
    """A key of a file: dotted name, value as YAML writes it, its comment, its docstring's line."""

    name: str
    value: str
    comment: str
    docstring: str


@dataclass(frozen=True)
class Choice:
    """A file of conf/: what stands at its top, what it extends, what it builds, its keys."""

    path: Path
    summary: str
    extends: tuple[str, ...]
    target: str | None
    keys: tuple[Key, ...]


def write_commands(root: Path) -> str:
    """Write the page of the files at the top of conf/."""
    files = sorted((root / "conf").glob("*.yaml"))
    return "\n".join([COMMANDS_HEAD, *(_section(read_choice(root, path)) for path in files)])


def write_choices(root: Path) -> str:
    """Write the page of the groups."""
    lines = [CHOICES_HEAD]
    for folder in sorted(path for path in (root / "conf").rglob("*") if path.is_dir()):
        files = sorted(folder.glob("*.yaml"))
        if files:
            group = str(folder.relative_to(root / "conf"))
            lines.append(f"## {group}\n")
            lines += [_section(read_choice(root, path), group) for path in files]
    return "\n".join(lines)


@cache
def read_choice(root: Path, path: Path) -> Choice:
    """Read a file of conf/ with its comments."""
    tree = YAML().load(path.read_text()) or CommentedMap()
    head = [line for line in _head_comment(path) if not line.startswith("@package")]
    targets = _find_targets(path, tree)
    keys = tuple(_read_keys(root, tree, "", targets))
    return Choice(path, " ".join(head), _extended(tree), targets.get(""), keys)


def _head_comment(path: Path) -> list[str]:
    """Lines of the comment that a file begins with."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return lines


def _extended(tree: CommentedMap) -> tuple[str, ...]:
    """Entries of a file's defaults list, as they stand there."""
    entries = [entry for entry in tree.get("defaults", []) if entry != "_self_"]
    return tuple(
        entry if isinstance(entry, str) else "{}={}".format(*next(iter(entry.items())))
        for entry in entries
    )


def _find_targets(path: Path, tree: CommentedMap) -> dict[str, str]:
    """What is built, by the prefix of its keys: by the files that one extends, or by itself."""
    targets: dict[str, str] = {}
    for entry in tree.get("defaults", []):
        parent = path.parent / f"{entry}.yaml"
        if isinstance(entry, str) and entry != "_self_" and parent.exists():
            targets |= _find_targets(parent, YAML().load(parent.read_text()))
    return targets | dict(_own_targets(tree, ""))


def _own_targets(tree: CommentedMap, prefix: str) -> Iterator[tuple[str, str]]:
    if "_target_" in tree:
        yield prefix, tree["_target_"]
    for name, value in tree.items():
        if isinstance(value, CommentedMap):
            yield from _own_targets(value, f"{prefix}{name}.")


def _read_keys(
    root: Path, tree: CommentedMap, prefix: str, targets: dict[str, str]
) -> Iterator[Key]:
    """Keys of a mapping and of those within, in the order of the file."""
    arguments = _arguments(root, targets[prefix]) if prefix in targets else {}
    for name, value in tree.items():
        if name == "defaults" or name.startswith("_"):
            continue
        comment, docstring = _comment(tree, name), arguments.get(name, "")
        # A mapping in one line is a value, as the ranges of asr tune are.
        if isinstance(value, CommentedMap) and not value.fa.flow_style():
            if comment:
                yield Key(prefix + name, "", comment, docstring)
            yield from _read_keys(root, value, f"{prefix}{name}.", targets)
        else:
            yield Key(prefix + name, _as_yaml(value), comment, docstring)


def _comment(tree: CommentedMap, name: str) -> str:
    """Return the comment behind a key, with the lines below that go on at the same column."""
    tokens = tree.ca.items.get(name) or []
    token = next((token for token in tokens if token is not None), None)
    if token is None or isinstance(token, list):
        return ""
    first, *further = token.value.split("\n")
    # A comment further left is that of the next key.
    kept = [line for line in further if line.startswith(" " * token.start_mark.column + "#")]
    return " ".join(line.strip().lstrip("# ") for line in (first, *kept))


def _as_yaml(value: Any) -> str:  # noqa: ANN401
    """Return a value as a person would write it on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, CommentedSeq):
        return f"[{', '.join(map(_as_yaml, value))}]"
    if isinstance(value, CommentedMap):
        return "{" + ", ".join(f"{key}: {_as_yaml(item)}" for key, item in value.items()) + "}"
    return f"{float(value):g}" if isinstance(value, ScalarFloat) else str(value)


@cache
def _package(root: Path) -> griffe.Module:
    """Return the package as its source says, not imported."""
    package = griffe.load("asr", search_paths=[root], allow_inspection=False)
    assert isinstance(package, griffe.Module)
    return package


@cache
def _arguments(root: Path, target: str) -> dict[str, str]:
    """Lines of a constructor's docstring by argument; none for what is not of this project."""
    home, _, path = target.partition(".")
    if home != "asr":
        return {}
    built = _package(root)[path]
    built = built.final_target if built.is_alias else built
    texts = [built.docstring]
    if built.is_class:
        texts += [member.docstring for name, member in built.members.items() if name == "__init__"]
    sections = [section for text in texts if text for section in text.parse("google")]
    kinds = (griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes)
    items = [item for section in sections if section.kind in kinds for item in section.value]
    return {item.name: " ".join(item.description.split()) for item in items}


def _section(choice: Choice, group: str | None = None) -> str:
    """Write a file as a heading, what it is, and a table of its keys."""
    name = choice.path.stem
    lines = [f"## asr {name}" if group is None else f"### {group}={name}", ""]
    if choice.summary:
        lines += [_plain(choice.summary), ""]
    if choice.extends:
        entries = ", ".join(f"`{entry}`" for entry in choice.extends)
        lines += [f"{'Made of' if group is None else 'Extends'} {entries}.", ""]
    if choice.target:
        lines += [f"Builds `{choice.target}`.", ""]
    if choice.keys:
        lines += [TABLE, *map(_row, choice.keys), ""]
    return "\n".join(lines)


def _row(key: Key) -> str:
    value = f"`{_cell(key.value)}`" if key.value else ""
    return f"| `{key.name}` | {value} | {_plain(key.comment)} | {_plain(key.docstring)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _plain(text: str) -> str:
    """Return a comment as Markdown that shows it as it is."""
    text = _cell(text).replace("*", "\\*").replace("_", "\\_").replace("[", "\\[")
    return text.replace("<", "&lt;")
