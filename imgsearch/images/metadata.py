"""Facts that a file states about its image: when, where and how it was taken, and how large it is.

They are read from the header; no pixel is decoded. A file may state anything, so values that make
no sense are left out, and no error is raised.
"""

import datetime as dt
import html
import math
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final

from PIL import Image

from imgsearch.errors import ConfigError, FieldInvalid
from imgsearch.fields import FieldType, typed
from imgsearch.images import decoder
from imgsearch.text import did_you_mean
from imgsearch.types import SEPARATOR, Value

FIELDS: Final[Mapping[str, FieldType]] = {
    "taken": "str",
    "camera": "str",
    "lens": "str",
    "width": "int",
    "height": "int",
    "latitude": "float",
    "longitude": "float",
    "keywords": "str",
    "rating": "int",
}
"""The fields with their types.

`taken` is local time in ISO 8601, such as ``2024-05-01T18:30:00``. `width` and `height` are pixels
of the upright image. `latitude` is in [-90, 90] and `longitude` in [-180, 180], in degrees, north
and east are positive. `keywords` are joined by "; ". `rating` is 1 to 5, or -1 for a rejected one.
"""

PLACES: Final = ("latitude", "longitude")

# EXIF tags; https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_MAKE, _MODEL, _CHANGED, _RATING, _KEYWORDS = 0x010F, 0x0110, 0x0132, 0x4746, 0x9C9E
_TAKEN, _DIGITIZED, _LENS = 0x9003, 0x9004, 0xA434
_DATE: Final = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_FIRST_YEAR, _LAST_YEAR = 1826, 2199  # the oldest photograph, and clocks that were set wrong
_LONGEST: Final = 200  # characters of a text
_MOST: Final = 100  # keywords
_XMP: Final = 1 << 20  # bytes of XMP that are read
_SUBJECT: Final = re.compile(r"<dc:subject\b[^>]*>(.*?)</dc:subject>", re.DOTALL)
_ITEM: Final = re.compile(r"<rdf:li\b[^>]*>([^<]*)</rdf:li>")
_STARS: Final = re.compile(r"""xmp:Rating(?:\s*=\s*["']|\s*>)\s*(-?\d)\b""")


def read(
    data: bytes, names: Collection[str] = tuple(FIELDS), *, max_pixels: int = decoder.MAX_PIXELS
) -> dict[str, Value]:
    """Return the facts of these names, {} if there is no image. Unknown names are skipped.

    >>> read(b"P6 2 1 255 123456", ["width", "height"])
    {'width': 2, 'height': 1}
    """
    try:
        with decoder.opened_header(data, max_pixels=max_pixels) as (image, (_, width, height)):
            facts: dict[str, Value] = {"width": width, "height": height}
            if set(names) - facts.keys():
                facts |= _facts(image)
    except Exception:  # noqa: BLE001 - Pillow's parsers raise anything for hostile bytes
        return {}
    return {name: value for name, value in facts.items() if name in names}


def fitting(
    data: bytes,
    names: Collection[str],
    types: Mapping[str, FieldType],
    *,
    max_pixels: int = decoder.MAX_PIXELS,
) -> dict[str, Value]:
    """Return the facts as values of declared `types`. Values of another type are left out."""
    values: dict[str, Value] = {}
    for name, value in (read(data, names, max_pixels=max_pixels) if names else {}).items():
        with suppress(FieldInvalid):
            values |= typed({name: value}, types)
    return values


def checked_names(
    exif: bool | Collection[str] | None,  # noqa: FBT001 - as the option of `open`
) -> tuple[str, ...] | None:
    """Return the names of the facts to read: of all for True, of none for False; None for None.

    Raises:
        ConfigError: a name is unknown.
    """
    if exif is None:
        return None
    if isinstance(exif, bool):
        return tuple(FIELDS) if exif else ()
    names = (exif,) if isinstance(exif, str) else tuple(exif)
    if unknown := [name for name in names if name not in FIELDS]:
        raise ConfigError(
            f"exif has no field {unknown[0]!r}. Use True, or some of {', '.join(FIELDS)}"
            + did_you_mean(unknown[0], FIELDS)
        )
    return names


