"""One thread for all live streams: what several have sent goes through the network together."""

import logging
import threading
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from asr.recognition.streaming import SpeechStream, step
from asr.recognition.transcripts import PartialTranscript, Segment

logger = logging.getLogger(__name__)


class Heard(NamedTuple):
    """What a stream knows after a piece of audio.

    Attributes:
        segments: utterances that ended.
        partial: the one that is being said.
    """

    segments: list[Segment]
    partial: PartialTranscript


class _Piece(NamedTuple):
    stream: SpeechStream
    samples: np.ndarray | None  # None: the end
    result: Future[Heard]


class LiveEngine:
    """A thread that advances streams of one model."""

    def __init__(self) -> None:
        self._waiting: list[_Piece] = []
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="asr-live", daemon=True)
        self._thread.start()

    def push(self, stream: SpeechStream, samples: np.ndarray | None) -> Future[Heard]:
        """Give a stream its next samples (L,), or None for its end.

        A stream's next piece is for when the result of the last is there.

        Raises:
            RuntimeError: the engine is closed.
        """
        piece = _Piece(stream, samples, Future())
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the engine is closed")
            self._waiting.append(piece)
            self._changed.notify()
        return piece.result

    def close(self) -> None:
        """End the thread when it has done what waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while pieces := self._take():
            self._advance(pieces)

    def _take(self) -> list[_Piece]:
        with self._changed:
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            pieces, self._waiting = self._waiting, []
        return [piece for piece in pieces if piece.result.set_running_or_notify_cancel()]

    def _advance(self, pieces: list[_Piece]) -> None:
        accepted = []
        for piece in pieces:
            try:
                if piece.samples is None:
                    piece.stream.close()
                else:
                    piece.stream.accept(piece.samples)
                accepted.append(piece)
            except Exception as error:  # its samples, not those of others
                piece.result.set_exception(error)
        try:
            ended = step([piece.stream for piece in accepted])
            for piece, segments in zip(accepted, ended, strict=True):
                piece.result.set_result(Heard(segments, piece.stream.partial()))
        except Exception as error:
            logger.exception("live recognition failed")
            for piece in accepted:
                if not piece.result.done():
                    piece.result.set_exception(error)
