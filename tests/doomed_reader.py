"""A reader that dies of some files, for the test of those who watch readers."""

import os
import signal
from pathlib import Path


def read_or_die(path: Path) -> None:
    """Die of a file that does not begin as it should."""
    if not path.read_bytes().startswith(b"good"):
        os.kill(os.getpid(), signal.SIGSEGV)
