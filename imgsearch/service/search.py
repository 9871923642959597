"""Search routes. A query is an uploaded image, a stored image, a text, or a weighted sum."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Request

from imgsearch.errors import (
    EncoderMismatch,
    FieldInvalid,
    ImgSearchError,
    TextUnknown,
    TextUnsupported,
)
from imgsearch.query import MODES, EncodedQuery, Query, SearchOptions
from imgsearch.service import conversion
from imgsearch.service.bodies import BINARY, described, described_form, is_json, json_body, model_of
from imgsearch.service.problems import HttpProblem
from imgsearch.service.problems import body as problem_body
from imgsearch.service.queries import query_of
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here, Service
from imgsearch.service.uploads import check_pixels, upload, validated
from imgsearch.wire import requests, responses
from imgsearch.wire.problems import kind_of, message

router = APIRouter(prefix="/v1/search", tags=["search"])
_BODY: Final = described_form(
    {
        "file": BINARY,
        "collection": {"type": "string", "default": "images"},
        "k": {"type": "integer", "default": 10, "minimum": 1, "maximum": 1000},
        "offset": {"type": "integer", "default": 0, "minimum": 0},
        "where": {"type": "string", "description": "a filter as a text or as JSON"},
        "min_score": {"type": "string", "description": 'a number, or "auto"'},
        "hide_duplicates": {"type": "string", "description": "true, or a score"},
        "effort": {"type": "integer", "minimum": 1},
        "mode": {"type": "string", "enum": list(MODES), "default": "vector"},
        "order_by": {
            "type": "string",
            "description": "a field, or - and a field",
        },
    },
    json=requests.SearchQuery,
)


@dataclass(frozen=True, slots=True)
class _Search:
    """A search for a stored image (`id`) or a query, with its options."""

    collection: str
    options: SearchOptions
    query: Query | None = None
    id: str = ""


@router.post("", dependencies=[allowed("read", limited=True)], openapi_extra=_BODY)
async def search_images(request: Request, here: Here) -> responses.Hits:
    """Search for the images nearest to an image, a text, or a sum of both, nearest first.

    The body is JSON, or multipart/form-data with the image in `file`. A search by `id` does not
    return that image itself.
    """
    if is_json(request):
        body = await model_of(request, requests.SearchQuery)
        return await here.searches.run(partial(_search, here, body))
    async with upload(request, here.limits, files=1) as received:
        form: requests.SearchForm = validated(received.fields, requests.SearchForm)
        data = await received.files[0].read()
    return await here.searches.run(partial(_search_by_image, here, form, data))


@router.post(
    "/batch", dependencies=[allowed("read", limited=True)], openapi_extra=described(requests.Batch)
)
async def search_batch(
    here: Here, batch: Annotated[requests.Batch, json_body(requests.Batch)]
) -> responses.BatchHits:
    """Search with several queries in one request; a failed query gets a problem, not hits."""

    def run() -> responses.BatchHits:
        return responses.BatchHits(results=[_or_problem(here, query) for query in batch.queries])

    return await here.searches.run(run)


def _search(here: Service, body: requests.SearchQuery) -> responses.Hits:
    options = _options(body)
    if body.id is not None:
        return _run(here, _Search(body.collection, options, id=body.id))
    return _run(here, _Search(body.collection, options, query_of(here, body)))


def _search_by_image(here: Service, form: requests.SearchForm, data: bytes) -> responses.Hits:
    check_pixels(data, here.limits)
    return _run(here, _Search(form.collection, _options(form), Query.image(data)))


def _run(here: Service, search: _Search) -> responses.Hits:
    with here.archive.traffic.search():
        return _hits(here, search)


def _hits(here: Service, search: _Search) -> responses.Hits:
    try:
        return _hits_of(here, search)
    except EncoderMismatch:  # the collection's model was changed between the two stages
        return _hits_of(here, search)


def _hits_of(here: Service, search: _Search) -> responses.Hits:
    took, warnings = dict[str, float](), list[str]()
    collection, options = search.collection, search.options
    if search.query is None:
        collection = here.archive.entry(search.id).collection
        with here.metrics.stage("search", took):
            matches = here.archive.more_like(search.id, options)
    else:
        library = here.archive.existing(collection)
        _ = library.collection  # a missing collection is reported before an invalid query
        query: Query | EncodedQuery = search.query
        if options.mode != "text":
            try:
                with here.embedding, here.metrics.stage("embed", took):
                    query = encoded = library.encode_query(search.query)
                warnings += encoded.warnings
            except (TextUnknown, TextUnsupported):  # "hybrid" goes on with the words alone
                if options.mode == "vector":
                    raise
        with here.metrics.stage("search", took):
            matches = here.archive.search(query, options, collection=collection)
    return responses.Hits(
        hits=[conversion.hit(match) for match in matches],
        took=took,
        collection=collection,
        model=here.archive.library(collection).recipe.model,
        warnings=warnings,
    )


def _or_problem(here: Service, query: requests.SearchQuery) -> responses.Hits | responses.Problem:
    try:
        return _search(here, query)
    except ImgSearchError as error:
        kind = kind_of(error)
        return responses.Problem(**problem_body(kind.status, kind.code, message(error)))
    except HttpProblem as problem:
        return responses.Problem(**problem_body(problem.status_code, problem.code, problem.detail))


def _options(parameters: requests.SearchParameters) -> SearchOptions:
    """Return the options of a search.

    Raises:
        HttpProblem: the filter is invalid; the message contains a JSON pointer to the fault.
    """
    try:
        return parameters.options()
    except FieldInvalid as error:  # the message contains only values of the request
        raise HttpProblem(422, "filter_invalid", str(error)) from error
