"""Sends requests to a service: pools connections, retries, and turns problems into errors."""

import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import numpy as np

from imgsearch import errors
from imgsearch.client.records import unexpected_response
from imgsearch.types import check_access

if TYPE_CHECKING:
    import httpx

_TRIES: Final = 4
_PAUSE: Final = 0.2  # seconds before the first retry, doubled for each further retry
_LONGEST: Final = 30.0  # seconds; the limit on Retry-After for a retry
_RETRIED: Final = (429, 503)
_GATEWAY: Final = (502, 504)  # sent by a proxy that got no response from the service
_UNKNOWN: Final = "deadline_exceeded"  # the service may still finish the request

# problem code → the error class that a library raises
CODES: Final[Mapping[str, type[errors.ImgSearchError]]] = {
    "access_denied": errors.AccessDenied,
    "body_too_large": errors.LimitExceeded,
    "busy": errors.BackendUnavailable,
    "catalog_failed": errors.CatalogError,
    "catalog_outdated": errors.CatalogOutdated,
    "collection_not_found": errors.CollectionNotFound,
    "deadline_exceeded": errors.BackendUnavailable,
    "dimension_mismatch": errors.DimensionMismatch,
    "download_failed": errors.DownloadError,
    "encoder_failed": errors.EncoderError,
    "encoder_mismatch": errors.EncoderMismatch,
    "encoder_removed": errors.EncoderRemoved,
    "field_invalid": errors.FieldInvalid,
    "file_missing": errors.ConfigError,
    "filter_invalid": errors.FieldInvalid,
    "format_refused": errors.FormatRefused,
    "host_refused": errors.ConfigError,
    "image_busy": errors.ImageBusy,
    "image_corrupt": errors.ImageCorrupt,
    "image_exists": errors.ImageExists,
    "image_not_base64": errors.ConfigError,
    "image_not_found": errors.ImageNotFound,
    "image_too_large": errors.ImageTooLarge,
    "image_unusable": errors.ImageError,
    "internal": errors.ImgSearchError,
    "invalid_request": errors.ConfigError,
    "job_busy": errors.JobBusy,
    "job_not_found": errors.JobNotFound,
    "limit_exceeded": errors.LimitExceeded,
    "malformed": errors.ConfigError,
    "media_type_unsupported": errors.ConfigError,
    "method_not_allowed": errors.ConfigError,
    "model_unknown": errors.ModelNotFound,
    "not_installed": errors.MissingExtra,
    "original_not_found": errors.ObjectNotFound,
    "originals_failed": errors.ObjectStoreError,
    "precision_unreached": errors.PrecisionUnreached,
    "rate_exceeded": errors.LimitExceeded,
    "request_timeout": errors.BackendUnavailable,
    "route_not_found": errors.ConfigError,
    "schema_mismatch": errors.SchemaMismatch,
    "scope_missing": errors.ScopeMissing,
    "source_unreadable": errors.SourceError,
    "step_failed": errors.StepFailed,
    "stopping": errors.BackendUnavailable,
    "store_failed": errors.BackendError,
    "store_locked": errors.StoreLocked,
    "store_unavailable": errors.BackendUnavailable,
    "text_unknown": errors.TextUnknown,
    "text_unsupported": errors.TextUnsupported,
    "url_failed": errors.UrlFailed,
    "url_refused": errors.UrlRefused,
    "urls_not_allowed": errors.AccessDenied,
    "vector_invalid": errors.VectorInvalid,
    "weights_invalid": errors.WeightsInvalid,
    "weights_missing": errors.WeightsNotFound,
}
_STATUSES: Final[
    Mapping[int, type[errors.ImgSearchError]]
] = {  # for proxies, and for codes of newer services
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
            verify=ssl.create_default_context() if self.url.startswith("https") else True,
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

    def json(self, method: str, path: str, *, repeat: bool, **content: Any) -> Any:
        """Return the JSON of the response to a request; see `request`.

        Raises:
            BackendError: the response is not JSON.
            ImgSearchError: as for `request`.
        """
        return parse_json(self.request(method, path, repeat=repeat, **content))

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
    kind = CODES.get(str(problem.get("code"))) or _STATUSES.get(status, errors.ImgSearchError)
    if not problem:
        return kind(f"the response has status {status} and is not a problem of imgsearch")
    faults = "; ".join(
        f"{'.'.join(map(str, fault.get('where', ())))}: {fault.get('why')}"
        for fault in problem.get("errors") or ()
        if isinstance(fault, dict)
    )
    text = str(problem.get("detail") or problem.get("title") or f"status {status}")
    return kind(f"{text} ({faults})" if faults else text)


def code_of(response: "httpx.Response") -> str:
    """Return the problem code of a response, or "" if it is not a problem."""
    return str(_problem(response).get("code", ""))


def parse_json(response: "httpx.Response") -> Any:
    """Parse the JSON of a response.

    Raises:
        BackendError: the response is not JSON.
    """
    try:
        return response.json()
    except ValueError as error:
        raise unexpected_response("it is not JSON") from error


def _problem(response: "httpx.Response") -> dict[str, Any]:
    """Return the problem in a response, or an empty mapping if it is not a problem."""
    if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
        return {}
    problem = parse_json(response)
    return problem if isinstance(problem, dict) else {}


def _retry_after(response: "httpx.Response", pause: float, *, repeat: bool) -> float | None:
    """Return the seconds to wait before a retry, or None if the request is not retried."""
    status = response.status_code
    if status in _GATEWAY:
        return pause if repeat else None
    seconds = response.headers.get("Retry-After", "")
    if status not in _RETRIED or not seconds.isdigit():
        return None
    if not repeat and code_of(response) == _UNKNOWN:
        return None
    return max(pause, float(seconds)) if float(seconds) <= _LONGEST else None


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
