"""The indexes of Milvus: which version builds them, and the names of their parameters.

Source: https://milvus.io/docs, the pages of the indexes and the release notes of Milvus.

Run: the kinds that 2.3.5 and milvus-lite 3.2.2 build. Not run: `diskann`, `hnsw_sq`, `ivf_rabitq`
and `gpu_cagra`, whose requests are compared with the documentation.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from imgsearch.backends.schema import INDEXES, Index
from imgsearch.errors import IndexRefused

LITE: Final = frozenset({"flat", "ivf_flat", "ivf_sq8", "hnsw"})
"""The kinds of milvus-lite. It accepts `ivf_pq`, but then searches by brute force."""

SERVER: Final = frozenset(INDEXES)
"""The kinds of servers; see `require_version`."""

_VERSIONS: Final[Mapping[str, tuple[tuple[int, int], str]]] = {
    "gpu_cagra": ((2, 4), ", its edition for GPUs"),
    "hnsw_sq": ((2, 5), ""),
    "ivf_rabitq": ((2, 6), ""),
}
_PARTITIONS: Final = (2, 4)
_TYPES: Final[Mapping[int, str]] = {6: "SQ6", 8: "SQ8", 16: "FP16", 32: "FP32"}
_BITS: Final = {name: bits for bits, name in _TYPES.items()}


def build_params(index: Index) -> dict[str, Any]:
    """Return the build parameters by Milvus' names.

    >>> build_params(Index("ivf_rabitq"))
    {'nlist': 128, 'refine': True, 'refine_type': 'SQ8'}
    """
    params: dict[str, Any] = dict(index.params)
    if index.kind == "ivf_pq":
        return {"nlist": params["nlist"], "m": params["M"], "nbits": 8}
    if index.kind == "hnsw_sq":
        params["sq_type"] = _TYPES[params.pop("bits")]
    if index.kind == "ivf_rabitq":
        params |= {"refine": True, "refine_type": _TYPES[params.pop("refine_bits")]}
    return params


def own_params(index: Mapping[str, Any]) -> dict[str, int]:
    """Return the build parameters from describe_index, which lite nests and servers do not."""
    nested = index.get("params")
    known = {**(nested if isinstance(nested, Mapping) else {}), **index}
    for theirs, ours in (("sq_type", "bits"), ("refine_type", "refine_bits")):
        if bits := _BITS.get(str(known.get(theirs)).upper()):
            known[ours] = bits
    if str(known.get("index_type")) == "IVF_PQ" and "m" in known:
        known["M"] = known["m"]
    names = {name for params in INDEXES.values() for name in params}
    return {name: int(known[name]) for name in names if name in known}


def needs_version(kind: str) -> bool:
    """Return whether some servers do not build an index."""
    return kind in _VERSIONS


def limits(version: str) -> str:
    """Return what a server of this version lacks, and which version has it.

    >>> limits("v2.5.4")
    'Milvus v2.5.4 has no ivf_rabitq (2.6)'
    """
    lacking = [
        f"{kind} ({first[0]}.{first[1]})"
        for kind, (first, _) in _VERSIONS.items()
        if not _has(version, first)
    ]
    if not _has(version, _PARTITIONS):
        lacking.append("partition fields (2.4)")
    return f"Milvus {version} has no {', '.join(lacking)}" if lacking else ""


def _has(version: str, first: tuple[int, int]) -> bool:
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= first


def require_version(url: str, index: Index, version: str) -> None:
    """Check that a server of this version builds an index.

    >>> require_version("milvus://host", Index("ivf_rabitq"), "v2.3.5")
    Traceback (most recent call last):
    imgsearch.errors.IndexRefused: milvus://host cannot build ivf_rabitq, which needs Milvus 2.6 \
or newer: it is v2.3.5.

    Raises:
        IndexRefused: the server is too old.
    """
    if index.kind not in _VERSIONS:
        return
    first, edition = _VERSIONS[index.kind]
    if not _has(version, first):
        raise IndexRefused(
            f"{url} cannot build {index.kind}, which needs Milvus {first[0]}.{first[1]} or "
            f"newer{edition}: it is {version}."
        )


def require_partitions(url: str, version: str) -> None:
    """Check that a server of this version upserts rows into the part of their partition key.

    Milvus 2.3.5 puts them into a wrong part, so that no filter by the key finds them; see
    https://github.com/milvus-io/milvus/pull/30772.

    >>> require_partitions("milvus://host", "v2.4.1")

    Raises:
        IndexRefused: the server is too old.
    """
    if not _has(version, _PARTITIONS):
        raise IndexRefused(
            f"{url} cannot divide rows by a field: it is Milvus {version}, which puts rows into a "
            "wrong part, where filters do not find them. Milvus 2.4 or newer can."
        )


def check_dimension(index: Index, dim: int) -> None:
    """Check that IVF_PQ can cut vectors into equal parts.

    Raises:
        IndexRefused: M does not divide the number of dimensions.
    """
    if index.kind == "ivf_pq" and dim % index.params["M"]:
        raise IndexRefused(
            f"{index} cannot be built: {dim} dimensions cannot be cut into {index.params['M']} "
            f"equal parts. Choose an M that divides {dim}."
        )
