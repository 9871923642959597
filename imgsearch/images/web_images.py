"""Images by URL: of the web, through the guard of `urls`, and of buckets."""

from collections.abc import Sequence

from imgsearch.images.buckets import read_object
from imgsearch.images.files import is_bucket_url
from imgsearch.images.sources import MAX_BYTES, Fetch
from imgsearch.settings import Settings


def allowed(hosts: Sequence[str] | None) -> Sequence[str] | None:
    """Return `hosts`, or None if IMGSEARCH_OFFLINE is set."""
    return None if Settings.from_environment().offline else hosts


def fetcher(hosts: Sequence[str] | None) -> Fetch | None:
    """Return a function that downloads images from public hosts, from `hosts` and from buckets.

    Returns None if `hosts` is None, or if IMGSEARCH_OFFLINE is set.

    Raises:
        ConfigError: an item of `hosts` is not a host, address or network.
    """
    if (hosts := allowed(hosts)) is None:
        return None
    from imgsearch.images import urls  # imports ssl

    of_web = urls.fetcher(hosts)

    def fetch(url: str) -> bytes:
        if is_bucket_url(url):
            return read_object(url, hosts, max_bytes=MAX_BYTES)
        return of_web(url)

    return fetch
