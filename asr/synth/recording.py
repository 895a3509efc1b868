"""One utterance of the embedded corpus: its manner of speaking, room, noise and level.

Runs in worker processes, hence without torch, which would cost each of them seconds and 300 MB.
Waveforms are (L,) float32 or float64 at `SAMPLE_RATE`, full scale 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.audio import write_wav
from asr.synth import espeak
from asr.synth.grammar import transcript
from asr.text.characters import shorten

SAMPLE_RATE = 16_000
FRAME_S = 0.04  # the coarsest model frame for which every utterance is feasible
MIN_DURATION_S, MAX_DURATION_S = 1.0, 5.0

_MAX_TRIES = 20
_PEAK = 0.95
_AUDIBLE = 0.01  # of the peak: what is quieter at either end counts as silence
_DECAY_60_DB = 3 * math.log(10)  # nats of amplitude
_NOISE_FLOOR_HZ = 50.0  # pink and brown noise are flat below


# Takes (L,) float32 and a generator, gives (L,): a room, a noise.
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class UnspeakableError(RuntimeError):
    """A text that a voice cannot speak, or not in the time that it has."""


class Acoustics(NamedTuple):
    """What is drawn for one utterance."""

    manner: espeak.Manner
    lead_s: float  # silence before and after the speech
    trail_s: float
    rt60_s: float  # time in which the room's echo falls by 60 dB; 0 is no room
    direct_to_echo_db: float
    noise_slope: int  # power falls with frequency ** slope: 0 white, 1 pink, 2 brown
    snr_db: float
    level_db: float  # mean power of the speech, full scale 0


def record_utterance(path: Path, spoken: str, voice: str, seed: tuple[int, ...]) -> float:
    """Speak, place in a room, and write one utterance; return its seconds.

    The speaker slows down until the transcript fits its frames under CTC, and hurries until the
    utterance is at most `MAX_DURATION_S` long.

    Raises:
        UnspeakableError: no rate of speech satisfies both.
    """
    rng = np.random.default_rng(seed)
    acoustics = draw_acoustics(rng)
    needed_s = max(MIN_DURATION_S, FRAME_S * minimum_frames(transcript(spoken)))
    speech = speak_to_fit(spoken, voice, acoustics, needed_s, MAX_DURATION_S)
    waveform = render(speech, acoustics, rng)
    write_wav(path, waveform, SAMPLE_RATE)
    return waveform.size / SAMPLE_RATE


def speak_to_fit(
    spoken: str, voice: str, acoustics: Acoustics, shortest_s: float, longest_s: float
) -> np.ndarray:
    """Speak (L,) as slowly or fast as the utterance, silences included, must be.

    Raises:
        UnspeakableError: no rate of speech does, or there is nothing to hear.
    """
    rate = acoustics.manner.words_per_minute
    for _ in range(_MAX_TRIES):
        manner = acoustics.manner._replace(words_per_minute=rate)
        speech = resample_exactly(trim_silence(espeak.speak(spoken, voice, manner)))
        duration_s = speech.size / SAMPLE_RATE + acoustics.lead_s + acoustics.trail_s
        if shortest_s + FRAME_S <= duration_s <= longest_s:
            return speech
        rate = round(rate * (1.1 if duration_s > longest_s else 0.9))
    raise UnspeakableError(
        f"{voice} cannot speak {shorten(spoken)} in {shortest_s:.2f}..{longest_s} s"
    )


def minimum_frames(text: str) -> int:
    """Count the frames that CTC needs: one a character, and a blank between equal neighbours."""
    return len(text) + sum(a == b for a, b in itertools.pairwise(text))


def draw_acoustics(rng: np.random.Generator) -> Acoustics:
    """Draw how one utterance is spoken and recorded; six in ten are in a room."""
    manner = espeak.Manner(
        words_per_minute=int(rng.integers(135, 191)),
        pitch=int(rng.integers(35, 66)),
        pitch_range=int(rng.integers(30, 76)),
        word_gap=int(rng.integers(0, 3)),
    )
    return Acoustics(
        manner=manner,
        lead_s=rng.uniform(0.05, 0.25),
        trail_s=rng.uniform(0.1, 0.3),
        rt60_s=rng.uniform(0.1, 0.45) if rng.random() < 0.6 else 0.0,
        direct_to_echo_db=rng.uniform(2.0, 15.0),
        noise_slope=int(rng.integers(0, 3)),
        snr_db=rng.uniform(15.0, 40.0),
        level_db=rng.uniform(-32.0, -18.0),
    )


def trim_silence(samples: np.ndarray) -> np.ndarray:
    """Cut what is quieter than 1 % of the peak at both ends of (L,) int16."""
    magnitudes = np.abs(samples.astype(np.int32))
    audible = np.flatnonzero(magnitudes > _AUDIBLE * magnitudes.max(initial=0))
    if not audible.size:
        raise UnspeakableError("espeak-ng gave silence")
    return samples[audible[0] : audible[-1] + 1]


def resample_exactly(samples: np.ndarray) -> np.ndarray:
    """Resample (L,) int16 from espeak's rate by dropping the spectrum above 8 kHz."""
    step = math.gcd(espeak.SAMPLE_RATE, SAMPLE_RATE)
    source_step, target_step = espeak.SAMPLE_RATE // step, SAMPLE_RATE // step
    # Some zeros at the end: the transform is circular.
    blocks = _smooth_size(samples.size // source_step + 2)
    spectrum = np.fft.rfft(samples / 32768.0, blocks * source_step)
    waveform = np.fft.irfft(spectrum[: blocks * target_step // 2 + 1], blocks * target_step)
    length = math.ceil(samples.size * target_step / source_step)
    return waveform[:length] * (target_step / source_step)


def render(
    speech: np.ndarray,
    acoustics: Acoustics,
    rng: np.random.Generator,
    changes: Sequence[Change] = (),
) -> np.ndarray:
    """Give speech (L,) its silences, room, changes in their order, noise and level.

    Returns:
        (L + silences,) peaking at 0.95 or below.
    """
    lead, trail = (round(s * SAMPLE_RATE) for s in (acoustics.lead_s, acoustics.trail_s))
    power = np.mean(speech**2)
    waveform = np.concatenate([np.zeros(lead), speech, np.zeros(trail)])
    if acoustics.rt60_s > 0:
        waveform = add_echo(waveform, acoustics, rng)
    for change in changes:
        waveform = change(waveform.astype(np.float32), rng)
    noise = draw_noise(waveform.size, acoustics.noise_slope, rng)
    waveform = waveform + noise * math.sqrt(power / 10 ** (acoustics.snr_db / 10))
    gain = 10 ** (acoustics.level_db / 20) / math.sqrt(power)
    return waveform * min(gain, _PEAK / np.abs(waveform).max())


def add_echo(waveform: np.ndarray, acoustics: Acoustics, rng: np.random.Generator) -> np.ndarray:
    """Add the diffuse echo of a room: Gaussian, decaying, from 3 ms after the direct sound.

    Source: Moorer 1979, "About this reverberation business" (exponentially decaying noise).
    """
    seconds = np.arange(int(acoustics.rt60_s * SAMPLE_RATE)) / SAMPLE_RATE
    echo = rng.standard_normal(seconds.size) * np.exp(-_DECAY_60_DB * seconds / acoustics.rt60_s)
    echo[seconds < 0.003] = 0.0
    echo *= 10 ** (-acoustics.direct_to_echo_db / 20) / np.linalg.norm(echo)
    size = _smooth_size(waveform.size + echo.size)
    reflected = np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(echo, size), size)
    return waveform + reflected[: waveform.size]


def draw_noise(length: int, slope: int, rng: np.random.Generator) -> np.ndarray:
    """Draw (length,) noise of mean power 1, its power falling with frequency ** slope."""
    size = _smooth_size(length)
    white = np.fft.rfft(rng.standard_normal(size))
    white[0] = 0.0  # no offset
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    noise = np.fft.irfft(white * np.maximum(frequencies, _NOISE_FLOOR_HZ) ** (-slope / 2), size)
    noise = noise[:length]
    return noise / math.sqrt(np.mean(noise**2))


def _smooth_size(size: int) -> int:
    """Round up to a number whose only factors are 2, 3 and 5: for those the FFT is fast."""
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 1
