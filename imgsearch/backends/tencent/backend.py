"""Tencent VectorDB through its own SDK, over HTTP or gRPC.

Verified with the real SDK, tcvectordb 2.1.1, against the emulator in `imgsearch.testing.tencent`,
never against the service. What neither the SDK nor the documentation tells, and the service may do
otherwise: how a quote is escaped within a filter, whether L2 scores are squared distances (taken so
here), the longest description and text, the status of a wrong key, what a search finds in an IVF
index before `flush` has trained it.
"""

import re
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from typing_extensions import override

from imgsearch.arguments import check_name
from imgsearch.backends.base import Capabilities, VectorBackend, require_schema
from imgsearch.backends.collection import Collection
from imgsearch.backends.identity import Described
from imgsearch.backends.schema import INDEXES, Schema
from imgsearch.backends.tencent.address import Options
from imgsearch.backends.tencent.calls import (
    COLLECTION_EXISTS,
    DATABASE_EXISTS,
    INVALID,
    NO_DATABASE,
    Calls,
    code_of,
)
from imgsearch.backends.tencent.client import indexed, indexes, is_rpc, opened
from imgsearch.backends.tencent.collection import TencentCollection
from imgsearch.backends.tencent.schema import MARK, Layout, check_creatable, parsed
from imgsearch.errors import (
    BackendError,
    BackendUnavailable,
    CollectionNotFound,
    ConfigError,
    IndexRefused,
)

LONG: Final = 600.0  # seconds for an index to be built
TRAINING: Final = 30  # rows a cell that training needs, in each shard
# Source: https://cloud.tencent.com/document/product/1709/98689


