"""Methods that can be awaited: they run in threads, so that the event loop goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from itertools import islice
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

_BATCH: Final = 200  # items that are read in one go from an iterator


def in_thread(
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Return the coroutine method that runs a method in a thread of the event loop's executor.

    A class may override the method. A canceled call is not awaited any more, but the method runs
    to its end.

    >>> class Numbers:
    ...     def double(self, n: int) -> int:
    ...         return 2 * n
    ...     adouble = in_thread(double)
    >>> asyncio.run(Numbers().adouble(21))
    42
    """

    @wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(getattr(self, method.__name__), *args, **kwargs)

    call.__dict__.pop("__isabstractmethod__", None)  # `wraps` copies it
    return call


async def iterated(begin: Callable[[], Iterator[R]]) -> AsyncIterator[R]:
    """Yield the items of the iterator that `begin` returns, which is called and read in threads."""
    items = await asyncio.to_thread(begin)
    while part := await asyncio.to_thread(lambda: list(islice(items, _BATCH))):
        for item in part:
            yield item
