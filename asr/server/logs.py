"""Logs as JSON lines, without anybody's words: no text, no file's name, no message of an error."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """One JSON object a record.

    What a record carries in `fields` becomes keys. Of an exception the kind and the places in the
    code are written; its message may quote what a client sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            line["exception"] = record.exc_info[0].__name__
            line["where"] = [f"{frame.filename}:{frame.lineno}" for frame in frames[-8:]]
        return json.dumps(line)


def make_handler() -> logging.Handler:
    """Make what writes to standard error what this server says, and little that libraries say.

    They quote what they could not read, and addresses with all that clients put into them.
    """

    def is_ours(record: logging.LogRecord) -> bool:
        from_uvicorn = record.name.startswith("uvicorn.") and record.levelno >= logging.WARNING
        return record.name.startswith("asr.server.") or from_uvicorn

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(is_ours)
    return handler


def log_json_lines() -> None:
    """Send all logs there."""
    logging.basicConfig(level=logging.INFO, handlers=[make_handler()], force=True)
