"""JPEG 2000: the objects that its coding styles make a decoder allocate.

OpenJPEG 2.5 allocates an object for each precinct and code block of a tile, and for each component
of each tile, before it reads their data. If precincts are ordered by position, it visits each
position of a tile. The file size limits none of this.

A tile or a component may have a coding style of its own. Which of them a decoder reads depends on
how it recovers from damage, so this module searches the whole file for styles. The probability of a
false match in the packed data of a 64 MB file is 1e-10.
Source of the layout: https://www.itu.int/rec/T-REC-T.800, annexes A and B
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from imgsearch.errors import ImageCorrupt
from imgsearch.images.bounds.limits import check_count, check_size
from imgsearch.images.boxes import boxes_in

_SIGNATURE: Final = b"\xff\x4f\xff\x51"  # start of codestream, then the size
_COD, _COC, _POC = b"\xff\x52", b"\xff\x53", b"\xff\x5f"
_STYLES: Final = 256  # distinct coding styles
_PLACES: Final = 100_000  # markers of one kind; 256 MB of compressed data have 4,000 by chance
_HEADER_MARKERS: Final = 20_000  # in the main header
_BOXES: Final = 10_000
_HEADER_BOX: Final = 1 << 20  # bytes of a JP2 header without color profiles, read one by one
_COMPONENTS: Final = 4  # the most that Pillow decodes
_TILES: Final = 1 << 14  # 10 kB each
_BLOCKS: Final = 1 << 20  # precincts and code blocks: 100 to 400 bytes each
_PACKETS: Final = 1 << 22  # precincts times layers
_VISITS: Final = 1 << 25  # of positions, for each level of each component: 0.5 s
_BY_POSITION: Final = 2  # RPCL, the first of the progression orders by position
_WHOLE: Final = 15  # exponent of a precinct's edge if a style does not state it


@dataclass(frozen=True, slots=True)
class _Size:
    """The image, its tiles and the subsampling of its components, on the reference grid."""

    left: int
    top: int
    right: int
    bottom: int
    tile_width: int
    tile_height: int
    tile_left: int
    tile_top: int
    steps: tuple[tuple[int, int], ...]

    @property
    def tiles_across(self) -> int:
        return -(-(self.right - self.tile_left) // self.tile_width)

    @property
    def tiles_down(self) -> int:
        return -(-(self.bottom - self.tile_top) // self.tile_height)


@dataclass(frozen=True, slots=True)
class _Style:
    """The partition of a component: edges of its precincts and code blocks, as powers of 2."""

    precincts: tuple[tuple[int, int], ...]
    block: tuple[int, int]


@dataclass(slots=True)
class _Styles:
    """The coding styles in a codestream, and the maximum of their other parameters."""

    styles: set[_Style]
    layers: int = 1
    by_position: bool = False
    changes: int = 1


def check(data: bytes, max_pixels: int | None) -> None:
    """Reject a JPEG 2000 that declares too many tiles, styles, precincts, blocks or packets."""
    start = codestream(data)
    if start is None:
        return
    size = _size(data, start)
    if size is None:
        return
    check_size(size.right - size.left, size.bottom - size.top, max_pixels)
    check_count(size.tiles_across * size.tiles_down, _TILES, "tiles")
    _check_markers(data, start)
    coding = _styles(data, start, len(size.steps))
    check_count(len(coding.styles), _STYLES, "coding styles")
    blocks = packets = 0
    for step in size.steps:
        costs = [_cost(size, step, style) for style in coding.styles]
        blocks += max((cost[0] for cost in costs), default=0)
        packets += max((cost[1] for cost in costs), default=0)
    check_count(blocks, _BLOCKS, "precincts and code blocks")
    check_count(packets * coding.layers * coding.changes, _PACKETS, "packets")
    if coding.by_position and coding.styles:
        check_count(
            _visits(size, coding.styles) * coding.changes, _VISITS, "positions of precincts"
        )


def levels(data: bytes) -> int:
    """Return how often the edges can be halved: the lowest number of levels of any component."""
    start = codestream(data)
    size = None if start is None else _size(data, start)
    if start is None or size is None:
        return 0
    styles = _styles(data, start, len(size.steps)).styles
    return min((len(style.precincts) - 1 for style in styles), default=0)


def depth(data: bytes) -> int:
    """Return the highest bit depth of any component. Returns 0 if the header is truncated."""
    start = codestream(data)
    if start is None:
        return 0
    components = int.from_bytes(data[start + 40 : start + 42], "big")
    depths = data[start + 42 : start + 42 + 3 * components : 3]
    return max(((depth & 0x7F) + 1 for depth in depths), default=0)


def codestream(data: bytes) -> int | None:
    """Return the offset of the codestream, in a JP2 box or without boxes. None if missing."""
    if data.startswith(_SIGNATURE):
        return 0
    at = 0
    for number, (name, start, end) in enumerate(boxes_in(data), 1):
        check_count(number, _BOXES, "boxes")
        if name == b"jp2c":
            return start if data.startswith(_SIGNATURE, start) else None
        if name == b"jp2h":
            _check_header_box(data, start, end)
        at = end
    # a decoder may skip a box that stops this walk
    start = data.find(_SIGNATURE, at)
    return start if start >= 0 else None


def _check_header_box(data: bytes, start: int, end: int) -> None:
    parsed = 0
    for number, (name, first, last) in enumerate(boxes_in(data, start, end), 1):
        check_count(number, _BOXES, "boxes")
        if name != b"colr":
            parsed += last - first
            check_count(parsed, _HEADER_BOX, "bytes in the header box")


def _size(data: bytes, start: int) -> _Size | None:
    """Return the content of the size segment. Returns None if it is truncated or invalid."""
    at = start + 4
    if at + 38 > len(data):
        return None
    right, bottom, left, top, *tile, components = struct.unpack_from(">8IH", data, at + 4)
    if components > _COMPONENTS:
        raise ImageCorrupt(f"{components} components, at most {_COMPONENTS} are decoded")
    steps = data[at + 38 : at + 38 + 3 * components]
    if len(steps) < 3 * components or 0 in tile[:2] or right <= left or bottom <= top:
        return None
    pairs = tuple((steps[index + 1], steps[index + 2]) for index in range(0, len(steps), 3))
    if any(0 in pair for pair in pairs) or tile[2] > left or tile[3] > top:
        return None
    return _Size(left, top, right, bottom, tile[0], tile[1], tile[2], tile[3], pairs)


def _check_markers(data: bytes, start: int) -> None:
    """Reject too many segments in the main header, because OpenJPEG indexes them."""
    at, number = start + 2, 0
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0x90, 0xD9):
        number += 1
        check_count(number, _HEADER_MARKERS, "segments in the header")
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))


def _styles(data: bytes, start: int, components: int) -> _Styles:
    """Return all coding styles in a codestream."""
    coding = _Styles(set())
    for at in _places(data, start, _COD):
        _add_default(coding, _segment(data, at))
    for at in _places(data, start, _COC):
        _add_own(coding, _segment(data, at), components)
    for at in _places(data, start, _POC):
        _add_changes(coding, _segment(data, at))
    return coding


def _segment(data: bytes, at: int) -> bytes:
    """Return the content of a segment, which is empty if truncated."""
    length = int.from_bytes(data[at : at + 2], "big")
    return data[at + 2 : at + length] if 2 <= length <= len(data) - at else b""


def _add_default(coding: _Styles, segment: bytes) -> None:
    """Add the default style of all components; ignore an invalid segment."""
    if len(segment) < 10:
        return
    own, order, layers, mix = struct.unpack_from(">BBHB", segment)
    style = _style(segment[5:], own=bool(own & 1))
    if style is not None and own <= 7 and order <= 4 and mix <= 1:
        coding.styles.add(style)
        coding.layers = max(coding.layers, layers)
        coding.by_position |= order >= _BY_POSITION


def _add_own(coding: _Styles, segment: bytes, components: int) -> None:
    """Add the style of one component; ignore an invalid segment."""
    if len(segment) < 7:
        return
    style = _style(segment[2:], own=bool(segment[1] & 1))
    if style is not None and segment[0] < components and segment[1] <= 1:
        coding.styles.add(style)


def _add_changes(coding: _Styles, segment: bytes) -> None:
    """Add changes of the progression order; ignore an invalid segment."""
    orders = segment[6::7]
    if len(segment) % 7 == 0 and 0 < len(orders) <= 32 and max(orders) <= 4:
        coding.changes += len(orders)
        coding.by_position |= max(orders) >= _BY_POSITION


def _places(data: bytes, start: int, marker: bytes) -> Iterator[int]:
    """Yield the offset after each occurrence of a marker."""
    at, number = data.find(marker, start), 0
    while at >= 0:
        number += 1
        check_count(number, _PLACES, "markers of a coding style")
        yield at + 2
        at = data.find(marker, at + 2)


def _style(entry: bytes, *, own: bool) -> _Style | None:
    """Parse a style, which starts with the number of levels. Returns None if it is invalid."""
    levels, width, height, mode, transform = entry[:5]
    if levels > 32 or max(width, height) > 8 or width + height > 8 or transform > 1 or mode > 0x7F:
        return None
    if len(entry) != 5 + (levels + 1) * own:
        return None
    if own:
        edges = tuple((edge & 15, edge >> 4) for edge in entry[5:])
    else:
        edges = ((_WHOLE, _WHOLE),) * (levels + 1)
    return _Style(edges, (width + 2, height + 2))


def _cost(size: _Size, step: tuple[int, int], style: _Style) -> tuple[int, int]:
    """Return upper bounds of a component's blocks and precincts, over all tiles."""
    blocks = precincts = 0
    levels = len(style.precincts) - 1
    for level, (wide, high) in enumerate(style.precincts):
        shift = levels - level
        # bands are half as large as their resolution, except for the lowest one
        band = int(level > 0)
        cells = _cells(size, step, shift, wide, high)
        cut = (min(style.block[0], max(0, wide - band)), min(style.block[1], max(0, high - band)))
        precincts += cells
        blocks += (3 if level else 1) * (cells + _cells(size, step, shift + band, cut[0], cut[1]))
    return blocks, precincts


def _visits(size: _Size, styles: set[_Style]) -> int:
    """Return the number of positions that a progression by position visits, over all tiles.

    Its steps are the smallest width and the smallest height of any precinct.
    """
    smallest = [
        min(
            step[axis] << edge[axis] + len(style.precincts) - 1 - level
            for step in size.steps
            for style in styles
            for level, edge in enumerate(style.precincts)
        )
        for axis in (0, 1)
    ]
    levels = max(len(style.precincts) for style in styles)
    return _grid(size, smallest[0], smallest[1]) * levels * len(size.steps)


def _cells(size: _Size, step: tuple[int, int], shift: int, wide: int, high: int) -> int:
    """Return an upper bound of the cells of 2^wide x 2^high at a resolution, over all tiles."""
    return _grid(size, step[0] << shift + wide, step[1] << shift + high)


def _grid(size: _Size, width: int, height: int) -> int:
    """Return an upper bound of the cells of `width` x `height` in the grid, over all tiles."""
    # each tile cuts a cell at its ends
    across = -(-(size.right - size.left) // width) + size.tiles_across
    down = -(-(size.bottom - size.top) // height) + size.tiles_down
    return across * down
