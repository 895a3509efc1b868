"""Whether a server can do its work: a second of audio goes through the model and a decoder."""

import asyncio
import time

import numpy as np

from asr.recognition.recognizer import Recognizer
from asr.server.engine import Engine

# An answer holds for so long: asking often is no work.
FRESH_S = 5.0
# Work that has not gone on for so long is stuck.
STALLED_S = 120.0
# A second of audio that takes longer is as good as none.
TRIAL_TIMEOUT_S = 30.0


class Health:
    """Tries the model out.

    The trial has its own thread, beside the engine's: a long recording at work is no illness, as
    long as it goes on.

    Args:
        engine: whose work must go on.
        recognizer: of the same model.
    """

    def __init__(self, engine: Engine, recognizer: Recognizer) -> None:
        self._engine = engine
        self._recognizer = recognizer
        self._asking = asyncio.Lock()
        self._known: dict[str, object] = {}
        self._known_at = -FRESH_S

    async def ask(self) -> dict[str, object]:
        """Return facts; `status` is "ok" or says what is wrong."""
        async with self._asking:
            if time.monotonic() - self._known_at >= FRESH_S:
                self._known = await self._look()
                self._known_at = time.monotonic()
            return self._known

    async def _look(self) -> dict[str, object]:
        if self._engine.stalled_s > STALLED_S:
            return {"status": "recognition does not go on"}
        began_at = time.monotonic()
        try:
            async with asyncio.timeout(TRIAL_TIMEOUT_S):
                duration_s = await asyncio.to_thread(try_out, self._recognizer)
        except TimeoutError:
            return {"status": f"a second of audio took more than {TRIAL_TIMEOUT_S:g} s"}
        except Exception as error:
            return {"status": f"a second of audio failed: {type(error).__name__}"}
        seconds = round(time.monotonic() - began_at, 4)
        return {"status": "ok", "audio_seconds": duration_s, "seconds": seconds}


def try_out(recognizer: Recognizer) -> float:
    """Recognise a second of faint noise; return the seconds that were read."""
    noise = np.random.default_rng(0).standard_normal(recognizer.sample_rate)
    waveform = (0.01 * noise).astype(np.float32)
    return recognizer.transcribe(waveform, recognizer.sample_rate).duration_s
