"""Images by URL: of the web, through the guard of `urls`, and of buckets."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from imgsearch.images.buckets import read_object
from imgsearch.images.files import is_bucket_url, is_remote
from imgsearch.images.references import Reference
from imgsearch.images.sources import MAX_BYTES
from imgsearch.settings import Settings

if TYPE_CHECKING:
    from imgsearch.images.urls import Downloads


def allowed(hosts: Sequence[str] | None) -> Sequence[str] | None:
    """Return `hosts`, or None if IMGSEARCH_OFFLINE is set."""
    return None if Settings.from_environment().offline else hosts


def downloads(hosts: Sequence[str] | None) -> "Downloads | None":
    """Return what downloads images from public hosts, from `hosts` and from buckets.

    Returns None if `hosts` is None, or if IMGSEARCH_OFFLINE is set.

    Raises:
        ConfigError: an item of `hosts` is not a host, address or network.
    """
    if (hosts := allowed(hosts)) is None:
        return None
    from imgsearch.images.urls import Downloads, fetcher  # imports ssl

    of_web = fetcher(hosts)

    def fetch(url: str) -> bytes:
        if is_bucket_url(url):
            return read_object(url, hosts, max_bytes=MAX_BYTES)
        return of_web(url)

    return Downloads(fetch)


def ahead(references: Iterable[Reference], downloads: "Downloads | None") -> Iterator[Reference]:
    """Return the references in order, while the images of the next URLs are downloaded."""
    if downloads is None:
        return iter(references)
    return downloads.ahead(
        references,
        lambda image: image.path if image.content is None and is_remote(image.path) else None,
    )
