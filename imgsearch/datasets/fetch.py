"""Fetches published datasets into a folder, and verifies them with their manifest."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from imgsearch.datasets.download import download, redact
from imgsearch.datasets.manifest import Manifest, OnProgress, Verdict, no_progress
from imgsearch.datasets.unpack import Unpacked, copy, unpack
from imgsearch.errors import DatasetError, DownloadError
from imgsearch.text import counted


@dataclass(frozen=True, slots=True)
class Published:
    """The URL of a dataset's archive and its terms of use."""

    url: str
    terms: str


PUBLISHED: Final[Mapping[str, Published]] = MappingProxyType({
    "imagenet-subset": Published(
        "https://github.com/towhee-io/examples/releases/download/data/reverse_image_search.zip",
        "The images belong to ImageNet: for non-commercial research and teaching, not for "
        "redistribution. They are not part of imgsearch, and its license does not cover them.",
    ),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fetched:
    """The numbers of kept and written files, and the names of skipped and extra files.

    `passed` are files in the source, and `extra` files in the folder, that the manifest lacks.
    """

    kept: int
    written: int
    passed: tuple[str, ...]
    extra: tuple[str, ...]


def limit(manifest: Manifest) -> int:
    """Return the size limit for the archive, in bytes.

    It allows a quarter more than the manifest's files, for other files. Deflate hardly enlarges
    photographs.
    """
    return manifest.total * 5 // 4 + (1 << 20)


def fetch(
    manifest: Manifest,
    folder: Path,
    *,
    url: str = "",
    source: Path | None = None,
    offline: bool = False,
    on_progress: OnProgress = no_progress,
) -> Fetched:
    """Fetch the manifest's files into `folder` from the archive at `url`, or from `source`.

    `source` is a zip archive or a folder. Correct files in `folder` are kept, and wrong ones are
    replaced; if all are correct, no request is sent. An interrupted fetch can be re-run.

    Raises:
        ConfigError: `url` is not an http or https URL.
        DownloadError: the download failed, or `offline` forbids it.
        DatasetError: the source does not match the manifest (its correct files are written), the
            source or the folder is unreadable, or another process is fetching into the folder.
        OSError: the folder cannot be written.
    """
    draft = draft_of(folder)
    before = manifest.check(folder, on_progress)
    if before.complete:
        shutil.rmtree(draft, ignore_errors=True)
        return Fetched(len(before.good), 0, (), before.extra)
    with _locked(draft):
        archive = source or draft / "archive.zip"
        if source is None:
            if offline:
                raise DownloadError(
                    f"cannot download {redact(url)}: IMGSEARCH_OFFLINE is set. Name an archive or "
                    "folder that has the files."
                )
            download(url, archive, limit=limit(manifest), on_progress=on_progress)
        take = copy if archive.is_dir() else unpack
        try:
            done = take(archive, manifest, folder, skip=before.good, on_progress=on_progress)
        except DatasetError as error:
            if source is None:  # otherwise the next run would fail with the same archive
                archive.unlink()
                raise DatasetError(f"the download of {redact(url)} is removed: {error}") from error
            raise
        shutil.rmtree(draft, ignore_errors=True)
    after = manifest.check(folder, on_progress)
    if not after.complete:
        raise DatasetError(_difference(after, done, redact(url) if source is None else str(source)))
    return Fetched(len(before.good), len(done.written), done.passed, after.extra)


def draft_of(folder: Path) -> Path:
    """Return the folder, next to a dataset, that holds its archive until it is unpacked."""
    resolved = folder.resolve()  # because "." has no name
    return resolved.parent / f".{resolved.name}.fetch"


def summarize(paths: tuple[str, ...]) -> str:
    """Return a text with the number of paths and the first one."""
    return f"{len(paths):,} (first {paths[0]!r})"


def _difference(verdict: Verdict, done: Unpacked, source: str) -> str:
    parts = [f"{source} does not match the manifest"]
    if done.wrong:
        parts.append(f"files with other content: {summarize(done.wrong)}")
    if verdict.missing:
        parts.append(f"missing in the folder: {summarize(verdict.missing)}")
    if verdict.wrong:
        parts.append(f"wrong in the folder: {summarize(verdict.wrong)}")
    if done.passed:
        parts.append(f"skipped in the archive: {summarize(done.passed)}")
    return f"{'; '.join(parts)}; {counted(len(verdict.good), 'file is', 'files are')} correct"


@contextmanager
def _locked(draft: Path) -> Iterator[None]:
    """Create the folder `draft`, and lock it against other processes if the system has file locks.

    Raises:
        DatasetError: another process is fetching the dataset.
    """
    draft.mkdir(parents=True, exist_ok=True)
    with ExitStack() as leaving:
        leaving.callback(_remove_empty, draft)
        try:
            import fcntl
        except ImportError:  # Windows; the final check reveals conflicts of two processes
            yield
            return
        descriptor = os.open(draft, os.O_RDONLY)
        leaving.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            leaving.pop_all()  # the draft belongs to the other process
            os.close(descriptor)
            raise DatasetError(f"another process fetches the dataset into {draft}") from error
        yield


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it is already removed, or has a partial download for the next run
        folder.rmdir()
