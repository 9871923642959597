"""A background job of a service: progress, failures, waiting and cancellation."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from imgsearch.client.connection import Connection
from imgsearch.errors import BackendUnavailable
from imgsearch.types import Failure
from imgsearch.wire.problems import error_class
from imgsearch.wire.responses import JobFailures, JobState

_FIRST: Final = 0.05  # seconds between the first two requests of `wait`
_LONGEST: Final = 1.0  # maximum seconds between later requests


class JobHandle:
    """A background job of a service, returned by `Client.add_folder` and `Client.add_urls`."""

    def __init__(self, connection: Connection, id_: str) -> None:
        self._connection, self.id = connection, id_

    @property
    def progress(self) -> JobState:
        """The job's state and counts. Each access sends a request to the service.

        Raises:
            JobNotFound: the service has no such job.
        """
        return self._connection.json(JobState, "GET", f"/v1/jobs/{self.id}", repeat=True)

    def wait(
        self,
        *,
        timeout: float | None = None,
        on_progress: Callable[[JobState], None] | None = None,
    ) -> JobState:
        """Wait until the job has ended, and return its final state.

        `on_progress` is called with each new state. `timeout` is in seconds; None means no limit.

        Raises:
            BackendUnavailable: the job is still running after `timeout`; it continues.
            ImgSearchError: the error that ended a failed job.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        last, pause = None, _FIRST
        while True:
            state = self.progress
            if on_progress is not None and state != last:
                on_progress(state)
            if state.over:
                return _ended(state)
            if ends is not None and time.monotonic() + pause > ends:
                raise BackendUnavailable(
                    f"job {self.id} is still running after {timeout:g} s; it continues"
                )
            time.sleep(pause)
            last, pause = state, min(_LONGEST, pause * 1.5)

    def cancel(self) -> None:
        """Cancel the job after the images in progress; added images are kept."""
        self._connection.request("POST", f"/v1/jobs/{self.id}/cancel", repeat=True)

    def forget(self) -> None:
        """Delete the record of a job that has ended; its images are kept.

        Raises:
            JobBusy: the job has not ended.
            JobNotFound: the job does not exist.
        """
        self._connection.request("DELETE", f"/v1/jobs/{self.id}", repeat=False)

    def retry(self) -> "JobHandle":
        """Start a new job with this job's failed files, and return the new job."""
        started = self._connection.json(JobState, "POST", f"/v1/jobs/{self.id}/retry", repeat=False)
        return JobHandle(self._connection, started.id)

    def failures(self) -> Iterator[Failure]:
        """Yield the job's failed files, in order."""
        params: dict[str, str] = {}
        while True:
            page = self._connection.json(
                JobFailures, "GET", f"/v1/jobs/{self.id}/failures", repeat=True, params=params
            )
            for failed in page.failures:
                yield failed.failure()
            if page.next is None:
                return
            params = {"after": page.next}

    def __repr__(self) -> str:
        return f"<JobHandle {self.id}>"


def _ended(state: JobState) -> JobState:
    if state.state == "failed":
        raise error_class(state.error)(f"job {state.id} failed: {state.error}")
    return state
