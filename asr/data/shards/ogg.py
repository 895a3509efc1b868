"""The number of an Ogg stream, which libsndfile draws: a fixed one, so that bytes repeat.

Source: RFC 3533, section 6: a page's number stands at byte 14, its checksum at byte 22.
"""

import struct
from functools import lru_cache

_POLYNOMIAL = 0x04C11DB7
_SERIAL, _CHECKSUM, _NUM_SEGMENTS, _SEGMENTS = 14, 22, 26, 27


def number_stream(content: bytes, number: int = 1) -> bytes:
    """Give every page of an Ogg file the same stream number, and the checksum that goes with it.

    Raises:
        ValueError: the content is no row of Ogg pages.
    """
    renumbered = bytearray(content)
    start = 0
    while start < len(content):
        if content[start : start + 4] != b"OggS":
            raise ValueError(f"no Ogg page at byte {start}")
        count = content[start + _NUM_SEGMENTS]
        segments = content[start + _SEGMENTS : start + _SEGMENTS + count]
        size = _SEGMENTS + count + sum(segments)
        old, checksum = (
            struct.unpack_from("<I", content, start + place)[0] for place in (_SERIAL, _CHECKSUM)
        )
        # A checksum is linear: what changes in the page changes it by its own checksum.
        change = _advance(struct.pack("<I", old ^ number), size - _SERIAL - 4)
        struct.pack_into("<I", renumbered, start + _SERIAL, number)
        struct.pack_into("<I", renumbered, start + _CHECKSUM, checksum ^ change)
        start += size
    return bytes(renumbered)


def _advance(message: bytes, num_zeros: int) -> int:
    """Checksum of four bytes with so many zero bytes after them."""
    value, exponent = int.from_bytes(message, "big"), 8 * (num_zeros + 4)
    for power in range(exponent.bit_length()):
        if exponent >> power & 1:
            value = _multiply(value, _power_of_x(power))
    return value


@lru_cache(maxsize=64)
def _power_of_x(power: int) -> int:
    """Power of x, to 2 ** power, modulo the polynomial."""
    return 2 if power == 0 else _multiply(_power_of_x(power - 1), _power_of_x(power - 1))


def _multiply(a: int, b: int) -> int:
    """Multiply polynomials over GF(2) modulo that of the checksum."""
    product = 0
    for bit in range(31, -1, -1):
        product = (product << 1) ^ (_POLYNOMIAL | 1 << 32 if product >> 31 else 0)
        if b >> bit & 1:
            product ^= a
    return product
