"""Rows of a folder that faiss searches, for public Towhee code. Not a store of libraries."""

import base64
import json
import threading
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from imgsearch.backends.rows import matrix
from imgsearch.errors import (
    BackendError,
    ConfigError,
    DimensionMismatch,
    FieldInvalid,
    VectorInvalid,
)
from imgsearch.types import MAX_K, Vector

_FILE: Final = "rows.jsonl"
_opening: Final = threading.Lock()
_open: "Final[dict[Path, FaissRows]]" = {}


class FaissRows:
    """A folder with one file, to which rows are appended. Thread-safe, for one process at a time.

    A row is a line of JSON: ``{"vector": <base64 of float32>, "values": […]}``. So an interrupted
    write damages the last line only, which is then skipped.
    """

    def __init__(self, folder: Path) -> None:
        self._file, self._lock = folder / _FILE, threading.RLock()
        self._vectors: list[Vector] = []
        self._values: list[list[Any]] = []
        self._read = 0  # bytes of the file
        self._index: Any = None

    @classmethod
    def open(cls, folder: str | PathLike[str], dimension: int | None = None) -> "FaissRows":
        """Return the rows of a folder, the same object for the same folder.

        Raises:
            ConfigError: the folder's name is invalid.
            DimensionMismatch: its vectors do not have `dimension` numbers.
        """
        try:
            path = Path(folder).expanduser().resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(f"invalid folder {folder!r}: {error}") from error
        with _opening:
            rows = _open.setdefault(path, cls(path))
        with rows._lock:
            rows._refresh()
            if dimension is not None and rows._vectors:
                rows._check(int(dimension))
        return rows

    def insert(self, vector: Any, values: Sequence[Any]) -> int:
        """Append a row; return its id, its place from 0. Searchable on return.

        Raises:
            DimensionMismatch, VectorInvalid: the vector differs in length, or is not finite.
            FieldInvalid: a value is not JSON's.
            BackendError: the file cannot be written.
        """
        row = _vector(vector)
        data = base64.b64encode(row.astype("<f4").tobytes()).decode()
        try:
            line = json.dumps({"vector": data, "values": list(values)}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise FieldInvalid(
                f"cannot store the values: {error}. Pass texts, numbers, lists or dictionaries."
            ) from error
        with self._lock:
            self._refresh()
            if self._vectors:
                self._check(row.size)
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with self._file.open("ab") as file:
                    if file.tell() > self._read:  # a line that an interruption cut off
                        file.truncate(self._read)
                    file.write(line.encode() + b"\n")
            except OSError as error:
                raise BackendError(f"cannot write {self._file}: {error}") from error
            self._refresh()
            return len(self._vectors) - 1

    def search(self, vector: Any, k: int) -> list[list[Any]]:
        """Return at most `k` rows of ``id, squared L2 distance, values``, nearest first.

        Raises:
            ConfigError: `k` is not in 1 to 16,384.
            DimensionMismatch, VectorInvalid: as for `insert`.
        """
        if not 1 <= k <= MAX_K:
            raise ConfigError(f"top_k must be in 1 to {MAX_K:,}, not {k}")
        query = _vector(vector)
        with self._lock:
            self._refresh()
            if not self._vectors:
                return []
            self._check(query.size)
            if self._index is None:
                self._index = _index(query.size)
            if self._index.ntotal < len(self._vectors):
                self._index.add(np.stack(self._vectors[self._index.ntotal :]))
            distances, places = self._index.search(query[None], min(k, len(self._vectors)))
            return [
                [int(place), float(distance), list(self._values[place])]
                for place, distance in zip(places[0], distances[0], strict=True)
            ]

    def _check(self, size: int) -> None:
        if size != self._vectors[0].size:
            raise DimensionMismatch(
                f"a vector of {size} numbers: the rows in {self._file} have "
                f"{self._vectors[0].size}."
            )

    def _refresh(self) -> None:
        """Read the lines that were appended since the last call, here or in another process."""
        try:
            size = self._file.stat().st_size
        except FileNotFoundError:
            size = 0
        except OSError as error:
            raise BackendError(f"cannot read {self._file}: {error}") from error
        if size < self._read:  # deleted or written anew
            self._vectors, self._values, self._read, self._index = [], [], 0, None
        if size == self._read:
            return
        with self._file.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                vector, values = self._row(line)
                self._vectors.append(vector)
                self._values.append(values)
                self._read += len(line)

    def _row(self, line: bytes) -> tuple[Any, list[Any]]:
        try:
            row = json.loads(line)
            data = base64.b64decode(row["vector"], validate=True)
            return _vector(np.frombuffer(data, "<f4")), list(row["values"])
        except (ValueError, KeyError, TypeError, RecursionError, VectorInvalid) as error:
            raise BackendError(
                f"{self._file} is damaged at byte {self._read}: {error}. Delete it, and insert "
                "again."
            ) from error


def _vector(vector: Any) -> Vector:
    row = matrix(vector)
    if row.shape[0] != 1 or row.size == 0 or not np.isfinite(row).all():
        raise VectorInvalid("the vector must be one row of finite numbers")
    first: Vector = row[0]
    return first


def _index(dim: int) -> Any:
    import faiss  # milvus-lite brings it

    return faiss.IndexFlatL2(dim)
