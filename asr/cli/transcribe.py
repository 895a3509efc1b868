"""`asr transcribe`: recordings to text, subtitles, JSON and what else transcripts are kept in."""

import argparse
import logging
import re
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from asr.acoustic.silero import CUTS
from asr.audio import AudioError
from asr.cli.assembly import choose_device, fingerprint_files, fingerprint_model
from asr.cli.audio_paths import Recording, find_recordings
from asr.cli.beam_options import add_beam_arguments, read_beam_options, use_beam_search
from asr.cli.checkpoint_option import add_checkpoint_argument, settle_box
from asr.cli.counts import read_count
from asr.cli.terminal import Progress, colour_words
from asr.cli.transcript_folder import FAILURES, TranscriptFolder, name_outputs
from asr.files import printable
from asr.media.streams import audio_format
from asr.recognition.formats import (
    FORMATS,
    OF_ONE_RECORDING,
    check_format,
    format_transcript,
    name_utterance,
    show_name,
)
from asr.recognition.recognizer import Recognizer, load
from asr.recognition.sources import AudioFile
from asr.recognition.subtitles import READABLE, SubtitleLayout
from asr.recognition.transcripts import Transcript

EXAMPLE = """examples:
  asr transcribe command.wav
  asr transcribe speech.wav --checkpoint runs/quickstart/ckpt/best.ckpt
  asr transcribe talk.m4a --checkpoint best.ckpt --lm lm.arpa --format srt > talk.srt
  asr transcribe recordings --checkpoint best.ckpt --format srt,json --out transcripts
  asr transcribe "calls/**/*.wav" --checkpoint best.ckpt --per-channel --format json > all.jsonl
  asr transcribe @list.txt --checkpoint best.ckpt --options best.yaml --out transcripts
  cat speech.flac | asr transcribe - --checkpoint best.ckpt

Recordings of any length are read in pieces. One that cannot be used is named and ends nothing; the
exit code is then 2."""

logger = logging.getLogger(__name__)


