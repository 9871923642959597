"""The context manager that every class with a `close` shares."""

from abc import ABC, abstractmethod
from typing import Self


class Closeable(ABC):
    """A context manager that returns itself and calls `close` at the end of the block."""

    @abstractmethod
    def close(self) -> None:
        """Release the resources. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
