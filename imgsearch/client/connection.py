"""Sends requests to a service: pools connections, retries, and turns problems into errors."""

import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import numpy as np

from imgsearch import errors
from imgsearch.types import check_access
from imgsearch.wire.problems import ERRORS
from imgsearch.wire.responses import Problem, R, parse, unexpected_response

if TYPE_CHECKING:
    import httpx

_TRIES: Final = 4
_PAUSE: Final = 0.2  # seconds before the first retry, doubled for each further retry
_LONGEST: Final = 30.0  # seconds; the limit on Retry-After for a retry
_RETRIED: Final = (429, 503)
_GATEWAY: Final = (502, 504)  # sent by a proxy that got no response from the service
_UNKNOWN: Final = "deadline_exceeded"  # the service may still finish the request

# for proxies, and for codes of newer services
_STATUSES: Final[Mapping[int, type[errors.ImgSearchError]]] = {
    401: errors.AccessDenied,
    403: errors.AccessDenied,
    404: errors.ConfigError,
    413: errors.LimitExceeded,
    422: errors.ConfigError,
    429: errors.LimitExceeded,
    502: errors.BackendUnavailable,
    503: errors.BackendUnavailable,
    504: errors.BackendUnavailable,
}


class Connection:
    """Sends requests to one service. Thread-safe.

    The key is sent only to the origin of `url`: redirects are not followed, and proxy environment
    variables are ignored. No error message or repr contains the key.
    """

    def __init__(self, url: str, key: str | None, *, timeout: float) -> None:
        self.url = _checked(url)
        check_access(key, timeout)
        self.timeout = timeout
        self._random = np.random.default_rng()
        self._http = _httpx().Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {_checked_key(key)}"} if key else {},
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            verify=_trust(self.url),
        )

    def request(self, method: str, path: str, *, repeat: bool, **content: Any) -> "httpx.Response":
        """Return the successful response to a request, after retries.

        429 and 503 responses are retried if their Retry-After is at most 30 s. With `repeat`, the
        request is also retried if the service may already have processed it. `content` holds
        httpx's arguments `params`, `json`, `data` and `files`.

        Raises:
            BackendUnavailable: the service does not respond.
            ImgSearchError: the service responded with a problem; a library raises the same class.
        """
        response = self.send(method, path, repeat=repeat, **content)
        if not response.is_success:
            raise error_of(response)
        return response

    def json(self, kind: type[R], method: str, path: str, *, repeat: bool, **content: Any) -> R:
        """Return the response to a request, parsed as a `kind`; see `request`.

        Raises:
            BackendError: the response is not JSON, or a key is missing.
            ImgSearchError: as for `request`.
        """
        return parse(kind, self.request(method, path, repeat=repeat, **content).content)

    def send(self, method: str, path: str, *, repeat: bool, **content: Any) -> "httpx.Response":
        """Return the response to a request, after retries; the response may be a problem.

        Raises:
            BackendUnavailable: the service does not respond.
        """
        driver = _httpx()
        unsent = (driver.ConnectError, driver.ConnectTimeout, driver.PoolTimeout)
        for attempt in range(1, _TRIES + 1):
            last = attempt == _TRIES
            pause = _PAUSE * 2 ** (attempt - 1) * float(self._random.uniform(0.5, 1.5))
            try:
                response: httpx.Response = self._http.request(method, path, **content)
            except driver.TransportError as error:
                if last or not (repeat or isinstance(error, unsent)):
                    raise self._unavailable(error) from error
            except (driver.HTTPError, driver.InvalidURL) as error:
                raise unexpected_response(type(error).__name__) from error
            else:
                wait = _retry_after(response, pause, repeat=repeat)
                if wait is None or last:
                    return response
                pause = wait
            time.sleep(pause)
        raise AssertionError  # unreachable: the last attempt returns or raises

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._http.close()

    def _unavailable(self, error: "httpx.TransportError") -> errors.BackendUnavailable:
        if isinstance(error, _httpx().TimeoutException):
            return errors.BackendUnavailable(f"no response from {self.url} in {self.timeout:g} s")
        return errors.BackendUnavailable(f"no response from {self.url}: {error}")


def _httpx() -> Any:
    """Import httpx when the first client needs it, and return the module.

    Raises:
        MissingExtra: httpx is not installed.
    """
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise errors.MissingExtra(
            f"the client needs {error.name}", extra="client", name=error.name
        ) from error
    return httpx


def error_of(response: "httpx.Response") -> errors.ImgSearchError:
    """Return the error for an unsuccessful response."""
    status = response.status_code
    if response.has_redirect_location:
        where = urlsplit(response.headers["Location"]).hostname or "itself"
        return errors.ConfigError(f"the service redirects to {where}, which is not followed")
    problem = _problem(response)
    if problem is None:
        kind = _STATUSES.get(status, errors.ImgSearchError)
        return kind(f"the response has status {status} and is not a problem of imgsearch")
    kind = ERRORS.get(problem.code) or _STATUSES.get(status, errors.ImgSearchError)
    faults = "; ".join(f"{'.'.join(fault.where)}: {fault.why}" for fault in problem.errors)
    text = problem.detail or problem.title or f"status {status}"
    return kind(f"{text} ({faults})" if faults else text)


def _problem(response: "httpx.Response") -> Problem | None:
    """Return the problem in a response, or None if it is not a problem."""
    if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
        return None
    return parse(Problem, response.content)


def _retry_after(response: "httpx.Response", pause: float, *, repeat: bool) -> float | None:
    """Return the seconds to wait before a retry, or None if the request is not retried."""
    status = response.status_code
    if status in _GATEWAY:
        return pause if repeat else None
    seconds = response.headers.get("Retry-After", "")
    if status not in _RETRIED or not seconds.isdigit():
        return None
    problem = None if repeat else _problem(response)
    if problem is not None and problem.code == _UNKNOWN:
        return None
    return max(pause, float(seconds)) if float(seconds) <= _LONGEST else None


def _trust(url: str) -> ssl.SSLContext:
    """Return the certificates to trust: none for plain HTTP, because reading them takes 20 ms."""
    if url.startswith("https"):
        return ssl.create_default_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _checked(url: str) -> str:
    """Return a service's URL without a trailing slash.

    Raises:
        ConfigError: the URL is invalid, or has a user, query or fragment.
    """
    try:
        parts = urlsplit(url)
        named = parts.hostname is not None and (parts.port is None or parts.port > 0)
    except ValueError:  # e.g. a port that is not a number, or an incomplete IPv6 address
        named = False
    if not named or parts.scheme not in ("http", "https"):
        raise errors.ConfigError("a service's URL has the form http://127.0.0.1:8000")
    if parts.username is not None or parts.query or parts.fragment:
        raise errors.ConfigError("a service's URL has no user, query or fragment; the key is `key`")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _checked_key(key: str) -> str:
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise errors.ConfigError("the key is invalid: it contains letters that keys do not have")
    return key
