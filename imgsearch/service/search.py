"""Routes to searches: by an image that is sent, by one that is there, by words, by sums of them."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError

from imgsearch.archive import Found
from imgsearch.errors import FieldInvalid, ImgSearchError
from imgsearch.filters import Filter
from imgsearch.library.query import Query
from imgsearch.service import conversion
from imgsearch.service.bodies import described, json_body, model_of
from imgsearch.service.problems import Problem, body
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here, Service
from imgsearch.service.uploads import check_pixels, decoded, fitted, upload
from imgsearch.wire import filters, requests, responses
from imgsearch.wire.problems import kind_of, message

router = APIRouter(prefix="/v1/search", tags=["search"])
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/SearchQuery"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "collection": {"type": "string", "default": "images"},
                        "k": {"type": "integer", "default": 10, "minimum": 1, "maximum": 1000},
                        "offset": {"type": "integer", "default": 0, "minimum": 0},
                        "where": {"type": "string", "description": "a filter as JSON"},
                        "min_score": {"type": "string", "description": 'a number, or "auto"'},
                        "hide_duplicates": {"type": "string", "description": "true, or a score"},
                    },
                }
            },
        },
    }
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search: for one image that is there, or for a query; and how."""

    how: requests.How
    where: Filter | None
    query: Query | None = None
    id: str = ""


@router.post("", dependencies=[allowed("read")], openapi_extra=_BODY)
async def search(request: Request, here: Here) -> responses.Hits:
    """Find the nearest images to an image, to words, or to a sum of both, nearest first.

    As JSON, or as multipart/form-data with the image in `file`. An image that is looked for by its
    `id` is not among its own hits.
    """
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        asked = await model_of(request, requests.SearchQuery)
        return await here.searches.run(partial(_searched, here, asked))
    if kind != "multipart/form-data":
        raise Problem(415, "media_type_unsupported", "JSON or multipart/form-data is wanted.")
    async with upload(request, here.limits, files=1) as sent:
        how = _how(sent.fields)
        data = await sent.files[0].read()
    return await here.searches.run(partial(_by_image, here, how, data))


@router.post("/batch", dependencies=[allowed("read")], openapi_extra=described(requests.Batch))
async def search_batch(
    here: Here, batch: Annotated[requests.Batch, json_body(requests.Batch)]
) -> responses.BatchHits:
    """Run several searches; a failed one has its problem in place of its hits."""

    def run() -> responses.BatchHits:
        return responses.BatchHits(results=[_or_problem(here, query) for query in batch.queries])

    return await here.searches.run(run)


def _searched(here: Service, asked: requests.SearchQuery) -> responses.Hits:
    where = _filter(asked.where)
    if asked.id is not None:
        return _found(here, _Asked(asked, where, id=asked.id))
    terms = (
        [requests.Term(text=asked.text, image=asked.image)] if asked.terms is None else asked.terms
    )
    query = Query(_term(here, terms[0]), weight=terms[0].weight)
    for term in terms[1:]:
        other, weight = _term(here, term), abs(term.weight)
        if term.weight < 0:
            query = query.minus(other, weight=weight)
        else:
            query = query.plus(other, weight=weight)
    return _found(here, _Asked(asked, where, query))


def _by_image(here: Service, how: requests.How, data: bytes) -> responses.Hits:
    check_pixels(data, here.limits)
    return _found(here, _Asked(how, _filter(how.where), Query.image(data)))


def _found(here: Service, asked: _Asked) -> responses.Hits:
    with here.archive.traffic.search():
        return _answered(here, asked)


def _answered(here: Service, asked: _Asked) -> responses.Hits:
    how, took, warnings = asked.how, dict[str, float](), list[str]()
    told: dict[str, Any] = {
        "k": how.k,
        "offset": how.offset,
        "where": asked.where,
        "min_score": how.min_score,
        "hide_duplicates": how.hide_duplicates,
    }
    collection = how.collection
    if asked.query is None:
        collection = here.archive.entry(asked.id).collection
        with here.metrics.stage("search", took):
            found = here.archive.more_like(asked.id, **told)
    else:
        library = here.archive.existing(collection)
        _ = library.collection  # that there is none comes before what is wrong with a query
        if how.min_score == "auto":  # by what the query is made of, which its vector hides
            told["min_score"] = library.thresholds.min_score(asked.query)
        with here.embedding, here.metrics.stage("embed", took):
            vector = library.encode(asked.query, on_warning=warnings.append)
        with here.metrics.stage("search", took):
            found = here.archive.search(vector, collection=collection, **told)
    return _hits(here, found, took, collection, warnings)


def _hits(
    here: Service, found: list[Found], took: dict[str, float], collection: str, warnings: list[str]
) -> responses.Hits:
    return responses.Hits(
        hits=[conversion.hit(each) for each in found],
        took=took,
        collection=collection,
        model=here.archive.library(collection).recipe.model,
        warnings=warnings,
    )


def _or_problem(here: Service, query: requests.SearchQuery) -> responses.Hits | responses.Problem:
    try:
        return _searched(here, query)
    except ImgSearchError as error:
        kind = kind_of(error)
        return responses.Problem(**body(kind.status, kind.code, message(error)))
    except Problem as problem:
        return responses.Problem(**body(problem.status_code, problem.code, problem.detail))


def _term(here: Service, term: requests.Term) -> Query:
    """Return what one summand looks for, without its weight."""
    if term.text is not None:
        return Query.text(term.text)
    if term.id is not None:
        return Query(here.archive.vector(term.id))
    data = decoded(term.image or "", here.limits)
    check_pixels(data, here.limits)
    return Query.image(data)


def _filter(where: Any) -> Filter | None:
    """Return a filter told in JSON.

    Raises:
        Problem: it is none; with a JSON pointer to the fault.
    """
    if where is None:
        return None
    try:
        return filters.from_json(where)
    except FieldInvalid as error:  # its text is about what was sent, and nothing else
        raise Problem(422, "filter_invalid", str(error)) from error


def _how(fields: dict[str, str]) -> requests.How:
    """Return what form fields tell of how to search.

    Raises:
        RequestValidationError: they do not fit.
    """
    import json

    values: dict[str, Any] = dict(fields)
    try:
        if "where" in fields:
            values["where"] = json.loads(fields["where"])
        if "hide_duplicates" in fields:
            values["hide_duplicates"] = json.loads(fields["hide_duplicates"])
    except (ValueError, RecursionError) as error:
        raise RequestValidationError([{"loc": ("body",), "msg": "a field is no JSON"}]) from error
    how: requests.How = fitted(values, requests.SearchForm)
    return how
