"""The service client, with the methods of a library."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from typing_extensions import override

from imgsearch.client.connection import Connection, error_of
from imgsearch.client.contents import image_path
from imgsearch.client.service_jobs import ServiceJobs
from imgsearch.client.upload import Uploader
from imgsearch.client.vectors import ServiceVectors
from imgsearch.client.video_upload import VideoUploader
from imgsearch.errors import (
    BackendError,
    BackendUnavailable,
    CollectionNotFound,
)
from imgsearch.fields import typed
from imgsearch.images import inputs, web_images
from imgsearch.images.inputs import Input, has_lists
from imgsearch.images.reading import Reading
from imgsearch.images.sampling import Sampling
from imgsearch.images.videos import reads_folders
from imgsearch.library.progress import Progress, Report, Tally
from imgsearch.library.progress_bar import progress_bar
from imgsearch.settings import Settings
from imgsearch.types import Failure, Value, check_name
from imgsearch.wire.requests import Change, Ids, to_json
from imgsearch.wire.responses import (
    CollectionInfo,
    Collections,
    Deleted,
    Health,
    Image,
    ModelInfo,
    Models,
    VideoInfo,
    Videos,
    parse,
)
from imgsearch.wire.values import MAX_IDS

_FAILING: Final = 503


class Client(ServiceJobs, ServiceVectors):
    """The images in one collection of a service, searched like an `imgsearch.Library`.

    `key` defaults to the environment variable IMGSEARCH_API_KEY. It is sent only to the origin of
    `url`: redirects are not followed, and proxy environment variables are ignored. `timeout` is in
    seconds, for each step of a request. 429 and 503 responses are retried if their Retry-After is
    at most 30 s. After a dropped connection only idempotent requests are retried. Thread-safe; the
    methods share one connection pool.

    Every method can raise these errors in addition to its own:
        MissingExtra: httpx is not installed (the constructor only).
        ConfigError: the URL or a value is invalid.
        AccessDenied: the service needs a key, or the key is unknown.
        ScopeMissing: the key lacks the required scope.
        LimitExceeded: the request exceeds a limit of the service.
        BackendUnavailable: the service does not respond.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        collection: str = "images",
        timeout: float = 30.0,
    ) -> None:
        check_name(collection)
        if key is None:
            key = Settings.from_environment().api_key
        self._connection = Connection(url, key, timeout=timeout)
        self.url, self.name = self._connection.url, collection

    @override
    def add(
        self,
        *images: Input,
        path_column: str | None = None,
        label_column: str | None = None,
        url_hosts: Sequence[str] | None = (),
        fields: Mapping[str, Any] | None = None,
        all_fields: bool = False,
        exclude: Sequence[str] = (),
        frames: str | float = 1.0,
        ocr: bool = False,
        tags: Sequence[str] | None = None,
        tag_top: int | None = None,
        progress: bool | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
        on_ignored: Callable[[str], None] | None = None,
    ) -> Report:
        """Upload images: paths, images in memory, tables, data sets, or iterables; see `Input`.

        `path_column` and `label_column` name columns of a table or list. `fields` apply to all
        images; a row's own win. Pillow images and arrays are sent as PPM, images in memory without
        a name as ``image-`` and the start of their hash.

        If the service already has an image with the same bytes and name, it is skipped, or gets the
        label that the source has for it; so an interrupted call can be repeated. Unreadable files
        are listed in `report.failures`; they do not stop the load. This machine downloads images by
        URL; for `url_hosts` and `progress` see `Library.add`. `ocr`, `tags` and `tag_top` are as
        for `add_folder`. Videos are uploaded whole, and the service takes their `frames`, as for
        `Library.add`.

        Raises:
            SourceError: a folder, glob or list file does not exist, or an object is not an image;
                nothing was sent, unless an iterator yielded the object.
            EncoderError, BackendError: the service failed; images counted as added are stored.
        """
        sampling = Sampling.parse(frames)
        reading = Reading(
            path_column,
            label_column=label_column,
            fields=typed(fields or {}, {}),
            types=self._field_types() if has_lists(images) else {},
            all_fields=all_fields,
            exclude=exclude,
            with_videos=reads_folders(sampling),
            url_hosts=web_images.allowed(url_hosts),
        )
        fetch = web_images.fetcher(url_hosts)
        with progress_bar(progress, on_progress) as report:
            tally = Tally(0, report, on_failure, on_ignored)
            reading = replace(reading, ignored=tally.ignore, note=tally.note)
            references = [inputs.references(source, reading) for source in images]
            inputs.count_beside(images, reading, tally.expect)
            tally.report_progress()
            form = _analysis(ocr=ocr, tags=tags, top=tag_top)
            uploader = Uploader(self._connection, self.name, tally, fetch=fetch, form=form)
            films = VideoUploader(self._connection, self.name, tally, sampling, form)
            uploader.run(films.images(chain.from_iterable(references)))
            return tally.report()

    def update(
        self,
        id_: str,
        *,
        label: str | None = None,
        name: str | None = None,
        fields: Mapping[str, Value] | None = None,
    ) -> Image:
        """Update the values that are not None; return the image. `fields` replaces all fields.

        Raises:
            ImageNotFound: the image does not exist.
        """
        free = None if fields is None else dict(fields)
        change = to_json(Change, label=label, name=name, fields=free)
        return self._connection.json(Image, "PATCH", image_path(id_), repeat=True, json=change)

    @override
    def remove(self, *ids: str) -> int:
        """Remove images by id; return the number of removed images. Unknown ids are ignored.

        The id of a video, as `video_id` of a hit, removes all its frames.

        Raises:
            CollectionNotFound: nothing was removed, and the collection does not exist.
        """
        removed = 0
        for start in range(0, len(ids), MAX_IDS):
            body = to_json(Ids, ids=ids[start : start + MAX_IDS])
            removed += self._connection.json(
                Deleted, "POST", "/v1/images/delete", repeat=True, json=body
            ).deleted
        if not removed and not self.exists():
            raise CollectionNotFound(f"collection {self.name!r} does not exist: nothing was added")
        return removed

    @override
    def exists(self) -> bool:
        """Return whether the collection exists. Adding the first image creates it."""
        try:
            self._info()
        except CollectionNotFound:
            return False
        return True

    def videos(self) -> Iterator[VideoInfo]:
        """Yield the videos with the number of their frames; pages are requested as needed."""
        params: dict[str, str] = {"collection": self.name}
        while True:
            page = self._connection.json(Videos, "GET", "/v1/videos", repeat=True, params=params)
            yield from page.videos
            if page.next is None:
                return
            params["after"] = page.next

    def collections(self) -> list[CollectionInfo]:
        """Return the service's collections, sorted by name."""
        return self._connection.json(Collections, "GET", "/v1/collections", repeat=True).collections

    def drop(self, name: str, *, confirm: str) -> int:
        """Delete a collection with all its images; return the number of images.

        Raises:
            ConfigError: `confirm` differs from `name`.
            CollectionNotFound: the collection does not exist.
        """
        check_name(name)
        return self._connection.json(
            Deleted, "DELETE", f"/v1/collections/{name}", repeat=False, params={"confirm": confirm}
        ).deleted

    def original(self, id_: str) -> bytes:
        """Return an image's file as it was added; of a frame, the file of its video.

        Raises:
            ImageNotFound: the image does not exist.
            ObjectNotFound: the original was not stored, or does not exist any more.
        """
        return self._connection.request("GET", f"{image_path(id_)}/original", repeat=True).content

    @override
    def thumbnail(self, id_: str, *, edge: int = 256) -> bytes:
        """Return an image's thumbnail as JPEG or WebP bytes.

        `edge` is the length of the longer side in pixels: 64, 128, 256, 512 or 1024.

        Raises: as for `original`.
        """
        return self._connection.request(
            "GET", f"{image_path(id_)}/thumbnail", repeat=True, params={"edge": edge}
        ).content

    def models(self) -> list[ModelInfo]:
        """Return the encoders that collections can be created with."""
        return self._connection.json(Models, "GET", "/v1/models", repeat=True).models

    def health(self) -> dict[str, str]:
        """Check each part of the service; return part → "ok" or "failing".

        Raises:
            BackendUnavailable: the service does not respond, or is busy.
        """
        response = self._connection.send("GET", "/v1/health", repeat=True)
        if not response.is_success and response.status_code != _FAILING:
            raise error_of(response)
        try:
            return parse(Health, response.content).parts
        except BackendError as error:  # a busy service, or another server
            if response.is_success:
                raise BackendUnavailable("the service did not report its health") from error
            raise error_of(response) from error

    @override
    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"<Client {self.url} {self.name!r}>"


def _analysis(*, ocr: bool, tags: Sequence[str] | None, top: int | None) -> dict[str, str]:
    """Return the form fields of an upload that ask for text and tags."""
    form = {"ocr": "true"} if ocr else {}
    if tags is not None:
        form["tags"] = json.dumps(list(tags))
    if top is not None:
        form["tag_top"] = str(top)
    return form
