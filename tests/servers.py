"""A real server of the tone language on a port of its own, in a thread, and a gate for its work."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
import tones

from asr.acoustic.checkpoint import load_checkpoint
from asr.acoustic.model import AcousticModel
from asr.decoding import GreedyDecoder
from asr.server.app import make_app
from asr.server.decoders import Decoders
from asr.server.listener import bind, make_server
from asr.server.settings import Settings

SETTINGS = Settings("tones", max_bytes=2**20, max_duration_s=60.0, body_timeout_s=20.0)
ROUTE = "/v1/audio/transcriptions"


@dataclass
class Served:
    """A running server."""

    port: int
    server: object

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, verify=False)

    def post(self, content: bytes, **fields) -> httpx.Response:
        data = {"model": "tones", **{name.replace("__", "[]"): v for name, v in fields.items()}}
        with self.client() as client:
            return client.post(ROUTE, files={"file": ("name.wav", content)}, data=data)

    def metric(self, name: str) -> float:
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


class Gate(Decoders):
    """Decoders that wait before each batch until the gate is open."""

    def __init__(self, tokens) -> None:
        super().__init__(tokens, {})
        self.is_open = threading.Event()
        self.reached = threading.Event()
        self._greedy = GreedyDecoder(tokens)

    def choose(self, choice):
        return self._wait

    def _wait(self, log_probs, lengths=None):
        self.reached.set()
        assert self.is_open.wait(60)
        return self._greedy(log_probs, lengths)


@contextmanager
def serving(decoders=None, model=None, **settings) -> Iterator[Served]:
    """Serve while the block lasts; `settings` differ from those above."""
    model = model or load_checkpoint(tones.checkpoint_path())
    decoders = decoders or Decoders(model.tokenizer.tokens, {}, model.normalizer)
    changed = replace(SETTINGS, **settings)
    with bind("127.0.0.1", 0) as listening:
        server = make_server(make_app(model, decoders, changed), changed)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield Served(listening.getsockname()[1], server)
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


def wait_until(is_true, seconds: float = 30.0) -> None:
    """Wait for what another thread does; a busy machine may take its time."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def streaming_model() -> AcousticModel:
    """A model of the tone language that hears while it is spoken."""
    return load_checkpoint(tones.streaming_checkpoint_path())
