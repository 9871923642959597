"""Reads the files of coming items in threads, because a file on a network disk takes 20 ms."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar

from imgsearch.images.files import expand, is_remote
from imgsearch.images.image_lists import URL
from imgsearch.images.moments import moment_of
from imgsearch.images.tar_shards import member_of
from imgsearch.threads import DaemonPool

_THREADS: Final = 8
_MOST: Final = 256  # items
_BYTES: Final = 32 * 2**20  # of files that wait for their turn, beside the last one
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
    def of(cls, path: str, read: Read) -> "Early":
        """Return how a file is read. The size of a missing file is 0."""
        try:
            return cls(Path(path).stat().st_size, read)
        except (OSError, ValueError):
            return cls(0, read)


def is_local_file(path: str) -> bool:
    """Return whether an image is a whole local file, not a URL or a part of a tar or video.

    >>> is_local_file("cat.jpg"), is_local_file("clip.mp4#t=12"), is_local_file("s3://a/cat.jpg")
    (True, False, False)
    """
    name = expand(path)
    remote = is_remote(name) or URL.match(name)
    return bool(name) and not (remote or member_of(name) or moment_of(name))


class ReadAhead(Generic[T]):
    """Yields items in their order, each with the function that returns its file.

    `early` returns how an item is read before its turn, or None; then no later item is taken until
    its turn comes. So a source that holds images in memory is not taken ahead.
    """

    def __init__(self, early: Callable[[T], Early | None]) -> None:
        self._early = early
        self._pool = DaemonPool(_THREADS, "imgsearch-reading")

    def items(self, items: Iterable[T]) -> Iterator[tuple[T, Read | None]]:
        """Yield the items. An error of the source is raised after the items before it."""
        source, error = iter(items), None
        waiting: deque[tuple[T, Future[Any] | None, int]] = deque()
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
            item, file, _ = waiting.popleft()
            yield item, None if file is None else file.result
        if error is not None:
            raise error

    def close(self) -> None:
        """Drop the reads that have not begun, and wait for none: a file may hang."""
        self._pool.close(0)

    def _begun(self, item: T) -> tuple[T, "Future[Any] | None", int]:
        if (early := self._early(item)) is None:
            return item, None, 0
        return item, self._pool.submit(early.read), early.size

    @staticmethod
    def _has_room(waiting: "deque[tuple[T, Future[Any] | None, int]]") -> bool:
        if not waiting:
            return True
        held = sum(size for _, _, size in waiting)
        return waiting[-1][1] is not None and len(waiting) < _MOST and held < _BYTES
