"""What a server is called, who may use it, and how much it takes."""

from dataclasses import dataclass

# What one form field may hold; only the file is large.
MAX_FIELD_BYTES = 16 * 1024


@dataclass(frozen=True)
class Settings:
    """Limits and access of a server.

    Attributes:
        name: what clients call the model.
        token: what requests must show; None: nothing, and then only names of the loopback are
            answered to.
        max_bytes: of a request's body.
        max_duration_s: seconds of audio of a request or a stream.
        max_requests: uploading, waiting or in work at a time; more are told to come back.
        max_streams: live streams at a time.
        requests_per_minute: of one address.
        body_timeout_s: seconds that a body may take, and that a client may take to read an answer.
        header_timeout_s: seconds that the head of a request may take.
        idle_timeout_s: seconds of a stream without a message.
        stop_timeout_s: seconds that requests in work have when the server is told to stop.
    """

    name: str
    token: str | None = None
    max_bytes: int = 200 * 2**20
    max_duration_s: float = 3600.0
    max_requests: int = 32
    max_streams: int = 8
    requests_per_minute: int = 600
    body_timeout_s: float = 120.0
    header_timeout_s: float = 10.0
    idle_timeout_s: float = 30.0
    stop_timeout_s: float = 60.0
