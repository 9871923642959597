"""The plan of a job: its sources, divided into shards while they are listed."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from imgsearch import arrow, errors
from imgsearch.backends.vectors.folder import JobFolder
from imgsearch.backends.vectors.writer import JobWriter
from imgsearch.errors import ImgSearchError, SourceError
from imgsearch.fields import FieldType, typed, undeclared_note
from imgsearch.images import sources, tar_shards
from imgsearch.images.references import Reference
from imgsearch.library.progress import stored_path
from imgsearch.types import Value

SOURCES: Final = pa.schema(
    [
        ("path", pa.binary()),
        ("label", pa.string()),
        ("fields", pa.string()),
        ("place", pa.string()),
        ("data", pa.binary()),
        ("error", pa.string()),
    ]
)
"""The columns of ``plan``. `path` is absolute, in the bytes of the file system. `fields` is a JSON
object. `data` are the bytes of an image in memory, and `error` is the error of a source that cannot
be read, as ``ErrorName: message``.
"""

_BYTES: Final = 256 * 2**20  # images in memory that a shard holds
_BLOCK: Final = 4_096  # sources that are compared with the plan at once


class Planner:
    """Divides sources into shards. Sources that are in the plan already are passed over.

    `types` are the declared fields; `on_note` is called with a sentence about each other field that
    is stored. Beside 8 bytes for each source of an earlier plan, one
    shard is held at once: about 1 kB a source.
    """

    def __init__(
        self,
        job: JobWriter,
        *,
        types: Mapping[str, FieldType],
        max_pixels: int,
        on_note: Callable[[str], None] = lambda _note: None,
    ) -> None:
        self._job, self._types, self._max_pixels = job, types, max_pixels
        self._on_note, self._noted = on_note, set[str]()
        self._known = known_keys(job)
        self.listed = 0

    def run(self, images: Iterable[Reference]) -> Iterator[int]:
        """Write the shards of new sources; yield the number of each one.

        Raises:
            SourceError: a source cannot be listed.
            BackendError: the folder cannot be written.
        """
        number = max(self._job.planned(), default=-1) + 1
        rows: list[dict[str, Any]] = []
        tar: str | None = None
        size = 0
        for row in self._new_rows(images):
            # a tar is a shard
            if (other := tar_shards.tar_of(os.fsdecode(row["path"]))) != tar and rows:
                yield self._write(number, rows)
                number, size, rows = number + 1, 0, []
            tar = other
            rows.append(row)
            size += len(row["data"] or b"")
            if len(rows) == self._job.description.shard or size >= _BYTES:
                yield self._write(number, rows)
                number, size, rows = number + 1, 0, []
        if rows:
            yield self._write(number, rows)
            number += 1
        self._job.finish_plan(number, len(self._known) + self.listed)

    def _write(self, number: int, rows: Sequence[Mapping[str, Any]]) -> int:
        self._job.plan(number, pa.Table.from_batches([arrow.batch(rows, SOURCES)]))
        self.listed += len(rows)
        return number

    def _new_rows(self, images: Iterable[Reference]) -> Iterator[dict[str, Any]]:
        rows = (self._row(image) for image in images)
        if not len(self._known):
            yield from rows
            return
        while block := list(islice(rows, _BLOCK)):
            keys = np.array([_key(row["path"], row["data"]) for row in block], np.uint64)
            for row, known in zip(block, np.isin(keys, self._known), strict=True):
                if not known:
                    yield row

    def _note_undeclared(self, fields: Mapping[str, Value]) -> None:
        for name in fields.keys() - self._types.keys() - self._noted:
            self._noted.add(name)
            self._on_note(undeclared_note(name, fields[name], "embed"))

    def _row(self, image: Reference) -> dict[str, Any]:
        data, error, fields = None, None, {}
        try:
            if image.fields:
                fields = typed(image.fields, self._types)
                self._note_undeclared(fields)
            if image.content is not None:
                data = sources.read(image, max_pixels=self._max_pixels)
        except ImgSearchError as failure:
            error = f"{type(failure).__name__}: {failure}"
        return {
            "path": os.fsencode(stored_path(image)),
            "label": image.label,
            "fields": json.dumps(fields, ensure_ascii=False) if fields else None,
            "place": image.place or None,
            "data": data,
            "error": None if error is None else sources.printable(error),
        }


def references(job: JobFolder, shard: int) -> list[Reference]:
    """Return the sources of a shard."""
    return [_reference(row) for row in job.sources(shard).to_pylist()]


def _reference(row: Mapping[str, Any]) -> Reference:
    content = row["data"]
    if row["error"] is not None:
        name, _, message = row["error"].partition(": ")
        kind = getattr(errors, name, SourceError)
        known = isinstance(kind, type) and issubclass(kind, ImgSearchError)
        content = kind(message) if known else SourceError(row["error"])
    return Reference(
        os.fsdecode(row["path"]),
        row["label"],
        fields=json.loads(row["fields"]) if row["fields"] else {},
        content=content,
        place=row["place"] or "",
    )


def known_keys(job: JobFolder) -> npt.NDArray[np.uint64]:
    """Return a key for each source of the plan, sorted."""
    keys: list[npt.NDArray[np.uint64]] = []
    for shard in job.planned():
        rows = job.sources(shard).select(["path", "data"]).to_pylist()
        keys.append(np.array([_key(row["path"], row["data"]) for row in rows], np.uint64))
    return np.sort(np.concatenate(keys)) if keys else np.empty(0, np.uint64)


def _key(path: bytes, data: bytes | None) -> int:
    digest = blake2b(path, digest_size=8)
    if data is not None:
        digest.update(b"\0" + data)
    return int.from_bytes(digest.digest(), "little")
