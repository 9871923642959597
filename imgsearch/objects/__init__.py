"""Where originals lie: `connect(url)` opens a local folder or a bucket of an S3 service."""

from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imgsearch.errors import ConfigError, MissingExtra
from imgsearch.objects.base import EDGES, ObjectStore
from imgsearch.objects.thumbnails import MEDIA_TYPE, thumbnail


def connect(
    url: str, *, key: str | None = None, secret: str | None = None, timeout: float = 10.0
) -> ObjectStore:
    """Open the store of originals that `url` names.

    ``originals`` or ``file:///abs/originals``: a local folder, made where it is not there (its
    parents are not: that would be a typing error). ``s3://bucket/prefix?endpoint=http://host:9000``:
    a bucket of an S3 service, with its `key` and `secret`; without an endpoint Amazon's own.
    ``region=NAME`` may follow (us-east-1), ``public=https://HOST`` if links are to name the service
    by another address, and ``create=1`` to have the bucket made, private, where it is not there.
    `timeout` is in seconds, a wait for that service.

    Raises:
        ConfigError: the URL is none of these, or holds a secret, or `key` or `secret` is missing.
        MissingExtra: boto3 is not installed.
        ObjectStoreError: the store cannot be used; the message tells why.
    """
    scheme, mark, _ = url.partition("://")
    if not mark:
        from imgsearch.objects.folder import FolderStore

        return FolderStore(_path(url))
    if scheme == "file":
        from imgsearch.objects.folder import FolderStore

        parts = urlsplit(url)
        if parts.netloc or parts.query or parts.fragment or not parts.path.startswith("/"):
            raise ConfigError(f"{url!r}: a folder's URL is file:///ABSOLUTE/PATH")
        return FolderStore(_path(unquote(parts.path)))
    if scheme == "s3":
        return _bucket(url, key=key, secret=secret, timeout=timeout)
    raise ConfigError(f"unknown store of originals {scheme!r}://; known: a folder, file, s3")


def _bucket(url: str, *, key: str | None, secret: str | None, timeout: float) -> ObjectStore:
    from imgsearch.objects.s3_url import S3Url

    place = S3Url.parse(url)
    if not key or not secret:
        raise ConfigError(f"{place} needs an access key and its secret")
    try:
        import_module("boto3")
    except ModuleNotFoundError as error:
        if error.name != "boto3":
            raise
        raise MissingExtra(f"{place} needs boto3", extra="s3", name="boto3") from error
    from imgsearch.objects.s3 import S3Store

    return S3Store(place, key=key, secret=secret, timeout=timeout)


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ConfigError(f"{text[:80]!r} is no folder for originals")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{text[:80]!r}: {error}") from error


__all__ = ["EDGES", "MEDIA_TYPE", "ObjectStore", "connect", "thumbnail"]
