"""Impulse responses of shoebox rooms, by image sources.

Every reflection at a wall is sound from a mirror image of the source; the images of images make
the echo.

Source: Allen and Berkley 1979, "Image method for efficiently simulating small-room acoustics";
Eyring 1930, "Reverberation time in 'dead' rooms" (how reflective walls are).
"""

import numpy as np
from numpy.typing import ArrayLike

SPEED_OF_SOUND = 343.0  # metres a second, at 20 degrees Celsius
HIGH_PASS_HZ = 100.0


def impulse_response(
    room_m: ArrayLike,
    source_m: ArrayLike,
    microphone_m: ArrayLike,
    *,
    rt60_s: float,
    sample_rate: int,
) -> np.ndarray:
    """Compute what a microphone hears of an impulse, (L,) float32.

    An image at a distance d, after k reflections, is heard d / 343 m/s later, on the nearest
    sample, with the amplitude b^k / (4 pi d); b follows from `rt60_s` by Eyring's formula.

    Args:
        room_m: (3,) length, width, height; metres.
        source_m: (3,) place of the source, within the room.
        microphone_m: (3,) place of the microphone, within the room, elsewhere.
        rt60_s: seconds until the echo is 60 dB down, where the response ends; > 0.
        sample_rate: Hz.

    Raises:
        ValueError: a place is outside, or the places are one.
    """
    room, source, microphone = (np.asarray(p, float) for p in (room_m, source_m, microphone_m))
    for name, place in (("source_m", source), ("microphone_m", microphone)):
        if not ((place > 0) & (place < room)).all():
            raise ValueError(
                f"{name} must be within the room {room.tolist()}, got {place.tolist()}"
            )
    if np.allclose(source, microphone):
        raise ValueError(f"source_m and microphone_m must differ, both are {source.tolist()}")
    reach = SPEED_OF_SOUND * rt60_s
    reflection = reflection_of(room, rt60_s)
    xs, ys, zs = (_axis(*values, reach) for values in zip(room, source, microphone, strict=True))
    squares = ys[0][:, None] ** 2 + zs[0] ** 2  # (Y, Z)
    reflections = ys[1][:, None] + zs[1]  # (Y, Z)
    response = np.zeros(int(rt60_s * sample_rate) + 2)
    for offset, count in zip(*xs, strict=True):  # a plane of images at a time, to save memory
        distance = np.sqrt(offset**2 + squares)
        near = distance <= reach
        distance = distance[near]
        amplitude = reflection ** (count + reflections[near]) / (4 * np.pi * distance)
        place = np.rint(distance * (sample_rate / SPEED_OF_SOUND)).astype(np.int64)
        response += np.bincount(place, amplitude, len(response))
    return high_pass(response, sample_rate).astype(np.float32)


def reflection_of(room: np.ndarray, rt60_s: float) -> float:
    """Part of the amplitude that every wall throws back, so that the echo lasts `rt60_s`."""
    surface = 2 * (room[0] * room[1] + room[1] * room[2] + room[2] * room[0])
    # Energy is multiplied by the wall's part 343 S / 4 V times a second.
    bounces = SPEED_OF_SOUND * surface / (4 * room.prod()) * rt60_s
    return float(10 ** (-3 / bounces))


def _axis(
    size: float, source: float, microphone: float, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the images from the microphone along one axis, and reflections on it.

    Images stand at 2 n size + source after |2 n| reflections and at 2 n size - source after
    |2 n - 1|.
    """
    n = np.arange(-int(reach / (2 * size)) - 1, int(reach / (2 * size)) + 2)
    offsets = np.concatenate([2 * n * size + source, 2 * n * size - source]) - microphone
    return offsets, np.concatenate([abs(2 * n), abs(2 * n - 1)])


def high_pass(response: np.ndarray, sample_rate: int) -> np.ndarray:
    """Take away what images, all of them positive, add up to below 100 Hz; the first sample stays.

        H(z) = (1 - (1 + r) z^-1 + r z^-2) / (1 - 2 r cos(w) z^-1 + r^2 z^-2),  r = e^-w

    Source: Allen and Berkley 1979, appendix.
    """
    w = 2 * np.pi * HIGH_PASS_HZ / sample_rate
    r = np.exp(-w)
    # Long enough that the filter's own echo, e^(-w n), does not come round.
    size = len(response) + round(20 / w)
    delay = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    above = 1 - (1 + r) * delay + r * delay**2
    below = 1 - 2 * r * np.cos(w) * delay + r**2 * delay**2
    return np.fft.irfft(np.fft.rfft(response, size) * above / below, size)[: len(response)]
