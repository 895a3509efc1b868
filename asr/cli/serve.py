"""`asr serve`: a server for transcription, with a page."""

import argparse
import os
import signal
from pathlib import Path

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli.assembly import choose_device, open_files, run_of
from asr.cli.beam_options import add_beam_arguments, read_beam_options
from asr.cli.checkpoint_option import add_checkpoint_argument, settle_box
from asr.cli.counts import read_count, read_whole
from asr.files import read_text
from asr.recognition.box import BOX
from asr.server.decoders import Decoders
from asr.server.logs import log_json_lines
from asr.server.settings import Settings

EXAMPLE = """examples:
  asr serve
  asr serve --checkpoint runs/quickstart/ckpt/best.ckpt --lm lm.arpa
  curl http://127.0.0.1:8000/v1/audio/transcriptions -F file=@speech.wav -F model=quickstart
  ASR_TOKEN=$(openssl rand -hex 16) asr serve --checkpoint best.ckpt --host 0.0.0.0

Then http://127.0.0.1:8000/ is a page that records and transcribes. Logs are JSON lines on standard
error and hold nobody's words. SIGTERM lets requests in work end."""

# Letters of a token: no shorter one withstands guessing.
MIN_TOKEN_LENGTH = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = EXAMPLE
    add_checkpoint_argument(parser)
    parser.add_argument("--name", help="what clients call the model (the run's folder, or box)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=8000, help="port (%(default)s)")
    parser.add_argument(
        "--token-file", metavar="FILE",
        help="holds the token that requests must show, instead of ASR_TOKEN in the environment",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    limits = parser.add_argument_group("limits")
    for flag, kind, default, help in (
        ("--max-megabytes", read_count, Settings.max_bytes // 2**20, "of a request"),
        ("--max-seconds", read_count, int(Settings.max_duration_s), "of audio of a request"),
        ("--max-requests", read_count, Settings.max_requests, "uploading, waiting or in work"),
        ("--max-streams", read_count, Settings.max_streams, "live at a time"),
        ("--per-minute", read_count, Settings.requests_per_minute, "requests of one address"),
        ("--body-timeout", read_count, int(Settings.body_timeout_s), "seconds for an upload"),
        ("--stop-timeout", read_count, int(Settings.stop_timeout_s), "seconds at SIGTERM"),
    ):
        limits.add_argument(
            flag, type=kind, default=default, metavar="N", help=f"{help} (%(default)s)"
        )
    add_beam_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command until it is told to stop."""
    try:
        from asr.server.app import make_app
        from asr.server.listener import bind, is_loopback, make_server
    except ModuleNotFoundError as error:
        raise ValueError(f"needs {error.name}: pip install 'ctc-asr[serve]'") from error
    token = read_token(args.token_file)
    if token is None and not is_loopback(args.host):
        raise ValueError(
            f"--host {args.host} can be reached from elsewhere: set ASR_TOKEN or --token-file"
        )
    options = read_beam_options(args, later={"hotwords"})
    settings = Settings(
        name=args.name or _name_of(args.checkpoint),
        token=token,
        max_bytes=args.max_megabytes * 2**20,
        max_duration_s=args.max_seconds,
        max_requests=args.max_requests,
        max_streams=args.max_streams,
        requests_per_minute=args.per_minute,
        body_timeout_s=args.body_timeout,
        stop_timeout_s=args.stop_timeout,
    )
    settle_box(args.checkpoint, options)
    model = load_checkpoint(args.checkpoint).to(choose_device(args.device))
    options |= open_files(options, model.tokenizer, model.normalizer)
    decoders = Decoders(model.tokenizer.tokens, options, model.normalizer)
    with bind(args.host, args.port) as listening:
        # Whoever asked it to stop by SIGTERM gets 0, once it has stopped in peace.
        signal.signal(signal.SIGTERM, lambda *_: None)
        server = make_server(make_app(model, decoders, settings), settings)
        host = f"[{args.host}]" if ":" in args.host else args.host
        print(f"http://{host}:{listening.getsockname()[1]}/", flush=True)
        log_json_lines()
        server.run([listening])
    return 0


def read_token(file: str | None) -> str | None:
    """Read the token from a file or the environment; None where there is none.

    Raises:
        ValueError: it is short, or has what no header may have; it is not quoted.
    """
    place = "ASR_TOKEN" if file is None else f"--token-file {file}"
    token = os.environ.get("ASR_TOKEN") if file is None else read_text(Path(file), 2**16).strip()
    if token is None:
        return None
    if (
        len(token) < MIN_TOKEN_LENGTH
        or not token.isascii()
        or any(not "!" <= c <= "~" for c in token)
    ):
        raise ValueError(
            f"{place}: must be at least {MIN_TOKEN_LENGTH} visible ASCII characters without spaces"
        )
    return token


def _name_of(checkpoint: Path) -> str:
    return BOX.stem if checkpoint == BOX else run_of(checkpoint).name


def _port(text: str) -> int:
    return read_whole(text, 0, 2**16 - 1)
