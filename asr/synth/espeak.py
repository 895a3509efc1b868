"""The voice of the embedded corpus: espeak-ng through ctypes, the same samples whoever speaks them.

Takes a sentence and a voice, gives 16-bit samples at `SAMPLE_RATE`.

Why in worker processes only: espeak-ng is GPL-3.0 and this project is not. It comes with the extra
`synth`, and `speak` refuses to load it into a program's main process.

Why it is loaded anew for each sentence: espeak-ng keeps phases, echo buffers and random numbers in
static variables that neither `espeak_Terminate` nor a second `espeak_Initialize` resets, so that a
sentence would depend on those spoken before it. Unmapping the library resets all of them, in 3 ms.
"""

from __future__ import annotations

import _ctypes
import ctypes
import importlib.util
import multiprocessing
from pathlib import Path
from typing import NamedTuple

import numpy as np

SAMPLE_RATE = 22050

_SYNCHRONOUS = 2  # samples come through the callback, no thread
_CHARS_UTF8 = 1
_PHONEMES = 0x100  # [[...]] in the text are phonemes
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
_LOUDNESS = 40  # of espeak's 100: above, its limiter presses some voices flat
_OK = 0
# Read as words even as capitals: the article and the pronoun.
_LETTER_NAMES = {"A": "[['eI]]", "I": "[['aI]]"}

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Manner(NamedTuple):
    """How a sentence is spoken; integers, because espeak-ng takes integers."""

    words_per_minute: int  # 80..450
    pitch: int  # 0..99, 50 is the voice's own
    pitch_range: int  # 0..99, 50 is the voice's own, 0 monotone
    word_gap: int  # pause between words in 10 ms


def require_espeak() -> None:
    """Check that the extra `synth` is installed, without loading anything of it.

    Raises:
        ModuleNotFoundError: it is not.
    """
    if importlib.util.find_spec("espeakng_loader") is None:
        raise ModuleNotFoundError(
            "the voice espeak-ng (GPL-3.0) is an extra: pip install 'ctc-asr[synth]'"
        )


def data_folder() -> Path:
    """Find espeak-ng's languages and voices, without loading anything of it.

    Raises:
        ModuleNotFoundError: the extra `synth` is not installed.
    """
    require_espeak()
    spec = importlib.util.find_spec("espeakng_loader")
    return Path(str(spec and spec.origin)).parent / "espeak-ng-data"


def speak(text: str, voice: str, manner: Manner) -> np.ndarray:
    """Speak one sentence in a worker process.

    Args:
        text: English; a single capital is read as the letter's name.
        voice: espeak-ng's name, accent and variant: "en-us+m3".

    Returns:
        (L,) int16 at `SAMPLE_RATE`, with a little silence at the end. Equal arguments give equal
        samples, in any process and order.

    Raises:
        RuntimeError: called in a main process, or espeak-ng reports an error.
        ValueError: no such voice.
    """
    if multiprocessing.parent_process() is None:
        raise RuntimeError("espeak-ng is GPL-3.0 and is loaded in worker processes only")
    _check_variant(voice)
    library = _load()
    try:
        return _synthesise(library, text, voice, manner)
    finally:
        library.espeak_Terminate()
        handle = library._handle
        del library
        _ctypes.dlclose(handle)


def _check_variant(voice: str) -> None:
    """Refuse a variant that espeak-ng does not have: itself it would speak without."""
    _, plus, variant = voice.partition("+")
    if plus and not (data_folder() / "voices" / "!v" / variant).is_file():
        raise ValueError(f"espeak-ng has no voice {voice!r}")


def _load() -> ctypes.CDLL:
    """Map the library and seed both random generators that it draws from."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate != SAMPLE_RATE:
        raise RuntimeError(f"espeak-ng did not start: sample rate {rate}, not {SAMPLE_RATE}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    ctypes.CDLL(None).srand(1)
    return library


def _synthesise(library: ctypes.CDLL, text: str, voice: str, manner: Manner) -> np.ndarray:
    chunks: list[bytes] = []

    @_Callback
    def collect(samples: ctypes._Pointer, count: int, _events: int) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(voice.encode()) != _OK:
        raise ValueError(f"espeak-ng has no voice {voice!r}")
    settings = {
        _RATE: manner.words_per_minute,
        _VOLUME: _LOUDNESS,
        _PITCH: manner.pitch,
        _RANGE: manner.pitch_range,
        _WORD_GAP: manner.word_gap,
    }
    for parameter, value in settings.items():
        if library.espeak_SetParameter(parameter, value, 0) != _OK:
            raise RuntimeError(f"espeak-ng refused parameter {parameter} = {value}")
    words = [_LETTER_NAMES.get(word, word) for word in text.split()]
    encoded = " ".join(words).encode() + b"\0"
    flags = _CHARS_UTF8 | _PHONEMES
    status = library.espeak_Synth(encoded, len(encoded), 0, 1, 0, flags, None, None)
    if status != _OK:
        raise RuntimeError(f"espeak-ng could not speak {text!r} (error {status})")
    return np.frombuffer(b"".join(chunks), np.int16)
