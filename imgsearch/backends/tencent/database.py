"""A Tencent VectorDB database with the arguments of public Towhee code."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from imgsearch.backends import connect
from imgsearch.backends.collection import Collection
from imgsearch.backends.schema import Index, Schema
from imgsearch.errors import ConfigError

if TYPE_CHECKING:
    from imgsearch.backends.tencent.backend import Backend

# the parameters of a new collection in Towhee's tutorial
_SHARDS: Final = 3
_INDEX: Final = Index("hnsw", {"M": 16, "efConstruction": 200})


@dataclass
class TencentDatabase:
    """A database, connected at the first use. Thread-safe.

    The repr does not contain the key. Open collections are cached.
    """

    host: str
    port: str | int
    account: str
    key: str = field(repr=False)
    database: str
    timeout: float = 20.0  # seconds for each request

    def __post_init__(self) -> None:
        self._opening = threading.RLock()
        self._store: Backend | None = None
        self._open: dict[str, Collection] = {}

    def open(self, name: str) -> Collection:
        """Open a collection, which any program may have created.

        Raises:
            CollectionNotFound: no collection has this name.
            SchemaMismatch: imgsearch cannot search the collection's vectors.
            BackendUnavailable, BackendError: the service does not respond, or rejects the key.
        """
        with self._opening:
            if name not in self._open:
                self._open[name] = self._connected().open(name)
            return self._open[name]

    def create(self, name: str, dim: int) -> None:
        """Create the database and the collection if they are missing.

        A new collection has an HNSW index (M 16, efConstruction 200), cosine metric, three shards,
        no replicas, and a filter index on "path". An existing collection is not changed.
        """
        with self._opening:
            url = f"{self._url}?shards={_SHARDS}&replicas=0"
            with connect(url, token=self._token, timeout=self.timeout) as store:
                if name not in store.names():
                    store.create(name, Schema(dim, "cosine", _INDEX, {"path": "str"}))

    def drop(self, name: str) -> None:
        """Delete a collection and its records.

        Raises:
            CollectionNotFound: no collection has this name.
        """
        with self._opening:
            self._connected().drop(name)
            self._open.pop(name, None)

    def drop_database(self, name: str) -> None:
        """Delete the database and all its collections. `name` confirms the deletion.

        Raises:
            ConfigError: `name` is not the name of this database.
        """
        self.require(name)
        with self._opening:
            self._connected().calls(
                lambda client, seconds: client.drop_database(name, timeout=seconds), again=False
            )
            self._open.clear()

    def require(self, name: str) -> None:
        """Check that `name` is the name of this database.

        Raises:
            ConfigError: it is another name.
        """
        if name != self.database:
            raise ConfigError(
                f"nothing dropped: the database is {self.database!r}, not {name!r}. Pass its name."
            )

    @property
    def _url(self) -> str:
        return f"tencent://{self.host}:{self.port}/{self.database}"

    @property
    def _token(self) -> str:
        return f"{self.account}:{self.key}"

    def _connected(self) -> "Backend":
        if self._store is None:
            store = connect(self._url, token=self._token, timeout=self.timeout)
            self._store = cast("Backend", store)
        return self._store
