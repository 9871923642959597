"""The Tencent VectorDB backend, through Tencent's SDK, over HTTP or gRPC.

Tested with tcvectordb 2.1.1 against the emulator in `imgsearch.testing.tencent`, not against the
real service. The following is undocumented, so the service may differ: how quotes are escaped in
filters, whether L2 scores are squared distances (assumed here), the maximum length of descriptions
and texts, the status code for a wrong key, and search results from an IVF index before `flush` has
trained it.
"""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from typing_extensions import override

from imgsearch.backends.base import Capabilities, VectorBackend, filled, require_schema
from imgsearch.backends.collection import Collection
from imgsearch.backends.identity import Described
from imgsearch.backends.schema import COMMON_INDEXES, Schema
from imgsearch.backends.tencent.address import Options
from imgsearch.backends.tencent.calls import (
    COLLECTION_EXISTS,
    DATABASE_EXISTS,
    INVALID,
    NO_DATABASE,
    Calls,
    code_of,
)
from imgsearch.backends.tencent.client import filters, indexed, indexes, is_rpc, open_client
from imgsearch.backends.tencent.collection import TencentCollection
from imgsearch.backends.tencent.schema import MARK, Layout, check_creatable, parsed, vector_indexes
from imgsearch.errors import (
    BackendError,
    BackendUnavailable,
    CollectionNotFound,
    ConfigError,
    IndexRefused,
)
from imgsearch.settings import connect_timeout
from imgsearch.types import check_name

LONG: Final = 600.0  # seconds to build an index
# rows needed to train each cell in each shard
# Source: https://cloud.tencent.com/document/product/1709/98689
TRAINING: Final = 30
_ROWS: Final = 1_000  # rows that are written again at once


