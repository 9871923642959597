"""Sources by URL: prefixes, patterns, lists and tars in buckets, and lists and tars by http.

A list or parquet file is copied to a temporary file while it is read.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike, fsdecode
from pathlib import Path
from typing import Any, Final

from imgsearch.errors import ConfigError, SourceError
from imgsearch.fields import FieldType
from imgsearch.images import image_lists, parquet_images, tar_shards
from imgsearch.images.bucket_sources import BucketWalk, is_pattern, is_photo, label_of
from imgsearch.images.buckets import Bucket, BucketUrl
from imgsearch.images.files import is_bucket_url, is_web_url, missing, printable
from imgsearch.images.image_lists import FieldColumns, inferred, open_list
from imgsearch.images.list_files import as_reference
from imgsearch.images.reading import Reading
from imgsearch.images.references import Reference
from imgsearch.images.remote_files import BucketFile, RemoteFile, WebFile, web_key

_LIST_BYTES: Final = 8 * 2**30  # of a list or parquet file
_TAR_BYTES: Final = 64 * 2**30  # of a tar by http, which is copied
_LOCAL: Final = "a list by URL may name URLs, and paths below its own folder"
_ReadParquet = Callable[[Path], Iterator[Reference]]


def is_remote_source(source: object) -> bool:
    """Return whether a source is the URL of a bucket, or of a list or tar by http.

    >>> is_remote_source("s3://bucket/photos"), is_remote_source("https://example.org/a.csv")
    (True, True)
    >>> is_remote_source("https://example.org/cat.jpg"), is_remote_source("photos.csv")
    (False, False)
    """
    if not isinstance(source, str | PathLike):
        return False
    text = fsdecode(source)
    return is_bucket_url(text) or (is_web_url(text) and _is_container(web_key(text)))


def references(source: Any, reading: Reading, read_parquet: _ReadParquet) -> Iterator[Reference]:
    """Return an iterator of the images that a URL names.

    `read_parquet` yields the images that a parquet file holds.

    Raises:
        ConfigError: the URL of a bucket has another form, or contains a secret.
        SourceError: URLs are turned off, the endpoint is refused, or there is no such object;
            during iteration if a list cannot be read.
    """
    url = fsdecode(source)
    if reading.url_hosts is None:
        raise missing(url)
    if is_web_url(url):
        return _within(WebFile(url, reading.url_hosts), reading, read_parquet)
    place = BucketUrl.parse(url)
    bucket = Bucket(place, hosts=reading.url_hosts)
    kind = "folder" if place.key.endswith("/") else bucket.kind(place.key)
    if kind == "file":
        return _of_object(bucket, place.key, None, reading, read_parquet)
    if not kind and is_pattern(place.key):
        return _of_pattern(bucket, reading, read_parquet)
    if not kind:
        raise SourceError(f"{printable(str(place))}: no such object or prefix", path=url)
    return BucketWalk(bucket, reading.exclude, reading.ignored).images(place.key)


def field_types(source: Any, reading: Reading) -> dict[str, FieldType]:
    """Return the types of the fields in the further columns of a list; {} for other sources.

    Raises:
        SourceError: the list cannot be read.
    """
    url, hosts = fsdecode(source), reading.url_hosts
    if hosts is None:
        return {}
    file: RemoteFile
    if is_web_url(url):
        file = WebFile(url, hosts)
    else:
        place = BucketUrl.parse(url)
        file = BucketFile(Bucket(place, hosts=hosts), place.key)
    if not _is_list(file.key) or is_pattern(file.key):
        return {}
    with file.copied(max_bytes=_LIST_BYTES) as copy, _titled(file.url):
        if parquet_images.holds_images(copy):
            return {}
        return inferred(open_list(copy, reading.columns))


def _of_object(
    bucket: Bucket, key: str, label: str | None, reading: Reading, read_parquet: _ReadParquet
) -> Iterator[Reference]:
    file = BucketFile(bucket, key)
    if _is_container(key):
        return _within(file, reading, read_parquet)
    return iter([Reference(file.url, label)])


def _of_pattern(
    bucket: Bucket, reading: Reading, read_parquet: _ReadParquet
) -> Iterator[Reference]:
    last = bucket.url.key.rpartition("/")[2]
    for key in BucketWalk(bucket, reading.exclude, reading.ignored).matches(bucket.url.key):
        if is_photo(key) or (_is_container(key) and _is_container(last)):
            yield from _of_object(bucket, key, label_of(key), reading, read_parquet)
        else:
            reading.ignored(printable(str(bucket.url.at(key))))


def _within(file: RemoteFile, reading: Reading, read_parquet: _ReadParquet) -> Iterator[Reference]:
    if tar_shards.is_tar(file.key):
        return _tar(file, reading)
    return _listed(file, reading, read_parquet)


def _tar(file: RemoteFile, reading: Reading) -> Iterator[Reference]:
    with file.opened(max_bytes=_TAR_BYTES) as stream:
        yield from tar_shards.streamed(
            stream,
            file.url,
            reading.types,
            reading.ignored,
            compressed=tar_shards.is_compressed(file.key),
        )


def _listed(file: RemoteFile, reading: Reading, read_parquet: _ReadParquet) -> Iterator[Reference]:
    with file.copied(max_bytes=_LIST_BYTES) as copy:
        if not parquet_images.holds_images(copy):
            with _titled(file.url):
                yield from _rows(file, copy, reading)
            return
        for number, image in enumerate(read_parquet(copy), 1):
            yield replace(image, path=image.path or f"{file.url}#row={number}")


def _rows(file: RemoteFile, copy: Path, reading: Reading) -> Iterator[Reference]:
    images = open_list(copy, reading.columns)
    fields = FieldColumns(images, reading.columns)
    if fields.note:
        reading.note(printable(f"{file.url}: {fields.note}"))
    for image in images.images(Path(), others=fields.fields, on_note=reading.note, join=file.join):
        if not image.path:
            reading.ignored(f"{file.url}: {image.place}")
        elif image_lists.URL.match(image.path):
            yield as_reference(image, fields)
        else:
            error = SourceError(f"{printable(image.path)}: {_LOCAL}", path=image.path)
            yield replace(as_reference(image, fields), content=error)


@contextmanager
def _titled(url: str) -> Iterator[None]:
    """Name the URL in errors of a list."""
    try:
        yield
    except (OSError, SourceError, ConfigError) as error:
        raise SourceError(f"{url}: {error}", path=url) from error


def _is_list(name: str) -> bool:
    return Path(name).suffix.lower() in image_lists.SUFFIXES


def _is_container(name: str) -> bool:
    """Return whether a file holds or names images."""
    return _is_list(name) or tar_shards.is_tar(name)
