"""Published datasets, brought into a folder and held to their manifest."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from imgsearch.datasets.download import download, shown
from imgsearch.datasets.manifest import Manifest, OnProgress, Verdict, untold
from imgsearch.datasets.unpack import Unpacked, copy, unpack
from imgsearch.errors import DatasetError, DownloadError
from imgsearch.wording import counted


@dataclass(frozen=True, slots=True)
class Published:
    """Where a dataset's archive lies, and on what terms it may be used."""

    url: str
    terms: str


PUBLISHED: Final[Mapping[str, Published]] = MappingProxyType({
    "imagenet-subset": Published(
        "https://github.com/towhee-io/examples/releases/download/data/reverse_image_search.zip",
        "The images are ImageNet's: for research and teaching that is not commercial, and not to "
        "be passed on. They are no part of imgsearch, and its licence does not cover them.",
    ),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was done: files that were there `kept`, `written`, names of a source `passed` over.

    `extra` are files in the folder that the manifest does not name.
    """

    kept: int
    written: int
    passed: tuple[str, ...]
    extra: tuple[str, ...]


def limit(manifest: Manifest) -> int:
    """Return the most bytes that an archive of the files may have.

    Deflate adds next to nothing to a photograph; a quarter is for files beside the manifest's.
    """
    return manifest.total * 5 // 4 + (1 << 20)


def fetch(
    manifest: Manifest,
    folder: Path,
    *,
    url: str = "",
    source: Path | None = None,
    offline: bool = False,
    on_progress: OnProgress = untold,
) -> Fetched:
    """Bring the manifest's files into `folder` from the archive at `url`, or from `source`.

    `source` is a zip archive or a folder. Files that are there and right are kept, others of
    their names replaced; where all are right, nothing is asked for. A run that was killed goes on.

    Raises:
        ConfigError: the URL is none of http or https.
        DownloadError: the archive cannot be had, or `offline` forbids to ask for it.
        DatasetError: what came is not what the manifest promises (what is right of it was
            written), the source or the folder cannot be read, or another process fetches into it.
        OSError: the folder cannot be written.
    """
    draft = draft_of(folder)
    before = manifest.check(folder, on_progress)
    if before.complete:
        shutil.rmtree(draft, ignore_errors=True)
        return Fetched(len(before.good), 0, (), before.extra)
    with _alone(draft):
        archive = source or draft / "archive.zip"
        if source is None:
            if offline:
                raise DownloadError("IMGSEARCH_OFFLINE forbids the network")
            download(url, archive, limit=limit(manifest), on_progress=on_progress)
        take = copy if archive.is_dir() else unpack
        try:
            done = take(archive, manifest, folder, skip=before.good, on_progress=on_progress)
        except DatasetError as error:
            if source is None:  # else the next run would stop at the same archive
                archive.unlink()
                raise DatasetError(f"what came from {shown(url)} is removed: {error}") from error
            raise
        shutil.rmtree(draft, ignore_errors=True)
    after = manifest.check(folder, on_progress)
    if not after.complete:
        raise DatasetError(_lacking(after, done, shown(url) if source is None else str(source)))
    return Fetched(len(before.good), len(done.written), done.passed, after.extra)


def draft_of(folder: Path) -> Path:
    """Return the folder beside a dataset's that keeps an archive until it is unpacked."""
    place = folder.resolve()  # of "." too, which has no name of its own
    return place.parent / f".{place.name}.fetch"


def some(paths: tuple[str, ...]) -> str:
    """Return how many, and the first."""
    return f"{len(paths):,} (first {paths[0]!r})"


def _lacking(verdict: Verdict, done: Unpacked, source: str) -> str:
    lines = [f"{source} does not give all that the manifest promises"]
    if done.wrong:
        lines.append(f"files with another content there: {some(done.wrong)}")
    if verdict.missing:
        lines.append(f"missing in the folder: {some(verdict.missing)}")
    if verdict.wrong:
        lines.append(f"wrong in the folder: {some(verdict.wrong)}")
    if done.passed:
        lines.append(f"passed over in the archive: {some(done.passed)}")
    return f"{'; '.join(lines)}; {counted(len(verdict.good), 'file is', 'files are')} right"


@contextmanager
def _alone(draft: Path) -> Iterator[None]:
    """Make the folder `draft` and keep other processes out, where the system has such locks.

    Raises:
        DatasetError: one fetches already.
    """
    draft.mkdir(parents=True, exist_ok=True)
    with ExitStack() as leaving:
        leaving.callback(_remove_empty, draft)
        try:
            import fcntl
        except ImportError:  # Windows; the last check tells if two were in each other's way
            yield
            return
        descriptor = os.open(draft, os.O_RDONLY)
        leaving.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            leaving.pop_all()  # the draft is the other's
            os.close(descriptor)
            raise DatasetError(f"another process fetches the same; {draft} is its draft") from error
        yield


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it is gone already, or holds what a next run goes on from
        folder.rmdir()
