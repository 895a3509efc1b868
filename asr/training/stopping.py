"""Stopping when asked to: SIGINT and SIGTERM, noticed where the state is consistent."""

import logging
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TypeVar

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
# torchrun passes on what the terminal has sent to its children already: within this time, a
# repeated signal is the same request.
ECHO_S = 1.0


class Interrupted(SystemExit):
    """A signal asked for a stop; uncaught, it ends the process with 128 + the signal."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(128 + signal_number)


class StopSignal:
    """Remembers that a signal asked for a stop; a second one ends the process at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._asked_at = 0.0

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self.number is not None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Catch signals inside the block; one that nobody acted on stops at its end.

        Raises:
            Interrupted: a signal came.
        """
        handlers = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
            if self.asked:
                self.leave()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def between(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items, and stop between two of them when asked to.

        Raises:
            Interrupted: a signal came.
        """
        for item in items:
            if self.asked:
                self.leave()
            yield item
        if self.asked:
            self.leave()

    def leave(self) -> NoReturn:
        """Stop here; what resuming needs must have been saved.

        Raises:
            Interrupted: always.
        """
        # Without a number, another rank was asked.
        number = self.number or signal.SIGTERM
        logger.warning("stopped by %s; go on with resume=auto", signal.Signals(number).name)
        raise Interrupted(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is None:
            self.number, self._asked_at = number, now
        elif now - self._asked_at > ECHO_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
