"""A file from a web server, whole or not at all; what was interrupted goes on.

Beside the target lie ``.NAME.part``, the bytes that came, and ``.NAME.json``, what they are bytes
of. They are gone on from only where the server has named the content, by an ETag or a date: it is
asked for the rest *if* the content is still that one (RFC 9110, sections 13.1.5 and 14).
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

from imgsearch import safe_json
from imgsearch.datasets.manifest import OnProgress, untold
from imgsearch.errors import ConfigError, DownloadError

STAGE: Final = "downloading"
_ATTEMPTS: Final = 5  # in a row, each of which brought something
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
    on_progress: OnProgress = untold,
) -> None:
    """Bring what `url` names to `target`, at most `limit` bytes; nothing is done if it is there.

    A connection that broke off is made anew as long as each brings something, four times.
    Redirects are followed, five of them, and never from https to http.

    Raises:
        ConfigError: it is no http or https URL, or holds a password.
        DownloadError: no answer within `timeout` seconds, a certificate that is not trusted,
            another status than success, more than `limit` bytes, or too many interruptions.
        OSError: the folder cannot be written.
    """
    _check(url)
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target, url)
    for left in reversed(range(_ATTEMPTS)):
        had = part.size
        why = _receive(part, limit, timeout, on_progress)
        if not why:
            part.finish(target)
            return
        goes_on = part.size != had and (part.validator or not part.size)
        if not (left and goes_on):
            raise DownloadError(f"{shown(url)}: {why}")


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: a user, a password, a query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@dataclass(frozen=True, slots=True)
class _Content:
    """What a server said of the content: a validator ("" for none), its bytes (None: unknown)."""

    validator: str
    total: int | None


class _Part:
    """The bytes that came so far."""

    def __init__(self, target: Path, url: str) -> None:
        self.url, self.validator = url, ""
        self._key = hashlib.sha256(url.encode()).hexdigest()  # a URL may hold a signature
        self.path = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.json")
        self.total: int | None = None
        try:
            note = safe_json.loads(self._note.read_text(encoding="utf-8"))
            if note["url"] == self._key and isinstance(note["total"], int | None):
                self.validator, self.total = _validator(note["validator"]), note["total"]
        except (OSError, ValueError, TypeError, LookupError):
            pass  # none, or not written to the end: the download begins anew
        if not self.validator:
            self.discard()

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def begin(self, content: _Content) -> None:
        """Forget what there is, and note what is to come."""
        self.discard()
        self.validator, self.total = content.validator, content.total
        told = {"url": self._key, "validator": self.validator, "total": self.total}
        self._note.write_text(json.dumps(told), encoding="utf-8")

    def continues(self, answer: HTTPResponse) -> bool:
        """Tell whether an answer is the rest: a server may know Range, but not If-Range."""
        told = answer.headers.get("Content-Range", "")
        match = re.fullmatch("bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})", told)
        if answer.status != 206 or match is None:
            return False
        first, last, total = map(int, match.groups())
        if (first, last) != (self.size, total - 1) or self.total not in (None, total):
            return False
        self.total = total
        return _named(answer) in ("", self.validator)

    def discard(self) -> None:
        self._note.unlink(missing_ok=True)  # first: a part without a note is never gone on from
        self.path.unlink(missing_ok=True)
        self.validator, self.total = "", None

    def finish(self, target: Path) -> None:
        self.path.touch()  # an empty content
        self.path.replace(target)
        self._note.unlink(missing_ok=True)


def _receive(part: _Part, limit: int, timeout: float, on_progress: OnProgress) -> str:
    """Ask for what is missing and append it; return why it is not all there, "" if it is.

    Raises:
        DownloadError: there is no use in asking again.
    """
    size = part.size
    if size and size == part.total:
        return ""
    wanted = {"Range": f"bytes={size}-", "If-Range": part.validator} if size else {}
    with _answer(part.url, wanted, timeout) as answer:
        if size and answer.status in (206, 416):
            if not part.continues(answer):
                part.discard()
                return "the server gave another part than it was asked for"
        elif answer.status == 200:
            part.begin(_content(answer))
        else:
            raise DownloadError(f"{shown(part.url)}: the server answers {answer.status}")
        if (part.total or 0) > limit:
            told = f"{part.total:,} bytes, at most {limit:,} are expected"
            part.discard()
            raise DownloadError(f"{shown(part.url)}: too large: {told}")
        why = _append(answer, part, limit, on_progress)
    if part.size > limit:
        part.discard()
        raise DownloadError(f"{shown(part.url)}: too large: over {limit:,} bytes were sent")
    return why


def _append(answer: HTTPResponse, part: _Part, limit: int, on_progress: OnProgress) -> str:
    """Write what comes; return why it ended too early, "" if it did not."""
    size = part.size
    most = limit + 1 if part.total is None else part.total
    why = ""
    with part.path.open("ab") as file:
        while size < most:
            try:
                chunk = answer.read1(min(_CHUNK, most - size))
            except (OSError, HTTPException) as error:
                why = _told(error)
                break
            if not chunk:
                break
            file.write(chunk)
            file.flush()  # what came outlives a kill
            size += len(chunk)
            on_progress(STAGE, size, part.total or limit)
    if part.total is not None and size < part.total:
        why = why or "the connection was closed"
    kept = "the next try goes on from there" if part.validator else "the next try begins anew"
    return why and f"broke off after {size / 1e6:.1f} MB ({why}); {kept}"


@contextmanager
def _answer(url: str, headers: Mapping[str, str], timeout: float) -> Iterator[HTTPResponse]:
    """Yield the server's answer, whatever its status, but for redirects, which are followed.

    urllib's own handler reads a redirect's body to its end, and goes from https to http.
    """
    opener = OpenerDirector()
    trusted = ssl.create_default_context()
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler(context=trusted)):
        opener.add_handler(handler)
    fixed = {"User-Agent": "imgsearch", "Accept-Encoding": "identity"}
    place = url
    for _ in range(_REDIRECTS + 1):
        request = Request(_quoted(place), headers={**fixed, **headers})  # noqa: S310 - checked
        try:
            answer = opener.open(request, timeout=timeout)
        except (OSError, HTTPException, ValueError) as error:
            raise DownloadError(f"{shown(url)} cannot be reached: {_told(error)}") from error
        with answer:
            if answer.status not in _MOVED:
                yield answer
                return
            place = _next(url, place, answer.headers.get("Location", ""))
    raise DownloadError(f"{shown(url)} redirects more than {_REDIRECTS} times")


def _next(url: str, place: str, location: str) -> str:
    """Return where a redirect from `place` leads."""
    try:
        raw = location.encode("latin-1")  # as http.client decodes a header's bytes
        following = urljoin(place, quote(raw, safe=string.punctuation))
        _check(following)
    except ValueError as error:  # ConfigError is one
        raise DownloadError(f"{shown(url)} redirects to what is no http or https URL") from error
    if urlsplit(place).scheme == "https" != urlsplit(following).scheme:
        raise DownloadError(f"{shown(url)} redirects from https to http, which nobody protects")
    return following


def _check(url: str) -> None:
    """Refuse what is no URL of a web server.

    Raises:
        ConfigError: it is none, or holds a user or a password, which would be printed and kept.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(letter.isspace() or not letter.isprintable() for letter in url):
        raise ConfigError("what to download from has to be an http:// or https:// URL")
    if "@" in parts.netloc:
        raise ConfigError(f"{shown(url)} is given with a user or password, which is not supported")


def _quoted(url: str) -> str:
    return quote(url.partition("#")[0], safe=string.punctuation)


def _content(answer: HTTPResponse) -> _Content:
    """Return what the answer's headers say of a whole content."""
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise DownloadError(f"the server packs its answer ({encoding[:20]!r}), unasked")
    total = None
    told = answer.headers.get("Content-Length", "")
    if re.fullmatch("[0-9]{1,15}", told) and not answer.headers.get("Transfer-Encoding"):
        total = int(told)
    return _Content(_named(answer), total)


def _named(answer: HTTPResponse) -> str:
    """Return what names the content of an answer, "" if nothing does."""
    tag = answer.headers.get("ETag", "")
    if tag.startswith("W/"):  # a weak one does not promise the same bytes
        tag = ""
    return _validator(tag or answer.headers.get("Last-Modified", ""))


def _validator(told: Any) -> str:
    """Return an ETag or a date that can stand in a header, "" for anything else."""
    return told if isinstance(told, str) and re.fullmatch("[ -~]{1,200}", told) else ""


def _told(error: Exception) -> str:
    """Return a network error in a few words."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
