"""One utterance of any text: drawn manner, silences, surroundings and level. Runs in workers.

A worker is prepared once (`start_reader`), then reads what comes. Everything that is drawn is a
function of the reading's seed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.audio import audio_info, write_wav
from asr.synth import espeak
from asr.synth.recording import (
    FRAME_S,
    SAMPLE_RATE,
    Acoustics,
    Change,
    UnspeakableError,
    minimum_frames,
    render,
    speak_to_fit,
)
from asr.synth.surroundings import Surroundings

MAX_DURATION_S = 20.0  # longer utterances are left out of training (conf/data/prepared.yaml)


class Reading(NamedTuple):
    """A text to read: all that a worker needs."""

    path: Path
    text: str
    voice: str
    seed: tuple[int, ...]  # of everything but text and voice


class Spoken(NamedTuple):
    """What became of a reading: its seconds, or why there is none."""

    duration_s: float = 0.0
    reason: str = ""
    is_new: bool = True  # no earlier call had made it


_changes: list[Change] = []  # of this worker


def start_reader(surroundings: Surroundings) -> None:
    """Prepare a worker: build its rooms and noise, once."""
    # Ctrl-C reaches all processes of a terminal: the parent alone says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A worker whose parent was killed would wait for work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _changes[:] = surroundings.changes()
    if _changes:
        import torch

        # Sums in one order on every machine, and one core a worker.
        torch.set_num_threads(1)


def read_aloud(reading: Reading) -> Spoken:
    """Make one file, unless an earlier call did."""
    if reading.path.exists():
        return Spoken(audio_info(reading.path).duration_s, is_new=False)
    rng = np.random.default_rng(reading.seed)
    acoustics = draw_reading(rng)
    needed_s = FRAME_S * minimum_frames(reading.text)
    try:
        speech = speak_to_fit(reading.text, reading.voice, acoustics, needed_s, MAX_DURATION_S)
    except UnspeakableError as error:
        return Spoken(reason=str(error))
    waveform = render(speech, acoustics, rng, _changes)
    reading.path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(reading.path, waveform, SAMPLE_RATE)
    return Spoken(waveform.size / SAMPLE_RATE)


def draw_reading(rng: np.random.Generator) -> Acoustics:
    """Draw how a text is read: wider than the embedded corpus, from slow and low to fast and high.

    Its own noise is a microphone's; rooms are `Surroundings`'.
    """
    manner = espeak.Manner(
        words_per_minute=int(rng.integers(110, 221)),
        pitch=int(rng.integers(15, 86)),
        pitch_range=int(rng.integers(20, 86)),
        word_gap=int(rng.integers(0, 4)),
    )
    return Acoustics(
        manner=manner,
        lead_s=rng.uniform(0.1, 0.5),
        trail_s=rng.uniform(0.1, 0.5),
        rt60_s=0.0,
        direct_to_echo_db=0.0,  # of no room
        noise_slope=int(rng.integers(0, 3)),
        snr_db=rng.uniform(25.0, 60.0),
        level_db=rng.uniform(-32.0, -18.0),
    )


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
