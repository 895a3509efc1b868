"""Who is let in: so many requests at a time, so many a minute from one address."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from asr.server.errors import RequestError

# After which another try makes sense: most requests take seconds.
RETRY_AFTER_S = 5
# From so many on, those that are quiet are forgotten.
_MANY_ADDRESSES = 10_000


class Places:
    """A bounded number of places.

    Args:
        most: how many.
        what: takes them, in the plural.
    """

    def __init__(self, most: int, what: str) -> None:
        self.most = most
        self.taken = 0
        self._what = what

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            RequestError: all are taken; 503 with Retry-After.
        """
        if self.taken >= self.most:
            raise RequestError(
                503, f"all {self.most} places for {self._what} are taken, try again in a while",
                "overloaded", retry_after_s=RETRY_AFTER_S,
            )  # fmt: skip
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class Pace:
    """Requests a minute of each address, after the generic cell rate algorithm.

    An address that was quiet for a minute may send a minute's requests at once, and then one
    whenever its share of the minute is over. Kept is one number an address, for a minute at most.

    Args:
        per_minute: how many, >= 1.
        clock: seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._free_at: dict[str, float] = {}  # when everything that was sent is paid for

    def check(self, address: str) -> None:
        """Count a request.

        Raises:
            RequestError: it is one too many; 429 with Retry-After.
        """
        now, share_s = self._clock(), 60.0 / self._per_minute
        if len(self._free_at) >= _MANY_ADDRESSES:
            self._free_at = {who: at for who, at in self._free_at.items() if at > now}
        free_at = max(now, self._free_at.get(address, now)) + share_s
        if free_at - now > 60.0 + 1e-6:
            raise RequestError(
                429, f"more than {self._per_minute} requests a minute", "rate_limit_exceeded",
                retry_after_s=math.ceil(free_at - now - 60.0),
            )  # fmt: skip
        self._free_at[address] = free_at
