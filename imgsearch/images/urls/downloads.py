"""Downloads images before they are read, because a server's answer takes long to arrive."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Final, TypeVar

from imgsearch.threads import DaemonPool

AHEAD: Final = 16
"""Images that are downloaded before they are read; at most this many are in memory."""

_THREADS: Final = 8  # connections at once, mostly to one server
T = TypeVar("T")


class Downloads:
    """Calls `fetch` for the URLs of a sequence, some of them ahead of time.

    >>> downloads = Downloads(str.encode)
    >>> [downloads(url) for url in downloads.ahead(["a", "b"], lambda url: url)]
    [b'a', b'b']
    """

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._pool: DaemonPool | None = None
        self._underway: dict[str, Future[bytes]] = {}

    def __call__(self, url: str) -> bytes:
        """Return the bytes at a URL.

        Raises: as `fetch` does.
        """
        download = self._underway.pop(url, None)
        return self._fetch(url) if download is None else download.result()

    def ahead(self, items: Iterable[T], url_of: Callable[[T], str | None]) -> Iterator[T]:
        """Yield the items in order. The downloads of the next ones have begun.

        `url_of` returns the URL of an item, or None for one that is not downloaded.
        """
        waiting: deque[T] = deque()
        for item in items:
            url = url_of(item)
            if url is not None and url not in self._underway:
                self._pool = self._pool or DaemonPool(_THREADS, "imgsearch-downloads")
                self._underway[url] = self._pool.submit(self._fetch, url)
            waiting.append(item)
            if len(waiting) > (AHEAD if self._underway else 0):
                yield waiting.popleft()
        yield from waiting
