"""Loads go on after an image that kills the process or hangs: the image fails alone.

The names of the images of a chunk are noted in a file while it is embedded. If the process dies,
the next load embeds a chunk with one of them in a child process; see `IsolatedEmbedding`. So does
the same load, if a chunk takes far too long.
"""

import hashlib
import json
import os
import secrets
import socket
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
from typing_extensions import override

from imgsearch import arrow
from imgsearch.backends import VectorBackend
from imgsearch.encoders.embedding import EXTRA, Chunk, Embedding
from imgsearch.encoders.isolated import IsolatedEmbedding, suspects_folder
from imgsearch.errors import EncoderError
from imgsearch.images.files import content_id
from imgsearch.threads import DaemonPool
from imgsearch.types import Closeable

HANGS: Final = {"first": 900.0, "chunk": 120.0, "image": 2.0}
"""Seconds after which a chunk is embedded again in a child process: for a chunk, for each of its
images beside, and for the first chunk beside, which loads the encoder and may export it.
"""

_CRASH: Final = "crash"
_underway: Final = defaultdict[Path, list[list[str]]](list)  # file → chunks of this process
_writing: Final = threading.Lock()
_PROCESS: Final = secrets.token_hex(8)  # process ids are used again


class Suspects:
    """Names of images that may kill the process, in files of a folder.

    `key` names the library. A file belongs to a process; if that has died, its images are suspects.
    Images that did crash are suspects until they pass.
    """

    def __init__(self, folder: Path, key: str) -> None:
        digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:24]
        self._folder, self._digest = folder, digest
        self._own = folder / f"{digest}.{socket.gethostname()}.{os.getpid()}.{_PROCESS}.json"
        self._crashed = folder / f"{digest}.json"
        with _writing:
            self._names = set(_read(self._crashed)) | self._of_the_dead()

    @classmethod
    def of(cls, store: VectorBackend, collection: str, *, migration: bool = False) -> Self | None:
        """Return the suspects of a library; None for one that ends with the process.

        A `migration` has suspects of its own, because it may run beside additions.
        """
        if not store.capabilities.persistent:
            return None
        key = f"{store.url} {collection}"
        return cls(suspects_folder(), f"{key} migration" if migration else key)

    def any_of(self, names: Iterable[str]) -> bool:
        """Return whether one of the images is a suspect."""
        return not self._names.isdisjoint(names)

    @contextmanager
    def underway(self, names: list[str]) -> Iterator[None]:
        """Note that images are embedded while the block runs.

        Several loads of one library may be underway in a process; they share the file.
        """
        parts = _underway[self._own]
        with _writing:
            parts.append(names)
            self._write(self._own, [name for part in parts for name in part])
        try:
            yield
        finally:
            with _writing:
                parts.remove(names)
                self._write(self._own, [name for part in parts for name in part])

    def judge(self, names: Iterable[str], crashed: Iterable[str]) -> None:
        """Note which suspects have crashed again; the others are cleared.

        Suspects that another load of the library has noted meanwhile are kept.
        """
        with _writing:
            known = self._names.union(_read(self._crashed))
            self._names = known.difference(names).union(crashed)
            self._write(self._crashed, sorted(self._names))

    def _of_the_dead(self) -> set[str]:
        """Return the suspects of processes that died, and remove their files."""
        names: set[str] = set()
        for file in self._folder.glob(f"{self._digest}.*.*.*.*"):
            host, number, process, kind = file.name.removeprefix(f"{self._digest}.").rsplit(".", 3)
            if host != socket.gethostname() or process == _PROCESS or _lives(int(number)):
                continue
            if kind == "json":  # not a draft
                names |= set(_read(file))
            with suppress(OSError):
                file.unlink()
        if names:
            self._write(self._crashed, sorted(names | set(_read(self._crashed))))
        return names

    def _write(self, file: Path, names: list[str]) -> None:
        """Write names, atomically. A cache that cannot be written is ignored."""
        try:
            if not names:
                file.unlink(missing_ok=True)
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = self._own.with_suffix(".draft")
            draft.write_text(json.dumps(names), "ascii")
            draft.replace(file)
        except OSError:
            return


