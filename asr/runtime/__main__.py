"""`python -m asr.runtime MODEL AUDIO...`: recordings to text without PyTorch."""

import argparse
import sys
from collections.abc import Sequence

from asr.files import printable
from asr.recognition.formats import FORMATS, OF_ONE_RECORDING, format_transcript
from asr.runtime.recognizer import load

EXAMPLE = """examples:
  python -m asr.runtime model.onnx speech.wav
  python -m asr.runtime model.onnx *.wav --format json
  python -m asr.runtime model.onnx talk.flac --lm lm.arpa --format srt > talk.srt

It needs what `pip install 'ctc-asr[runtime]'` brings. A recording that cannot be used is named and
ends nothing; the exit code is then 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m asr.runtime",
        description="Recordings to text with a model of `asr export`, without PyTorch.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="a file of `asr export format=onnx`")
    parser.add_argument("audio", nargs="+", help="audio files")
    parser.add_argument("--lm", help="an n-gram language model in ARPA format, for beam search")
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="of onnxruntime; default: one a core"
    )
    args = parser.parse_args(argv)
    if args.format in OF_ONE_RECORDING and len(args.audio) > 1:
        parser.error(f"--format {args.format} holds one recording, got {len(args.audio)}")
    try:
        recognizer = load(args.model, lm=args.lm, num_threads=args.threads)
    except ModuleNotFoundError as error:
        print(f"asr.runtime needs {error.name}: pip install 'ctc-asr[runtime]'", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(_say(error), file=sys.stderr)
        return 2
    code = 0
    for path in args.audio:
        try:
            transcript = recognizer.transcribe(path)
        except ValueError as error:
            print(_say(error), file=sys.stderr)
            code = 2
            continue
        named = len(args.audio) > 1
        print(format_transcript(transcript, args.format, named=named), end="", flush=True)
    return code


def _say(error: Exception) -> str:
    return printable(" ".join(str(error).split()))


if __name__ == "__main__":
    sys.exit(main())
