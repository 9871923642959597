"""The way to a service and back: one pool of connections, one key, problems as our errors."""

import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import numpy as np

from imgsearch import errors
from imgsearch.arguments import check_access
from imgsearch.client.records import unexpected

if TYPE_CHECKING:
    import httpx

_TRIES: Final = 4
_PAUSE: Final = 0.2  # seconds before the first retry; each further one waits twice as long
_LONGEST: Final = 30.0  # seconds that a service may ask to wait for
_AGAIN: Final = (429, 503)
_GATEWAY: Final = (502, 504)  # a proxy's word that the service did not answer
_UNKNOWN: Final = "deadline_exceeded"  # what was asked for goes on in the service

# code of a problem → the error that a library would raise
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
_STATUSES: Final[Mapping[int, type[errors.ImgSearchError]]] = {  # of a proxy, or a code to come
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

    The key goes to this origin alone: redirects are not followed, and proxies that the environment
    names are not used. It is in no error and no repr.
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

    def ask(self, method: str, path: str, *, repeat: bool, **told: Any) -> "httpx.Response":
        """Return the answer to a request.

        `repeat`: the request may be sent again where it is unknown whether it came through. One
        that the service turned away for now (429, 503) is sent again in any case. `told` is what
        httpx takes: `params`, `json`, `data`, `files`.

        Raises:
            BackendUnavailable: there was no answer.
            ImgSearchError: what the service tells, as the class that a library would raise.
        """
        response = self.answer(method, path, repeat=repeat, **told)
        if not response.is_success:
            raise problem(response)
        return response

    def json(self, method: str, path: str, *, repeat: bool, **told: Any) -> Any:
        """Return the JSON of an answer.

        Raises: as `ask` does.
            BackendError: it is no JSON.
        """
        return parsed(self.ask(method, path, repeat=repeat, **told))

    def answer(self, method: str, path: str, *, repeat: bool, **told: Any) -> "httpx.Response":
        """Return the answer to a request, a problem or not.

        Raises:
            BackendUnavailable: there was none.
        """
        driver = _httpx()
        unsent = (driver.ConnectError, driver.ConnectTimeout, driver.PoolTimeout)
        for attempt in range(1, _TRIES + 1):
            last = attempt == _TRIES
            pause = _PAUSE * 2 ** (attempt - 1) * float(self._random.uniform(0.5, 1.5))
            try:
                response: httpx.Response = self._http.request(method, path, **told)
            except driver.TransportError as error:
                if last or not (repeat or isinstance(error, unsent)):
                    raise self._silent(error) from error
            except (driver.HTTPError, driver.InvalidURL) as error:
                raise unexpected(type(error).__name__) from error
            else:
                wait = _wait(response, pause, repeat=repeat)
                if wait is None or last:
                    return response
                pause = wait
            time.sleep(pause)
        raise AssertionError  # the last try returned or raised

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._http.close()

    def _silent(self, error: "httpx.TransportError") -> errors.BackendUnavailable:
        if isinstance(error, _httpx().TimeoutException):
            return errors.BackendUnavailable(f"no answer from {self.url} in {self.timeout:g} s")
        return errors.BackendUnavailable(f"no answer from {self.url}: {error}")


def _httpx() -> Any:
    """Return the module httpx, which the first client imports.

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


def problem(response: "httpx.Response") -> errors.ImgSearchError:
    """Return the error that an answer tells."""
    status = response.status_code
    if response.has_redirect_location:
        where = urlsplit(response.headers["Location"]).hostname or "itself"
        return errors.ConfigError(f"the service redirects to {where}, which is not followed")
    told = _told(response)
    kind = CODES.get(str(told.get("code"))) or _STATUSES.get(status, errors.ImgSearchError)
    if not told:
        return kind(f"the service answers with status {status}, and no word of imgsearch's")
    faults = "; ".join(
        f"{'.'.join(map(str, fault.get('where', ())))}: {fault.get('why')}"
        for fault in told.get("errors") or ()
        if isinstance(fault, dict)
    )
    text = str(told.get("detail") or told.get("title") or f"status {status}")
    return kind(f"{text} ({faults})" if faults else text)


def code_of(response: "httpx.Response") -> str:
    """Return the code of the problem that an answer is, "" where it is none."""
    return str(_told(response).get("code", ""))


def parsed(response: "httpx.Response") -> Any:
    """Return an answer's JSON.

    Raises:
        BackendError: it is none.
    """
    try:
        return response.json()
    except ValueError as error:
        raise unexpected("it is no JSON") from error


def _told(response: "httpx.Response") -> dict[str, Any]:
    if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
        return {}
    told = parsed(response)
    return told if isinstance(told, dict) else {}


def _wait(response: "httpx.Response", pause: float, *, repeat: bool) -> float | None:
    """Return for how many seconds to wait before asking again; None: the answer stands."""
    status = response.status_code
    if status in _GATEWAY:
        return pause if repeat else None
    told = response.headers.get("Retry-After", "")
    if status not in _AGAIN or not told.isdigit():
        return None
    if not repeat and code_of(response) == _UNKNOWN:
        return None
    return max(pause, float(told)) if float(told) <= _LONGEST else None


def _checked(url: str) -> str:
    """Return a service's address without a slash at its end.

    Raises:
        ConfigError: it is none, or has more than a host, a port and a path.
    """
    try:
        parts = urlsplit(url)
        named = parts.hostname is not None and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number; half an IPv6 address
        named = False
    if not named or parts.scheme not in ("http", "https"):
        raise errors.ConfigError("a service's URL is one like http://127.0.0.1:8000")
    if parts.username is not None or parts.query or parts.fragment:
        raise errors.ConfigError("a service's URL has no user, query or fragment; the key is `key`")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _checked_key(key: str) -> str:
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise errors.ConfigError("the key holds letters that no key has")
    return key
