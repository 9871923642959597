"""Calls Tencent VectorDB with time limits and retries, and translates errors.

The SDK (tcvectordb 2.1.1) raises `requests.ReadTimeout` and other errors of requests. Over gRPC it
raises `GrpcException` with only a text; the status is in `__context__`. For an unexpected response
it raises KeyError and similar errors. Its messages never contain the key.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import grpc
import numpy as np
import requests
from tcvectordb.exceptions import (
    ConnectError,
    GrpcException,
    ServerInternalError,
    VectorDBException,
)

from imgsearch.errors import BackendError, BackendUnavailable, CollectionNotFound

T = TypeVar("T")

# Source: https://cloud.tencent.com/document/product/1709/104047
NO_DATABASE: Final = 15301
NO_COLLECTION: Final = 15302
DATABASE_EXISTS: Final = 15201
COLLECTION_EXISTS: Final = 15202
BUILDING: Final = (13000, 13100, 13101)  # the index is not ready, and the call had no effect
FLAT_IMMUTABLE: Final = (13200, 13201)
INVALID: Final = range(14_000, 15_000)  # "class 14: data exception": a parameter out of range
DENIED: Final = range(11_000, 12_000)  # "class 11: authentication failure"

TRIES: Final = 4  # attempts for an idempotent call
PAUSE: Final = 0.1  # seconds before the second attempt, then doubled, with 50 % jitter
LONGEST: Final = 0.5  # longest pause between attempts, in seconds
_UNAUTHORIZED: Final = (401, 403)
_TEMPORARY: Final = (429, 500, 502, 503, 504)
_STATUSES: Final = {  # maps gRPC statuses to HTTP statuses
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.ABORTED: 503,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_LEAKS: Final = (
    VectorDBException, requests.RequestException, grpc.RpcError,
    AttributeError, KeyError, TypeError, ValueError,
)  # fmt: skip


class Calls:
    """Calls a client with time limit and retries. Thread-safe."""

    def __init__(self, url: str, client: Any, timeout: float) -> None:
        self.url, self.timeout = url, timeout
        self._client: Any = client
        self._random = np.random.default_rng()

    def __call__(
        self, do: Callable[[Any, float], T], *, again: bool = True, limit: float | None = None
    ) -> T:
        """Return the result of `do(client, seconds)`. All attempts take at most `limit` seconds.

        The default of `limit` is `timeout`.

        If `again` is True, the call must be idempotent. It is attempted up to four times: after a
        timeout (the first attempt has half of the time), a broken connection, 429 or a temporary
        5xx. While an index is being built, calls have no effect and are repeated until the time
        limit.

        Raises:
            BackendUnavailable: no response in time, or the index was being built all the time.
            CollectionNotFound: the collection or the database does not exist.
            BackendError: the call failed for another reason, or the store is closed.
        """
        if (client := self._client) is None:
            raise BackendError(f"{self.url} is closed. Open it again.")
        limit = limit or self.timeout
        end, tries, pauses = time.monotonic() + limit, 0, self._pauses()
        while True:
            left, pause = end - time.monotonic(), next(pauses)
            tries += 1
            try:
                return do(client, left / 2 if again and tries == 1 else left)
            except _LEAKS as error:
                more = again and tries < TRIES and _is_temporary(error)
                if not (more or code_of(error) in BUILDING) or time.monotonic() + pause >= end:
                    raise self._translated(error, limit) from error
                tries -= code_of(error) in BUILDING
            threading.Event().wait(pause)

    def close(self) -> None:
        """Close the client. Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _pauses(self) -> Iterator[float]:
        """Yield the seconds to wait before each further attempt, infinitely."""
        pause = PAUSE
        while True:
            yield pause * self._random.uniform(0.5, 1.5)
            pause = min(2 * pause, LONGEST)

    def _translated(self, error: Exception, limit: float) -> BackendError:
        code = code_of(error)
        if code in (NO_COLLECTION, NO_DATABASE):
            return CollectionNotFound(f"{self.url}: {_text(error)}")
        if code in _UNAUTHORIZED or code in DENIED:
            return BackendError(
                f"{self.url} refuses the account or the key (code {code}). Set "
                "IMGSEARCH_TENCENT_KEY to KEY, of the account root, or to ACCOUNT:KEY."
            )
        if isinstance(error.__context__, requests.exceptions.SSLError):
            return BackendError(
                f"{self.url} cannot be opened: its TLS certificate is not trusted, or it does not "
                f"use TLS: {_text(error)}. Add ?ca=FILE to trust a private certificate."
            )
        if code in BUILDING:
            return BackendUnavailable(
                f"{self.url} is busy: the index was still being built after {limit:g} s. "
                "Retry later."
            )
        if code in FLAT_IMMUTABLE:
            return BackendError(
                f"{self.url} cannot delete or update in a FLAT index (code {code}). Create the "
                "collection again with another index, such as hnsw."
            )
        if _is_temporary(error):
            return BackendUnavailable(
                f"no response from {self.url} within {limit:g} s: {_text(error)}"
            )
        if isinstance(error, VectorDBException):
            return BackendError(f"{self.url}: {_text(error)}")
        return BackendError(
            f"{self.url} sent a response that tcvectordb does not understand: {_text(error)}"
        )


def code_of(error: BaseException | None) -> int:
    """Return the service's error code, or the HTTP status, of an SDK error. Otherwise returns 0."""
    status = error.__context__ if isinstance(error, GrpcException) else error
    if isinstance(status, grpc.RpcError):
        return _STATUSES.get(status.code(), 0)
    return int(error.code) if isinstance(error, ServerInternalError) else 0


def _is_temporary(error: Exception) -> bool:
    """Return whether the same call may succeed a moment later."""
    if isinstance(error.__context__, requests.exceptions.SSLError):
        return False
    lost = (
        ConnectError, requests.Timeout, requests.ConnectionError,
        requests.exceptions.ChunkedEncodingError,
    )  # fmt: skip
    return isinstance(error, lost) or code_of(error) in _TEMPORARY


def _text(error: Exception) -> str:
    """Return the SDK's message on one line, without the advice that it adds to some errors."""
    status = error.__context__ if isinstance(error, GrpcException) else error
    if isinstance(status, grpc.RpcError):
        return f"{status.code().name}: {status.details()}"[:300]
    text = str(error.message if isinstance(error, VectorDBException) else error)
    words = " ".join(text.partition("\nPossible Reasons")[0].split())[:300]
    if code := code_of(error):
        return f"{code} {words}"
    return words or type(error).__name__
