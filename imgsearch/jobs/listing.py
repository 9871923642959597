"""Lists the sources of a job into its plan, while shards run already."""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue

from imgsearch.images.references import Reference
from imgsearch.jobs.plan import Planner


class Listing:
    """Plans in a thread. `ignored` and `notes` are of the sources, as for `Library.add`.

    `waiting` are the shards of an earlier plan that are not done.
    """

    def __init__(self, on_ignored: Callable[[str], None] | None = None) -> None:
        self._on_ignored = on_ignored
        self.ignored = 0
        self.notes: list[str] = []
        self.waiting: list[int] = []
        self._planner: Planner | None = None
        self._shards: SimpleQueue[int | BaseException | None] = SimpleQueue()
        self._stopped = False

    @property
    def listed(self) -> int:
        """The number of new sources so far."""
        return self._planner.listed if self._planner is not None else 0

    def ignore(self, path: str) -> None:
        """Count a file that is not an image."""
        self.ignored += 1
        if self._on_ignored is not None:
            self._on_ignored(path)

    def note(self, sentence: str) -> None:
        """Add a sentence to the report."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def start(self, planner: Planner, images: Iterable[Reference]) -> None:
        """Begin to plan."""
        self._planner = planner
        threading.Thread(
            target=self._run, args=(planner, images), name="imgsearch-plan", daemon=True
        ).start()

    def shards(self) -> Iterator[int]:
        """Yield the numbers of waiting shards, and of each new one once it is planned.

        Raises:
            ImgSearchError: an error of the planner; the shards before it were yielded.
        """
        yield from self.waiting
        while self._planner is not None and (item := self._shards.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def stop(self) -> None:
        """End the planning after the present shard."""
        self._stopped = True

    def _run(self, planner: Planner, images: Iterable[Reference]) -> None:
        try:
            for shard in planner.run(images):
                self._shards.put(shard)
                if self._stopped:
                    return
        except BaseException as error:  # noqa: BLE001 - raised by `shards`
            self._shards.put(error)
        else:
            self._shards.put(None)
