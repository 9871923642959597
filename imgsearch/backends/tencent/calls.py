"""One call to Tencent VectorDB: how long it may take, when it is made again, what its errors mean.

What the SDK (tcvectordb 2.1.1) lets through: `requests.ReadTimeout` and other errors of requests;
over gRPC only a text, with the status in the error's context; KeyError and the like where an
answer has another shape than it expects. None of its messages holds the key.
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
BUILDING: Final = (13000, 13100, 13101)  # the index is not ready: nothing was done, ask again later
FLAT_KEEPS: Final = (13200, 13201)
INVALID: Final = range(14_000, 15_000)  # "class 14: data exception": a parameter out of range
DENIED: Final = range(11_000, 12_000)  # "class 11: authentication failure"

TRIES: Final = 4  # of a call that may be made again
PAUSE: Final = 0.1  # seconds before the second try, doubled each time, and up to half more or less
LONGEST: Final = 0.5  # seconds between tries at most
_UNAUTHORISED: Final = (401, 403)
_PASSING: Final = (429, 500, 502, 503, 504)
_STATUSES: Final = {  # gRPC's, in the words of HTTP
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
    """The client, and the rules for calling it. Thread-safe."""

    def __init__(self, url: str, client: Any, timeout: float) -> None:
        self.url, self.timeout = url, timeout
        self._client: Any = client
        self._random = np.random.default_rng()

    def __call__(self, do: Callable[[Any, float], T], *, again: bool = True) -> T:
        """Return what `do(client, seconds)` does, within `timeout` seconds in all.

        Where `again` says that a second time does no harm, it is tried up to four times: after a
        timeout (the first try has half of the time), a broken connection, 429 or 5xx. Where the
        index is building it is tried until the time is over: nothing was done.

        Raises:
            BackendUnavailable: no answer in time, or the index was building all the time.
            CollectionNotFound: there is no such collection or database.
            BackendError: anything else; also where the store is closed.
        """
        if (client := self._client) is None:
            raise BackendError(f"{self.url} is closed")
        end, tries, pauses = time.monotonic() + self.timeout, 0, self._pauses()
        while True:
            left, pause = end - time.monotonic(), next(pauses)
            tries += 1
            try:
                return do(client, left / 2 if again and tries == 1 else left)
            except _LEAKS as error:
                more = again and tries < TRIES and _passes(error)
                if not (more or code_of(error) in BUILDING) or time.monotonic() + pause >= end:
                    raise self._translated(error) from error
                tries -= code_of(error) in BUILDING
            threading.Event().wait(pause)

    def close(self) -> None:
        """Let go of the client. Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _pauses(self) -> Iterator[float]:
        """Yield seconds to wait before the next try, without end."""
        pause = PAUSE
        while True:
            yield pause * self._random.uniform(0.5, 1.5)
            pause = min(2 * pause, LONGEST)

    def _translated(self, error: Exception) -> BackendError:
        code = code_of(error)
        if code in (NO_COLLECTION, NO_DATABASE):
            return CollectionNotFound(f"{self.url}: {_text(error)}")
        if code in _UNAUTHORISED or code in DENIED:
            return BackendError(
                f"{self.url} refuses the account or the key (code {code}): is "
                "IMGSEARCH_TENCENT_KEY right? It is KEY, of the account root, or ACCOUNT:KEY"
            )
        if isinstance(error.__context__, requests.exceptions.SSLError):
            return BackendError(
                f"{self.url}: its TLS certificate is not to be trusted, or it speaks no TLS; a "
                f"private one is trusted by ?ca=FILE: {_text(error)}"
            )
        if code in BUILDING:
            return BackendUnavailable(
                f"{self.url}: the index was still being built after {self.timeout:g} s"
            )
        if code in FLAT_KEEPS:
            return BackendError(
                f"{self.url}: a FLAT index neither deletes nor updates there (code {code}): make "
                "the collection anew with another index, such as hnsw"
            )
        if _passes(error):
            return BackendUnavailable(
                f"no answer from {self.url} within {self.timeout:g} s: {_text(error)}"
            )
        if isinstance(error, VectorDBException):
            return BackendError(f"{self.url}: {_text(error)}")
        return BackendError(
            f"{self.url} answers what tcvectordb does not understand: {_text(error)}"
        )


def code_of(error: BaseException | None) -> int:
    """Return the service's code for an error of the SDK, or the HTTP status; 0 for others."""
    status = error.__context__ if isinstance(error, GrpcException) else error
    if isinstance(status, grpc.RpcError):
        return _STATUSES.get(status.code(), 0)
    return int(error.code) if isinstance(error, ServerInternalError) else 0


def _passes(error: Exception) -> bool:
    """Tell whether the same call may well succeed a moment later."""
    if isinstance(error.__context__, requests.exceptions.SSLError):
        return False
    lost = (
        ConnectError, requests.Timeout, requests.ConnectionError,
        requests.exceptions.ChunkedEncodingError,
    )  # fmt: skip
    return isinstance(error, lost) or code_of(error) in _PASSING


def _text(error: Exception) -> str:
    """Return what the driver says, in one line: it adds a page of advice to some errors."""
    status = error.__context__ if isinstance(error, GrpcException) else error
    if isinstance(status, grpc.RpcError):
        return f"{status.code().name}: {status.details()}"[:300]
    text = str(error.message if isinstance(error, VectorDBException) else error)
    words = " ".join(text.partition("\nPossible Reasons")[0].split())[:300]
    code = code_of(error)
    return f"{code} {words}" if code else words or type(error).__name__