class Backend(VectorBackend):
    """The collections of one database. `create` creates a missing database."""

    @override
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        parts = urlsplit(url)
        self.url, self.database = url, parts.path.strip("/")
        self.drops = 0  # collections that this object dropped
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,127}", self.database):
            raise ConfigError(
                f"database name {self.database!r} in {url} is invalid. Use a letter, then letters, "
                "digits, - or _."
            )
        self.capabilities = Capabilities(COMMON_INDEXES, persistent=True, shared=True)
        self._options = Options.parse(parts.query)
        self.number = 4 if is_rpc(url) else 22  # bytes of a float: 4 in gRPC, about 22 in JSON
        self.calls = Calls(url, open_client(url, token, timeout), timeout)
        try:
            self.calls(
                lambda client, seconds: client.list_databases(timeout=seconds),
                limit=connect_timeout(timeout),
            )
        except BackendError:
            self.calls.close()
            raise

    @override
    def names(self) -> list[str]:
        try:
            collections = self.calls(
                lambda client, seconds: client.list_collections(self.database, timeout=seconds)
            )
        except CollectionNotFound:  # the database does not exist yet
            return []
        return sorted(collection.collection_name for collection in collections)

    @override
    def create(self, name: str, schema: Schema) -> Collection:
        check_name(name)
        self.require(schema)
        check_creatable(name, schema)
        try:
            collection = self.open(name)
        except CollectionNotFound:
            collection = self._create_and_open(name, schema)
        require_schema(collection, schema)
        return collection

    @override
    def open(self, name: str) -> Collection:
        return TencentCollection(self, self.described(name))

    @override
    def _declare(self, collection: Collection, schema: Schema) -> None:
        """Add filter indexes. `parsed` reads the types from them, as descriptions cannot change.

        Records get the zeros first, so that a crash leaves undeclared fields, which harm nothing.
        """
        records = collection.iterate()
        while batch := list(islice(records, _ROWS)):
            collection.upsert(replace(row, fields=filled(row.fields, schema)) for row in batch)
        added = schema.fields.keys() - collection.schema.fields.keys()
        columns = filters({name: schema.fields[name] for name in schema.fields if name in added})
        where = self.database, collection.name
        self.await_index(collection.name)  # the service runs one task at a time
        self.calls(
            lambda client, seconds: client.add_index(*where, columns, timeout=seconds), again=False
        )
        self.await_index(collection.name)

    @override
    def drop(self, name: str) -> None:
        real = self._describe(name).collection_name
        if real != name:  # over HTTP the SDK would hide the service's error
            raise CollectionNotFound(
                f"collection {name!r} cannot be dropped: it is an alias of {real!r} in {self.url}. "
                "Use drop_alias."
            )
        self.calls(
            lambda client, seconds: client.drop_collection(self.database, name, timeout=seconds),
            again=False,
        )
        self.drops += 1

    @override
    def set_alias(self, alias: str, name: str) -> None:
        check_name(alias)
        real = self._describe(name).collection_name
        if alias in self.names():
            raise ConfigError(f"alias {alias!r} is a collection's name. Choose another one.")
        self.calls(lambda client, _: client.set_alias(self.database, real, alias), again=False)

    @override
    def drop_alias(self, alias: str) -> None:
        try:
            real = self._describe(alias).collection_name
        except CollectionNotFound as error:
            raise CollectionNotFound(f"no alias {alias!r} in {self.url}") from error
        if real == alias:
            raise CollectionNotFound(f"{alias!r} is a collection of {self.url}, not an alias")
        self.calls(lambda client, _: client.delete_alias(self.database, alias), again=False)

    def described(self, name: str) -> Described[Layout]:
        """Return the description of a collection, by name or alias.

        Raises:
            CollectionNotFound: no collection has this name.
            SchemaMismatch: imgsearch cannot use the collection.
        """
        description = self._describe(name)
        name, text = description.collection_name, description.description
        index_list = description.index.list()
        layout = parsed(name, text, index_list)
        identity = description.create_time, text, vector_indexes(index_list)
        return Described(name, layout, bool(indexed(description)), identity)

    def indexed(self, name: str) -> int | None:
        """Return the number of indexed vectors. Returns None if the service does not report it."""
        return indexed(self._describe(name))

    def train(self, name: str, schema: Schema) -> bool:
        """Start to train an IVF index on the current rows. Returns False if there are too few.

        Training needs 30 rows for each cell in each shard. `await_index` waits for its end.
        """
        shards = self._describe(name).shard or 1
        needed = TRAINING * schema.index.params["nlist"] * shards
        where = self.database, name
        if self.calls(lambda client, seconds: client.count(*where, timeout=seconds)) < needed:
            return False
        self.rebuild(name)
        return True

    def rebuild(self, name: str) -> None:
        """Start to build the index of all rows again. `await_index` waits for its end."""
        where = self.database, name
        self.await_index(name)  # the service runs one task at a time
        self.calls(
            lambda client, seconds: client.rebuild_index(*where, timeout=seconds), again=False
        )

    def await_index(self, name: str) -> None:
        """Wait until the index is built.

        Raises:
            IndexRefused: the build failed.
            BackendUnavailable: the build took more than ten minutes.
        """
        end, pause = time.monotonic() + LONG, threading.Event()
        while (status := self._status(name)) not in ("ready", ""):
            if status == "failed":
                raise IndexRefused(f"{self.url} failed to index {name!r}")
            if time.monotonic() > end:
                raise BackendUnavailable(
                    f"{self.url} did not index {name!r} within {LONG:.0f} s. Flush it again later."
                )
            pause.wait(0.1)

    @override
    def _close(self) -> None:
        self.calls.close()

    def _status(self, name: str) -> str:
        status = self._describe(name).index_status or {}
        return str(status.get("status", "")).lower()

    def _describe(self, name: str) -> Any:
        try:
            return self.calls(
                lambda client, seconds: client.describe_collection(
                    self.database, name, timeout=seconds
                )
            )
        except CollectionNotFound as error:
            raise CollectionNotFound(f"no collection {name!r} in {self.url}") from error.__cause__

    def _create_and_open(self, name: str, schema: Schema) -> Collection:
        existed = self._create(name, schema)
        try:
            return self.open(name)
        except CollectionNotFound as error:
            if not existed:
                raise
            raise ConfigError(
                f"collection name {name!r} is taken, but not in {self.url}: Tencent VectorDB may "
                "require names that are unique in all databases of an instance. Choose another one."
            ) from error

    def _create(self, name: str, schema: Schema) -> bool:
        """Create a collection and a missing database. Returns whether the collection existed."""

        def create(client: Any, seconds: float) -> None:
            self._send_create(client, seconds, name, schema)

        code = self._attempt(create, NO_DATABASE, COLLECTION_EXISTS)
        if code == NO_DATABASE:
            self._attempt(
                lambda client, seconds: client.create_database(self.database, timeout=seconds),
                DATABASE_EXISTS,
            )
            code = self._attempt(create, COLLECTION_EXISTS)
        return code == COLLECTION_EXISTS  # another process created it first

    def _attempt(self, do: Callable[[Any, float], Any], *expected: int) -> int:
        """Make a call without retries. Returns 0, or the error code if it is in `expected`."""
        try:
            self.calls(do, again=False)
        except BackendError as error:
            code = code_of(error.__cause__)
            if code in INVALID:
                raise IndexRefused(
                    f"{error}. The URL may set other numbers than {self._options.shards} shards "
                    f"and {self._options.replicas} replicas."
                ) from error.__cause__
            if code not in expected:
                raise
            return code
        return 0

    def _send_create(self, client: Any, seconds: float, name: str, schema: Schema) -> None:
        client.create_collection(
            self.database,
            name,
            shard=self._options.shards,
            replicas=self._options.replicas,
            description=MARK + schema.to_json(),
            index=indexes(schema),
            timeout=seconds,
        )
