"""Reads coming images in threads: a file on a network disk takes 20 ms, a download takes longer."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar

from typing_extensions import override

from imgsearch.images.files import expand, is_remote
from imgsearch.images.image_lists import URL
from imgsearch.images.moments import moment_of
from imgsearch.images.tar_shards import member_of
from imgsearch.threads import DaemonPool
from imgsearch.types import Closeable

_THREADS: Final = 8  # also the connections at once, mostly to one server
_MOST: Final = 256  # items
_BYTES: Final = 32 * 2**20  # of files that wait for their turn, beside the last one
UNKNOWN: Final = _BYTES // 16
"""The size in bytes that is assumed for an image which has not arrived: 16 of them wait at most."""

T = TypeVar("T")
Read: TypeAlias = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Early:
    """How an item is read before its turn: the size of its file in bytes, and a function.

    The function runs in another thread. Its errors are raised when the item's turn comes.
    """

    size: int
    read: Read

    @classmethod
    def of(cls, path: str, read: Read) -> "Early | None":
        """Return how the image at a path is read, None if it is a part of a tar file or video.

        The size of a missing file is 0.

        >>> Early.of("cat.jpg", bytes).size, Early.of("clip.mp4#t=12", bytes)
        (0, None)
        """
        name = expand(path)
        if is_remote(name):
            return cls(UNKNOWN, read)
        if not name or URL.match(name) or member_of(name) or moment_of(name):
            return None
        try:
            return cls(Path(name).stat().st_size, read)
        except (OSError, ValueError):
            return cls(0, read)


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    """An item that was taken from the source, with its file and the file's size in bytes."""

    item: T
    file: "Future[Any] | None" = None
    size: int = 0


class ReadAhead(Closeable, Generic[T]):
    """Yields items in their order, each with the function that returns its file.

    `early` returns how an item is read before its turn, or None; then no later item is taken until
    its turn comes. So a source that holds images in memory is not taken ahead.

    >>> with ReadAhead(lambda name: Early(1, name.upper)) as ahead:
    ...     [(name, file()) for name, file in ahead.items(["a", "b"])]
    [('a', 'A'), ('b', 'B')]
    """

    def __init__(self, early: Callable[[T], Early | None]) -> None:
        self._early = early
        self._pool = DaemonPool(_THREADS, "imgsearch-reading")

    def items(self, items: Iterable[T]) -> Iterator[tuple[T, Read | None]]:
        """Yield the items. An error of the source is raised after the items before it."""
        source = iter(items)
        waiting: deque[_Waiting[T]] = deque()
        error: Exception | None = None
        more = True
        while True:
            while more and self._has_room(waiting):
                try:
                    waiting.append(self._begun(next(source)))
                except StopIteration:
                    more = False
                except Exception as fault:  # noqa: BLE001 - raised below
                    more, error = False, fault
            if not waiting:
                break
            first = waiting.popleft()
            if first.file is None:
                yield first.item, None
            else:
                yield first.item, first.file.result
        if error is not None:
            raise error

    @override
    def close(self) -> None:
        """Drop the reads that have not begun, and wait for none: a file may hang."""
        self._pool.close(0)

    def _begun(self, item: T) -> _Waiting[T]:
        early = self._early(item)
        if early is None:
            return _Waiting(item)
        return _Waiting(item, self._pool.submit(early.read), early.size)

    @staticmethod
    def _has_room(waiting: deque[_Waiting[T]]) -> bool:
        if not waiting:
            return True
        if waiting[-1].file is None or len(waiting) == _MOST:
            return False
        return sum(one.size for one in waiting) < _BYTES
