"""Uploaded videos: stored as originals until a job has added their frames."""

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, cast

from imgsearch.archive.archive import Archive
from imgsearch.archive.originals import media_type
from imgsearch.archive.upload import Incoming
from imgsearch.distribution import install_hint
from imgsearch.errors import ConfigError, MissingExtra
from imgsearch.images import videos
from imgsearch.images.videos import Opener
from imgsearch.objects import ObjectStore

_NONE: Final = "this archive stores no originals. Add videos as folders."


def store_video(archive: Archive, opener: Opener) -> str:
    """Store a video, and return the sha256 of its file, which is read in pieces.

    Raises:
        MissingExtra: videos need the extra ``video``.
        ConfigError: the archive stores no originals.
        FormatRefused, ImageTooLarge: the file is not a video, or too large.
        ObjectStoreError: the store failed.
    """
    if not videos.is_supported():
        raise MissingExtra(f"videos need PyAV. Run {install_hint('video')}", extra="video")
    store = _store(archive)
    with opener() as file:
        format_ = videos.checked_format(file).name
        content = hashlib.file_digest(cast("Any", file), "sha256").hexdigest()
        size = file.tell()
    store.put_file(content, opener, size, media_type(format_))
    return content


def stored_video(archive: Archive, request: Mapping[str, Any]) -> Incoming:
    """Return the video of a job's request."""
    opener = partial(_store(archive).open, str(request["video"]))
    return Incoming(
        str(request["name"]),
        label=request.get("label"),
        fields=request.get("fields", {}),
        opener=opener,
    )


def delete_unused(archive: Archive, request: Mapping[str, Any]) -> None:
    """Delete the video of a job's request if no frame was added."""
    content = str(request["video"])
    if archive.originals is not None and not archive.catalog.referenced([content]):
        archive.originals.delete(content)


def _store(archive: Archive) -> ObjectStore:
    if archive.originals is None:
        raise ConfigError(_NONE)
    return archive.originals