class Job(NamedTuple):
    """A recording, or one channel of it, and where its files go."""

    recording: Recording
    channel: int | None
    stem: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    parser.add_argument(
        "path", nargs="*", metavar="PATH",
        help='file, folder (with all below it), "pattern", @LIST of such, or - for standard input',
    )  # fmt: skip
    parser.add_argument("--list", action="append", default=[], help="a file with a path a line")
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--format", default="text", help=f"one, or several with --out: {','.join(FORMATS)}"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="a file for each recording there")
    parser.add_argument("--overwrite", action="store_true", help="do again what is done in --out")
    parser.add_argument("--per-channel", action="store_true", help="channels one by one")
    parser.add_argument(
        "--print-colors", action="store_true", help="words from red to green, on a terminal"
    )
    parser.add_argument(
        "--max-line-width", type=read_count, default=READABLE.max_line_width, metavar="N",
        help="characters of a subtitle's line (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--words-per-line",
        type=read_count,
        metavar="N",
        help="subtitles of one line, so many words",
    )
    parser.add_argument(
        "--cut", choices=CUTS, default="energy",
        help="what tells the pauses where recordings over 30 s are cut (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    add_beam_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; exit code 2 when a recording could not be used."""
    formats = _read_formats(args)
    options = read_beam_options(args)
    with ExitStack() as stack:
        recordings = find_recordings(args.path, args.list, stack)
        jobs = _make_jobs(recordings, per_channel=args.per_channel, in_folder=args.out is not None)
        if args.out is None and formats[0] in OF_ONE_RECORDING and len(jobs) > 1:
            raise ValueError(
                f"--format {formats[0]} holds one recording, got {len(jobs)} "
                f"{'channels' if len(recordings) == 1 else 'files'}: give --out DIR"
            )
        if args.out is None and formats[0] == "trn":
            _check_names(jobs)
        settle_box(args.checkpoint, options)
        recognizer = load(args.checkpoint, str(choose_device(args.device)), cut=args.cut)
        if options:
            use_beam_search(recognizer, options)
        if args.out is None:
            return _print(recognizer, jobs, formats[0], args)
        return _fill(recognizer, jobs, formats, options, args)


def _read_formats(args: argparse.Namespace) -> list[str]:
    formats = list(dict.fromkeys(args.format.split(",")))
    for style in formats:
        check_format(style)
    if args.out is None and len(formats) > 1:
        raise ValueError(f"--format {args.format}: several formats need --out DIR")
    if args.out is None and args.overwrite:
        raise ValueError("--overwrite has no effect without --out")
    if args.print_colors and (args.out is not None or formats != ["text"]):
        raise ValueError("--print-colors is for text that is printed, without --out")
    return formats


def _make_jobs(recordings: Sequence[Recording], *, per_channel: bool, in_folder: bool) -> list[Job]:
    if in_folder:
        recordings = list(dict.fromkeys(recordings))
    stems = name_outputs(recordings) if in_folder else [""] * len(recordings)
    jobs = []
    for recording, stem in zip(recordings, stems, strict=True):
        if not per_channel:
            jobs.append(Job(recording, None, stem))
            continue
        channels = range(1, _count_channels(recording) + 1)
        jobs += [Job(recording, channel, f"{stem}.ch{channel}") for channel in channels]
    return jobs


def _check_names(jobs: Sequence[Job]) -> None:
    names = Counter(name_utterance(job.recording.name, job.channel) for job in jobs)
    for name, count in names.items():
        if count > 1:
            raise ValueError(
                f"--format trn knows recordings by their files' names, and {count} are ({name}): "
                "give one folder at a time, or --out DIR"
            )


def _count_channels(recording: Recording) -> int:
    try:
        return audio_format(recording.path).channels
    except AudioError:
        return 1  # its turn comes, and says why


def _print(
    recognizer: Recognizer, jobs: Sequence[Job], style: str, args: argparse.Namespace
) -> int:
    """Print transcripts as they are done."""
    layout = SubtitleLayout(args.max_line_width, args.words_per_line)
    in_colour = args.print_colors and sys.stdout.isatty()
    progress = Progress(len(jobs))
    num_failed = 0
    with progress.shown():
        files = [_audio_file(job) for job in jobs]
        for transcript in recognizer.transcribe_each(files, on_segment=progress.on_segment):
            progress.on_transcript(transcript)
            for note in transcript.notes:
                logger.info("%s: %s", transcript.audio, note)
            num_failed += transcript.error is not None
            if transcript.error is not None and style != "json":
                continue
            if in_colour:
                progress.print(_coloured(transcript, named=len(jobs) > 1))
                continue
            text = format_transcript(transcript, style, layout, named=len(jobs) > 1)
            progress.print(_showable(text, style))
    return 2 if num_failed else 0


def _fill(
    recognizer: Recognizer,
    jobs: Sequence[Job],
    formats: Sequence[str],
    options: dict[str, object],
    args: argparse.Namespace,
) -> int:
    """Write transcripts into a folder as they are done."""
    layout = SubtitleLayout(args.max_line_width, args.words_per_line)
    settings = {
        "model": fingerprint_model(args.checkpoint),
        "decoder": options | fingerprint_files(options),
        "subtitles": layout._asdict(),
        "cut": args.cut,
    }
    folder = TranscriptFolder(args.out, formats, layout, settings, overwrite=args.overwrite)
    left = [job for job in jobs if not folder.is_done(job.recording, job.stem)]
    progress = Progress(len(left))
    notes: Counter[str] = Counter()
    num_failed = 0
    with progress.shown():
        files = [_audio_file(job) for job in left]
        transcripts = recognizer.transcribe_each(files, on_segment=progress.on_segment)
        for job, transcript in zip(left, transcripts, strict=True):
            folder.write(transcript, job.stem)
            progress.on_transcript(transcript)
            notes.update(transcript.notes)
            num_failed += transcript.error is not None
    for note, count in notes.items():
        logger.info("%d recordings: %s", count, note)
    logger.info("%s", _summary(args.out, jobs, left, num_failed))
    return 2 if num_failed else 0


def _summary(out: Path, jobs: Sequence[Job], left: Sequence[Job], num_failed: int) -> str:
    parts = [f"{out}: {len(left) - num_failed} transcribed"]
    if len(left) < len(jobs):
        parts.append(f"{len(jobs) - len(left)} were done already (--overwrite does them again)")
    if num_failed:
        parts.append(f"{num_failed} could not be, see {out / FAILURES}")
    return ", ".join(parts)


def _audio_file(job: Job) -> AudioFile:
    return AudioFile(job.recording.path, job.recording.name, job.channel)


def _coloured(transcript: Transcript, *, named: bool) -> str:
    name = f"{show_name(transcript)}: " if named else ""
    return f"{name}{colour_words(transcript)}\n"


def _showable(text: str, style: str) -> str:
    """Escape what a terminal would obey; JSON has escapes of its own, but for lone surrogates."""
    if style == "json":
        return text.encode("utf-8", "backslashreplace").decode()
    return re.sub(r"[^\n\t]+", lambda part: printable(part[0]), text)  # tabs part columns
