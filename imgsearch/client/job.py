"""A load that runs in the service, followed from here."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from imgsearch.client.connection import CODES, Connection
from imgsearch.client.records import JobState, made, part
from imgsearch.errors import BackendUnavailable, ImgSearchError
from imgsearch.library.progress import FailedFile

_SOON: Final = 0.05  # seconds between the first two looks
_LATER: Final = 1.0  # and at most


class Job:
    """A job of a service, by its id; made by `Client.add_folder` and its like."""

    def __init__(self, connection: Connection, id_: str) -> None:
        self._connection, self.id = connection, id_

    @property
    def progress(self) -> JobState:
        """How far it is; each look asks the service.

        Raises:
            JobNotFound: the service has no such job.
        """
        told = self._connection.json("GET", f"/v1/jobs/{self.id}", repeat=True)
        return made(JobState, told)

    def wait(
        self,
        *,
        timeout: float | None = None,
        on_progress: Callable[[JobState], None] | None = None,
    ) -> JobState:
        """Return how it ended, once it is over; `on_progress` is told of each change.

        `timeout` is in seconds; None waits for as long as it takes.

        Raises:
            BackendUnavailable: it is not over in time; it goes on.
            ImgSearchError: what ended a job that failed as a whole.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        told, pause = None, _SOON
        while True:
            state = self.progress
            if on_progress is not None and state != told:
                on_progress(state)
            if state.over:
                return _ended(state)
            if ends is not None and time.monotonic() + pause > ends:
                raise BackendUnavailable(f"job {self.id} is not over in {timeout:g} s; it goes on")
            time.sleep(pause)
            told, pause = state, min(_LATER, pause * 1.5)

    def cancel(self) -> None:
        """Have it stop after the images that are underway; what is in stays in."""
        self._connection.ask("POST", f"/v1/jobs/{self.id}/cancel", repeat=True)

    def forget(self) -> None:
        """Delete the account of it, which is over; its images stay.

        Raises:
            JobBusy: it is not over.
            JobNotFound: there is no such job.
        """
        self._connection.ask("DELETE", f"/v1/jobs/{self.id}", repeat=False)

    def retry(self) -> "Job":
        """Start another job with what failed in this one, and return it."""
        told = self._connection.json("POST", f"/v1/jobs/{self.id}/retry", repeat=False)
        return Job(self._connection, str(part(told, "id")))

    def failures(self) -> Iterator[FailedFile]:
        """Yield what did not go in, in order."""
        after: object = None
        while True:
            asked = {} if after is None else {"after": after}
            told = self._connection.json(
                "GET", f"/v1/jobs/{self.id}/failures", repeat=True, params=asked
            )
            for each in part(told, "failures"):
                yield failed(each)
            after = part(told, "next")
            if after is None:
                return

    def __repr__(self) -> str:
        return f"<Job {self.id}>"


def failed(told: object, path: str = "") -> FailedFile:
    """Return a line about what did not go in; `path` is where it lies here, if that is known."""
    kind = CODES.get(str(part(told, "code")), ImgSearchError)
    reason = str(part(told, "detail"))
    return FailedFile(
        path or str(part(told, "name")), str(part(told, "stage")), kind.__name__, reason
    )


def _ended(state: JobState) -> JobState:
    if state.state == "failed":
        raise CODES.get(state.error, ImgSearchError)(f"job {state.id} failed: {state.error}")
    return state
