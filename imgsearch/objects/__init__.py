"""Object stores for originals. `connect(url)` opens a local folder or an S3 bucket."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imgsearch.errors import ConfigError, MissingExtra
from imgsearch.objects.base import EDGES, ObjectStore
from imgsearch.objects.thumbnails import MEDIA_TYPE, thumbnail


def connect(
    url: str,
    *,
    key: str | None = None,
    secret: str | None = None,
    timeout: float = 10.0,
    create: bool = True,
) -> ObjectStore:
    """Open the object store at `url`.

    ``originals`` or ``file:///abs/originals`` is a local folder. A missing folder is created, but
    not its parents. ``s3://bucket/prefix?endpoint=http://host:9000`` is an S3 bucket, opened with
    an access `key` and its `secret`; the default endpoint is Amazon's. ``region=NAME`` sets the
    region (default us-east-1), ``public=https://HOST`` sets another address for links, and
    ``create=1`` creates a missing bucket, which is private. `timeout` limits each wait for the
    service, in seconds. Without `create`, no folder or bucket is created, and a missing one is an
    error.

    Raises:
        ConfigError: the URL has another form or contains a secret, or `key` or `secret` is missing.
        MissingExtra: boto3 is not installed.
        ObjectStoreError: the store cannot be opened. The message contains the reason.
    """
    if (folder := _folder(url)) is None:
        return _bucket(url, key=key, secret=secret, timeout=timeout, create=create)
    from imgsearch.objects.folder import FolderStore

    return FolderStore(folder, create=create)


def is_there(url: str) -> bool:
    """Return whether the folder at `url` has originals. An S3 bucket is taken to exist.

    Raises:
        ConfigError: the URL has another form.
    """
    folder = _folder(url)
    return folder is None or (folder / "originals").is_dir()


def _folder(url: str) -> Path | None:
    """Return the folder at `url`, or None if it is an S3 bucket."""
    scheme, mark, _ = url.partition("://")
    if not mark:
        return _path(url)
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc or parts.query or parts.fragment or not parts.path.startswith("/"):
            raise ConfigError(f"folder URL {url!r} is invalid. Use file:///ABSOLUTE/PATH.")
        return _path(unquote(parts.path))
    if scheme == "s3":
        return None
    raise ConfigError(
        f"store of originals {scheme!r}:// is unknown. Use a folder, file:// or s3://."
    )


def _bucket(
    url: str, *, key: str | None, secret: str | None, timeout: float, create: bool
) -> ObjectStore:
    from imgsearch.s3_url import S3Url

    place = S3Url.parse(url)
    place = replace(place, create=place.create and create)
    if not key or not secret:
        raise ConfigError(
            f"{place} cannot be opened: the access key or its secret is missing. Set both."
        )
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
        raise ConfigError(f"folder of originals {text[:80]!r} is invalid. Pass a path.")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"folder of originals {text[:80]!r} is invalid: {error}") from error


__all__ = ["EDGES", "MEDIA_TYPE", "ObjectStore", "connect", "is_there", "thumbnail"]
