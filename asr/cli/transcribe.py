"""`asr transcribe`: audio files to text, subtitles or JSON."""

import argparse
import sys
from pathlib import Path

from asr.cli.assembly import choose_device
from asr.decoding import BeamSearchDecoder, Decoder, GreedyDecoder, NGramLM
from asr.files import printable
from asr.recognition.recognizer import load
from asr.recognition.transcripts import FORMATS, format_transcripts

EXAMPLE = """examples:
  asr transcribe speech.wav --checkpoint runs/quickstart/ckpt/best.ckpt
  asr transcribe talk.flac --checkpoint best.ckpt --lm lm.arpa --format srt > talk.srt
  asr transcribe *.flac --checkpoint best.ckpt --format json > all.jsonl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    parser.add_argument("file", nargs="+", type=Path, help="wav, flac, ogg, opus or mp3")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        help="a .ckpt file, or a folder with a CTC model from Hugging Face",
    )
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--lm", type=Path, help="an ARPA language model: beam search")
    parser.add_argument("--beam-width", type=int, help="beam search (default with --lm: 64)")
    parser.add_argument("--lm-alpha", type=float, help="weight of the language model")
    parser.add_argument("--lm-beta", type=float, help="nats a word")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")


def run(args: argparse.Namespace) -> int:
    """Run the command; exit code 2 when a file could not be used."""
    if args.format in ("srt", "vtt") and len(args.file) > 1:
        raise ValueError(f"--format {args.format} holds one recording, got {len(args.file)} files")
    recognizer = load(args.checkpoint, str(choose_device(args.device)))
    recognizer.decoder = _make_decoder(args, recognizer.tokens)
    transcripts = list(recognizer.transcribe_each(args.file))
    usable = [t for t in transcripts if t.error is None]
    for transcript in usable:
        for note in transcript.notes:
            print(printable(f"{transcript.audio}: {note}"), file=sys.stderr)
    # JSON has a line for what failed as well; the log has named it in any case.
    shown = transcripts if args.format == "json" else usable
    if shown:
        print(_showable(format_transcripts(shown, args.format), args.format), end="")
    return 0 if len(usable) == len(transcripts) else 2


def _showable(text: str, style: str) -> str:
    """Escape what a terminal would obey; JSON has escapes of its own, but for lone surrogates."""
    if style == "json":
        return text.encode("utf-8", "backslashreplace").decode()
    return "\n".join(map(printable, text.split("\n")))


def _make_decoder(args: argparse.Namespace, tokens: list[str]) -> Decoder:
    weights = {"lm_alpha": args.lm_alpha, "lm_beta": args.lm_beta}
    weights = {name: value for name, value in weights.items() if value is not None}
    if weights and args.lm is None:
        option = next(iter(weights)).replace("_", "-")
        raise ValueError(f"--{option} has no effect without --lm")
    if args.lm is None and args.beam_width is None:
        return GreedyDecoder(tokens)
    width = {} if args.beam_width is None else {"beam_width": args.beam_width}
    lm = None if args.lm is None else NGramLM(args.lm)
    return BeamSearchDecoder(tokens, lm=lm, **width, **weights)
