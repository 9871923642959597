"""The route that compares two images: uploaded ones, or images of the archive."""

import base64
from collections.abc import Sequence
from functools import partial
from typing import Final

from fastapi import APIRouter, Request

from imgsearch.evaluation.image_comparison import compare_in_library, png
from imgsearch.service.bodies import BINARY, described_form, is_json, model_of
from imgsearch.service.problems import HttpProblem
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here, Service
from imgsearch.service.uploads import check_pixels, decoded, upload, validated
from imgsearch.wire import requests, responses

router = APIRouter(prefix="/v1/compare", tags=["search"])
_FILES: Final = 2
_BODY: Final = described_form(
    {
        "file": {
            "type": "array",
            "items": BINARY,
            "minItems": _FILES,
            "maxItems": _FILES,
        },
        "collection": {"type": "string", "default": "images"},
        "difference": {"type": "boolean", "default": False},
    },
    json=requests.CompareRequest,
)


@router.post("", dependencies=[allowed("read", limited=True)], openapi_extra=_BODY)
async def compare_images(request: Request, here: Here) -> responses.Comparison:
    """Compare two images by their embeddings and by their pixels.

    The body is JSON, or multipart/form-data with both images in parts named `file`.
    """
    if is_json(request):
        body: requests.CompareRequest = await model_of(request, requests.CompareRequest)
        return await here.searches.run(partial(_compare, here, body))
    async with upload(request, here.limits, files=_FILES) as received:
        form: requests.CompareOptions = validated(received.fields, requests.CompareOptions)
        if len(received.files) < _FILES:
            raise HttpProblem(422, "file_missing", 'The body needs two files in parts "file".')
        files = [await file.read() for file in received.files]
    return await here.searches.run(partial(_comparison, here, form, files))


def _compare(here: Service, body: requests.CompareRequest) -> responses.Comparison:
    return _comparison(here, body, [_file(here, image) for image in (body.one, body.other)])


def _file(here: Service, image: requests.ComparedImage) -> bytes:
    """Return the bytes of an image in a request, or of the archive."""
    if image.id is not None:
        return here.archive.picture(image.id)
    return decoded(image.image or "", here.limits)


def _comparison(
    here: Service, options: requests.CompareOptions, files: Sequence[bytes]
) -> responses.Comparison:
    one, other = files
    for data in files:
        check_pixels(data, here.limits)
    library = here.archive.library(options.collection)
    with here.archive.traffic.search(), here.embedding:
        compared = compare_in_library(one, other, library)
    picture = compared.difference if options.difference else None
    return responses.Comparison(
        **compared.to_dict(),
        difference=None if picture is None else base64.b64encode(png(picture)).decode(),
    )
