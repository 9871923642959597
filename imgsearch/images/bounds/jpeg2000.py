"""JPEG 2000: what its coding styles make a decoder allocate.

OpenJPEG 2.5 makes an object of each precinct and code block of a tile, and of each component of
each tile, before it sees that there is no data for them; and visits each position of a tile where
precincts are ordered by place. The file's size bounds none of this. Where a coding style lies that
a tile or a component has for itself depends on how a decoder gets over damage, so styles are looked
for anywhere; one found by chance in packed data has a probability of 1e-10 in a file of 64 MB.
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
_STYLES: Final = 256  # different ones
_PLACES: Final = 100_000  # that could be a coding style; 4,000 in 256 MB of packed data
_HEADER_MARKERS: Final = 20_000  # in the main header
_BOXES: Final = 10_000
_HEADER_BOX: Final = 1 << 20  # bytes of a JP2 header beside colour profiles, read entry by entry
_COMPONENTS: Final = 4  # what Pillow decodes
_TILES: Final = 1 << 14  # 10 kB each
_BLOCKS: Final = 1 << 20  # precincts and code blocks: 100 to 400 bytes each
_PACKETS: Final = 1 << 22  # precincts times layers
_VISITS: Final = 1 << 25  # of a place, for a component's level, by a progression by place: 0.5 s
_BY_PLACE: Final = 2  # progression orders from RPCL on
_WHOLE: Final = 15  # exponent of a precinct's edge without a style of its own


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
    """How a component is cut up: exponents of the edges of its precincts and code blocks."""

    precincts: tuple[tuple[int, int], ...]
    block: tuple[int, int]


@dataclass(slots=True)
class _Styles:
    """What was found anywhere in a codestream, and the worst of it."""

    styles: set[_Style]
    layers: int = 1
    by_place: bool = False
    changes: int = 1


def check(data: bytes, max_pixels: int | None) -> None:
    """Refuse a JPEG 2000 file whose header announces too many parts."""
    start = codestream(data)
    if start is None:
        return
    size = _size(data, start)
    if size is None:
        return
    check_size(size.right - size.left, size.bottom - size.top, max_pixels)
    check_count(size.tiles_across * size.tiles_down, _TILES, "tiles")
    _check_markers(data, start)
    found = _styles(data, start, len(size.steps))
    check_count(len(found.styles), _STYLES, "coding styles")
    blocks = packets = 0
    for step in size.steps:
        costs = [_cost(size, step, style) for style in found.styles]
        blocks += max((cost[0] for cost in costs), default=0)
        packets += max((cost[1] for cost in costs), default=0)
    check_count(blocks, _BLOCKS, "precincts and code blocks")
    check_count(packets * found.layers * found.changes, _PACKETS, "packets")
    if found.by_place and found.styles:
        check_count(_visits(size, found.styles) * found.changes, _VISITS, "places of precincts")


def levels(data: bytes) -> int:
    """Return how often the edges can be halved: the fewest levels of any component and tile."""
    start = codestream(data)
    size = None if start is None else _size(data, start)
    if start is None or size is None:
        return 0
    styles = _styles(data, start, len(size.steps)).styles
    return min((len(style.precincts) - 1 for style in styles), default=0)


def depth(data: bytes) -> int:
    """Return the most bits of any component, 0 where the header is cut short."""
    start = codestream(data)
    if start is None:
        return 0
    components = int.from_bytes(data[start + 40 : start + 42], "big")
    depths = data[start + 42 : start + 42 + 3 * components : 3]
    return max(((each & 0x7F) + 1 for each in depths), default=0)


def codestream(data: bytes) -> int | None:
    """Return where the codestream starts, by itself or in a JP2 box; None where there is none."""
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
    # a decoder may get over a box that this walk does not
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
    """Return what the size segment says, None where it is cut short or makes no sense."""
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
    """Refuse a long list of segments in the main header: OpenJPEG indexes them."""
    at, number = start + 2, 0
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0x90, 0xD9):
        number += 1
        check_count(number, _HEADER_MARKERS, "segments in the header")
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))


def _styles(data: bytes, start: int, components: int) -> _Styles:
    """Return the coding styles found in a codestream."""
    found = _Styles(set())
    for at in _places(data, start, _COD):
        _add_default(found, _segment(data, at))
    for at in _places(data, start, _COC):
        _add_own(found, _segment(data, at), components)
    for at in _places(data, start, _POC):
        _add_changes(found, _segment(data, at))
    return found


def _segment(data: bytes, at: int) -> bytes:
    """Return the content of a segment, empty where it is cut short."""
    length = int.from_bytes(data[at : at + 2], "big")
    return data[at + 2 : at + length] if 2 <= length <= len(data) - at else b""


def _add_default(found: _Styles, segment: bytes) -> None:
    """Take the style of all components, unless the bytes are none."""
    if len(segment) < 10:
        return
    own, order, layers, mix = struct.unpack_from(">BBHB", segment)
    style = _style(segment[5:], own=bool(own & 1))
    if style is not None and own <= 7 and order <= 4 and mix <= 1:
        found.styles.add(style)
        found.layers = max(found.layers, layers)
        found.by_place |= order >= _BY_PLACE


def _add_own(found: _Styles, segment: bytes, components: int) -> None:
    """Take the style of one component, unless the bytes are none."""
    if len(segment) < 7:
        return
    style = _style(segment[2:], own=bool(segment[1] & 1))
    if style is not None and segment[0] < components and segment[1] <= 1:
        found.styles.add(style)


def _add_changes(found: _Styles, segment: bytes) -> None:
    """Take changes of the progression, unless the bytes are none."""
    orders = segment[6::7]
    if len(segment) % 7 == 0 and 0 < len(orders) <= 32 and max(orders) <= 4:
        found.changes += len(orders)
        found.by_place |= max(orders) >= _BY_PLACE


def _places(data: bytes, start: int, marker: bytes) -> Iterator[int]:
    """Yield where the segment of a marker may start."""
    at, number = data.find(marker, start), 0
    while at >= 0:
        number += 1
        check_count(number, _PLACES, "places of a coding style")
        yield at + 2
        at = data.find(marker, at + 2)


def _style(entry: bytes, *, own: bool) -> _Style | None:
    """Return the style of an entry from its number of levels on, None for what is none."""
    levels, width, height, mode, transform = entry[:5]
    if levels > 32 or max(width, height) > 8 or width + height > 8 or transform > 1 or mode > 0x7F:
        return None
    if len(entry) != 5 + (levels + 1) * own:
        return None
    edges = tuple((each & 15, each >> 4) for each in entry[5:]) or ((_WHOLE, _WHOLE),) * (
        levels + 1
    )
    return _Style(edges, (width + 2, height + 2))


def _cost(size: _Size, step: tuple[int, int], style: _Style) -> tuple[int, int]:
    """Return how many blocks and precincts a component has, in all tiles together."""
    blocks = precincts = 0
    levels = len(style.precincts) - 1
    for level, (wide, high) in enumerate(style.precincts):
        shift = levels - level
        # bands are half as large as their resolution, but for the lowest one
        band = int(level > 0)
        cells = _cells(size, step, shift, wide, high)
        cut = (min(style.block[0], max(0, wide - band)), min(style.block[1], max(0, high - band)))
        precincts += cells
        blocks += (3 if level else 1) * (cells + _cells(size, step, shift + band, cut[0], cut[1]))
    return blocks, precincts


def _visits(size: _Size, styles: set[_Style]) -> int:
    """Return how often a progression by place looks for a precinct, in all tiles together.

    It goes in steps of the smallest width and of the smallest height of any precinct.
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
    """Return an upper bound of the cells of a size on the reference grid, over all tiles."""
    # each tile cuts a cell at its ends
    across = -(-(size.right - size.left) // width) + size.tiles_across
    down = -(-(size.bottom - size.top) // height) + size.tiles_down
    return across * down
