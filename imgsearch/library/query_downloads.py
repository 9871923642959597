"""Images by URL in queries, which are downloaded through the guard of `imgsearch.images.urls`."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from imgsearch.images import web_images
from imgsearch.images.files import missing
from imgsearch.query import Query, is_url
from imgsearch.threads import DaemonPool

_AT_ONCE: Final = 8  # downloads, mostly from one server
T = TypeVar("T")


def downloaded(query: T, hosts: Sequence[str] | None) -> T | Query:
    """Return a query whose images by URL are their bytes; other queries are returned unchanged.

    Images come from public hosts and from `hosts`; None turns downloads off.

    Raises:
        SourceError: a URL is refused, or its image cannot be downloaded.
        ConfigError: an item of `hosts` is not a host, address or network.
    """
    return all_downloaded([query], hosts)[0]


def all_downloaded(queries: Sequence[T], hosts: Sequence[str] | None) -> list[T | Query]:
    """Return queries whose images by URL are their bytes; some downloads run at the same time.

    Raises: as for `downloaded`.
    """
    urls = dict.fromkeys(url for query in queries for url in _urls(query))
    if not urls:
        return list(queries)
    fetch = web_images.fetcher(hosts)
    if fetch is None:
        raise missing(next(iter(urls)))
    pool = DaemonPool(_AT_ONCE, "imgsearch-downloads")
    try:
        data = dict(zip(urls, pool.map(fetch, urls), strict=True))
    finally:
        pool.close(0)  # after an error nothing is waited for
    return [_with_bytes(query, data) if _urls(query) else query for query in queries]


def _urls(query: object) -> list[str]:
    """Return the URLs of the images of a query."""
    if isinstance(query, str):
        return [query] if is_url(query) else []
    return query.urls if isinstance(query, Query) else []


def _with_bytes(query: object, data: Mapping[str, bytes]) -> Query:
    whole = query if isinstance(query, Query) else Query.image(str(query))
    return whole.with_images(data)