class Quarantine(Closeable):
    """Runs a pipeline over chunks like `Library.ingest`, and isolates images at fault.

    `embedding` returns the step of the pipeline, without a user's steps. With `probes` the pipeline
    has such steps: then an image that passes the child process runs through the pipeline, too. With
    `careful` each chunk is embedded in the child.
    """

    def __init__(
        self,
        pipeline: Callable[[Chunk], Any],
        embedding: Callable[[], Embedding],
        *,
        suspects: Suspects | None = None,
        careful: bool = False,
        probes: bool = False,
    ) -> None:
        self._pipeline, self._embedding = pipeline, embedding
        self._suspects, self._careful, self._probes = suspects, careful, probes
        self._pool = DaemonPool(1, "imgsearch-quarantine")
        self._extra = HANGS["first"]
        self._isolated: IsolatedEmbedding | None = None
        self._lock = threading.Lock()

    def __call__(self, chunk: Chunk) -> Any:
        """Return what the chunk's `write` returns for its rows.

        Raises:
            EncoderError: the encoder cannot be built.
            ImgSearchError: an error of the chunk's `write`.
        """
        names = [name for name, _ in chunk.images]
        if self._careful or (self._suspects is not None and self._suspects.any_of(names)):
            return self._carefully(chunk)
        with ExitStack() as noted:
            if self._suspects is not None and names:
                noted.enter_context(self._suspects.underway(names))
            return self._watched(chunk, on_embedded=noted.close)

    @override
    def close(self) -> None:
        """End the child process."""
        self._pool.close(0)
        with self._lock:
            if self._isolated is not None:
                self._isolated.close()
                self._isolated = None

    def _watched(self, chunk: Chunk, *, on_embedded: Callable[[], None]) -> Any:
        """Run the pipeline. If it seems to hang, embed the chunk in the child."""
        limit = HANGS["chunk"] + HANGS["image"] * len(chunk.images) + self._extra
        self._extra = 0.0
        once = _Once(chunk.write, on_embedded)
        running = self._pool.submit(self._pipeline, replace(chunk, write=once))
        running.add_done_callback(lambda _: once.ended.set())
        if once.ended.wait(limit) or not once.claim():
            return running.result()
        self._careful = True
        self._pool = DaemonPool(1, "imgsearch-quarantine")  # the former one's thread hangs
        return self._carefully(chunk)

    def _carefully(self, chunk: Chunk) -> Any:
        with self._lock:
            if self._isolated is None:
                self._isolated = IsolatedEmbedding(self._embedding())
            try:
                rows = self._isolated(chunk.images)
            except EncoderError:  # such as an encoder that only this process has
                rows = None
        if rows is None:
            return self._pipeline(chunk)
        is_crash = [status == _CRASH for status in rows.column("status").to_pylist()]
        failed = rows.filter(arrow.array(is_crash, pa.bool_()))
        crashed = _positions(chunk, set(failed.column("sha256").to_pylist()))
        if self._suspects is not None:
            names = [name for name, _ in chunk.images]
            self._suspects.judge(names, [names[at] for at in crashed])
        if not self._probes:
            return chunk.write(rows)
        return self._pipeline(_without(chunk, failed, crashed))


class _Once:
    """Calls `on_embedded` and `write` once; a pipeline that was given up may call it late."""

    def __init__(
        self, write: Callable[[pa.RecordBatch], Any], on_embedded: Callable[[], None]
    ) -> None:
        self._write, self._on_embedded = write, on_embedded
        self._lock, self._is_free = threading.Lock(), True
        self.ended = threading.Event()

    def __call__(self, rows: pa.RecordBatch) -> Any:
        if not self.claim():
            raise EncoderError("the images took too long, and were embedded in another process")
        self.ended.set()
        self._on_embedded()  # before `write`, which lets the next chunk begin
        return self._write(rows)

    def claim(self) -> bool:
        """Return whether the function was not called before."""
        with self._lock:
            free, self._is_free = self._is_free, False
            return free


def _positions(chunk: Chunk, contents: set[str]) -> list[int]:
    """Return the positions of images with these contents. Names may be equal, contents are not."""
    if not contents:
        return []
    return [at for at, (_, data) in enumerate(chunk.images) if content_id(data) in contents]


def _without(chunk: Chunk, failed: pa.RecordBatch, crashed: Sequence[int]) -> Chunk:
    """Return the chunk without the images at these positions. The `failed` rows come last."""
    kept = [at for at in range(len(chunk.images)) if at not in crashed]
    extra = [{**row, **dict.fromkeys(EXTRA)} for row in failed.to_pylist()]

    def write(rows: pa.RecordBatch) -> Any:
        more = arrow.batch(extra, rows.schema)
        both = pa.Table.from_batches([rows, more]).combine_chunks().to_batches()
        return chunk.write(both[0] if both else rows)

    labels = [chunk.labels[at] for at in kept]
    return replace(chunk, images=[chunk.images[at] for at in kept], labels=labels, write=write)


def _lives(process: int) -> bool:
    """Return whether another process has this id. On Windows, any has."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except PermissionError:  # another user's
        return True
    except (OSError, OverflowError, ValueError):
        return False
    return process != os.getpid()


def _read(file: Path) -> list[str]:
    try:
        names = json.loads(file.read_text("ascii"))
    except (OSError, ValueError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