class Backend(VectorBackend):
    """One client for one database, which `create` makes where it is missing; nothing else does."""

    @override
    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        parts = urlsplit(url)
        self.url, self.database = url, parts.path.strip("/")
        self.drops = 0  # of collections, by this object
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,127}", self.database):
            raise ConfigError(f"{url}: a database's name is a letter, then letters, digits, - or _")
        self.capabilities = Capabilities(
            frozenset(INDEXES), persistent=True, shared=True, prefix=False
        )
        self._options = Options.parse(parts.query)
        self.number = 4 if is_rpc(url) else 22  # bytes of a float: float32, or 17 digits in JSON
        self.calls = Calls(url, opened(url, token, timeout), timeout)
        try:
            self.calls(lambda client, seconds: client.list_databases(timeout=seconds))
        except BackendError:
            self.calls.close()
            raise

    @override
    def names(self) -> list[str]:
        try:
            found = self.calls(
                lambda client, seconds: client.list_collections(self.database, timeout=seconds)
            )
        except CollectionNotFound:  # no such database yet
            return []
        return sorted(collection.collection_name for collection in found)

    @override
    def create(self, name: str, schema: Schema) -> Collection:
        check_name(name)
        check_creatable(name, schema)
        try:
            collection = self.open(name)
        except CollectionNotFound:
            collection = self._made(name, schema)
        require_schema(collection, schema)
        return collection

    @override
    def open(self, name: str) -> Collection:
        return TencentCollection(self, self.described(name))

    @override
    def drop(self, name: str) -> None:
        real = self._described(name).collection_name
        if real != name:  # over HTTP the SDK would swallow the service's refusal
            raise CollectionNotFound(f"{name!r} is an alias of {real!r} in {self.url}; drop that")
        self.calls(
            lambda client, seconds: client.drop_collection(self.database, name, timeout=seconds),
            again=False,
        )
        self.drops += 1

    @override
    def set_alias(self, alias: str, name: str) -> None:
        check_name(alias)
        real = self._described(name).collection_name
        if alias in self.names():
            raise ConfigError(f"{alias!r} is a collection; an alias needs a name of its own")
        self.calls(lambda client, _: client.set_alias(self.database, real, alias), again=False)

    @override
    def drop_alias(self, alias: str) -> None:
        try:
            real = self._described(alias).collection_name
        except CollectionNotFound as error:
            raise CollectionNotFound(f"no alias {alias!r} in {self.url}") from error
        if real == alias:
            raise CollectionNotFound(f"{alias!r} is a collection of {self.url}, not an alias")
        self.calls(lambda client, _: client.delete_alias(self.database, alias), again=False)

    def described(self, name: str) -> Described[Layout]:
        """Return the service's description of a collection, by its name or an alias.

        Raises:
            CollectionNotFound: no collection has this name.
            SchemaMismatch: imgsearch cannot use the collection.
        """
        description = self._described(name)
        name, text = description.collection_name, description.description
        index_list = description.index.list()
        layout = parsed(name, text, index_list)
        identity = description.create_time, text, index_list
        return Described(name, layout, bool(indexed(description)), identity)

    def indexed(self, name: str) -> int | None:
        """Return how many vectors the index covers, None where the service does not say."""
        return indexed(self._described(name))

    def train(self, name: str, schema: Schema) -> bool:
        """Build an IVF index of what is there now; tell whether it was done.

        Training takes 30 rows a cell and shard; with fewer there is nothing to be done.
        """
        shards = self._described(name).shard or 1
        needed = TRAINING * schema.index.params["nlist"] * shards
        where = self.database, name
        if self.calls(lambda client, seconds: client.count(*where, timeout=seconds)) < needed:
            return False
        self.await_index(name)  # it takes one task at a time
        self.calls(
            lambda client, seconds: client.rebuild_index(*where, timeout=seconds), again=False
        )
        return True

    def await_index(self, name: str) -> None:
        """Return when the index is built.

        Raises:
            IndexRefused: building it failed.
            BackendUnavailable: it took more than ten minutes.
        """
        end, pause = time.monotonic() + LONG, threading.Event()
        while (status := self._status(name)) not in ("ready", ""):
            if status == "failed":
                raise IndexRefused(f"{self.url} failed to index {name!r}")
            if time.monotonic() > end:
                raise BackendUnavailable(f"{self.url}: {name!r} not indexed in {LONG:.0f} s")
            pause.wait(0.1)

    @override
    def _close(self) -> None:
        self.calls.close()

    def _status(self, name: str) -> str:
        status = self._described(name).index_status or {}
        return str(status.get("status", "")).lower()

    def _described(self, name: str) -> Any:
        try:
            return self.calls(
                lambda client, seconds: client.describe_collection(
                    self.database, name, timeout=seconds
                )
            )
        except CollectionNotFound as error:
            raise CollectionNotFound(f"no collection {name!r} in {self.url}") from error.__cause__

    def _made(self, name: str, schema: Schema) -> Collection:
        taken = self._make(name, schema)
        try:
            return self.open(name)
        except CollectionNotFound as error:
            if not taken:
                raise
            raise ConfigError(
                f"{name!r} is taken, though not in {self.url}: Tencent VectorDB may want names to "
                "be different in all databases of an instance"
            ) from error

    def _make(self, name: str, schema: Schema) -> bool:
        """Create a collection, and its database; tell whether there was one of this name."""

        def make(client: Any, seconds: float) -> None:
            self._create(client, seconds, name, schema)

        code = self._attempt(make, NO_DATABASE, COLLECTION_EXISTS)
        if code == NO_DATABASE:
            self._attempt(
                lambda client, seconds: client.create_database(self.database, timeout=seconds),
                DATABASE_EXISTS,
            )
            code = self._attempt(make, COLLECTION_EXISTS)
        return code == COLLECTION_EXISTS  # another process was faster

    def _attempt(self, do: Callable[[Any, float], Any], *expected: int) -> int:
        """Make a call once; return the code with which it was refused if expected, or 0."""
        try:
            self.calls(do, again=False)
        except BackendError as error:
            code = code_of(error.__cause__)
            if code in INVALID:
                raise IndexRefused(
                    f"{error}; shards and replicas are {self._options.shards} and "
                    f"{self._options.replicas}, and the URL may say others"
                ) from error.__cause__
            if code not in expected:
                raise
            return code
        return 0

    def _create(self, client: Any, seconds: float, name: str, schema: Schema) -> None:
        client.create_collection(
            self.database,
            name,
            shard=self._options.shards,
            replicas=self._options.replicas,
            description=MARK + schema.to_json(),
            index=indexes(schema),
            timeout=seconds,
        )
