"""Originals in a bucket of an S3 service: Amazon's, MinIO, Swift, Ceph.

``PREFIX/originals/HASH`` and ``PREFIX/thumbnails/HASH/EDGE``. Nothing is given an access list, so
only the key's owner reads it, or who has a link.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NotConnected
from botocore.parsers import ResponseParserError
from typing_extensions import override

from imgsearch.errors import ObjectNotFound, ObjectStoreError
from imgsearch.objects.base import CONTENT, ObjectStore
from imgsearch.objects.s3_url import S3Url

_PIECE: Final = 1 << 20  # bytes
_ATTEMPTS: Final = (
    3  # botocore waits up to 1 and 2 s in between; every request here may be repeated
)
_CONNECTIONS: Final = 32  # as many readers at a time; more wait
_YOUNG: Final = 600.0  # seconds; a put takes an older one's place, so that it is young again
_WRONG_KEY: Final = "the access key or its secret is wrong"
_WORDS: Final = {
    "InvalidAccessKeyId": _WRONG_KEY,
    "SignatureDoesNotMatch": _WRONG_KEY,
    "AuthorizationHeaderMalformed": f"{_WRONG_KEY}, or the region is",
    "403": f"{_WRONG_KEY}, or allows too little",  # answers to HEAD have no other word
    "AccessDenied": f"{_WRONG_KEY}, or allows too little",
    "NoSuchBucket": "there is no such bucket; make it, or add create=1 to the URL",
    "BucketAlreadyExists": "the bucket is somebody else's",
    "RequestTimeTooSkewed": "this machine's clock and the service's differ",
    "500": "it fails, or is no S3 service",  # botocore's word for a web page, too
    "QuotaExceeded": "it is full",
    "XMinioStorageFull": "it is full",
}


class S3Store(ObjectStore):
    """Originals below a bucket's prefix.

    `timeout` is in seconds, for connecting and for each wait for bytes; a request is tried three
    times. `page` is how many keys a listing asks for at a time, 1 to 1,000.

    Raises:
        ObjectStoreError: nothing answers there, the key is wrong or allows too little, or there is
            no such bucket.
    """

    def __init__(
        self, url: S3Url, *, key: str, secret: str, timeout: float = 10.0, page: int = 1000
    ) -> None:
        self.url = str(url)
        self._place = url
        self._page = page
        with self._errors("open"):
            session = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret)
            self._client = _client(session, url, url.endpoint, timeout)
            # signs for the address that browsers use; it is asked nothing
            public = url.public and _client(session, url, url.public, timeout)
            self._signer = public or self._client
            self._open()

    @override
    def ping(self) -> None:
        with self._errors("open"):
            self._look()

    @override
    def close(self) -> None:
        self._client.close()
        self._signer.close()

    @override
    def _put(self, content: str, data: bytes, media_type: str) -> None:
        name = self._original(content)
        told = self._told(name)
        if told and told["ContentLength"] == len(data) and _age(told, told) < _YOUNG:
            return
        with self._errors("write"):
            self._client.put_object(
                Bucket=self._place.bucket, Key=name, Body=data, ContentType=media_type
            )

    @override
    def _stream(self, content: str) -> Iterator[bytes]:
        with self._errors("read", content):
            body = self._got(self._original(content))
            with closing(body):
                yield from body.iter_chunks(_PIECE)

    @override
    def _exists(self, content: str) -> bool:
        return self._told(self._original(content)) is not None

    @override
    def _delete(self, content: str) -> None:
        with self._errors("delete"):
            # one by one: deleting several at once wants a checksum that services disagree on
            for _, each in self._listed(f"thumbnails/{content}/"):
                self._client.delete_object(Bucket=self._place.bucket, Key=each["Key"])
            self._client.delete_object(Bucket=self._place.bucket, Key=self._original(content))

    @override
    def contents(self) -> Iterator[tuple[str, float]]:
        with self._errors("list"):
            for answer, each in self._listed("originals/"):
                content = each["Key"].removeprefix(self._original(""))
                if CONTENT.fullmatch(content):
                    yield content, _age(answer, each)

    @override
    def _link(self, content: str, seconds: int, name: str, media_type: str) -> str | None:
        wanted = {"ResponseContentDisposition": _disposition(name or content)}
        if media_type:
            wanted["ResponseContentType"] = media_type
        with self._errors("link"):
            link: str = self._signer.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._place.bucket, "Key": self._original(content), **wanted
                },
                ExpiresIn=seconds,
            )  # fmt: skip
        return link

    @override
    def _put_thumbnail(self, content: str, edge: int, data: bytes) -> None:
        with self._errors("write"):
            self._client.put_object(
                Bucket=self._place.bucket, Key=self._thumb(content, edge), Body=data,
                ContentType="image/webp",
            )  # fmt: skip

    @override
    def _thumbnail(self, content: str, edge: int) -> bytes | None:
        try:
            with (
                self._errors("read", content),
                closing(self._got(self._thumb(content, edge))) as body,
            ):
                data: bytes = body.read()
                return data
        except ObjectNotFound:
            return None

    def _open(self) -> None:
        """Look into the bucket, and make it where asked."""
        try:
            self._look()
        except ClientError as error:
            if _code(error) != "NoSuchBucket" or not self._place.create:
                raise
            self._make()

    def _look(self) -> None:
        # not HEAD, whose answer would not tell what is wrong
        told = self._client.list_objects_v2(
            Bucket=self._place.bucket, Prefix=self._place.prefix, MaxKeys=1
        )
        if told.get("Name") != self._place.bucket:
            raise ResponseParserError

    def _make(self) -> None:
        elsewhere = self._place.region != "us-east-1"  # which Amazon takes by no name but silence
        where = {"CreateBucketConfiguration": {"LocationConstraint": self._place.region}}
        try:
            self._client.create_bucket(Bucket=self._place.bucket, **(where if elsewhere else {}))
        except ClientError as error:
            if _code(error) != "BucketAlreadyOwnedByYou":  # another was faster
                raise

    def _original(self, content: str) -> str:
        return f"{self._place.prefix}originals/{content}"

    def _thumb(self, content: str, edge: int) -> str:
        return f"{self._place.prefix}thumbnails/{content}/{edge}"

    def _told(self, name: str) -> dict[str, Any] | None:
        """Return what the service tells about a key, None where there is none."""
        with self._errors("look for"):
            try:
                told: dict[str, Any] = self._client.head_object(Bucket=self._place.bucket, Key=name)
            except ClientError as error:
                if _code(error) in {"404", "NoSuchKey", "NotFound"}:
                    return None
                raise
        return told

    def _got(self, name: str) -> Any:
        return self._client.get_object(Bucket=self._place.bucket, Key=name)["Body"]

    def _listed(self, below: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield each key below the prefix, with the answer that it came in."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._place.bucket,
            Prefix=self._place.prefix + below,
            PaginationConfig={"PageSize": self._page},
        )
        for answer in pages:
            for each in answer.get("Contents", ()):
                yield answer, each

    @contextmanager
    def _errors(self, verb: str, content: str = "") -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = _code(error)
            if content and code in {"NoSuchKey", "404"}:
                raise ObjectNotFound(f"no original of content {content} in {self.url}") from error
            why = _WORDS.get(code, f"the service says {code}")
            raise ObjectStoreError(f"cannot {verb} originals in {self.url}: {why}") from error
        except (BotoCoreError, ResponseParserError) as error:
            why = _trouble(error)
            raise ObjectStoreError(f"cannot {verb} originals in {self.url}: {why}") from error


def _client(session: Any, url: S3Url, endpoint: str, timeout: float) -> Any:
    config = Config(
        region_name=url.region,
        signature_version="s3v4",
        s3={"addressing_style": "path" if endpoint else "auto"},
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        # the checksums that botocore 1.36 on adds unasked are refused by older services
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.client("s3", endpoint_url=endpoint or None, config=config)


def _age(answer: dict[str, Any], told: dict[str, Any]) -> float:
    """Return how many seconds ago something was written, by the service's own clock."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    now = parsedate_to_datetime(date) if date else datetime.now(UTC)
    return max(0.0, float((now - told["LastModified"]).total_seconds()))


def _disposition(name: str) -> str:
    """Return a header by which a file is shown, and saved as `name`. Source: RFC 6266."""
    kept = "".join(each for each in name if each.isprintable() and each not in '"\\/')
    plain = kept.encode("ascii", "replace").decode().replace("?", "_")
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(kept, safe='')}"


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "nothing"))


def _trouble(error: Exception) -> str:
    if isinstance(error, ResponseParserError):
        return "what answers there is no S3 service"
    if isinstance(error, SSLError):
        return "its certificate is not trusted"
    if isinstance(error, (EndpointConnectionError, ConnectTimeoutError, NotConnected)):
        return "it cannot be reached"
    return f"the connection failed ({type(error).__name__})"
