"""Objects in buckets: ``s3://bucket/key`` and ``gs://bucket/key``, read by pyarrow.

Keys of access come from the environment, as the programs of Amazon and Google take them, and are
never part of a URL. An endpoint that a URL names must have a public address, or be allowed.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, BinaryIO, Final, Self, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from imgsearch.errors import ConfigError, SourceError, UrlRefused
from imgsearch.images.files import printable
from imgsearch.s3_url import S3Url

_CONNECT: Final = 10.0  # seconds
_WAIT: Final = 60.0  # seconds for a response
_PIECE: Final = 8 * 2**20  # bytes of a request while an object is read in order
_OPTIONS: Final = ("endpoint", "region", "anonymous")
_ENCODED: Final = re.compile(r"[%?#\x00-\x1f\x7f-\xa0]|[^\x21-\U0010ffff ]")


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """The parts of the URL of an object, or of a prefix of objects.

    `key` is decoded; in the URL, ``%``, ``?`` and ``#`` are percent-encoded. `endpoint` is the
    service's address, "" for the one of the environment. With `anonymous`, no keys are used.

    >>> BucketUrl.parse("s3://bucket/größe/100%25.jpg").key
    'größe/100%.jpg'
    """

    scheme: str
    bucket: str
    key: str = ""
    endpoint: str = ""
    region: str = ""
    anonymous: bool = False

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse a URL.

        Raises:
            ConfigError: it has another form, or contains a secret.
        """
        scheme, _, rest = url.partition("://")
        place, _, query = rest.partition("?")
        bucket, _, key = place.partition("/")
        options = dict(parse_qsl(query, keep_blank_values=True))
        anonymous = options.pop("anonymous", "0")
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise ConfigError(
                f"option {unknown[0][:40]!r} of the bucket's URL is unknown. Use "
                f"{', '.join(_OPTIONS)}. Keys are read from the environment."
            )
        # checks the bucket and options, without the URL in messages
        checked = S3Url.parse(f"s3://{bucket}?{urlencode(options)}")
        key = unquote(key, errors="surrogateescape")
        if "\0" in key or printable(key) != key or "#" in place or anonymous not in ("0", "1"):
            raise ConfigError(
                "the URL of the bucket is invalid. Use s3://BUCKET/KEY, with # as %23 and ? as "
                "%3F, and anonymous=0 or 1."
            )
        return cls(
            scheme.lower(), bucket, key, checked.endpoint, options.get("region", ""),
            anonymous == "1",
        )  # fmt: skip

    @property
    def place(self) -> str:
        """The bucket and the key, as pyarrow takes them."""
        return f"{self.bucket}/{self.key}"

    def at(self, key: str) -> "BucketUrl":
        """Return the URL of another object in the bucket."""
        return replace(self, key=key)

    def __str__(self) -> str:
        options = {"endpoint": self.endpoint, "region": self.region}
        options["anonymous"] = "1" * self.anonymous
        query = urlencode({name: value for name, value in options.items() if value}, safe=":/")
        key = _ENCODED.sub(lambda match: quote(match[0]), self.key)
        return f"{self.scheme}://{self.bucket}/{key}{'?' * bool(query)}{query}"


@dataclass(frozen=True, slots=True)
class Entry:
    """An object or a folder, with its key."""

    key: str
    is_folder: bool


