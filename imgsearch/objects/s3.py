"""An object store in an S3 bucket: Amazon S3, MinIO, Swift or Ceph.

Keys are ``PREFIX/originals/HASH`` and ``PREFIX/thumbnails/HASH/EDGE``. Objects have no access
control list, so only the owner of the access key and the holder of a link can read them.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, BinaryIO, Final, cast
from urllib.parse import quote

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NotConnected
from botocore.handlers import add_expect_header
from botocore.parsers import ResponseParserError
from typing_extensions import override

from imgsearch.errors import ObjectNotFound, ObjectStoreError
from imgsearch.objects.base import CONTENT, PIECE, ObjectStore, other_hash
from imgsearch.objects.s3_file import S3File, incomplete, read_pieces
from imgsearch.s3_url import S3Url
from imgsearch.settings import connect_timeout

_ATTEMPTS: Final = 3  # all requests are idempotent; botocore waits up to 1 s, then up to 2 s
_ONE_THREAD: Final = TransferConfig(use_threads=False)
_CONNECTIONS: Final = 32  # parallel requests; further requests wait
_YOUNG: Final = 600.0  # seconds; `put` rewrites older originals to reset their age
_WRONG_KEY: Final = "the access key or its secret is wrong. Check both."
_DENIED: Final = "the access key or its secret is wrong, or lacks permissions. Check them."
_FULL: Final = "the store is full. Free space or raise its quota."
_REASONS: Final = {
    "InvalidAccessKeyId": _WRONG_KEY,
    "SignatureDoesNotMatch": _WRONG_KEY,
    "AuthorizationHeaderMalformed": "the access key, secret or region is wrong. Check them.",
    "403": _DENIED,  # HEAD responses have no other code
    "AccessDenied": _DENIED,
    "NoSuchBucket": "the bucket does not exist. Create it, or add create=1 to the URL.",
    "BucketAlreadyExists": "the bucket belongs to another account. Choose another name.",
    "RequestTimeTooSkewed": "the clocks of this machine and the service differ. Set them.",
    "500": "the service fails, or is not an S3 service",  # also botocore's code for an HTML page
    "QuotaExceeded": _FULL,
    "XMinioStorageFull": _FULL,
}


class S3Store(ObjectStore):
    """An object store below a prefix in a bucket.

    `timeout` limits connecting and each wait for data, in seconds. Requests are attempted up to
    three times. `page` is the number of keys in a listing request, 1 to 1,000.

    Raises:
        ObjectStoreError: the service does not respond, the key is wrong or lacks permissions, or
            the bucket does not exist.
    """

    def __init__(
        self, url: S3Url, *, key: str, secret: str, timeout: float = 10.0, page: int = 1000
    ) -> None:
        self.url = str(url)
        self._location = url
        self._page = page
        with self._errors("open"):
            session = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret)
            self._client = _client(session, url, url.endpoint, timeout)
            # signs links for the public address; sends no requests
            public = url.public and _client(session, url, url.public, timeout)
            self._signer = public or self._client
            self._open_bucket()

    @override
    def ping(self) -> None:
        with self._errors("open"):
            self._check_bucket()

    @override
    def close(self) -> None:
        self._client.close()
        self._signer.close()

    @override
    def _put(self, content: str, data: bytes, media_type: str) -> None:
        name = self._original(content)
        if self._is_young(name, len(data)):
            return
        with self._errors("write"):
            self._client.put_object(
                Bucket=self._location.bucket, Key=name, Body=data, ContentType=media_type
            )

    @override
    def _put_file(
        self, content: str, opener: Callable[[], BinaryIO], size: int, media_type: str
    ) -> None:
        name = self._original(content)
        if self._is_young(name, size):
            return
        with opener() as file:
            if hashlib.file_digest(cast("Any", file), "sha256").hexdigest() != content:
                raise other_hash(content)
            file.seek(0)
            with self._errors("write"):  # in parts, because one request takes at most 5 GB
                self._client.upload_fileobj(
                    file,
                    self._location.bucket,
                    name,
                    ExtraArgs={"ContentType": media_type},
                    Config=_ONE_THREAD,
                )

    def _is_young(self, name: str, size: int) -> bool:
        """Return whether an original is stored that need not be written to be new."""
        known = self._head(name)
        return bool(known and known["ContentLength"] == size and _age(known, known) < _YOUNG)

    @override
    def _open(self, content: str) -> BinaryIO:
        name = self._original(content)
        known = self._head(name)
        if known is None:
            raise ObjectNotFound(f"original {content} does not exist in {self.url}")

        def read(start: int, size: int) -> bytes:
            with self._errors("read", content):
                return b"".join(self._pieces(name, start, start + size))

        raw = S3File(read, known["ContentLength"])
        return cast("BinaryIO", io.BufferedReader(raw, PIECE))

    @override
    def _stream(self, content: str) -> Iterator[bytes]:
        with self._errors("read", content):
            yield from self._pieces(self._original(content))

    @override
    def _exists(self, content: str) -> bool:
        return self._head(self._original(content)) is not None

    @override
    def _delete(self, content: str) -> None:
        with self._errors("delete"):
            # one by one, because services require different checksums for bulk deletion
            for _, item in self._list(f"thumbnails/{content}/"):
                self._client.delete_object(Bucket=self._location.bucket, Key=item["Key"])
            self._client.delete_object(Bucket=self._location.bucket, Key=self._original(content))

    @override
    def contents(self) -> Iterator[tuple[str, float]]:
        with self._errors("list"):
            for response, item in self._list("originals/"):
                content = item["Key"].removeprefix(self._original(""))
                if CONTENT.fullmatch(content):
                    yield content, _age(response, item)

    @override
    def _link(self, content: str, seconds: int, name: str, media_type: str) -> str | None:
        headers = {"ResponseContentDisposition": _disposition(name or content)}
        if media_type:
            headers["ResponseContentType"] = media_type
        with self._errors("link"):
            link: str = self._signer.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._location.bucket, "Key": self._original(content), **headers
                },
                ExpiresIn=seconds,
            )  # fmt: skip
        return link

    @override
    def _put_thumbnail(self, content: str, edge: int, data: bytes) -> None:
        with self._errors("write"):
            self._client.put_object(
                Bucket=self._location.bucket, Key=self._thumb(content, edge), Body=data,
                ContentType="image/webp",
            )  # fmt: skip

    @override
    def _thumbnail(self, content: str, edge: int) -> bytes | None:
        try:
            with self._errors("read", content):
                return b"".join(self._pieces(self._thumb(content, edge)))
        except ObjectNotFound:
            return None

    def _open_bucket(self) -> None:
        """Check the bucket. Create a missing bucket if the URL has ``create=1``."""
        try:
            self._check_bucket()
        except ClientError as error:
            if _code(error) != "NoSuchBucket" or not self._location.create:
                raise
            self._create_bucket()

    def _check_bucket(self) -> None:
        # not HEAD, because its response does not contain the reason for a failure
        page = self._client.list_objects_v2(
            Bucket=self._location.bucket, Prefix=self._location.prefix, MaxKeys=1
        )
        if page.get("Name") != self._location.bucket:
            raise ResponseParserError

    def _create_bucket(self) -> None:
        location = {"CreateBucketConfiguration": {"LocationConstraint": self._location.region}}
        if self._location.region == "us-east-1":  # Amazon rejects its default region here
            location = {}
        try:
            self._client.create_bucket(Bucket=self._location.bucket, **location)
        except ClientError as error:
            if _code(error) != "BucketAlreadyOwnedByYou":  # another process created it first
                raise

    def _original(self, content: str) -> str:
        return f"{self._location.prefix}originals/{content}"

    def _thumb(self, content: str, edge: int) -> str:
        return f"{self._location.prefix}thumbnails/{content}/{edge}"

    def _head(self, name: str) -> dict[str, Any] | None:
        """Return the metadata of an object. Returns None if the key does not exist."""
        with self._errors("look up"):
            try:
                head: dict[str, Any] = self._client.head_object(
                    Bucket=self._location.bucket, Key=name
                )
            except ClientError as error:
                if _code(error) in {"404", "NoSuchKey", "NotFound"}:
                    return None
                raise
            if not {"ContentLength", "LastModified"} <= head.keys():
                raise incomplete()
        return head

    def _pieces(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield an object's bytes from `start` to before `stop`; see `read_pieces`."""
        get = partial(self._client.get_object, Bucket=self._location.bucket, Key=name)
        return read_pieces(get, start, stop, attempts=_ATTEMPTS)

    def _list(self, prefix: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield, for each key below `prefix`, the list response and the object's metadata."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._location.bucket,
            Prefix=self._location.prefix + prefix,
            PaginationConfig={"PageSize": self._page},
        )
        for page in pages:
            for item in page.get("Contents", ()):
                yield page, item

    @contextmanager
    def _errors(self, verb: str, content: str = "") -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = _code(error)
            if content and code in {"NoSuchKey", "404"}:
                raise ObjectNotFound(f"original {content} does not exist in {self.url}") from error
            reason = _REASONS.get(code, f"the service returned {code}")
            raise ObjectStoreError(f"cannot {verb} originals in {self.url}: {reason}") from error
        except (BotoCoreError, ResponseParserError) as error:
            reason = _reason(error)
            raise ObjectStoreError(f"cannot {verb} originals in {self.url}: {reason}") from error


