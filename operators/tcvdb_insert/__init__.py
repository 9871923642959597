"""Path and vector → Tencent VectorDB document, like the tutorial's ``ops.local.tcvdb_client``."""

import os
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from imgsearch.backends.rows import Inserted, matrix
from imgsearch.backends.tencent.database import TencentDatabase
from imgsearch.errors import ConfigError, FieldInvalid
from imgsearch.images.sources import content_id, printable
from imgsearch.towhee import Operator
from imgsearch.types import Record


class TcvdbInsert(Operator):
    """Write documents with a path and a vector.

    The id is a hash of the path, so a second write replaces the document, unless `random_ids`.
    """

    def __init__(
        self,
        host: str,
        port: str | int,
        username: str,
        key: str,
        dbName: str,  # noqa: N803 - the tutorial's signature
        collectionName: str,  # noqa: N803 - the tutorial's signature
        timeout: float = 20,
        *,
        random_ids: bool = False,
    ) -> None:
        self._database = TencentDatabase(host, port, username, key, dbName, timeout)
        self._name, self._random = collectionName, random_ids

    def __call__(self, path: Any, vector: Any) -> Inserted:
        """Write one row, or a list of paths and a list of vectors. The arguments may be swapped."""
        if isinstance(path, np.ndarray):
            path, vector = vector, path
        one = isinstance(path, str | os.PathLike)
        paths: Sequence[Any] = [path] if one else path
        vectors = [vector] if one else vector
        if len(paths) != len(vectors):
            raise FieldInvalid(
                f"{len(paths)} paths for {len(vectors)} vectors: give one path per vector."
            )
        names = [os.fspath(item) for item in paths]
        records = [
            Record(self._id(name), matrix(row)[0], {"path": printable(name)})
            for name, row in zip(names, vectors, strict=True)
        ]
        self._database.open(self._name).upsert(records, foreign=True)
        return Inserted(len(records), [record.id for record in records])

    def create_db_and_collection(self, dim: int = 2048) -> None:
        """Create the database and the collection if they are missing; see `TencentDatabase`."""
        self._database.create(self._name, dim)

    def delete_and_drop(self, *, database: str = "", collection: str = "") -> None:
        """Drop the collection, then its database; see `TencentDatabase`.

        Raises:
            ConfigError: a name is missing, or is not the name of this database.
            CollectionNotFound: no collection has this name.
        """
        if not (database and collection):
            raise ConfigError(
                "nothing dropped: name the database and the collection. Call delete_and_drop("
                f"database={self._database.database!r}, collection={self._name!r})."
            )
        self._database.require(database)
        self._database.drop(collection)
        self._database.drop_database(database)

    def clear(self, *, database: str = "") -> None:
        """Drop the database with all its collections; see `TencentDatabase.drop_database`.

        Raises:
            ConfigError: the name is missing, or is not the name of this database.
        """
        if not database:
            raise ConfigError(
                "nothing dropped: name the database, which is dropped with all its collections. "
                f"Call clear(database={self._database.database!r})."
            )
        self._database.drop_database(database)

    def _id(self, path: str) -> str:
        return str(uuid.uuid4()) if self._random else content_id(os.fsencode(path))


tcvdb_insert = TcvdbInsert  # the name that Towhee looks for
