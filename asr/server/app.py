"""The application: routes, and what they share."""

import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from asr import __version__
from asr.acoustic.model import AcousticModel
from asr.audio import AudioError
from asr.recognition.recognizer import Recognizer
from asr.recognition.transcripts import Transcript
from asr.server.admission import Places
from asr.server.answers import make_answer
from asr.server.decoders import Choice, Decoders
from asr.server.engine import Engine, Job, measure
from asr.server.errors import RequestError, error_response
from asr.server.guard import Guard
from asr.server.health import Health
from asr.server.metrics import Metrics
from asr.server.page import Page
from asr.server.parameters import Parameters, read_parameters
from asr.server.schema import describe_form
from asr.server.settings import Settings
from asr.server.streams import Streams
from asr.server.uploads import receive_upload

logger = logging.getLogger(__name__)

# Of HTTP, though no standard names it: the client left, nobody reads this.
CLIENT_LEFT = 499


class Service:
    """A model at work: what the routes need.

    Args:
        model: the model.
        decoders: for it.
        settings: limits and access.
        folder: for uploads.
    """

    def __init__(
        self, model: AcousticModel, decoders: Decoders, settings: Settings, folder: Path
    ) -> None:
        self.model = model
        self.decoders = decoders
        self.settings = settings
        self.folder = folder
        self.metrics = Metrics()
        self.engine = Engine(model)
        self.places = Places(settings.max_requests, "requests")
        recognizer = Recognizer(model, decoders.choose(Choice(decoders.has_lm)))
        self.health = Health(self.engine, recognizer)
        self.streams = Streams(recognizer, decoders, settings, self.metrics, self.language)
        self.created = int(time.time())
        self.metrics.watch("requests_held", "Places taken", lambda: self.places.taken)
        self.metrics.watch(
            "recordings_waiting", "Recordings in line", lambda: self.engine.num_waiting
        )
        self.metrics.watch("streams_open", "Live streams", lambda: self.streams.places.taken)

    def close(self) -> None:
        """End the threads."""
        self.engine.close()
        self.streams.close()

    @property
    def language(self) -> str | None:
        """Code of the model's language, where its texts were normalised by one's rules."""
        return None if self.model.normalizer is None else self.model.normalizer.language

    def describe(self) -> dict[str, object]:
        """Describe the model as OpenAI lists them, and say what it can do."""
        return {
            "id": self.settings.name,
            "object": "model",
            "created": self.created,
            "owned_by": "asr",
            "language": self.language,
            "sample_rate": self.model.sample_rate,
            "lm": self.decoders.has_lm,
            "streams": self.streams.reason is None,
        }

    async def transcribe(self, request: Request) -> Response:
        """Answer a request for a transcription.

        Raises:
            RequestError: it is refused.
        """
        with self.places.place():
            async with receive_upload(request, self.folder) as upload:
                asked = read_parameters(upload.fields, self.settings, self.decoders, self.language)
                transcript = await self._recognise(upload.path, asked, request)
        return make_answer(transcript, asked)

    async def _recognise(self, path: Path, asked: Parameters, request: Request) -> Transcript:
        try:
            decoder = self.decoders.choose(asked.choice)
        except ValueError as error:
            raise RequestError(400, f"prompt: {error}", "invalid_value", "prompt") from error
        try:
            duration_s = await asyncio.to_thread(
                measure, path, self.model, self.settings.max_duration_s
            )
            job = Job(path, duration_s, decoder)
            began_at = time.monotonic()
            self.engine.submit(job)
            transcript = await _wait(job, request)
        except AudioError as error:
            raise RequestError(400, str(error), "invalid_audio", "file") from error
        wait_s = (job.began_at or began_at) - began_at
        self.metrics.count_recording(duration_s, wait_s)
        request.state.facts = {
            "audio_seconds": round(duration_s, 3),
            "wait_seconds": round(wait_s, 4),
            "format": asked.response_format,
        }
        return transcript


async def _wait(job: Job, request: Request) -> Transcript:
    """Wait for a job's result for as long as the client does.

    Raises:
        AudioError: the recording cannot be used.
        ClientDisconnect: the client left; the job is given up.
    """
    result = asyncio.wrap_future(job.result)
    left = asyncio.ensure_future(request.receive())  # the body is whole: only its leaving is left
    try:
        await asyncio.wait({result, left}, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise ClientDisconnect
        return result.result()
    finally:
        left.cancel()
        if not result.done():
            job.abandon()


def make_app(model: AcousticModel, decoders: Decoders, settings: Settings) -> ASGIApp:
    """Make the application of a model.

    Its thread begins here and ends with the application's lifespan.
    """
    folder = tempfile.TemporaryDirectory(prefix="asr-serve-")
    service = Service(model, decoders, settings, Path(folder.name))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        logger.info("began", extra={"fields": {"model": settings.name}})
        try:
            yield
        finally:
            await asyncio.to_thread(service.close)
            folder.cleanup()
            logger.info("stopped")

    # FastAPI's own pages of documentation load scripts from elsewhere.
    app = FastAPI(
        title="asr", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    _add_errors(app)
    _add_routes(app, service)
    return Guard(app, settings, service.metrics)


def _add_errors(app: FastAPI) -> None:
    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        request.state.facts = {"code": error.code}
        return error_response(error)

    async def refuse_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
        return await refuse(request, RequestError(error.status_code, str(error.detail), code))

    async def leave(request: Request, error: Exception) -> Response:
        request.state.facts = {"code": "client_left"}
        return Response(status_code=CLIENT_LEFT)

    async def fail(request: Request, error: Exception) -> Response:
        request.state.facts = {"code": "server_error"}
        return error_response(RequestError(500, "the server failed and logged it", "server_error"))

    app.add_exception_handler(RequestError, refuse)
    app.add_exception_handler(HTTPException, refuse_http)
    app.add_exception_handler(ClientDisconnect, leave)
    app.add_exception_handler(Exception, fail)


def _add_routes(app: FastAPI, service: Service) -> None:
    page = Page(
        service.settings,
        has_lm=service.decoders.has_lm,
        can_stream=service.streams.reason is None,
    )

    form = describe_form(service.settings.name, service.language, has_lm=service.decoders.has_lm)

    @app.post("/v1/audio/transcriptions", openapi_extra=form, response_model=None)
    async def transcribe(request: Request) -> Response:
        """Transcribe a recording."""
        return await service.transcribe(request)

    @app.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        await service.streams.serve(socket)

    @app.get("/v1/models")
    async def models() -> dict:
        """List the model."""
        return {"object": "list", "data": [service.describe()]}

    @app.get("/health", response_model=None)
    async def health() -> Response:
        """Try the model out with a second of audio; 503 when it fails."""
        facts = await service.health.ask()
        return JSONResponse(facts, 200 if facts["status"] == "ok" else 503)

    @app.get("/metrics", response_model=None)
    async def metrics() -> Response:
        """Count for Prometheus."""
        while service.engine.batch_sizes:
            service.metrics.count_batch(service.engine.batch_sizes.popleft())
        return PlainTextResponse(service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page.html, headers=page.headers)

    @app.get("/capture.js", include_in_schema=False)
    async def show_capture() -> Response:
        return Response(page.capture, media_type="text/javascript")
