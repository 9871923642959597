"""Multipart uploads, streamed into unnamed temporary files with size limits.

Client file names are used for display only, never as paths.
"""

import base64
import binascii
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from typing_extensions import override

from imgsearch.errors import LimitExceeded
from imgsearch.images import header
from imgsearch.service.limits import Limits
from imgsearch.service.problems import HttpProblem
from imgsearch.wire import values

# RFC 7578 defines no charset for a form; clients that declare one send UTF-8. Python's other codecs
# raise errors of their own, and some decompress the text.
_CHARSETS: Final = ("", "utf-8", "utf8", "us-ascii")
_FIELDS: Final = 32  # form fields in addition to the files
_EDGE: Final = 1024  # pixels: a JPEG counts at the scale that encoders and thumbnails need
_NAME: Final = 255  # characters of a file name; the end is kept


@dataclass(frozen=True, slots=True)
class Upload:
    """The files and form fields of a multipart body."""

    files: tuple[UploadFile, ...]
    fields: dict[str, str]


class _Tags(BaseModel):
    """The labels of an upload, a list in JSON."""

    tags: list[values.Text] = Field(min_length=1, max_length=values.MAX_TAGS)


class _Parser(MultiPartParser):
    """Starlette's multipart parser, with a limit on the size of a file."""

    most: int
    _sizes: dict[int, int]

    @override
    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        super().on_part_data(data, start, end)
        file = self._current_part.file
        if file is not None:
            size = self._sizes[id(file)] = self._sizes.get(id(file), 0) + end - start
            if size > self.most:
                raise LimitExceeded(f"a file has more than the {self.most:,} bytes allowed")

    def close(self) -> None:
        """Delete all temporary files, including files of incomplete parts."""
        for file in self._files_to_close_on_error:
            file.close()


@asynccontextmanager
async def upload(
    request: Request, limits: Limits, *, files: int, file_bytes: int | None = None
) -> AsyncIterator[Upload]:
    """Provide the files and fields of a multipart body: at most `files` parts named ``file``.

    A file has at most `file_bytes`, by default the limit of an image.

    The files are deleted at the end of the block.

    Raises:
        HttpProblem: the body is not multipart, is malformed, has no file, or repeats a field.
        LimitExceeded: a file is too large, or there are too many files.
    """
    parser = _parser(request, file_bytes or limits.file_bytes, files=files)
    try:
        form = await _form(parser, files)
        parts = [(name, part) for name, part in form.multi_items() if isinstance(part, UploadFile)]
        if len(parts) > files:
            raise LimitExceeded(f"{len(parts)} files in one request, at most {files} are allowed")
        if {name for name, _ in parts} != {"file"}:
            raise HttpProblem(
                422,
                "file_missing",
                'The body needs at least one file, each in a part named "file".',
            )
        fields: dict[str, str] = {}
        for name, value in form.multi_items():
            if isinstance(value, str):
                if name in fields:
                    raise HttpProblem(422, "invalid_request", "A form field is repeated.")
                fields[name] = value
        yield Upload(tuple(part for _, part in parts), fields)
    finally:
        parser.close()


def validated(values: dict[str, Any], model: type[BaseModel]) -> Any:
    """Validate form values as `model`.

    Raises:
        RequestValidationError: a value is invalid.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(
            error.errors(include_url=False, include_input=False)
        ) from error


def json_field(text: str) -> Any:
    """Parse a form field that contains JSON.

    Raises:
        HttpProblem: the text is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HttpProblem(422, "invalid_request", "The field is not JSON.") from error


def tags_of(text: str) -> list[str]:
    """Parse the form field of tags, a list in JSON.

    Raises:
        HttpProblem, RequestValidationError: it is not a list of labels.
    """
    tags: list[str] = validated({"tags": json_field(text)}, _Tags).tags
    return tags


def display_name(name: str | None) -> str:
    """Return the last component of a client's file path, with printable characters only."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter for letter in last if letter.isprintable())[-_NAME:]
    return kept.strip() or "unnamed"


def check_pixels(data: bytes, limits: Limits) -> None:
    """Check the image size in a file's header.

    Raises:
        ImageTooLarge: the image has more pixels than allowed.
        FormatRefused, ImageCorrupt: the header cannot be read.
    """
    header(data, max_pixels=limits.pixels, at_least=_EDGE)


def decoded(text: str, limits: Limits) -> bytes:
    """Decode a base64 image, with or without a data URL prefix.

    Raises:
        HttpProblem: the text is not base64.
        LimitExceeded: the image exceeds the file size limit.
    """
    plain = text.partition(",")[2] if text.startswith("data:") else text
    if len(plain) // 4 * 3 > limits.file_bytes:
        raise LimitExceeded(f"an image has more than the {limits.file_bytes:,} bytes allowed")
    try:
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HttpProblem(422, "image_not_base64", "The image is not base64.") from error


def _parser(request: Request, file_bytes: int, *, files: int) -> _Parser:
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    if kind != b"multipart/form-data":
        raise HttpProblem(415, "media_type_unsupported", "The body must be multipart/form-data.")
    if options.get(b"charset", b"").decode("latin-1").lower() not in _CHARSETS:
        raise HttpProblem(415, "media_type_unsupported", "The charset of a form must be UTF-8.")
    parser = _Parser(request.headers, request.stream(), max_files=files, max_fields=_FIELDS)
    parser.most, parser._sizes = file_bytes, {}
    return parser


async def _form(parser: _Parser, files: int) -> FormData:
    try:
        return await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise LimitExceeded(f"at most {files} files are allowed in one request") from error
        if error.message.startswith(("Too many", "Part exceeded")):
            raise LimitExceeded("the form has too many or too large fields") from error
        raise HttpProblem(400, "malformed", "The multipart body is malformed.") from error
    except ClientDisconnect as error:
        raise HttpProblem(400, "disconnected", "The client disconnected.") from error
