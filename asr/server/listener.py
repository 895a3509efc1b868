"""Listening: a socket, and a protocol that does not wait for ever for the head of a request."""

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from asr.server.settings import Settings

# Bytes of a WebSocket's message: a second of 48 kHz in float32 and more.
MAX_MESSAGE_BYTES = 2**20
# Connections that wait to be accepted.
BACKLOG = 1024


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket.

    Raises:
        ValueError: that cannot be; names address and reason.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]
        raise ValueError(f"cannot listen on {host} port {port}: {reason}") from error


def make_server(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    """Make what serves an application on sockets until SIGTERM or SIGINT."""

    class Protocol(_PatientProtocol):
        header_timeout_s = settings.header_timeout_s

    config = uvicorn.Config(
        app,
        http=Protocol,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.stop_timeout_s),
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_max_queue=8,
    )
    return uvicorn.Server(config)


class _PatientProtocol(H11Protocol):
    """Closes a connection that does not finish the head of a request in time."""

    header_timeout_s: float

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **options)
        self._waiting: asyncio.TimerHandle | None = None
        self._is_handed_over = False  # to a WebSocket, whose silence has its own limit

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Stop waiting where a request is under way; between two, wait again."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._waiting is None and not self._is_handed_over:
            self._wait()

    def handle_websocket_upgrade(self, event: Any) -> None:  # noqa: ANN401
        """Hand the connection over."""
        self._is_handed_over = True
        self._stop_waiting()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.header_timeout_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
