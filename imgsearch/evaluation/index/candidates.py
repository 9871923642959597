"""Candidates for index tuning: indexes with build parameters and search efforts."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from math import log2, sqrt
from typing import Final

from imgsearch.backends import Index
from imgsearch.errors import ConfigError

FEW: Final = 50_000  # rows; below this, Milvus scans many rows by brute force with any index
_EF: Final = (16, 32, 64, 128, 256, 512)  # besides the default, which is 2 k, at least 256
_NPROBE: Final = (1, 4, 16, 64)  # besides the default, which is a quarter of the cells

_BYTES: Final[Mapping[str, Callable[[int, Mapping[str, int]], float]]] = {
    "flat": lambda dim, _: 4 * dim,
    "ivf_flat": lambda dim, _: 4 * dim + 8,
    "ivf_sq8": lambda dim, _: dim + 8,
    "ivf_pq": lambda _, params: params["M"] + 8,
    "ivf_rabitq": lambda dim, params: -(-dim // 8) + 16 + dim * params["refine_bits"] / 8,
    "hnsw": lambda dim, params: 4 * dim + 8 * params["M"],
    "hnsw_sq": lambda dim, params: dim * params["bits"] / 8 + 8 * params["M"],
    "diskann": lambda dim, _: 4 * dim * (0.125 + 0.1),
    "gpu_cagra": lambda dim, params: 4 * (dim + params["graph_degree"]),
}  # for a row of `dim` numbers; see `row_bytes`


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index to build once, and the search efforts to try, which are (None,) for a flat index."""

    index: Index
    efforts: tuple[int | None, ...]

    @classmethod
    def parse(cls, text: str, *, k: int) -> "Candidate":
        """Parse an index and its efforts, like ``hnsw:M=16@64,128``.

        Without efforts, the choice of `of` is used. Efforts are clamped as in stores: for HNSW to
        at least k, for IVF to at most the number of cells.

        Raises:
            ConfigError: the index is unknown, an effort is not an integer of at least 1, or a flat
                index has an effort.
        """
        kind, at, rest = text.partition("@")
        index = Index.parse(kind)
        if not at:
            return cls.of(index, k=k)
        words = [word.strip() for word in rest.split(",")]
        if not all(word.isdecimal() and int(word) for word in words):
            raise ConfigError(
                f"invalid efforts in {text!r}: give numbers from 1 up, as in hnsw:M=16@64,128"
            )
        if index.kind == "flat":
            raise ConfigError(f"invalid effort in {text!r}: a flat index compares all rows")
        return cls(index, _clamp(index, k, [int(word) for word in words]))

    @classmethod
    def of(cls, index: Index, *, k: int) -> "Candidate":
        """Return an index with efforts from low to high, including its default effort."""
        match index.kind:
            case "flat":
                return cls(index, (None,))
            case "hnsw" | "hnsw_sq" | "diskann" | "gpu_cagra":
                return cls(index, _clamp(index, k, [*_EF, max(256, 2 * k)]))
            case _:
                quarter = max(16, index.params["nlist"] // 4)
                return cls(index, _clamp(index, k, [*_NPROBE, quarter]))


def candidates(
    present: Index, *, rows: int, k: int, dim: int = 0, kinds: Container[str] = ()
) -> list[Candidate]:
    """Return the present index, followed by common candidates for `rows` rows.

    IVF indexes get 4 sqrt(rows) cells, rounded to a power of two. From 50,000 rows on, those of
    `kinds` that save memory are candidates, too.

    Source: Milvus' performance FAQ, "How to set nlist and nprobe for IVF indexes".
    """
    nlist = 2 ** round(log2(4 * sqrt(max(rows, 1))))
    indexes = [
        present,
        Index("flat"),
        Index("ivf_flat", {"nlist": nlist}),
        Index("ivf_sq8", {"nlist": nlist}),
        Index("hnsw", {"M": 16, "efConstruction": 200}),
        Index("hnsw", {"M": 32, "efConstruction": 200}),
    ]
    if rows >= FEW:
        # without diskann: a server that cannot build it accepts it, and never ends (2.3.5)
        small = [Index("hnsw_sq"), Index("ivf_rabitq", {"nlist": nlist})]
        if dim % 4 == 0:  # a byte for four numbers, a sixteenth of the memory
            small.append(Index("ivf_pq", {"nlist": nlist, "M": max(dim // 4, 1)}))
        indexes += [index for index in small if index.kind in kinds]
    different = {str(index): index for index in indexes}
    return [Candidate.of(index, k=k) for index in different.values()]


def row_bytes(kind: str, dim: int, params: Mapping[str, int]) -> float:
    """Return the bytes of memory that an index needs for one row of `dim` numbers.

    `params` are its build parameters; a `refine_bits` of 0 stands for an index without refinement.
    An unknown kind counts as FLAT.

    FLAT 4 d, IVF_FLAT 4 d + 8, IVF_SQ8 d + 8, IVF_PQ M + 8, HNSW 4 d + 8 M, HNSW_SQ d bits / 8 +
    8 M. IVF_RABITQ has one bit for each number, 16 bytes for the id and for length and sum, and
    d refine_bits / 8. DiskANN keeps an eighth of the vectors as codes and a tenth in its cache;
    GPU_CAGRA has 4 d + 4 graph_degree, in the memory of the GPU.

    >>> row_bytes("hnsw", 512, {"M": 16})
    2176

    Sources: the tables of https://github.com/facebookresearch/faiss/wiki/Faiss-indexes;
    common.DiskIndex.PQCodeBudgetGBRatio and SearchCacheBudgetGBRatio in Milvus' configuration.
    faiss 1.15 serializes 2,192, 656, 527 and 87 bytes a row for HNSW, HNSW_SQ, IVF_SQ8 and
    IVF_RABITQ of 20,000 x 512.
    """
    return _BYTES.get(kind, _BYTES["flat"])(dim, params)


def memory_estimate(index: Index, *, rows: int, dim: int) -> int:
    """Return the estimated memory of an index in bytes.

    It is `row_bytes` for each row; IVF indexes add 4 d per cell. Fields, and a server's memory
    apart from its indexes, are not included.
    """
    cells = 4 * dim * index.params.get("nlist", 0)
    return round(rows * row_bytes(index.kind, dim, index.params)) + cells


def _clamp(index: Index, k: int, efforts: Sequence[int]) -> tuple[int, ...]:
    """Clamp efforts to the range of an index. Returns them sorted, without duplicates."""
    if "nlist" not in index.params:
        return tuple(sorted({max(effort, k) for effort in efforts}))
    return tuple(sorted({min(effort, index.params["nlist"]) for effort in efforts}))
