"""The service client for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from imgsearch.awaiting import iterated
from imgsearch.client.client import Client
from imgsearch.filters import Where
from imgsearch.wire.responses import Image, JobState, VideoInfo

P = ParamSpec("P")
R = TypeVar("R")


def _awaited(
    method: Callable[Concatenate[Client, P], R],
) -> Callable[Concatenate["AsyncClient", P], Coroutine[Any, Any, R]]:
    @wraps(method)
    async def call(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(method, self.client, *args, **kwargs)

    return call


class AsyncClient:
    """A `Client` whose methods are awaited; the arguments are the same.

        async with AsyncClient("https://images.example", key) as client:
            hits = await client.search("a dog", where="label = dog")

    ``await client.contains(item)`` is a client's ``item in client``.

    Requests run in the threads of the event loop's executor, and share one connection pool. So the
    number of concurrent requests is limited by the executor, by default to the number of cores + 4,
    at most 32. A canceled request is not awaited any more, but is not taken back.

    Raises: as `Client`.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        collection: str = "images",
        timeout: float = 30.0,
    ) -> None:
        self.client = Client(url, key, collection=collection, timeout=timeout)
        self.url, self.name = self.client.url, collection

    add = _awaited(Client.add)
    add_folder = _awaited(Client.add_folder)
    add_urls = _awaited(Client.add_urls)
    sync = _awaited(Client.sync)
    migrate = _awaited(Client.migrate)
    search = _awaited(Client.search)
    search_with = _awaited(Client.search_with)
    search_many = _awaited(Client.search_many)
    search_many_with = _awaited(Client.search_many_with)
    more_like = _awaited(Client.more_like)
    compare = _awaited(Client.compare)
    facets = _awaited(Client.facets)
    get = _awaited(Client.get)
    update = _awaited(Client.update)
    remove = _awaited(Client.remove)
    count = _awaited(Client.count)
    exists = _awaited(Client.exists)
    contains = _awaited(Client.__contains__)
    embed = _awaited(Client.embed)
    to_parquet = _awaited(Client.to_parquet)
    declare_fields = _awaited(Client.declare_fields)
    collections = _awaited(Client.collections)
    drop = _awaited(Client.drop)
    original = _awaited(Client.original)
    thumbnail = _awaited(Client.thumbnail)
    models = _awaited(Client.models)
    health = _awaited(Client.health)

    def records(
        self, where: Where | None = None, *, order_by: str | None = None
    ) -> AsyncIterator[Image]:
        """Yield the images that match `where`; see `Client.records`."""
        return iterated(lambda: self.client.records(where, order_by=order_by))

    def videos(self) -> AsyncIterator[VideoInfo]:
        """Yield the videos with the number of their frames; see `Client.videos`."""
        return iterated(self.client.videos)

    def jobs(self) -> AsyncIterator[JobState]:
        """Yield the states of the service's jobs, newest first; see `Client.jobs`."""
        return iterated(self.client.jobs)

    def __aiter__(self) -> AsyncIterator[Image]:
        """Yield all images; see `records`."""
        return self.records()

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        await asyncio.to_thread(self.client.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<AsyncClient {self.url} {self.name!r}>"
