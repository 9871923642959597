"""AV1: the frame sizes that a stream declares.

dav1d 1.5 allocates frames of the size in the stream, which may differ from the size in the file;
libavif scales the frame afterwards.
Source of the layout: https://aomediacodec.github.io/av1-spec/, 5.3 to 5.5
"""

from collections.abc import Iterator
from typing import Final

from imgsearch.images.bounds.limits import check_count

_UNITS: Final = 10_000  # of a stream; a picture has about three
_SEQUENCE: Final = 1  # type of the unit that holds the size
_HEAD: Final = 2_000  # bytes of a sequence unit that are read: 32 operating points need 300


class _Bits:
    """Reads bits, the most significant first; bits after the end are 0."""

    def __init__(self, content: bytes) -> None:
        self._value, self._left = int.from_bytes(content, "big"), 8 * len(content)

    def read(self, number: int) -> int:
        self._left -= number
        if self._left < 0:
            return 0
        return self._value >> self._left & (1 << number) - 1

    def skip_variable(self) -> None:
        """Skip a variable-length number (uvlc): n zero bits, a one bit and n more bits."""
        zeros = 0
        while zeros < 32 and not self.read(1):
            zeros += 1
        self.read(zeros)


def frame_sizes(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield the maximum width and height of each sequence in a stream.

    Raises:
        ImageTooLarge: the stream has too many units.
    """
    at, number = 0, 0
    while at < len(content):
        number += 1
        check_count(number, _UNITS, "units in an AV1 stream")
        head = content[at]
        at += 2 if head & 4 else 1
        size = len(content) - at
        if head & 2:
            size, at = _length(content, at)
        if head >> 3 & 15 == _SEQUENCE:
            yield _size(_Bits(content[at : at + min(size, _HEAD)]))
        at += size


def _length(content: bytes, at: int) -> tuple[int, int]:
    """Return a LEB128 number, which has seven bits per byte, and the offset after it."""
    value = 0
    for index, byte in enumerate(content[at : at + 8]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    return value, at + 8


def _size(bits: _Bits) -> tuple[int, int]:
    """Return the maximum width and height of a sequence."""
    bits.read(4)  # the profile, and the flag of a still picture
    if bits.read(1):
        bits.read(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _skip_operating_points(bits: _Bits) -> None:
    """Skip the timing information and the operating points."""
    delay_bits = 0
    if bits.read(1):
        bits.read(64)
        if bits.read(1):
            bits.skip_variable()
        if bits.read(1):
            delay_bits = bits.read(5) + 1
            bits.read(42)
    delayed = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if delayed and bits.read(1):
            bits.read(4)
