"""Resumable downloads from a web server.

A partial download is kept next to the target as ``.NAME.part``, with the URL's hash, the validator
and the size in ``.NAME.json``. A download resumes only if the server identified the content with an
ETag or a date: an If-Range request makes sure that the content is unchanged (RFC 9110, sections
13.1.5 and 14).
"""

import hashlib
import json
import re
import ssl
import string
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit, urlunsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from imgsearch.datasets.manifest import OnProgress, no_progress
from imgsearch.errors import ConfigError, DownloadError
from imgsearch.text import load_json

STAGE: Final = "downloading"
_ATTEMPTS: Final = 5  # each must receive data
_REDIRECTS: Final = 5
_MOVED: Final = (301, 302, 303, 307, 308)
_CHUNK: Final = 1 << 16
_TIMEOUT: Final = 30.0  # seconds without a byte


def download(
    url: str,
    target: Path,
    *,
    limit: int,
    timeout: float = _TIMEOUT,
    on_progress: OnProgress = no_progress,
) -> None:
    """Download `url`, at most `limit` bytes, to `target`; an existing file is kept.

    A broken download is resumed up to four times, as long as every attempt receives data. Up to
    five redirects are followed, but not from https to http.

    Raises:
        ConfigError: `url` is not an http or https URL, or contains a user or password.
        DownloadError: no response within `timeout` seconds, an untrusted certificate, an error
            status, more than `limit` bytes, or too many interruptions.
        OSError: the folder cannot be written.
    """
    _check(url)
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target, url)
    for attempts_left in reversed(range(_ATTEMPTS)):
        size_before = part.size
        problem = _receive(part, limit, timeout, on_progress)
        if not problem:
            part.finish(target)
            return
        resumable = part.size != size_before and (part.validator or not part.size)
        if not (attempts_left and resumable):
            raise DownloadError(f"cannot download {redact(url)}: {problem}")


