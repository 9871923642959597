"""Translates pymilvus errors."""

from typing import Final

import grpc
from pymilvus import MilvusException

from imgsearch.errors import BackendError, BackendUnavailable, CollectionNotFound
from imgsearch.settings import connect_timeout

CONNECT_FAILED: Final = 2  # pymilvus 3.0.2: any failure to connect; the reason is its context
NO_COLLECTION: Final = (4, 100)  # the old and the new error code
_UNREACHED: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def translated(error: Exception, url: str, timeout: float) -> BackendError:
    """Convert a driver error to an imgsearch error. `timeout` is the call's limit in seconds."""
    code = error.code() if isinstance(error, grpc.RpcError) else getattr(error, "code", None)
    text = text_of(error)
    if isinstance(error, MilvusException) and code in NO_COLLECTION:
        return CollectionNotFound(f"{url}: {text}")
    if code == CONNECT_FAILED:
        return BackendUnavailable(_connect_error(error, url, connect_timeout(timeout)))
    if code in _UNREACHED or isinstance(error, grpc.FutureTimeoutError) or "Retry timeout" in text:
        return BackendUnavailable(f"no response from {url} within {timeout:g} s: {text}")
    return BackendError(f"{url}: {text}")


def _connect_error(error: Exception, url: str, limit: float) -> str:
    """Return the message for a failed connection, which pymilvus reports without its reason."""
    reason = error.__context__
    if isinstance(reason, grpc.RpcError):
        if reason.code() is grpc.StatusCode.UNAUTHENTICATED:
            return f"{url} refuses this user or token. Check the token."
        if reason.code() is grpc.StatusCode.UNAVAILABLE:
            return f"cannot connect to {url}: {reason.details()[:300]}. Check that the server runs."
    return f"no response from {url} within {limit:g} s. Check that the server runs."


def text_of(error: Exception) -> str:
    """Return an error's message, truncated to 300 characters."""
    text = error.message if isinstance(error, MilvusException) else str(error)
    if isinstance(error, grpc.RpcError):
        text = f"{error.code().name}: {error.details()}"
    return str(text)[:300]
