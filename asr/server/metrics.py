"""What a server counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_AUDIO_SECONDS = (1, 3, 10, 30, 60, 300, 600, 1800, 3600)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "asr_requests", "Requests answered", ["path", "method", "status"], registry=registry
        )
        self._seconds = Histogram(
            "asr_request_seconds", "Time from a request's head to the end of its answer",
            ["path"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._waits = Histogram(
            "asr_wait_seconds", "Time that recordings waited for the network",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._audio = Histogram(
            "asr_audio_seconds", "Audio of a recording or a stream",
            ["kind"], buckets=_AUDIO_SECONDS, registry=registry,
        )  # fmt: skip
        self._batches = Histogram(
            "asr_batch_recordings", "Recordings that went through the network together",
            buckets=(1, 2, 4, 8, 16, 32), registry=registry,
        )  # fmt: skip

    def watch(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Show a value that is read when the metrics are."""
        Gauge(f"asr_{name}", description, registry=self._registry).set_function(read)

    def count_request(self, path: str, method: str, status: int, seconds: float = 0.0) -> None:
        """Count an answer; `path` and `method` are of few kinds, whatever clients send."""
        self._requests.labels(path, method, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def count_recording(self, audio_s: float, wait_s: float) -> None:
        """Count a recording that was recognised."""
        self._audio.labels("file").observe(audio_s)
        self._waits.observe(wait_s)

    def count_stream(self, audio_s: float) -> None:
        """Count a live stream that ended."""
        self._audio.labels("stream").observe(audio_s)

    def count_batch(self, size: int) -> None:
        """Count recordings that went together."""
        self._batches.observe(size)

    def exposition(self) -> bytes:
        """Write all in Prometheus' text format."""
        return generate_latest(self._registry)
