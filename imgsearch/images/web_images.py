"""Images by http and https URL, which are downloaded through the guard of `urls`."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from imgsearch.images.files import is_web_url
from imgsearch.images.references import Reference
from imgsearch.settings import Settings

if TYPE_CHECKING:
    from imgsearch.images.urls import Downloads


def downloads(hosts: Sequence[str] | None) -> "Downloads | None":
    """Return what downloads images from public hosts and from `hosts`.

    Returns None if `hosts` is None, or if IMGSEARCH_OFFLINE is set.

    Raises:
        ConfigError: an item of `hosts` is not a host, address or network.
    """
    if hosts is None or Settings.from_environment().offline:
        return None
    from imgsearch.images.urls import Downloads, fetcher  # imports ssl

    return Downloads(fetcher(hosts))


def ahead(references: Iterable[Reference], downloads: "Downloads | None") -> Iterator[Reference]:
    """Return the references in order, while the images of the next URLs are downloaded."""
    if downloads is None:
        return iter(references)
    return downloads.ahead(
        references,
        lambda image: image.path if image.content is None and is_web_url(image.path) else None,
    )
