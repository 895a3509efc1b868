"""Small sets of shards, and a server on this machine that behaves as servers do."""

import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import soundfile

from asr.data.manifest import Manifest, Utterance, write_manifest
from asr.data.shards.packing import Packing, pack

SHORT = Packing("flac", None, shard_seconds=1.0, shard_mb=1000.0, num_threads=2)


def write_speech(folder, rng, count=10):
    """Recordings of 0.2 s and more, each a step of 0.1 s longer, and their manifest."""
    utterances = []
    for n in range(count):
        path = folder / f"u{n}.wav"
        soundfile.write(path, rng.normal(0, 0.1, 3200 + 1600 * n), 16000)
        extra = {"id": f"u{n}", "speaker": f"s{n % 2}"}
        utterances.append(Utterance(path, round(0.2 + 0.1 * n, 6), "ab" * (n % 3 + 1), extra))
    write_manifest(folder / "m.jsonl", utterances)
    return folder / "m.jsonl"


def pack_speech(folder, rng, count=10, packing=SHORT):
    """Pack such recordings in their order; return the folder of the shards."""
    manifest = write_speech(folder, rng, count)
    pack(Manifest(manifest), folder / "shards", packing, source="test")
    return folder / "shards"


class Server:
    """What a server did, and what it shall do.

    Attributes:
        folder: what it serves.
        ranges: whether it knows them.
        faults: what goes wrong with the next answers: "stall", "cut", or a status.
        requests: (path, first byte) of each.
    """

    def __init__(self, folder):
        self.folder = folder
        self.ranges = True
        self.faults = []
        self.requests = []
        self.url = ""
        self.stopped = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, state, *args):
        self.state = state
        super().__init__(*args)

    def log_message(self, *_):
        pass

    def do_GET(self):
        state = self.state
        wanted = self.headers.get("Range", "bytes=0-")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if state.ranges else 0
        state.requests.append((self.path, start))
        fault = state.faults.pop(0) if state.faults and self.path.endswith(".tar") else None
        path = state.folder / self.path.lstrip("/")
        if isinstance(fault, int) or not path.is_file():
            self.send_error(fault or 404)
            return
        content = path.read_bytes()[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if fault is None else content[: len(content) // 2])
        self.wfile.flush()
        if fault == "stall":
            state.stopped.wait(20)


@contextmanager
def serving(folder):
    """Serve a folder on the loopback."""
    state = Server(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, state))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        state.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def everybody(batches):
    return sorted(name for batch in batches for name in batch.ids)


def damage(path, old, new):
    """Replace bytes that a file holds once."""
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


def sleepless(monkeypatch):
    """Let retries follow each other at once."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
