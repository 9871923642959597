"""Pictures in terminals: the protocols of kitty and iTerm2, and sixel.

No library is used: `textual-image` asks the terminal questions when it is imported, and waits for
answers; `term-image` requires a Pillow that is older than ours.

Sources: https://sw.kovidgoyal.net/kitty/graphics-protocol/, https://iterm2.com/documentation-images.html
and DEC's VT330/340 Programmer Reference Manual, volume 2, chapter 14.
"""

import base64
import io
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from imgsearch.cli import show
from imgsearch.report.contact_sheet import contact_sheet
from imgsearch.settings import terminal_variables
from imgsearch.types import Hit

if TYPE_CHECKING:
    from PIL.Image import Image

Protocol: TypeAlias = Literal["kitty", "iterm2", "sixel"]

_CHUNK: Final = 4_096  # base64 characters in one command of kitty; its limit
_CELL: Final = 8  # pixels: the width of a character where it is unknown; a narrow one
_SHOWN: Final = 10  # hits: two rows
_WIDEST: Final = 100  # characters: five pictures of 128 pixels need 86
_BAND: Final = 6  # rows of pixels in a row of sixels
_COLORS: Final = 255  # of a palette; VT340s have fewer, but the terminals of today have 256

_BY_PROGRAM: Final[Mapping[str, Protocol]] = {
    "iTerm.app": "iterm2", "WezTerm": "iterm2", "mintty": "iterm2", "ghostty": "kitty",
}  # fmt: skip
_BY_TERMINAL: Final[Mapping[str, Protocol]] = {
    "xterm-kitty": "kitty", "xterm-ghostty": "kitty", "foot": "sixel", "foot-extra": "sixel",
    "mlterm": "sixel", "contour": "sixel", "yaft-256color": "sixel",
}  # fmt: skip


def detect(variables: Mapping[str, str]) -> Protocol | None:
    """Return the protocol that a terminal states by its environment, or None.

    Inside tmux and screen there is none, because they keep pictures back.

    >>> detect({"TERM": "xterm-kitty"})
    'kitty'
    >>> detect({"TERM": "xterm-256color"})
    """
    terminal = variables.get("TERM", "")
    if "TMUX" in variables or terminal.split("-")[0] in ("tmux", "screen", "dumb"):
        return None
    if variables.get("KITTY_WINDOW_ID") or variables.get("KONSOLE_VERSION"):
        return "kitty"
    if (protocol := _BY_PROGRAM.get(variables.get("TERM_PROGRAM", ""))) is not None:
        return protocol
    if variables.get("LC_TERMINAL") == "iTerm2":  # passed on by ssh
        return "iterm2"
    return "sixel" if terminal.endswith("-sixel") else _BY_TERMINAL.get(terminal)


def encoded(image: "Image", protocol: Protocol, *, columns: int) -> bytes:
    r"""Return the bytes that show an RGB image on a terminal, at most `columns` characters wide.

    >>> from PIL import Image
    >>> encoded(Image.new("RGB", (1, 1)), "sixel", columns=80)
    b'\x1bP0;1;0q"1;1;1;1#0;2;0;0;0#0@\x1b\\\n'
    """
    if protocol == "sixel":
        return _sixel(image, columns * _CELL)
    data = io.BytesIO()
    image.save(data, "PNG")
    width = min(columns, -(-image.width // _CELL))
    write = _kitty if protocol == "kitty" else _iterm2
    return write(data.getvalue(), width) + b"\n"


def _kitty(png: bytes, columns: int) -> bytes:
    text = base64.b64encode(png)
    parts = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    commands: list[bytes] = []
    for place, part in enumerate(parts):
        # a=T shows the picture, f=100 is PNG, q=2 asks for no answer, m=1 announces more parts
        keys = f"a=T,f=100,q=2,c={columns}," if not place else ""
        more = int(place + 1 < len(parts))
        commands.append(f"\x1b_G{keys}m={more};".encode() + part + b"\x1b\\")
    return b"".join(commands)


def _iterm2(png: bytes, columns: int) -> bytes:
    keys = f"inline=1;size={len(png)};width={columns};preserveAspectRatio=1"
    return f"\x1b]1337;File={keys}:".encode() + base64.b64encode(png) + b"\x07"


def _sixel(image: "Image", most: int) -> bytes:
    if image.width > most:
        image = image.resize((most, max(1, round(image.height * most / image.width))))
    reduced = image.convert("RGB").quantize(_COLORS)
    pixels = np.asarray(reduced)
    palette = reduced.getpalette() or []
    head = f'\x1bP0;1;0q"1;1;{image.width};{image.height}'
    for color in np.unique(pixels).tolist():
        red, green, blue = (round(part / 2.55) for part in palette[3 * color : 3 * color + 3])
        head += f"#{color};2;{red};{green};{blue}"
    bands = (pixels[top : top + _BAND] for top in range(0, len(pixels), _BAND))
    return (head + "-".join("$".join(_band(band)) for band in bands) + "\x1b\\\n").encode()


def _band(band: npt.NDArray[np.uint8]) -> Iterator[str]:
    """Yield a row of sixels for each color: a character for six pixels above each other."""
    bits = 1 << np.arange(len(band))
    for color in np.unique(band).tolist():
        codes = 63 + (bits @ (band == color))
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        lengths = np.diff(starts, append=len(codes))
        runs = zip(codes[starts].tolist(), lengths.tolist(), strict=True)
        yield f"#{color}" + "".join(
            f"!{length}{chr(code)}" if length > 3 else chr(code) * length for code, length in runs
        )


def preview(hits: Sequence[Hit], *, wanted: bool | None, offset: int = 0) -> None:
    """Show the first 10 hits above their table, if standard output is a terminal that can.

    `wanted` is None for terminals that are known to show pictures. Ranks start from `offset` + 1.
    """
    if wanted is False or not hits or not sys.stdout.isatty():
        return
    if (protocol := detect(terminal_variables())) is None:
        if wanted:
            show.note("this terminal states no way to show pictures; see `imgsearch search --help`")
        return
    first = hits[:_SHOWN]
    captions = [
        f"{rank} {hit.fields.get('label', '')}" for rank, hit in enumerate(first, offset + 1)
    ]
    sheet = contact_sheet(first, captions=captions)
    columns = min(shutil.get_terminal_size().columns, _WIDEST)
    sys.stdout.flush()
    sys.stdout.buffer.write(encoded(sheet, protocol, columns=columns))
    sys.stdout.flush()
