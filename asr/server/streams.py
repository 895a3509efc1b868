"""Live audio over a WebSocket.

A client sends one JSON message that says what will come, then binary messages of samples, then
{"type": "finish"}. It gets partial results while an utterance is being said, a final one for each,
and in the end all of them together.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from asr.acoustic.streaming import check_streams
from asr.audio import AudioError
from asr.recognition.recognizer import Recognizer
from asr.recognition.streaming import SpeechStream
from asr.recognition.transcripts import Segment, join_segments
from asr.resampling import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from asr.server.admission import Places
from asr.server.answers import segment_record, verbose_record, words_record
from asr.server.decoders import Decoders
from asr.server.errors import RequestError, bad_parameter, error_record
from asr.server.guard import check_token
from asr.server.live import Heard, LiveEngine
from asr.server.metrics import Metrics
from asr.server.parameters import Parameters, read_parameters
from asr.server.settings import Settings

FORMATS = {"pcm16": np.dtype("<i2"), "float32": np.dtype("<f4")}
# Of the first message, beside what a transcription's form may have.
_OWN = ("type", "sample_rate", "format", "token")
_FORM = ("model", "language", "prompt", "lm")
# Close codes of WebSockets: done; against the rules; the server failed.
_DONE, _REFUSED, _FAILED = 1000, 1008, 1011
# What a close frame's reason may hold.
_MAX_REASON = 120

logger = logging.getLogger(__name__)


class Start(NamedTuple):
    """What a client says before its audio."""

    sample_rate: int
    dtype: np.dtype
    asked: Parameters


class Streams:
    """Serves live streams of one recogniser.

    Args:
        model_language: code of the model's language, where that is known.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        decoders: Decoders,
        settings: Settings,
        metrics: Metrics,
        model_language: str | None,
    ) -> None:
        self._model = recognizer.model
        self._decoders = decoders
        self._settings = settings
        self._metrics = metrics
        self._language = model_language
        self._engine = LiveEngine()
        self.places = Places(settings.max_streams, "streams")
        self.reason = why_not(recognizer)

    def close(self) -> None:
        """End the thread."""
        self._engine.close()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one stream from its beginning to its end."""
        await socket.accept()
        began_at = time.monotonic()
        state = _State(socket, self._settings)
        code, word = _DONE, "done"
        try:
            start = self._read_start(await state.receive())
            with self.places.place():  # only for those who may come
                await self._run(state, start)
        except WebSocketDisconnect:
            word = "client_left"
        except RequestError as error:
            code, word = _REFUSED, error.code
            await state.end(code, str(error), error_record(error))
        except Exception:
            logger.exception("a stream failed")
            code, word = _FAILED, "server_error"
            error = RequestError(500, "the server failed and logged it", word)
            await state.end(code, str(error), error_record(error))
        else:
            await state.end(code, "")
        self._metrics.count_stream(state.audio_s)
        facts = {"code": word, "audio_seconds": round(state.audio_s, 3)}
        facts["seconds"] = round(time.monotonic() - began_at, 3)
        logger.info("stream", extra={"fields": facts})

    async def _run(self, state: "_State", start: Start) -> None:
        stream = self._open(start)
        await state.send({"type": "ready", "model": self._settings.name})
        segments: list[Segment] = []
        last = ""
        async for heard in self._hear(state, stream, start):
            for segment in heard.segments:
                if segment.says_something:
                    await state.send(self._final_record(segment, len(segments)))
                    segments.append(segment)
                    last = ""
            if heard.partial.text != last:
                last = heard.partial.text
                stable = heard.partial.stable_text
                await state.send({"type": "partial", "text": last, "stable_text": stable})
        transcript = join_segments(segments, self._joint, stream.duration_s, "", [], None)
        await state.send({"type": "done"} | verbose_record(transcript, start.asked))

    def _read_start(self, message: str | bytes) -> Start:
        said = _read_json(message)
        if said.get("type") != "start":
            raise bad_parameter("type", 'the first message must be {"type": "start", ...}')
        check_token(str(said.get("token", "")), self._settings)
        if self.reason is not None:
            raise RequestError(400, self.reason, "cannot_stream")
        rate, style = said.get("sample_rate"), said.get("format", "pcm16")
        if type(rate) is not int or not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
            raise bad_parameter("sample_rate", f"must be {MIN_SAMPLE_RATE}..{MAX_SAMPLE_RATE} Hz")
        if not isinstance(style, str) or style not in FORMATS:
            raise bad_parameter("format", f"must be one of {', '.join(FORMATS)}")
        fields = [(key, _as_field(value)) for key, value in said.items() if key not in _OWN]
        if unknown := [key for key, _ in fields if key not in _FORM]:
            raise bad_parameter(unknown[0][:60], f"unknown; known: {', '.join(_OWN + _FORM)}")
        fields += [("response_format", "verbose_json")]
        fields += [("timestamp_granularities[]", kind) for kind in ("word", "segment")]
        fields += [("include[]", kind) for kind in ("srt", "vtt")]
        if "model" not in said:
            fields.append(("model", self._settings.name))
        asked = read_parameters(fields, self._settings, self._decoders, self._language)
        return Start(rate, FORMATS[style], asked)

    def _open(self, start: Start) -> SpeechStream:
        try:
            decoder = self._decoders.choose(start.asked.choice)
            return Recognizer(self._model, decoder).stream(start.sample_rate)
        except ValueError as error:
            raise RequestError(400, str(error), "invalid_value") from error

    async def _hear(
        self, state: "_State", stream: SpeechStream, start: Start
    ) -> AsyncIterator[Heard]:
        """Give the stream what comes, one message after the other, to the end."""
        while True:
            message = await state.receive()
            samples = None if isinstance(message, str) else _as_samples(message, start.dtype)
            if isinstance(message, str) and _read_json(message).get("type") != "finish":
                raise bad_parameter("type", 'must be "finish"')
            if samples is not None:
                state.audio_s += len(samples) / start.sample_rate
                if state.audio_s > self._settings.max_duration_s:
                    most = f"a stream may last {self._settings.max_duration_s:g} s"
                    raise RequestError(413, most, "too_large")
            try:
                yield await asyncio.wrap_future(self._engine.push(stream, samples))
            except (AudioError, TypeError, ValueError) as error:
                raise RequestError(400, str(error), "invalid_audio") from error
            if samples is None:
                return

    def _final_record(self, segment: Segment, number: int) -> dict[str, object]:
        words = words_record(segment, self._joint, with_others=False)
        return {"type": "final"} | segment_record(segment, number) | {"words": words}

    @property
    def _joint(self) -> str:
        return " " if self._model.separates_words else ""


class _State:
    """A connection with a client that may be slow or silent."""

    def __init__(self, socket: WebSocket, settings: Settings) -> None:
        self.audio_s = 0.0
        self._socket = socket
        self._settings = settings

    async def receive(self) -> str | bytes:
        """Receive a message.

        Raises:
            RequestError: none came in time.
            WebSocketDisconnect: the client left.
        """
        seconds = self._settings.idle_timeout_s
        try:
            async with asyncio.timeout(seconds):
                message = await self._socket.receive()
        except TimeoutError:
            raise RequestError(408, f"no message in {seconds:g} s", "idle_timeout") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", _DONE))
        content = message.get("bytes")
        return message["text"] if content is None else content

    async def send(self, record: Mapping[str, object]) -> None:
        """Send a JSON message to a client that reads it.

        Raises:
            WebSocketDisconnect: it left, or does not read.
        """
        try:
            async with asyncio.timeout(self._settings.idle_timeout_s):
                await self._socket.send_text(json.dumps(record))
        except (TimeoutError, RuntimeError, OSError) as error:
            raise WebSocketDisconnect(_FAILED) from error

    async def end(self, code: int, reason: str, record: dict[str, object] | None = None) -> None:
        """Close the connection, after an error message where there is one; it may be gone."""
        try:
            if record is not None:
                await self.send({"type": "error"} | record)
            async with asyncio.timeout(self._settings.idle_timeout_s):
                await self._socket.close(code, _cut(reason))
        except (WebSocketDisconnect, TimeoutError, RuntimeError, OSError):
            logger.info("a stream's client was gone before its end")


def why_not(recognizer: Recognizer) -> str | None:
    """Say why a model cannot stream; None where it can."""
    try:
        check_streams(recognizer.model)
    except ValueError as error:
        return str(error)
    return None


def _read_json(message: str | bytes) -> dict[str, object]:
    try:
        said = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise RequestError(400, "a JSON object was expected", "invalid_message")
    return said


def _as_field(value: object) -> str:
    """Write a value as a form has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_samples(message: bytes, dtype: np.dtype) -> np.ndarray:
    """Turn bytes into samples (L,) float32.

    Raises:
        RequestError: they are no whole number of samples.
    """
    if len(message) % dtype.itemsize:
        raise RequestError(
            400, f"samples have {dtype.itemsize} bytes, got {len(message)}", "invalid_audio"
        )
    samples = np.frombuffer(message, dtype)
    return samples.astype(np.float32) / (32768 if dtype.kind == "i" else 1)


def _cut(reason: str) -> str:
    return reason.encode()[:_MAX_REASON].decode(errors="ignore")
