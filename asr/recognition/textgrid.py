"""Praat's TextGrid: tiers of labelled intervals, as text."""

from collections.abc import Iterable, Mapping, Sequence

from asr.recognition.transcripts import TimedWord


def format_textgrid(tiers: Mapping[str, Sequence[TimedWord]], duration_s: float) -> str:
    """Write tiers in TextGrid's long text format.

    Intervals of a tier lie side by side from 0 to the end, as Praat wants them; what lies between
    words is an interval without text. Quotes are doubled.

    Args:
        tiers: what the tiers hold, by name; in order of time, within the recording, apart.
        duration_s: seconds of audio, > 0.

    Raises:
        ValueError: an item is empty in time, or begins before the last one's end or ends after the
            recording's.

    Source: Praat manual, "TextGrid file formats".
    """
    end = f"{duration_s:.6f}"
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {end}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, items) in enumerate(tiers.items(), start=1):
        intervals = _fill_gaps(name, items, duration_s)
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f"        name = {_quote(name)}",
            "        xmin = 0",
            f"        xmax = {end}",
            f"        intervals: size = {len(intervals)}",
        ]
        for place, (start_s, end_s, text) in enumerate(intervals, start=1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {start_s:.6f}",
                f"            xmax = {end_s:.6f}",
                f"            text = {_quote(text)}",
            ]
    return "\n".join(lines) + "\n"


def _fill_gaps(
    name: str, items: Iterable[TimedWord], duration_s: float
) -> list[tuple[float, float, str]]:
    """Return (start, end, text) side by side from 0 to the end, to the microsecond as written."""
    intervals: list[tuple[float, float, str]] = []
    now = 0.0
    whole = round(duration_s, 6)
    for item in items:
        start_s, end_s = round(item.start_s, 6), round(item.end_s, 6)
        if not now <= start_s < end_s <= whole:
            raise ValueError(
                f"tier {name!r}: items must follow each other within 0..{whole} s, got "
                f"{item.word!r} from {start_s} to {end_s} after {now}"
            )
        if start_s > now:
            intervals.append((now, start_s, ""))
        intervals.append((start_s, end_s, item.word))
        now = end_s
    if now < whole:
        intervals.append((now, whole, ""))
    return intervals


def _quote(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
