"""The load engine: images go through the insert pipeline in chunks, into any sink.

One chunk is embedded while the previous one is written, and while files of the next one are read.
`Library.add`, the archive and its jobs run this engine; they differ in their `Sink`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Final, Generic, Protocol, TypeVar

import pyarrow as pa

from imgsearch.encoders.embedding import Chunk
from imgsearch.errors import ImgSearchError
from imgsearch.images.read_ahead import Early, Read, ReadAhead
from imgsearch.library.progress import LARGEST, SMALLEST, BatchSize, Candidate, Tally
from imgsearch.library.repeated_files import RepeatedFiles
from imgsearch.threads import DaemonPool
from imgsearch.types import Failure

_CHUNK_BYTES: Final = 64 * 2**20  # encoded images held at once
T = TypeVar("T")
F = TypeVar("F", bound=Candidate)


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a part, by the ids of its candidates: failures, and images left out."""

    failures: Mapping[str, Failure] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()


class Sink(ABC, Generic[T, F]):
    """Where a load puts images: `T` is an item of the source, `F` a candidate that was read."""

    tally: Tally

    def early(self, item: T) -> Early | None:  # noqa: ARG002 - sinks override it
        """Return how an item is read before its turn, or None if `read` reads all of it."""
        return None

    @abstractmethod
    def read(self, item: T, file: Read | None = None) -> F:
        """Read an item. `file` returns the outcome of the item's `early`.

        Raises:
            ImgSearchError: it cannot be read; the load goes on.
        """

    @abstractmethod
    def path(self, item: T) -> str:
        """Return the item's path for a failure."""

    @abstractmethod
    def known_path(self, key: str) -> str:
        """Return the stored path of the image with this candidate's id."""

    @abstractmethod
    def new(self, files: Sequence[F]) -> tuple[Sequence[F], Sequence[tuple[F, Failure | None]]]:
        """Return the files to embed, and all others with their failures; count the others."""

    @abstractmethod
    def relabel(self, files: Sequence[F]) -> None:
        """Write the labels of files that repeat earlier ones, and count these files."""

    @abstractmethod
    def to_embed(self, files: Sequence[F]) -> Sequence[F]:
        """Return the files of a part that have no vector yet, each content once."""

    @abstractmethod
    def write(self, files: Sequence[F], rows: pa.RecordBatch) -> Written:
        """Write a part, given the rows of what `to_embed` returned. Runs in another thread.

        Raises:
            ImgSearchError: the store failed, which ends the load.
        """

    @abstractmethod
    def count(self, files: Sequence[F], written: Written) -> None:
        """Count the files of a part that were written. Their `data` are empty by then."""

    @abstractmethod
    def finish(self) -> None:
        """Finish the load; for example, build the index."""


class Pace(Protocol):
    """Slows a load down while searches need the processor."""

    @property
    def busy(self) -> bool:
        """Whether searches need the processor now."""

    def rest(self, worked: float) -> None:
        """Wait after `worked` seconds of work."""


@dataclass(frozen=True, slots=True)
class _Part(Generic[F]):
    """A part on its way through the pipeline, which alone holds the bytes of its files."""

    files: Sequence[F]
    written: "Future[Written]"


