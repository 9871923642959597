"""Where originals lie: `connect(url)` opens a local folder or a bucket of an S3 service."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from imgsearch.errors import ConfigError
from imgsearch.objects.base import EDGES, ObjectStore
from imgsearch.objects.thumbnails import MEDIA_TYPE, thumbnail


def connect(
    url: str,
    *,
    key: str | None = None,  # noqa: ARG001  # S3's, which comes next
    secret: str | None = None,  # noqa: ARG001
    timeout: float = 10.0,  # noqa: ARG001
) -> ObjectStore:
    """Open the store of originals that `url` names.

    ``originals`` or ``file:///abs/originals``: a local folder, made where it is not there (its
    parents are not: that would be a typing error).

    Raises:
        ConfigError: the URL is none of these, or holds a secret.
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
    raise ConfigError(f"unknown store of originals {scheme!r}://; known: a folder, file, s3")


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ConfigError(f"{text[:80]!r} is no folder for originals")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{text[:80]!r}: {error}") from error


__all__ = ["EDGES", "MEDIA_TYPE", "ObjectStore", "connect", "thumbnail"]
