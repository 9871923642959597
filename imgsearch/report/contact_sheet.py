"""Images side by side in one picture, as a notebook shows them."""

import io
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Final, TypeAlias

from imgsearch.errors import ConfigError, ImgSearchError
from imgsearch.images import small
from imgsearch.images.sources import printable, read
from imgsearch.types import Hit

if TYPE_CHECKING:
    from PIL import Image

Shown: TypeAlias = str | PathLike[str] | Hit
"""A path, or a hit, whose field ``path`` is shown with its score."""

_GAP: Final = 8
_LINE: Final = 16  # pixels of a caption's line
_LETTER: Final = 7  # pixels of a letter, nearly
_GROUND: Final = "white"
_SOFT: Final = "#999999"


def contact_sheet(
    shown: Iterable[Shown],
    *,
    query: Shown | None = None,
    captions: Sequence[str] | None = None,
    columns: int = 5,
    side: int = 128,
) -> "Image.Image":
    """Return the images in rows of `columns`, each in a square of `side` pixels, as one picture.

    Under a path stands its folder's name, under a hit its score and its label; `captions` replace
    these. `query` stands before the others, with a frame. A file that cannot be read is an empty
    square that says so.

    Raises:
        ConfigError: there is nothing to show, or `captions` are not one for each.
    """
    from PIL import Image, ImageDraw, ImageFont

    given = list(shown)
    if captions is not None and len(captions) != len(given):
        raise ConfigError(f"{len(given)} images and {len(captions)} captions do not pair")
    told = list(captions) if captions is not None else [_caption(each) for each in given]
    if query is not None:
        given, told = [query, *given], ["query", *told]
    if not given:
        raise ConfigError("a contact sheet needs an image")
    columns = max(1, min(columns, len(given)))
    cell, tall = side + _GAP, side + _LINE + _GAP
    rows = -(-len(given) // columns)
    sheet = Image.new("RGB", (columns * cell + _GAP, rows * tall + _GAP), _GROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for number, (each, caption) in enumerate(zip(given, told, strict=True)):
        left = _GAP + number % columns * cell
        top = _GAP + number // columns * tall
        picture = _picture(each, side)
        if picture is None:
            draw.rectangle((left, top, left + side - 1, top + side - 1), outline=_SOFT)
            draw.text((left + 6, top + side // 2), "cannot be read", fill=_SOFT, font=font)
        else:
            across, down = (side - picture.width) // 2, (side - picture.height) // 2
            sheet.paste(picture, (left + across, top + down))
        if query is not None and number == 0:
            draw.rectangle((left - 3, top - 3, left + side + 2, top + side + 2), outline="black")
        draw.text((left, top + side), caption[: side // _LETTER], fill="black", font=font)
    return sheet


def _caption(shown: Shown) -> str:
    if not isinstance(shown, Hit):
        return printable(str(shown)).replace("\\", "/").split("/")[-2:][0]
    label = str(shown.fields.get("label", ""))
    return f"{shown.score:.3f} {label}".strip()


def _picture(shown: Shown, side: int) -> "Image.Image | None":
    from PIL import Image

    path = str(shown.fields.get("path", "")) if isinstance(shown, Hit) else str(shown)
    try:
        jpeg = small(read(path), side=side, path=path)
    except ImgSearchError:
        return None
    return Image.open(io.BytesIO(jpeg))