def _client(session: Any, url: S3Url, endpoint: str, timeout: float) -> Any:
    config = Config(
        region_name=url.region,
        signature_version="s3v4",
        s3={"addressing_style": "path" if endpoint else "auto"},
        connect_timeout=connect_timeout(timeout),
        read_timeout=timeout,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        # since 1.36 botocore adds checksums by default, which older services reject
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = session.client("s3", endpoint_url=endpoint or None, config=config)
    # botocore 1.44.8 waits for "100 Continue" before it sends a body, and never returns if the
    # connection breaks within that response (`AWSConnection._consume_headers`)
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client


def _age(response: dict[str, Any], item: dict[str, Any]) -> float:
    """Return the age of an object in seconds, measured with the service's clock."""
    date = response["ResponseMetadata"]["HTTPHeaders"].get("date")
    now = parsedate_to_datetime(date) if date else datetime.now(UTC)
    return max(0.0, float((now - item["LastModified"]).total_seconds()))


def _disposition(name: str) -> str:
    """Return a Content-Disposition header for inline display and download as `name`.

    Source: RFC 6266.
    """
    kept = "".join(letter for letter in name if letter.isprintable() and letter not in '"\\/')
    plain = kept.encode("ascii", "replace").decode().replace("?", "_")
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(kept, safe='')}"


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "nothing"))


def _reason(error: Exception) -> str:
    if isinstance(error, ResponseParserError):
        return "the endpoint is not an S3 service. Check its address."
    if isinstance(error, SSLError):
        return "the service's certificate is not trusted"
    if isinstance(error, (EndpointConnectionError, ConnectTimeoutError, NotConnected)):
        return "the service cannot be reached. Check its address, and that it runs."
    return f"the connection failed ({type(error).__name__})"
