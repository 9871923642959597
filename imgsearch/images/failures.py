"""What a decoder raises → one of the three errors of `imgsearch.errors`, with one wording."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image, UnidentifiedImageError

from imgsearch.errors import ImageCorrupt, ImageError, ImageTooLarge

Step = Literal["header", "decode", "convert"]
"""Where a decode can fail."""

# What Pillow 13 raises on broken bytes, seen on its own test suite's files and by flipping bytes;
# the families they belong to stand for their members. Warning: another thread may put back filters
# that make errors of warnings while this one decodes.
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


@dataclass
class Progress:
    """The step that a decode has reached, for the text of an error."""

    step: Step = "header"


@contextmanager
def typed_errors(path: str, step: Step = "header") -> Iterator[Progress]:
    """Turn a decoder's exceptions into `ImageError`; the block notes its step in what is yielded.

    Raises:
        ImageTooLarge: Pillow stopped at its own limit.
        ImageCorrupt: the decoder failed in another way.
    """
    progress = Progress(step)
    try:
        yield progress
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        reason = "more pixels than Pillow's own limit"
        raise failure(ImageTooLarge, "too large", path, progress.step, reason) from error
    except DECODER_ERRORS as error:
        raise failure(
            ImageCorrupt, "cannot be decoded", path, progress.step, _reason(error)
        ) from error


def failure(error: type[ImageError], what: str, path: str, step: Step, reason: str) -> ImageError:
    """Return an error with its whole message: ``PATH: WHAT: REASON (stage: STEP)``."""
    # a file name that is not UTF-8 holds surrogates, which no log or terminal takes
    shown = (path or "image").encode("utf-8", "backslashreplace").decode()
    message = f"{shown}: {what}: {reason} (stage: {step})"
    return error(message, path=path, stage=step, reason=reason)


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text is the buffer's address
        return "the header does not parse"
    text = str(error)[:200]
    if isinstance(error, SyntaxError) and isinstance(error.__cause__, DECODER_ERRORS):
        return f"the header does not parse ({text})"  # a KeyError, say, whose text is the key
    plain = isinstance(error, (OSError, ValueError, SyntaxError)) and text
    return text if plain else f"{type(error).__name__}: {text}".rstrip(": ")
