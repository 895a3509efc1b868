"""End-to-end speech recognition with CTC.

`import asr` is cheap: what it offers is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr.recognition.recognizer import Recognizer as Recognizer
    from asr.recognition.recognizer import load as load

__version__ = "0.1.0"
__all__ = ["Recognizer", "load"]

_HOME = {"load": "asr.recognition.recognizer", "Recognizer": "asr.recognition.recognizer"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'asr' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        hint = f"asr.{name} needs {error.name}: pip install 'ctc-asr[train]'"
        raise ModuleNotFoundError(hint, name=error.name) from error
