"""Queries of requests: their terms, with the images decoded and the stored ones looked up."""

from imgsearch.query import Query
from imgsearch.service.service import Service
from imgsearch.service.uploads import check_pixels, decoded
from imgsearch.wire import requests


def query_of(here: Service, body: requests.QueryBody) -> Query:
    """Return the weighted sum of the terms of a request.

    Raises:
        ImageNotFound: a stored image does not exist.
        ImageError, SourceError, HttpProblem: an image cannot be used, or its URL is refused.
    """
    first, *others = body.query_terms()
    query = Query(_term(here, first), weight=first.weight)
    for term in others:
        other, weight = _term(here, term), abs(term.weight)
        if term.weight < 0:
            query = query.minus(other, weight=weight)
        else:
            query = query.plus(other, weight=weight)
    return query


def _term(here: Service, term: requests.QueryTerm) -> Query:
    """Return a term as a query, without its weight."""
    if term.text is not None:
        return Query.text(term.text)
    if term.id is not None:
        return Query(here.archive.vector(term.id))
    if term.url is not None:
        data = here.fetched(term.url)
    else:
        data = decoded(term.image or "", here.limits)
    check_pixels(data, here.limits)
    return Query.image(data)
