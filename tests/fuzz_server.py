"""Requests that schemathesis makes up from the server's own OpenAPI: none may be a server's error.

    python tests/fuzz_server.py                  # 500 made up for each route
    python tests/fuzz_server.py --cases 20       # a quick look

The server has the model in the box. Files are recordings in ten formats, damaged ones and nonsense.
Ends with 1 where a status is 500, a request is stuck, or the server is not well afterwards.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

HERE = Path(__file__).resolve().parent
ROUTE = "/v1/audio/transcriptions"
# Of answers that come after the whole form was read: a transcript, or what is wrong with a value.
BEHIND_THE_FORM = ("", "invalid_audio", "invalid_value")


def main() -> None:
    """Fuzz, and print what was answered."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=500, help="made up for each route")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        good = fuzz(Path(name), args.cases, args.seed)
    sys.exit(not good)


def fuzz(folder: Path, cases: int, seed: int) -> bool:
    """Serve, send, print a table; return whether all went well."""
    from servers import serving

    from asr.acoustic.checkpoint import load_checkpoint
    from asr.recognition.box import BOX, WORDS
    from asr.recognition.lexicon import find_lexicon
    from asr.server.decoders import Decoders

    write_recordings(folder / "audio")
    model = load_checkpoint(BOX)
    options = {"lexicon": find_lexicon(WORDS, model.tokenizer)}
    decoders = Decoders(model.tokenizer.tokens, options, model.normalizer)
    with serving(decoders, model, name="box", requests_per_minute=10**6) as served:
        send(served.url, folder, cases, seed)
        with served.client() as client:
            health = client.get("/health").json()["status"]
        held = served.metric("asr_requests_held")
    answers = [json.loads(line) for line in (folder / "answers").read_text().splitlines()]
    print("| route | requests | statuses |")
    print("|---|---:|---|")
    for path in sorted({answer["path"] for answer in answers}):
        statuses = Counter(a["status"] for a in answers if a["path"] == path)
        shown = ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items()))
        print(f"| `{path}` | {statuses.total()} | {shown} |")
    codes = [a["code"] for a in answers if a["path"] == ROUTE and a["status"] in (200, 400)]
    forms = sum(code in BEHIND_THE_FORM for code in codes)
    heard = sum(code in ("", "invalid_audio") for code in codes)
    print(f"\nforms read whole: {forms}; recordings opened: {heard}")
    failed = sum(a["status"] >= 500 for a in answers)
    print(f"status 500 and above: {failed}; stuck: {held:.0f}; health: {health}")
    return bool(heard) and not failed and held == 0 and health == "ok"


def write_recordings(folder: Path) -> None:
    """Write a spoken command in every format that is read."""
    from damaged_files import RATE, make_audio_kinds

    from asr.audio import read_audio

    folder.mkdir()
    waveform, *_ = read_audio(HERE / "recordings/stop.flac", RATE)
    make_audio_kinds(folder, waveform)


def send(url: str, folder: Path, cases: int, seed: int) -> None:
    """Let schemathesis make up requests; what it thinks of the answers is printed."""
    words = ["run", f"{url}/openapi.json", "--max-examples", str(cases), "--seed", str(seed)]
    words += ["--phases", "examples,coverage,fuzzing", "--checks", "not_a_server_error"]
    words += ["--suppress-health-check", "all", "--continue-on-failure", "--no-shrink"]
    places = {"FUZZ_AUDIO": folder / "audio", "FUZZ_ANSWERS": folder / "answers"}
    hooks = {"SCHEMATHESIS_HOOKS": "fuzz_hooks", "PYTHONPATH": str(HERE)}
    subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *words],
        env={**os.environ, **hooks, **{key: str(path) for key, path in places.items()}},
        cwd=folder,
        check=False,
    )


if __name__ == "__main__":
    main()
