"""Uploads videos: the service takes their frames, and keeps the file to play it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from imgsearch.client.connection import Connection, error_of
from imgsearch.client.job_handle import JobHandle
from imgsearch.client.upload import ITS_OWN
from imgsearch.errors import LimitExceeded
from imgsearch.images.references import Reference
from imgsearch.images.sampling import Sampling
from imgsearch.images.sources import printable
from imgsearch.images.video_references import is_video_file, with_frames
from imgsearch.images.videos import open_file
from imgsearch.library.progress import Tally, absolute
from imgsearch.types import Failure
from imgsearch.wire.responses import JobState, parse

_UNSUPPORTED: Final = (404, 405, 501)  # of an older service, or one without PyAV


class VideoUploader:
    """Uploads the videos among images to one collection. `form` are further form fields.

    A service that takes no videos gets the frames as images.
    """

    def __init__(
        self,
        connection: Connection,
        collection: str,
        tally: Tally,
        sampling: Sampling,
        form: Mapping[str, str],
    ) -> None:
        self._connection, self._collection, self._tally = connection, collection, tally
        self._sampling, self._form = sampling, form

    def images(self, references: Iterable[Reference]) -> Iterator[Reference]:
        """Yield the images, and upload the videos. Each is added when the next one is asked for."""
        for reference in references:
            if not self._sampling or not is_video_file(reference) or not self._upload(reference):
                yield from with_frames([reference], self._sampling, self._tally.ignore)

    def _upload(self, video: Reference) -> bool:
        """Upload a video, and count its frames. Returns False if the service takes no videos."""
        path = printable(absolute(video.path))
        try:
            state = self._added(video)
        except (*ITS_OWN, LimitExceeded) as error:
            self._tally.fail(path, error)
            state = None
        else:
            if state is None:
                return False
            self._count(path, state)
        self._tally.count("videos")
        self._tally.report_progress()
        return True

    def _added(self, video: Reference) -> JobState | None:
        form = dict(self._form) | {"frames": str(self._sampling), "collection": self._collection}
        if video.label is not None:
            form["label"] = video.label
        if video.fields:
            form["fields"] = json.dumps(dict(video.fields))
        name = printable(absolute(video.path)).rpartition("/")[2]
        with open_file(video.path) as file:
            response = self._connection.send(
                "POST", "/v1/videos", repeat=False, data=form, files=[("file", (name, file))]
            )
        if response.status_code in _UNSUPPORTED:
            return None
        if not response.is_success:
            raise error_of(response)
        started = parse(JobState, response.content)
        return JobHandle(self._connection, started.id).wait()

    def _count(self, path: str, state: JobState) -> None:
        self._tally.count("added", state.inserted)
        self._tally.count("updated", state.updated)
        self._tally.count("skipped", state.skipped)
        if state.failed:
            for failure in JobHandle(self._connection, state.id).failures():
                self._tally.failed(Failure(path, failure.stage, failure.error, failure.reason))
