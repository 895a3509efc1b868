"""Telephone lines: 8 kHz, their band, and their codings."""

import io
from collections.abc import Sequence

import numpy as np
import soundfile

from asr.augment.convolution import convolve
from asr.augment.draws import check_interval, check_probability
from asr.resampling import resample

LINE_RATE = 8000
# Names of codings, and libsndfile's for them: G.711 in its two laws, and GSM full rate.
CODINGS = {"ulaw": "ULAW", "alaw": "ALAW", "gsm": "GSM610"}
# The band's edges are this wide.
EDGE_HZ = 100.0
# Samples to either side that the band's filter reaches; what is beyond moves gains by < 1e-3.
REACH = 512


class TelephoneLine:
    """Send speech through a telephone: 8 kHz, a band, and a coding that is drawn.

    Args:
        sample_rate: Hz of the speech, >= 8000.
        probability: how often, in [0, 1].
        band_hz: (low, high) Hz that the line lets through, in [0, 4000].
        codings: to draw from: "ulaw", "alaw" (ITU-T G.711) and "gsm" (GSM 06.10).

    Raises:
        ValueError: a parameter is out of its range.

    Source: ITU-T G.711 (the two laws), G.712 (the band of 300-3400 Hz).
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        probability: float,
        band_hz: tuple[float, float],
        codings: Sequence[str],
    ) -> None:
        check_probability("probability", probability)
        check_interval("band_hz", band_hz, low=0.0)
        if sample_rate < LINE_RATE:
            raise ValueError(f"a telephone line needs sample_rate >= 8000, got {sample_rate}")
        if band_hz[1] > LINE_RATE / 2:
            raise ValueError(f"band_hz must be at most {LINE_RATE // 2}, got {list(band_hz)}")
        if not codings or not set(codings) <= CODINGS.keys():
            names = ", ".join(CODINGS)
            raise ValueError(f"codings must be one or more of {names}, got {list(codings)}")
        self.sample_rate = sample_rate
        self.probability = probability
        self.band_hz = band_hz
        self.codings = codings

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return (L,) float32 as it comes out of a line, or as it is."""
        if rng.random() >= self.probability or not len(waveform):
            return waveform
        coding = self.codings[int(rng.integers(len(self.codings)))]
        line = band_pass(resample(waveform, self.sample_rate, LINE_RATE), self.band_hz)
        line = code(line, coding)
        return resample(line, LINE_RATE, self.sample_rate)[: len(waveform)]


def band_pass(waveform: np.ndarray, band_hz: tuple[float, float]) -> np.ndarray:
    """Let through a band of (L,) at 8 kHz; at the edges half the amplitude is left.

    The gain falls from 1 to 0 by half a cosine, from 50 Hz within the edge to 50 Hz beyond it.
    """
    frequency = np.fft.rfftfreq(2 * REACH, 1 / LINE_RATE)
    inside = np.minimum(frequency - band_hz[0], band_hz[1] - frequency)  # Hz from the nearer edge
    gain = (1 + np.sin(np.pi * np.clip(inside / EDGE_HZ, -0.5, 0.5))) / 2
    response = np.roll(np.fft.irfft(gain), REACH)
    return convolve(waveform, response)[REACH : REACH + len(waveform)]


def code(waveform: np.ndarray, coding: str) -> np.ndarray:
    """Code (L,) float32 at 8 kHz and decode it; beyond full scale it saturates."""
    file = io.BytesIO()
    soundfile.write(file, waveform.clip(-1.0, 1.0), LINE_RATE, CODINGS[coding], format="WAV")
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return decoded[: len(waveform)]  # GSM codes whole blocks of 160 samples
