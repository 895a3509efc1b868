"""Who speaks, where a corpus does not say it outright."""

import re
from collections.abc import Callable
from pathlib import Path

from asr.corpora.layouts import Imported
from asr.data.manifest import Utterance


def name_speakers(imported: Imported, rule: str) -> None:
    """Say who speaks, for a corpus that does not: `folder`, `column:NAME` or a regular expression.

    The expression is searched in the path below the corpus; its first group is the speaker, or all
    that it matched.

    Raises:
        ValueError: the rule is broken, or gives nobody's name.
    """
    read = _speaker_rule(imported, rule)
    nameless = []
    named = 0
    for utterance in (u for members in imported.splits.values() for u in members):
        speaker = read(utterance)
        if speaker:
            utterance.extra["speaker"] = speaker
            named += 1
        else:
            nameless.append(utterance)
    if not named:
        first = f", as in {nameless[0].audio_filepath}" if nameless else ""
        raise ValueError(f"--speaker-from {rule}: names the speaker of no utterance{first}")
    if nameless:
        imported.warnings.append(
            f"--speaker-from {rule}: no speaker in {len(nameless)} of {named + len(nameless)} "
            f"utterances, as in {nameless[0].audio_filepath}"
        )


def _speaker_rule(imported: Imported, rule: str) -> Callable[[Utterance], str]:
    def place(utterance: Utterance) -> Path:
        path = imported.origins.get(utterance.audio_filepath, utterance.audio_filepath)
        roots = (imported.out, imported.root, Path(path.anchor))
        return path.relative_to(next(root for root in roots if path.is_relative_to(root)))

    if rule == "folder":
        return lambda utterance: place(utterance).parent.name
    if rule.startswith("column:"):
        name = rule.removeprefix("column:").strip().lower()
        return lambda utterance: str(utterance.extra.get(name, "")).strip()
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise ValueError(f"--speaker-from {rule}: no regular expression: {error}") from error

    def search(utterance: Utterance) -> str:
        found = pattern.search(place(utterance).as_posix())
        return (found[found.re.groups and 1] or "") if found else ""

    return search


def hold_out_speakers(imported: Imported, every: int) -> None:
    """Move every n-th speaker of train, in alphabetical order, to dev."""
    train = imported.splits.get("train", [])
    held_out = set(sorted({str(item.extra["speaker"]) for item in train})[every - 1 :: every])
    imported.splits["train"] = [i for i in train if i.extra["speaker"] not in held_out]
    imported.splits["dev"] = [i for i in train if i.extra["speaker"] in held_out]
    imported.notes.append(
        f"dev is every {every}th speaker of the official training part: "
        f"{', '.join(sorted(held_out))}"
    )
