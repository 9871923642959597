"""The SDK's client for a URL, and a schema as it takes it."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from tcvectordb import RPCVectorDBClient, VectorDBClient
from tcvectordb.client.tls import TLSConfig
from tcvectordb.model.document import SearchParams
from tcvectordb.model.enum import FieldType, IndexType, MetricType, ReadConsistency
from tcvectordb.model.index import (
    FilterIndex,
    HNSWParams,
    IVFFLATParams,
    IVFPQParams,
    IVFSQ8Params,
    VectorIndex,
)
from tcvectordb.model.index import Index as Indexes

from imgsearch.backends.schema import Index, Schema
from imgsearch.backends.tencent.address import Options
from imgsearch.backends.tencent.schema import COLUMNS, PLACE, breadth
from imgsearch.errors import ConfigError

CONNECTIONS: Final = 10  # kept open, over HTTP
_PARAMS: Final[Mapping[str, Callable[[Mapping[str, int]], Any]]] = {
    "flat": lambda given: None,  # noqa: ARG005  # it takes none
    "hnsw": lambda given: HNSWParams(given["M"], given["efConstruction"]),
    "ivf_flat": lambda given: IVFFLATParams(given["nlist"]),
    "ivf_sq8": lambda given: IVFSQ8Params(given["nlist"]),
    "ivf_pq": lambda given: IVFPQParams(given["nlist"], given["M"]),
}


def opened(url: str, token: str | None, timeout: float) -> Any:
    """Return the client for a URL. Nothing is asked of the service yet.

    A token is ``KEY``, of the account ``root``, or ``ACCOUNT:KEY``.

    Raises:
        ConfigError: there is no token, or one that no header takes; no file at ``?ca=``.
    """
    parts, account_and_key = urlsplit(url), _credentials(url, token)
    options = Options.parse(parts.query)
    tls = parts.scheme in ("tencent+https", "tencent+grpcs")
    kind = RPCVectorDBClient if is_rpc(url) else VectorDBClient
    try:
        client = kind(
            f"{'https' if tls else 'http'}://{parts.netloc}",
            *account_and_key,
            read_consistency=ReadConsistency[f"{options.consistency.upper()}_CONSISTENCY"],
            timeout=timeout,
            pool_size=1 if is_rpc(url) else CONNECTIONS,
            tls_config=TLSConfig(options.ca or None) if tls else None,  # without it: unverified
        )
    except OSError as error:
        raise ConfigError(f"cannot read the certificates at {options.ca}: {error}") from error
    if not is_rpc(url):
        session = client.http_client.session
        # the SDK's own retries would make a host that drops packets take four times the timeout
        for adapter in session.adapters.values():
            adapter.max_retries = HTTPAdapter().max_retries  # none
        # requests 2.34 takes REQUESTS_CA_BUNDLE before the file that was asked for; without the
        # environment it takes no proxy from there either
        session.trust_env = not options.ca
        session.auth = _as_it_is
    return client


def is_rpc(url: str) -> bool:
    """Tell whether a URL is of gRPC."""
    return url.startswith(("tencent+grpc:", "tencent+grpcs:"))


def indexed(described: Any) -> int | None:
    """Return how many vectors the index covers, None where the service does not say."""
    counts = [index.indexed_count for index in described.indexes if index.name == "vector"]
    return counts[0] if counts else None


def indexes(schema: Schema) -> Indexes:
    """Return what a collection of this schema is created with."""
    return Indexes(
        FilterIndex("id", FieldType.String, IndexType.PRIMARY_KEY),
        VectorIndex(
            "vector",
            schema.dim,
            IndexType[schema.index.kind.upper()],
            MetricType[schema.metric.upper()],
            _PARAMS[schema.index.kind](schema.index.params),
        ),
        FilterIndex(PLACE, FieldType.Uint64, IndexType.FILTER),
        *(
            FilterIndex(name, FieldType(COLUMNS[kind]), IndexType.FILTER)
            for name, kind in schema.fields.items()
        ),
    )


def search_params(index: Index, k: int, effort: int | None) -> SearchParams | None:
    """Return the search-time parameters as the SDK takes them, None for the service's own."""
    params = breadth(index, k, effort)
    return SearchParams(**params) if params else None


def _as_it_is(request: Any) -> Any:
    """Leave the SDK's header: where nobody sets one otherwise, requests puts .netrc's over it."""
    return request


def _credentials(url: str, token: str | None) -> tuple[str, str]:
    account, colon, key = (token or "").rpartition(":")
    account = account if colon else "root"
    if not (account and key):
        raise ConfigError(f"{url} needs a key: set IMGSEARCH_TENCENT_KEY to KEY or ACCOUNT:KEY")
    if not (account + key).isascii() or not (account + key).isprintable() or " " in account + key:
        # requests would show it in its own complaint
        raise ConfigError("IMGSEARCH_TENCENT_KEY holds what no key does: a space, a line's end, …")
    return account, key
