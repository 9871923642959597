"""Translates decoder exceptions to errors of `imgsearch.errors` with uniform messages."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image, UnidentifiedImageError

from imgsearch.errors import FormatRefused, ImageCorrupt, ImageError, ImageTooLarge

Stage = Literal["header", "decode", "convert"]
"""Where a decode can fail."""

# Exceptions that Pillow 12 and 13 raise for invalid files, found with Pillow's own test files and
# flipped bytes; most cover subclasses, too. Warning: another thread may restore filters that turn
# warnings into errors while this thread decodes.
DECODER_ERRORS: Final = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    BufferError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Warning,
)
_SUMMARIES: Final[dict[type[ImageError], str]] = {
    FormatRefused: "format refused",
    ImageTooLarge: "too large",
    ImageCorrupt: "cannot be decoded",
}


@dataclass
class Decoding:
    """The stage that a decode has reached, for error messages."""

    stage: Stage = "header"


@contextmanager
def image_errors(path: str, stage: Stage = "header") -> Iterator[Decoding]:
    """Raise each failure of the block as an `ImageError` with path, stage and reason.

    The block sets the stage of the yielded object. If it raises one of the errors below, the
    message is only the reason. Other decoder exceptions become `ImageCorrupt`.

    Raises:
        FormatRefused: the block raised it.
        ImageTooLarge: the block raised it, or Pillow stopped at its own limit.
        ImageCorrupt: the block raised it, or the decoder failed.
    """
    decoding = Decoding(stage)
    try:
        yield decoding
    except ImageError as error:
        raise _error(type(error), path, decoding.stage, str(error)) from None
    except Image.DecompressionBombError as error:
        reason = "more pixels than Pillow's own limit"
        raise _error(ImageTooLarge, path, decoding.stage, reason) from error
    except DECODER_ERRORS as error:
        raise _error(ImageCorrupt, path, decoding.stage, _reason(error)) from error


def _error(kind: type[ImageError], path: str, stage: Stage, reason: str) -> ImageError:
    """Return an error with its whole message: ``PATH: SUMMARY: REASON (stage: STAGE)``."""
    # a file name that is not UTF-8 has surrogates, which logs and terminals reject
    name = (path or "image").encode("utf-8", "backslashreplace").decode()
    message = f"{name}: {_SUMMARIES[kind]}: {reason} (stage: {stage})"
    return kind(message, path=path, stage=stage, reason=reason)


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text is the buffer's address
        return "the header does not parse"
    text = str(error)[:200]
    if isinstance(error, SyntaxError) and isinstance(error.__cause__, DECODER_ERRORS):
        return f"the header does not parse ({text})"  # such as a KeyError, whose text is the key
    plain = isinstance(error, (OSError, ValueError, SyntaxError)) and text
    return text if plain else f"{type(error).__name__}: {text}".rstrip(": ")