def _facts(image: Image.Image) -> dict[str, Value]:
    # not `image.getexif()`: a PNG's own method decodes the pixels, because EXIF may follow them
    exif: Any = _or({}, lambda: Image.Image.getexif(image))
    details = _or({}, lambda: exif.get_ifd(_EXIF_IFD))
    gps = _or({}, lambda: exif.get_ifd(_GPS_IFD))
    xmp = _xmp(image)
    dates = (_date(tags.get(tag)) for tags, tag in (
        (details, _TAKEN), (details, _DIGITIZED), (exif, _CHANGED),
    ))  # fmt: skip
    make, model = _text(exif.get(_MAKE)), _text(exif.get(_MODEL))
    facts: dict[str, Value | None] = {
        "taken": next(filter(None, dates), None),
        "camera": model if model.lower().startswith(make.lower()) else f"{make} {model}".strip(),
        "lens": _text(details.get(_LENS)),
        "latitude": _degrees(gps.get(2), gps.get(1), "S", 90),
        "longitude": _degrees(gps.get(4), gps.get(3), "W", 180),
        "keywords": SEPARATOR.join(_keywords(exif.get(_KEYWORDS), xmp)),
        "rating": _rating(exif.get(_RATING), xmp),
    }
    if facts["latitude"] is None or facts["longitude"] is None:
        facts["latitude"] = facts["longitude"] = None
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _or(default: Any, call: Any) -> Any:
    """Return what `call` returns, or `default` if it raises."""
    try:
        return call()
    except Exception:  # noqa: BLE001 - as in `read`
        return default


def _date(value: object) -> str | None:
    match = _DATE.match(_text(value))
    if match is None:
        return None
    try:
        # cameras state local time
        time = dt.datetime.strptime("".join(match.groups()), "%Y%m%d%H%M%S")  # noqa: DTZ007
    except ValueError:
        return None
    return time.isoformat() if _FIRST_YEAR <= time.year <= _LAST_YEAR else None


def _text(value: object) -> str:
    """Return a tag as a text without control characters."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    plain = value.partition("\0")[0].encode("utf-8", "replace").decode()
    return "".join(filter(str.isprintable, plain))[:_LONGEST].strip()


def _degrees(value: Any, direction: Any, negative: str, most: int) -> float | None:
    """Return degrees, minutes and seconds as degrees, None if they are invalid."""
    try:
        degrees, minutes, seconds = (float(part) for part in value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    total = degrees + minutes / 60 + seconds / 3600
    if not (math.isfinite(total) and 0 <= total <= most and min(degrees, minutes, seconds) >= 0):
        return None
    return round(-total if _text(direction).upper().startswith(negative) else total, 7)


def _xmp(image: Image.Image) -> str:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    raw = xmp.encode(errors="replace") if isinstance(xmp, str) else bytes(xmp)
    return raw[:_XMP].decode("utf-8", "replace")


def _keywords(windows: object, xmp: str) -> list[str]:
    """Return the keywords in XMP, else Windows' keywords, each once."""
    subject = _SUBJECT.search(xmp)
    words = [html.unescape(word) for word in _ITEM.findall(subject.group(1))] if subject else []
    if not words and isinstance(windows, bytes):
        words = windows[:_XMP].decode("utf-16-le", "replace").partition("\0")[0].split(";")
    plain = (_text(word).replace(";", ",") for word in words[:_MOST])
    return list(dict.fromkeys(filter(None, plain)))


def _rating(exif: object, xmp: str) -> int | None:
    stars = _STARS.search(xmp)
    value = int(stars.group(1)) if stars else exif
    return value if isinstance(value, int) and value in (-1, 1, 2, 3, 4, 5) else None