def redact(url: str) -> str:
    """Return a URL without its user, password and query, which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@dataclass(frozen=True, slots=True)
class _Content:
    """The validator and the size of a response's content.

    `validator` is "" if unknown. `total` is in bytes, or None if unknown.
    """

    validator: str
    total: int | None


class _Part:
    """A partial download on disk."""

    def __init__(self, target: Path, url: str) -> None:
        self.url, self.validator = url, ""
        # hashed, because a URL may hold a secret signature
        self._key = hashlib.sha256(url.encode()).hexdigest()
        self.path = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.json")
        self.total: int | None = None
        try:
            note = load_json(self._note.read_text(encoding="utf-8"))
            if note["url"] == self._key and isinstance(note["total"], int | None):
                self.validator, self.total = _validator(note["validator"]), note["total"]
        except (OSError, ValueError, TypeError, LookupError):
            pass  # missing or incomplete, so the download restarts
        if not self.validator:
            self.discard()

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def restart(self, content: _Content) -> None:
        """Discard the partial file, and record the validator and size of the new content."""
        self.discard()
        self.validator, self.total = content.validator, content.total
        note = {"url": self._key, "validator": self.validator, "total": self.total}
        self._note.write_text(json.dumps(note), encoding="utf-8")

    def is_continued_by(self, response: HTTPResponse) -> bool:
        """Return whether a response continues the partial file.

        The check is needed because servers may ignore If-Range.
        """
        header = response.headers.get("Content-Range", "")
        match = re.fullmatch("bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})", header)
        if response.status != 206 or match is None:
            return False
        first, last, total = map(int, match.groups())
        if (first, last) != (self.size, total - 1) or self.total not in (None, total):
            return False
        self.total = total
        return _response_validator(response) in ("", self.validator)

    def discard(self) -> None:
        self._note.unlink(missing_ok=True)  # first, because a part without a note is not resumed
        self.path.unlink(missing_ok=True)
        self.validator, self.total = "", None

    def finish(self, target: Path) -> None:
        self.path.touch()  # for an empty file
        self.path.replace(target)
        self._note.unlink(missing_ok=True)


def _receive(part: _Part, limit: int, timeout: float, on_progress: OnProgress) -> str:
    """Request and append the missing bytes.

    Returns an error message if bytes are still missing, otherwise "".

    Raises:
        DownloadError: a retry would fail, too.
    """
    size = part.size
    if size and size == part.total:
        return ""
    headers = {"Range": f"bytes={size}-", "If-Range": part.validator} if size else {}
    with _open(part.url, headers, timeout) as response:
        if size and response.status in (206, 416):
            if not part.is_continued_by(response):
                part.discard()
                return "the server sent another range than requested"
        elif response.status == 200:
            part.restart(_content(response))
        else:
            raise DownloadError(
                f"cannot download {redact(part.url)}: the server responds {response.status}"
            )
        if (part.total or 0) > limit:
            sizes = f"{part.total:,} bytes, at most {limit:,} are expected"
            part.discard()
            raise DownloadError(f"{redact(part.url)} is too large: {sizes}")
        problem = _append(response, part, limit, on_progress)
    if part.size > limit:
        part.discard()
        raise DownloadError(f"{redact(part.url)} is too large: over {limit:,} bytes were sent")
    return problem


def _append(response: HTTPResponse, part: _Part, limit: int, on_progress: OnProgress) -> str:
    """Append the response body to the partial file.

    Returns an error message if the body is incomplete, otherwise "".
    """
    size = part.size
    most = limit + 1 if part.total is None else part.total
    problem = ""
    with part.path.open("ab") as file:
        while size < most:
            try:
                chunk = response.read1(min(_CHUNK, most - size))
            except (OSError, HTTPException) as error:
                problem = _describe(error)
                break
            if not chunk:
                break
            file.write(chunk)
            file.flush()  # so that the data survives if the process is killed
            size += len(chunk)
            on_progress(STAGE, size, part.total or limit)
    if part.total is not None and size < part.total:
        problem = problem or "the connection was closed"
    outlook = "the next run resumes" if part.validator else "the next run restarts"
    return problem and f"it broke off after {size / 1e6:.1f} MB ({problem}); {outlook} it"


@contextmanager
def _open(url: str, headers: Mapping[str, str], timeout: float) -> Iterator[HTTPResponse]:
    """Open a URL and yield the response with any status. Redirects are followed.

    The redirect handler of urllib is not used, because it reads the bodies of redirects to the end
    and follows them from https to http.
    """
    fixed = {"User-Agent": "imgsearch", "Accept-Encoding": "identity"}
    location = url
    for _ in range(_REDIRECTS + 1):
        request = Request(_quote(location), headers={**fixed, **headers})  # noqa: S310 - checked
        try:
            response = _opener(location).open(request, timeout=timeout)
        except (OSError, HTTPException, ValueError) as error:
            raise DownloadError(f"{redact(url)} cannot be reached: {_describe(error)}") from error
        with response:
            if response.status not in _MOVED:
                yield response
                return
            location = _redirect(url, location, response.headers.get("Location", ""))
    raise DownloadError(f"{redact(url)} redirects more than {_REDIRECTS} times")


def _opener(url: str) -> OpenerDirector:
    """Return an opener for the scheme of a URL. Certificates are loaded for https only."""
    opener = OpenerDirector()
    opener.add_handler(ProxyHandler())
    if urlsplit(url).scheme == "https":
        opener.add_handler(HTTPSHandler(context=ssl.create_default_context()))
    else:
        opener.add_handler(HTTPHandler())
    return opener


def _redirect(url: str, current: str, header: str) -> str:
    """Return the target URL of a redirect from the URL `current`."""
    try:
        raw = header.encode("latin-1")  # http.client decodes headers with this encoding
        target = urljoin(current, quote(raw, safe=string.punctuation))
        _check(target)
    except ValueError as error:  # includes ConfigError
        raise DownloadError(f"{redact(url)} redirects to an invalid http or https URL") from error
    if urlsplit(current).scheme == "https" != urlsplit(target).scheme:
        raise DownloadError(f"{redact(url)} redirects from https to http, which is not secure")
    return target


def _check(url: str) -> None:
    """Check that a URL can be downloaded.

    Raises:
        ConfigError: `url` is not an http or https URL, or contains a user or password, which logs
            and files would reveal.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(letter.isspace() or not letter.isprintable() for letter in url):
        raise ConfigError("cannot download: give an http:// or https:// URL")
    if "@" in parts.netloc:
        raise ConfigError(f"cannot download {redact(url)}: remove user and password from the URL")


def _quote(url: str) -> str:
    return quote(url.partition("#")[0], safe=string.punctuation)


def _content(response: HTTPResponse) -> _Content:
    """Return the validator and size from the headers of a complete response."""
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise DownloadError(f"the server compresses its response ({encoding[:20]!r}) unrequested")
    total = None
    length = response.headers.get("Content-Length", "")
    if re.fullmatch("[0-9]{1,15}", length) and not response.headers.get("Transfer-Encoding"):
        total = int(length)
    return _Content(_response_validator(response), total)


def _response_validator(response: HTTPResponse) -> str:
    """Return the strong ETag of a response, or else its date. Returns "" if it has neither."""
    tag = response.headers.get("ETag", "")
    if tag.startswith("W/"):  # a weak tag does not guarantee the same bytes
        tag = ""
    return _validator(tag or response.headers.get("Last-Modified", ""))


def _validator(value: Any) -> str:
    """Return an ETag or a date unchanged if it is valid in a header, otherwise ""."""
    return value if isinstance(value, str) and re.fullmatch("[ -~]{1,200}", value) else ""


def _describe(error: Exception) -> str:
    """Return a short description of a network error."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no response in time"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
