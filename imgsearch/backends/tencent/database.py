"""A database of Tencent VectorDB, by the arguments that public Towhee code gives its operators.

The driver itself stays in `tencent`.
"""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from imgsearch.backends import connect
from imgsearch.backends.collection import Collection
from imgsearch.backends.schema import Index, Schema
from imgsearch.errors import ConfigError

if TYPE_CHECKING:
    from imgsearch.backends.tencent.backend import Backend

# what the tutorial made its collection with
_SHARDS: Final = 3
_INDEX: Final = Index("hnsw", {"M": 16, "efConstruction": 200})


@dataclass
class Place:
    """A database, connected to at its first use and shared with the process. Thread-safe.

    The key stays out of the repr. A collection is described once.
    """

    host: str
    port: str | int
    account: str
    key: str = field(repr=False)
    database: str
    timeout: float = 20.0  # seconds, a request

    def __post_init__(self) -> None:
        self._opening = threading.RLock()
        self._store: Backend | None = None
        self._open: dict[str, Collection] = {}

    def open(self, name: str) -> Collection:
        """Return a collection of any make.

        Raises:
            CollectionNotFound: there is none of this name.
            SchemaMismatch: its vectors or documents are none of ours.
            BackendUnavailable, BackendError: nothing answers, or it refuses the key.
        """
        with self._opening:
            if name not in self._open:
                self._open[name] = self._connected().open(name)
            return self._open[name]

    def create(self, name: str, dim: int) -> None:
        """Make the database and the collection where they are missing.

        HNSW with M 16 and efConstruction 200, cosine, three shards, no replica, a filter on path;
        what is there already stays as it is.
        """
        with self._opening:
            url = f"{self._url}?shards={_SHARDS}&replicas=0"
            with connect(url, token=self._token, timeout=self.timeout) as store:
                if name not in store.names():
                    store.create(name, Schema(dim, "cosine", _INDEX, {"path": "str"}))

    def drop(self, name: str) -> None:
        """Delete a collection and all that is in it.

        Raises:
            CollectionNotFound: there is none of this name.
        """
        with self._opening:
            self._connected().drop(name)
            self._open.pop(name, None)

    def drop_database(self, name: str) -> None:
        """Delete the database and all collections in it.

        Raises:
            ConfigError: `name` is not this database's, which has to be said again.
        """
        self.require(name)
        with self._opening:
            self._connected().calls(
                lambda client, seconds: client.drop_database(name, timeout=seconds), again=False
            )
            self._open.clear()

    def require(self, name: str) -> None:
        """Refuse a name that is not this database's.

        Raises:
            ConfigError: it is not.
        """
        if name != self.database:
            raise ConfigError(f"this is database {self.database!r}, not {name!r}: nothing dropped")

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
