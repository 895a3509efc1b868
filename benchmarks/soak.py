"""A server under load: clients that ask, clients that leave, for minutes; and what is left of it.

    python benchmarks/soak.py                                       # a minute, the model in the box
    python benchmarks/soak.py --clients 8 --minutes 10 --disconnects 1000
    python benchmarks/soak.py --checkpoint best.ckpt

The server is a process of its own. Clients post recordings of 1 to 8 s, one after the other, and
compare each answer with the first of the same recording; others send a part of a request, or all
of it, and leave. Ends with 1 where an answer is another, a request is stuck, a server's error
comes, or memory grows by more than 5 % after the first fifth of the time.
"""

import argparse
import collections
import io
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import soundfile

MAX_GROWTH = 1.05
RATE = 16000
ROUTE = "/v1/audio/transcriptions"


def main() -> None:
    """Run the load and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--disconnects", type=int, default=100)
    parser.add_argument("--checkpoint", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "asr", "serve", "--name", "soak", "--port", "0"]
        command += ["--per-minute", "1000000"]
        command += ["--checkpoint", args.checkpoint] if args.checkpoint else []
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "TMPDIR": str(folder)},
            )  # fmt: skip
            try:
                assert process.stdout is not None
                url = process.stdout.readline().strip().rstrip("/")
                good = soak(url, process.pid, args)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(120)
        left = list(folder.glob("asr-serve-*"))
        print(f"exit code {process.returncode}, folders of uploads left {len(left)}")
    sys.exit(not good or process.returncode != 0 or bool(left))


def soak(url: str, pid: int, args: argparse.Namespace) -> bool:
    """Load the server; return whether all went well."""
    outcomes: collections.Counter[str] = collections.Counter()
    recordings = [make_recording(seconds) for seconds in range(1, 9)]
    expected = [ask(url, recording) for recording in recordings]
    began_at = time.monotonic()
    end = began_at + 60 * args.minutes
    threads = [
        threading.Thread(target=keep_asking, args=(url, recordings, expected, end, n, outcomes))
        for n in range(args.clients)
    ]
    leaving = threading.Thread(
        target=keep_leaving, args=(url, recordings[2], end, args.disconnects, outcomes)
    )
    for thread in [*threads, leaving]:
        thread.start()
    time.sleep(max(0.0, began_at + 12 * args.minutes - time.monotonic()))
    settled = resident_mib(pid)
    for thread in [*threads, leaving]:
        thread.join()
    time.sleep(2)
    final, stuck = resident_mib(pid), read_metric(url, "asr_requests_held")
    print("| answers as expected | left | other | stuck | resident memory, MiB |")
    print("|---:|---:|---|---:|---|")
    same, gone = outcomes.pop("same", 0), outcomes.pop("left", 0)
    other = "; ".join(f"{count} {what}" for what, count in outcomes.most_common(5)) or "0"
    print(f"| {same} | {gone} | {other} | {stuck:.0f} | {settled:.0f} to {final:.0f} |")
    grown = final / settled if settled else 1.0
    return not outcomes and stuck == 0 and gone == args.disconnects and grown <= MAX_GROWTH


def make_recording(seconds: int) -> bytes:
    """Bursts of noise as WAV."""
    rng = np.random.default_rng(seconds)
    bursts = np.repeat(rng.random(4 * seconds) > 0.4, RATE // 4)
    content = io.BytesIO()
    soundfile.write(content, 0.1 * bursts * rng.standard_normal(len(bursts)), RATE, format="WAV")
    return content.getvalue()


def ask(url: str, recording: bytes) -> str:
    """Transcribe; return the answer, or its status where that is none."""
    with httpx.Client(timeout=300, trust_env=False, verify=False) as client:
        answer = client.post(
            url + ROUTE,
            files={"file": recording},
            data={"model": "soak", "response_format": "text"},
        )
    return answer.text if answer.status_code == 200 else f"status {answer.status_code}"


def keep_asking(
    url: str,
    recordings: list[bytes],
    expected: list[str],
    end: float,
    seed: int,
    outcomes: collections.Counter[str],
) -> None:
    """Ask until the end, one request after the other."""
    rng = np.random.default_rng(seed)
    while time.monotonic() < end:
        number = int(rng.integers(len(recordings)))
        try:
            said = ask(url, recordings[number])
        except httpx.HTTPError as error:
            outcomes[type(error).__name__] += 1
            continue
        if said.startswith("status"):
            outcomes[said] += 1
        else:
            outcomes["same" if said == expected[number] else "another answer"] += 1


def keep_leaving(
    url: str, recording: bytes, end: float, times: int, outcomes: collections.Counter[str]
) -> None:
    """Send a part of a request and leave, so many times until the end."""
    rng = np.random.default_rng(99)
    address = re.fullmatch(r"http://(.*):(\d+)", url)
    assert address
    boundary = secrets.token_hex(8)
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {"model": "soak", "file": "x"}.items()
    ).encode()
    body = body.replace(b'name="file"', b'name="file"; filename="x"')
    body = body.removesuffix(b"x\r\n") + recording + f"\r\n--{boundary}--\r\n".encode()
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: {address[1]}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
    ).encode()
    whole = head + body
    pause_s = max(0.0, end - time.monotonic()) / max(1, times)
    for _ in range(times):
        sent = len(whole) if rng.random() < 0.5 else int(rng.integers(1, len(whole)))
        with socket.create_connection((address[1], int(address[2])), timeout=60) as connection:
            connection.sendall(whole[:sent])
            time.sleep(float(rng.uniform(0, pause_s)))
        outcomes["left"] += 1
        time.sleep(float(rng.uniform(0, pause_s)))


def read_metric(url: str, name: str) -> float:
    """Read a value of Prometheus' text."""
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    return float(re.search(rf"^{name} (\S+)", text, re.MULTILINE)[1])  # type: ignore[index]


def resident_mib(pid: int) -> float:
    """Memory of a process that is in use; 0 where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
