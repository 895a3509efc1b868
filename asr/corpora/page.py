"""prepare.html: what a corpus looks and sounds like before anything is trained on it.

One file: figures and the suspects' audio are in it, so that it can be sent and opens anywhere.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from asr.audio import AudioError, read_segment
from asr.corpora.charts import MAX_CHARACTERS, Histogram, draw_characters, draw_histograms
from asr.corpora.measurement import Sound
from asr.corpora.summary import PrepareReport
from asr.corpora.suspicion import Suspect, speaking_rate
from asr.corpora.verification import BACKGROUND_SPLITS
from asr.data.manifest import Utterance
from asr.files import printable
from asr.pages.clip import clip_address, encode_clip
from asr.pages.template import render
from asr.resampling import resample

# Of each reason, so many suspects can be heard; suspects.jsonl has all.
PER_REASON = 6
# A player holds so much of an utterance, as MP3 of this rate.
_HEARD_S = 15.0
_HEARD_RATE = 16000
_DETAIL = 400


def render_page(
    report: PrepareReport,
    splits: Mapping[str, Sequence[Utterance]],
    sounds: Mapping[Path, Sound],
    suspects: Sequence[Suspect],
) -> str:
    """Render the page of a corpus.

    Args:
        splits: what was kept, without those that are put together from others.
        sounds: of every audio file of theirs.
        suspects: the worst of each reason first.
    """
    speech = [u for name, us in splits.items() if name not in BACKGROUND_SPLITS for u in us]
    characters = Counter(character for utterance in speech for character in utterance.text)
    return render(
        "asr.corpora",
        "prepare.html.j2",
        report=report,
        tiles=_tiles(report, suspects),
        splits=[
            [name, split.utterances, f"{split.hours:.2f}", split.speakers or "unknown"]
            for name, split in report.splits.items()
        ],
        histograms=_histograms(speech, sounds),
        characters=draw_characters(characters) if characters else None,
        num_characters=len(characters),
        max_characters=MAX_CHARACTERS,
        groups=_hearable(suspects),
        per_reason=PER_REASON,
        shown=_shown,
    )


def _tiles(report: PrepareReport, suspects: Sequence[Suspect]) -> list[tuple[str, str]]:
    kept = sum(split.utterances for split in report.splits.values())
    hours = sum(split.hours for split in report.splits.values())
    lost = sum(reason.count for reason in report.rejected.values())
    return [
        (f"{kept}", "utterances"),
        (f"{hours:.2f} h", "of audio"),
        (f"{lost}", "left out"),
        (f"{len(suspects)}", "to listen to"),
    ]


def _histograms(speech: Sequence[Utterance], sounds: Mapping[Path, Sound]) -> str | None:
    if not speech:
        return None
    levels = [sounds[utterance.audio_filepath].level_db for utterance in speech]
    return draw_histograms(
        [
            Histogram("durations", "seconds", [utterance.duration for utterance in speech]),
            Histogram("speaking rates", "characters a second", list(map(speaking_rate, speech))),
            Histogram("levels", "dB below full scale", levels),
        ]
    )


def _hearable(suspects: Sequence[Suspect]) -> list[dict[str, object]]:
    """Give the suspects of each reason, the worst with something to hear."""
    by_reason: dict[str, list[Suspect]] = {}
    for suspect in suspects:
        by_reason.setdefault(suspect.reason, []).append(suspect)
    return [
        {
            "reason": reason,
            "count": len(members),
            "suspects": [
                {"suspect": member, "audio": _encode(member.utterance.audio_filepath)}
                for member in members[:PER_REASON]
            ],
        }
        for reason, members in by_reason.items()
    ]


def _encode(path: Path) -> str | None:
    """Give the first seconds of a file as the address of an MP3; None where it cannot be read."""
    try:
        waveform, rate, _, _ = read_segment(path, 0.0, _HEARD_S)
    except AudioError:  # it was there a moment ago
        return None
    return clip_address(encode_clip(resample(waveform, rate, _HEARD_RATE), _HEARD_RATE))


def _shown(text: str) -> str:
    """Shorten, and show what a browser would obey or drop: marks of writing direction."""
    text = printable(text)
    return text if len(text) <= _DETAIL else f"{text[: _DETAIL - 3]}..."