class Ingest(Generic[T, F]):
    """Loads items into a sink.

    `pipeline` takes a `Chunk` and returns what its `write` returns. `largest` is the limit of
    images embedded at once, and `largest_while_busy` the limit while `pace` is busy. The load ends
    early when `canceled` returns True. With `chunk`, every chunk has this number of images, so that
    equal items give equal batches, and so the same bits.
    """

    def __init__(
        self,
        sink: Sink[T, F],
        pipeline: Callable[[Chunk], Written],
        *,
        largest: int = LARGEST,
        largest_while_busy: int = LARGEST,
        pace: Pace | None = None,
        canceled: Callable[[], bool] = lambda: False,
        chunk: int | None = None,
    ) -> None:
        self._sink, self._tally, self._pipeline = sink, sink.tally, pipeline
        self._chunk = chunk
        self._limits = largest, largest_while_busy
        self._pace, self._canceled = pace, canceled
        self._repeats: RepeatedFiles[F] = RepeatedFiles(sink.tally, sink.known_path)
        self._underway: _Part[F] | None = None

    def run(self, items: Iterable[T]) -> None:
        """Load the items; count each one once its content is written.

        Parts are small at first, so even a load that is killed repeatedly makes progress.

        Raises:
            EncoderError: the encoder cannot be built, or is not the collection's encoder.
            ImgSearchError: the store failed; images counted as added are stored.
        """
        parts = self._sizes(1)
        pool, ahead = DaemonPool(2, "imgsearch-ingest"), ReadAhead(self._sink.early)
        try:
            for chunk in self._chunks(ahead.items(items)):
                self._load(pool, parts, chunk)
                chunk.clear()  # so that its bytes are not held while the next chunk is read
                self._tally.report_progress()
            self._finish()
        finally:
            # after an error the part being written is finished, and the one being embedded is not
            # waited for, because a decoder may hang
            if self._underway is not None:
                wait([self._underway.written])
            pool.close(0)
            ahead.close()
        self._sink.finish()

    def _load(self, pool: DaemonPool, parts: BatchSize, chunk: Sequence[F]) -> None:
        for part in parts.split(self._new(chunk)):
            self._start(pool, part)
            if self._canceled():
                break

    @property
    def _busy(self) -> bool:
        return self._pace is not None and self._pace.busy

    def _sizes(self, first: int = SMALLEST) -> BatchSize:
        if self._chunk is not None:
            return BatchSize(self._chunk, lambda: self._chunk or LARGEST, adaptive=False)
        return BatchSize(first, self._limit)

    def _limit(self) -> int:
        return self._limits[self._busy]

    def _chunks(self, items: Iterable[tuple[T, Read | None]]) -> Iterator[list[F]]:
        """Read items into chunks that take about two seconds to read, embed and write.

        An item that cannot be read is counted as failed.
        """
        chunk: list[F] = []
        size, wanted, started = 0, self._sizes(), monotonic()
        for item, file in items:
            if self._canceled():
                break
            self._tally.take()
            try:
                chunk.append(self._sink.read(item, file))
            except ImgSearchError as error:
                self._tally.fail(self._sink.path(item), error)
                continue
            size += len(chunk[-1].data)
            if len(chunk) >= wanted.value or size >= _CHUNK_BYTES:
                yield chunk
                wanted.adapt(monotonic() - started)
                chunk, size, started = [], 0, monotonic()
        yield chunk

    def _new(self, chunk: Sequence[F]) -> Sequence[F]:
        """Return the images to embed; settle and count all others."""
        firsts, relabeled = self._repeats.firsts(chunk)
        self._sink.relabel(relabeled)
        new, others = self._sink.new(firsts)
        self._settle(others)
        return new

    def _start(self, pool: DaemonPool, files: Sequence[F]) -> None:
        """Embed a part, count the previous one, and start to write the part."""
        started, embedded, allowed = monotonic(), Future[pa.RecordBatch](), Future[None]()
        to_embed = self._sink.to_embed(files)

        def write(rows: pa.RecordBatch) -> Written:
            embedded.set_result(rows)
            allowed.result()  # the previous part is written
            return self._sink.write(files, rows)

        chunk = Chunk(
            [(file.name, file.data) for file in to_embed],
            write,
            [file.label for file in to_embed],
            one_core=self._busy,
        )
        try:
            written: Future[Any] = pool.submit(self._pipeline, chunk)
            wait([written, embedded], return_when=FIRST_COMPLETED)
            if embedded.done():
                self._count_embedded(embedded.result())
            self._finish()
        except BaseException:
            allowed.cancel()
            raise
        allowed.set_result(None)
        self._underway = _Part([replace(file, data=b"") for file in files], written)
        if self._pace is not None and self._pace.busy:
            self._finish()
            self._pace.rest(monotonic() - started)

    def _count_embedded(self, rows: pa.RecordBatch) -> None:
        columns = (rows.column(name).to_pylist() for name in ("id", "sha256", "status"))
        images = [status for id_, content, status in zip(*columns, strict=True) if id_ == content]
        self._tally.count("decoded", sum(status in ("ok", "embed") for status in images))
        self._tally.count("embedded", images.count("ok"))
        self._tally.report_progress()

    def _finish(self) -> None:
        """Wait until the part underway is written; count it and later files of its contents."""
        if (part := self._underway) is None:
            return
        written = part.written.result()
        self._underway = None
        self._tally.leave_out(len(written.left_out))
        self._sink.count(part.files, written)
        self._settle([(file, written.failures.get(file.id)) for file in part.files])
        self._tally.report_progress()

    def _settle(self, files: Sequence[tuple[F, Failure | None]]) -> None:
        """Record outcomes, and write the labels of later files with the same contents."""
        relabeled: list[F] = []
        for file, failure in files:
            if failure is not None:
                self._tally.failed(failure)
            relabeled += self._repeats.settle(file, failure)
        self._sink.relabel(relabeled)
