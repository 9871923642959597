"""The part of a library that keeps it in step with folders."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from os import PathLike

from imgsearch.encoders.text_reader import require_reader
from imgsearch.images.references import Reference
from imgsearch.images.sampling import EVERY_SECOND, Sampling
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.file_facts import TEXT
from imgsearch.library.file_index import FileIndex
from imgsearch.library.progress import Progress, Report, SyncReport, Tally
from imgsearch.library.progress_bar import progress_bar
from imgsearch.library.sync import FolderSync
from imgsearch.library.tracked_files import TrackedFiles
from imgsearch.types import Failure


class Synced(ABC):
    """The method `sync` of a library."""

    _handle: CollectionHandle

    @property
    @abstractmethod
    def sets_labels(self) -> bool:
        """Whether the library's own steps set the labels of new images."""

    @abstractmethod
    def _load(
        self,
        references: Iterable[Reference],
        tally: Tally,
        files: TrackedFiles | None = None,
        *,
        ocr: bool = False,
        sampling: Sampling = EVERY_SECOND,
    ) -> Report:
        """Add files that are tracked by `files`. With `ocr` the text in them is read."""

    def file_index(self, kind: str) -> FileIndex:
        """Return an index of files for a program that keeps its own list of them."""
        return FileIndex(self._handle.backend, self._handle.current(), kind)

    def sync(
        self,
        *folders: str | PathLike[str],
        dry_run: bool = False,
        confirm: bool = False,
        exclude: Sequence[str] = (),
        ocr: bool = False,
        frames: str | float = 1.0,
        progress: bool | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
        on_ignored: Callable[[str], None] | None = None,
    ) -> SyncReport:
        """Bring the library in step with folders; return what was added, changed and removed.

        New files are added. A file with other bytes replaces its image, and keeps the fields that
        were not read from it. An image is removed if its file no longer exists; if a new file has
        the same bytes, the image gets its path. Unchanged files are not read, unless they were
        added without the `ocr` or `exif` that is asked for now. With `dry_run` nothing is changed:
        the report has the counts, and why the sync would have to be confirmed.
        Images of other folders are kept, and so are images of files that are passed over.
        A video is one file: if it has changed or is gone, so are all its frames. `exclude`, `ocr`,
        `frames`, `progress` and `on_ignored` are as for `add`.

        Raises:
            MissingExtra: `ocr` needs the extra `ocr`.
            SyncRefused: `confirm` is False, and a folder has no images any more, does not exist,
                cannot be listed, or more than 10 images and more than 20 % of its images would be
                removed or replaced. Nothing was changed.
            SourceError: a path is not a folder, or does not exist and no image below it is stored.
            EncoderError, SchemaMismatch, BackendError: as for `add`.
        """
        self._handle.require_writable()
        sampling = Sampling.parse(frames)
        if ocr:
            require_reader()
        with progress_bar(progress, on_progress) as update:
            sync = FolderSync(
                self._handle,
                partial(self._load, ocr=ocr, sampling=sampling),
                sampling=sampling,
                wanted=frozenset(self._handle.exif) | ({TEXT} if ocr else set()),
                own_labels=self.sets_labels,
                on_progress=update,
                on_failure=on_failure,
                on_ignored=on_ignored,
                exclude=exclude,
            )
            return sync.run(folders, dry_run=dry_run, confirm=confirm)
