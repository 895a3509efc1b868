"""What stands before every request: limits on bodies and answers, access, headers, a log line."""

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr.server.admission import Pace
from asr.server.errors import RequestError, error_response
from asr.server.metrics import Metrics
from asr.server.settings import Settings

# Without a token: the names by which a browser on this machine comes. Any other would be a page
# from elsewhere whose name was made to point here.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
# What anybody may see: that it lives, and the page, which asks for the token itself.
OPEN_PATHS = frozenset({"/", "/capture.js", "/health"})
# Answers but for the page, which has its own: nothing in them is ever run.
_POLICY = "default-src 'none'; frame-ancestors 'none'"

logger = logging.getLogger(__name__)


class Guard:
    """Wraps an application of HTTP and WebSockets.

    Args:
        app: what is guarded.
        settings: limits and access.
        metrics: counts.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._pace = Pace(settings.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "websocket":
            await self._guard_stream(scope, receive, send)
        elif scope["type"] == "http":
            await self._guard_request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _guard_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send, self._settings.body_timeout_s)
        body = _Body(receive, self._settings)
        try:
            try:
                check_access(scope, self._settings)
                if scope["path"] not in OPEN_PATHS:
                    self._pace.check(_address(scope))
                body.check_promised(Headers(scope=scope))
                await self._app(scope, body.receive, answer.send)
            except RequestError as error:
                answer.code = error.code
                await error_response(error)(scope, receive, answer.send)
        except (TimeoutError, ConnectionError):
            answer.code = "client_left"
        except Exception:
            logger.exception("a request failed", extra={"fields": {"request": answer.id}})
            if answer.status is None:
                error = RequestError(500, "the server failed, which it logged", "server_error")
                answer.code = error.code
                await error_response(error)(scope, receive, answer.send)
        finally:
            self._note(scope, answer)

    async def _guard_stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_access(scope, self._settings, with_token=False)
            self._pace.check(_address(scope))
        except RequestError as error:
            self._metrics.count_request("/v1/stream", "GET", error.status)
            await send({"type": "websocket.close", "code": 1008, "reason": error.code})
            return
        await self._app(scope, receive, send)

    def _note(self, scope: Scope, answer: "_Answer") -> None:
        """Count and log; of the address asked for only what the server knows itself."""
        path = getattr(scope.get("route"), "path", "other")
        seconds = time.monotonic() - answer.began_at
        method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else "other"
        status = answer.status or 499
        self._metrics.count_request(path, method, status, seconds)
        fields: dict[str, object] = {
            "request": answer.id,
            "method": method,
            "path": path,
            "status": status,
            "seconds": round(seconds, 4),
        }
        if answer.code is not None:
            fields["code"] = answer.code
        logger.info("request", extra={"fields": fields | scope.get("state", {}).get("facts", {})})


class _Answer:
    """Sends an answer with the headers that all have, to a client that reads it."""

    def __init__(self, send: Send, timeout_s: float) -> None:
        self.id = uuid4().hex
        self.began_at = time.monotonic()
        self.status: int | None = None
        self.code: str | None = None
        self._send = send
        self._timeout_s = timeout_s

    async def send(self, message: Message) -> None:
        """Send a part; raises TimeoutError where the client does not read."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.id
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            headers.setdefault("Cache-Control", "no-store")
            headers.setdefault("Content-Security-Policy", _POLICY)
        async with asyncio.timeout(self._timeout_s):
            await self._send(message)


class _Body:
    """Receives a body that is neither too large nor too slow."""

    def __init__(self, receive: Receive, settings: Settings) -> None:
        self._receive: Callable[[], Awaitable[Message]] = receive
        self._settings = settings
        self._deadline = time.monotonic() + settings.body_timeout_s
        self._size = 0
        self._is_whole = False

    def check_promised(self, headers: Headers) -> None:
        """Refuse a body that is too large by its own header, before it is read."""
        promised = headers.get("content-length", "0")
        if promised.isdecimal():
            self._check(int(promised))

    async def receive(self) -> Message:
        """Receive the next part; once the body is whole, wait for the client to leave."""
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise RequestError(
                408, f"the body took more than {self._settings.body_timeout_s:g} s", "body_timeout"
            ) from None
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._check(self._size)
            self._is_whole = not message.get("more_body", False)
        return message

    def _check(self, size: int) -> None:
        most = self._settings.max_bytes
        if size > most:
            raise RequestError(413, f"a request must be at most {most} bytes", "too_large")


def check_access(scope: Scope, settings: Settings, *, with_token: bool = True) -> None:
    """Refuse who may not come.

    A browser sends a page's requests wherever the page likes; what it says of their origin, and by
    what name it came here, cannot be forged by that page.

    Raises:
        RequestError: 401 without the token, 403 for a strange name or a page from elsewhere.
    """
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if settings.token is None and _without_port(host) not in LOOPBACK_NAMES:
        raise RequestError(
            403, "without a token this server answers to localhost alone", "strange_host"
        )
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        raise RequestError(403, "pages from elsewhere are not answered", "strange_origin")
    if with_token and scope["path"] not in OPEN_PATHS:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        check_token(shown.strip() if scheme.lower() == "bearer" else "", settings)


def check_token(shown: str, settings: Settings) -> None:
    """Compare a token in constant time.

    Raises:
        RequestError: 401, it is another one.
    """
    if settings.token is None:
        return
    if not hmac.compare_digest(shown.encode(errors="replace"), settings.token.encode()):
        raise RequestError(401, "the token is missing or wrong", "invalid_api_key")


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