class Bucket:
    """Reads objects. `hosts` are allowed as endpoints besides public ones.

    Raises:
        UrlRefused: the endpoint of `url` is not public, and not allowed.
        ConfigError: an item of `hosts` is not a host, address or network.
    """

    def __init__(self, url: BucketUrl, *, hosts: Sequence[str] = ()) -> None:
        self.url = url
        if url.endpoint:
            _check_endpoint(url.endpoint, tuple(hosts))
        self._system = file_system(url.scheme, url.endpoint, url.region, anonymous=url.anonymous)

    def kind(self, key: str) -> str:
        """Return "file", "folder", or "" if there is neither an object nor a prefix.

        Raises:
            SourceError: the service failed.
        """
        from pyarrow import fs

        with self._errors(key):
            kind = self._system.get_file_info(f"{self.url.bucket}/{key}".rstrip("/")).type
        return {fs.FileType.File: "file", fs.FileType.Directory: "folder"}.get(kind, "")

    def entries(self, folder: str) -> list[Entry]:
        """Return the objects and folders in a folder, by name.

        Raises:
            SourceError: the service failed.
        """
        from pyarrow import fs

        selector = fs.FileSelector(f"{self.url.bucket}/{folder}".rstrip("/"), allow_not_found=True)
        with self._errors(folder):
            infos = self._system.get_file_info(selector)
        start = len(self.url.bucket) + 1
        entries = (
            Entry(info.path[start:].rstrip("/"), info.type == fs.FileType.Directory)
            for info in infos
        )
        return sorted(entries, key=lambda entry: entry.key)

    def read(self, key: str, *, max_bytes: int) -> bytes:
        """Return the content of an object.

        Raises:
            SourceError: it does not exist, cannot be read, or has more than `max_bytes`.
        """
        with self._errors(key), self._system.open_input_file(self._path(key)) as file:
            size = file.size()
            if size > max_bytes:
                name = printable(str(self.url.at(key)))
                raise SourceError(
                    f"{name}: too large: {size:,} bytes, at most {max_bytes:,} are read", path=name
                )
            data: bytes = file.read()
        return data

    @contextmanager
    def stream(self, key: str) -> Iterator[BinaryIO]:
        """Open an object for reading from its start.

        Raises:
            SourceError: it does not exist, or cannot be read; also while it is read.
        """
        with (
            self._errors(key),
            self._system.open_input_stream(self._path(key), buffer_size=_PIECE) as file,
        ):
            yield cast(BinaryIO, file)

    def _path(self, key: str) -> str:
        return f"{self.url.bucket}/{key}"

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        import pyarrow as pa

        name = printable(str(self.url.at(key)))
        try:
            yield
        except FileNotFoundError as error:
            raise SourceError(f"{name}: no such object or bucket", path=name) from error
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, SourceError):
                raise
            reason = printable(str(error)).partition("\n")[0][:300]
            raise SourceError(f"{name}: cannot be read: {reason}", path=name) from error


def read_object(path: str, hosts: Sequence[str], *, max_bytes: int) -> bytes:
    """Return the content of the object at a URL.

    Raises:
        SourceError: it cannot be read, or has more than `max_bytes`; or the endpoint is refused.
    """
    try:
        url = BucketUrl.parse(path)
    except ConfigError as error:
        raise SourceError(str(error)) from error
    return Bucket(url, hosts=hosts).read(url.key, max_bytes=max_bytes)


@lru_cache(maxsize=256)
def _check_endpoint(endpoint: str, hosts: tuple[str, ...]) -> None:
    from imgsearch.images.urls import Guard
    from imgsearch.images.urls.addresses import resolve

    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    if not Guard.parse(hosts).allowed(host, resolve(host, parts.port or 443)):
        raise UrlRefused(
            f"the endpoint {host[:100]} has no public address. Allow it: url_hosts, or --url-host "
            "on the command line",
            path=endpoint,
        )


@lru_cache(maxsize=16)
def file_system(
    scheme: str, endpoint: str, region: str = "", *, anonymous: bool = False, token: str = ""
) -> Any:
    """Return a file system of pyarrow, which keeps its connections.

    `token` is ``KEY:SECRET`` of S3; without it, the usual variables and files of Amazon and Google
    are read. "" is the usual endpoint, and region.
    """
    from pyarrow import fs

    protocol, _, host = endpoint.partition("://")
    options: dict[str, Any] = {"scheme": protocol, "endpoint_override": host} if host else {}
    if scheme == "gs":
        return fs.GcsFileSystem(anonymous=anonymous, **options)
    if region:
        options["region"] = region
    if token:
        key, _, secret = token.partition(":")
        options |= {"access_key": key, "secret_key": secret}
    return fs.S3FileSystem(
        anonymous=anonymous, connect_timeout=_CONNECT, request_timeout=_WAIT, **options
    )
