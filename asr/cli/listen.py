"""`asr listen`: speech to text while it is spoken, from a microphone or standard input."""

import argparse
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from asr.cli.assembly import choose_device
from asr.cli.beam_options import add_beam_arguments, read_beam_options, use_beam_search
from asr.cli.live_text import LiveText
from asr.media.live import Sound, open_microphone, open_raw, open_wav
from asr.recognition.endpoints import DEFAULT_ENDPOINTS, Endpoints
from asr.recognition.recognizer import load
from asr.recognition.streaming import SpeechStream

EXAMPLE = """examples:
  asr listen --checkpoint runs/streaming_digits/ckpt/best.ckpt
  asr listen - --checkpoint best.ckpt < speech.wav
  arecord -f S16_LE -r 16000 -t raw | asr listen - --rate 16000 --checkpoint best.ckpt
  ffmpeg -i http://radio/stream -f wav - | asr listen - --checkpoint best.ckpt --format json

The checkpoint is of a network of one direction, as model=ds2_lookahead. On a terminal the utterance
that is being said is rewritten as it goes on; finished ones are lines, in a pipe they alone. Ctrl-C
ends, with the last words."""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    parser.add_argument(
        "source", nargs="?", choices=["microphone", "-"], default="microphone", metavar="SOURCE",
        help="microphone (default), or - for standard input: a WAV stream, or raw with --rate",
    )  # fmt: skip
    parser.add_argument("--checkpoint", type=Path, required=True, help="a .ckpt file")
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help="of raw 16-bit samples, one channel, on input"
    )
    parser.add_argument("--microphone", metavar="NAME", help="a part of its name, or its number")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="of a line")
    parser.add_argument(
        "--silence", type=float, default=DEFAULT_ENDPOINTS.silence_s, metavar="S",
        help="seconds of silence that end an utterance (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--longest", type=float, default=DEFAULT_ENDPOINTS.longest_s, metavar="S",
        help="seconds after which an utterance ends even within a word (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    add_beam_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    _check_source(args)
    options = read_beam_options(args)
    endpoints = _read_endpoints(args)
    recognizer = load(args.checkpoint, str(choose_device(args.device)))
    if options:
        use_beam_search(recognizer, options)
    recognizer.stream()  # refuses a model of whole utterances before anything is opened
    sound = _open(args)
    stream = recognizer.stream(sound.sample_rate, endpoints=endpoints)
    _describe(args, sound, recognizer.sample_rate)
    _print_utterances(stream, sound, LiveText(args.format))
    return 0


def _check_source(args: argparse.Namespace) -> None:
    if args.source == "-":
        if args.microphone is not None:
            raise ValueError("--microphone has no effect with -, which is standard input")
        if sys.stdin.isatty():
            raise ValueError("standard input is a terminal: pipe audio into it, or omit -")
    elif args.rate is not None:
        raise ValueError("--rate is for standard input (-): a microphone knows its own")


def _read_endpoints(args: argparse.Namespace) -> Endpoints:
    try:
        return Endpoints(
            silence_s=args.silence,
            longest_s=args.longest,
            long_s=min(DEFAULT_ENDPOINTS.long_s, args.longest),
        )
    except ValueError as error:
        raise ValueError(f"--silence and --longest: {error}") from error


def _open(args: argparse.Namespace) -> Sound:
    if args.source == "microphone":
        return open_microphone(args.microphone)
    if args.rate is not None:
        return open_raw(sys.stdin.buffer, args.rate)
    return open_wav(sys.stdin.buffer)


def _describe(args: argparse.Namespace, sound: Sound, sample_rate: int) -> None:
    notes = [args.source.replace("-", "standard input")]
    if sound.channels > 1:
        notes.append(f"{sound.channels} channels averaged to one")
    if sound.sample_rate != sample_rate:
        notes.append(f"resampled from {sound.sample_rate} Hz to {sample_rate} Hz")
    logger.info("listening: %s; Ctrl-C ends", ", ".join(notes))


def _print_utterances(stream: SpeechStream, sound: Sound, text: LiveText) -> None:
    """Print utterances as they end, the last ones where the sound ends or Ctrl-C is pressed."""
    with _CtrlC().caught() as ctrl_c:
        for block in ctrl_c.until_pressed(sound.blocks):
            for segment in stream.push(block):
                text.print_segment(segment)
            if text.shows_partial:
                text.show_partial(stream.partial())
        for segment in stream.finish():
            text.print_segment(segment)
        text.clear()


class _CtrlC:
    """Ends waiting, and never tears a piece of work: once it ends the sound, twice the command."""

    def __init__(self) -> None:
        self._is_pressed = False
        self._is_waiting = False

    @contextmanager
    def caught(self) -> "Iterator[_CtrlC]":
        """Catch SIGINT."""
        before = signal.signal(signal.SIGINT, self._press)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, before)

    def until_pressed(self, items: Iterator) -> Iterator:
        """Give items until there are none, or until Ctrl-C."""
        while not self._is_pressed:
            try:
                self._is_waiting = True
                item = next(items, None)
            except KeyboardInterrupt:
                return
            finally:
                self._is_waiting = False
            if item is None:
                return
            yield item

    def _press(self, _number: int, _frame: FrameType | None) -> None:
        is_second, self._is_pressed = self._is_pressed, True
        if self._is_waiting or is_second:
            raise KeyboardInterrupt
