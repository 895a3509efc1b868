"""What loading threads share, and loading processes do not."""

from threading import Lock


class Locked:
    """Has a lock for what it keeps; a copy for another process has a lock of its own."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _lock=Lock())
