"""Opens the SDK's client, and converts schemas for it."""

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
from imgsearch.backends.tencent.schema import COLUMNS, PLACE
from imgsearch.errors import ConfigError
from imgsearch.fields import FieldType as ImageFieldType

CONNECTIONS: Final = 10  # size of the connection pool over HTTP
_PARAMS: Final[Mapping[str, Callable[[Mapping[str, int]], Any]]] = {
    "flat": lambda params: None,  # noqa: ARG005  # has no parameters
    "hnsw": lambda params: HNSWParams(params["M"], params["efConstruction"]),
    "ivf_flat": lambda params: IVFFLATParams(params["nlist"]),
    "ivf_sq8": lambda params: IVFSQ8Params(params["nlist"]),
    "ivf_pq": lambda params: IVFPQParams(params["nlist"], params["M"]),
}


def open_client(url: str, token: str | None, timeout: float) -> Any:
    """Return a client for a URL, without sending a request.

    The token is ``ACCOUNT:KEY``, or ``KEY`` for the account ``root``.

    Raises:
        ConfigError: the token is missing or cannot be sent in a header, or the certificate file
            ``?ca=`` cannot be read.
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
            tls_config=TLSConfig(options.ca or None) if tls else None,  # None skips verification
        )
    except OSError as error:
        raise ConfigError(f"certificates at {options.ca} cannot be read: {error}") from error
    if not is_rpc(url):
        session = client.http_client.session
        # the SDK's own retries would wait four times the timeout for a host that drops packets
        for adapter in session.adapters.values():
            adapter.max_retries = HTTPAdapter().max_retries  # no retries
        # requests 2.34 prefers REQUESTS_CA_BUNDLE to ?ca=, so the environment and its proxies
        # are not used
        session.trust_env = not options.ca
        session.auth = _keep_header
    return client


def is_rpc(url: str) -> bool:
    """Return whether a URL selects gRPC."""
    return url.startswith(("tencent+grpc:", "tencent+grpcs:"))


def indexed(description: Any) -> int | None:
    """Return the number of indexed vectors. Returns None if the service does not report it."""
    counts = [index.indexed_count for index in description.indexes if index.name == "vector"]
    return counts[0] if counts else None


def indexes(schema: Schema) -> Indexes:
    """Convert a schema to the SDK's indexes."""
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
        *filters(schema.fields),
    )


def filters(fields: Mapping[str, ImageFieldType]) -> list[FilterIndex]:
    """Convert declared fields to the SDK's indexes for filters."""
    return [
        FilterIndex(name, FieldType(COLUMNS[kind]), IndexType.FILTER)
        for name, kind in fields.items()
    ]


def search_params(index: Index, k: int, effort: int | None) -> SearchParams | None:
    """Return the SDK's search parameters. Returns None for a flat index, which has none."""
    params = index.search_params(k, effort)
    return SearchParams(**params) if params else None


def _keep_header(request: Any) -> Any:
    """Keep the SDK's header, which requests would otherwise replace with .netrc credentials."""
    return request


def _credentials(url: str, token: str | None) -> tuple[str, str]:
    account, colon, key = (token or "").rpartition(":")
    account = account if colon else "root"
    if not (account and key):
        raise ConfigError(
            f"{url} cannot be opened: the key is missing. Set IMGSEARCH_TENCENT_KEY to KEY or "
            "ACCOUNT:KEY."
        )
    if not (account + key).isascii() or not (account + key).isprintable() or " " in account + key:
        # without this check the error of requests would contain the key
        raise ConfigError(
            "IMGSEARCH_TENCENT_KEY is invalid: it contains a space, a line break or other "
            "characters that are not printable ASCII. Copy it again."
        )
    return account, key
