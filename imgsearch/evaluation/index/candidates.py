"""What a tuning tries: an index with its build parameters, and the efforts to search it with."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2, sqrt
from typing import Final

from imgsearch.backends import Index
from imgsearch.errors import ConfigError

_EF: Final = (16, 32, 64, 128, 256, 512)  # and the default: 2 k, at least 256
_NPROBE: Final = (1, 4, 16, 64)  # and a quarter of the cells, the default


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index to build once, and the efforts to search it with; (None,) where it knows none."""

    index: Index
    efforts: tuple[int | None, ...]

    @classmethod
    def parse(cls, text: str, *, k: int) -> "Candidate":
        """Read ``hnsw:M=16@64,128``: efforts after the @; without them, some from low to high.

        HNSW cannot search with less than k, IVF not with more than its cells: what is asked for
        beyond that is brought there, as stores do.

        Raises:
            ConfigError: the index is none, an effort is no number from 1 up, or is given to an
                index that has none.
        """
        kind, at, rest = text.partition("@")
        index = Index.parse(kind)
        if not at:
            return cls.of(index, k=k)
        words = [word.strip() for word in rest.split(",")]
        if not all(word.isdecimal() and int(word) for word in words):
            raise ConfigError(f"{text!r}: efforts are numbers from 1 up, as in hnsw:M=16@64,128")
        if index.kind == "flat":
            raise ConfigError(f"{text!r}: flat compares all rows; it has no effort")
        return cls(index, _brought(index, k, [int(word) for word in words]))

    @classmethod
    def of(cls, index: Index, *, k: int) -> "Candidate":
        """Return an index with efforts from low to high, its default among them."""
        match index.kind:
            case "flat":
                return cls(index, (None,))
            case "hnsw":
                return cls(index, _brought(index, k, [*_EF, max(256, 2 * k)]))
            case _:
                quarter = max(16, index.params["nlist"] // 4)
                return cls(index, _brought(index, k, [*_NPROBE, quarter]))


def candidates(now: Index, *, rows: int, k: int) -> list[Candidate]:
    """Return what is worth trying for so many rows, beginning with the index that there is now.

    IVF gets 4 sqrt(rows) cells, to the next power of two.
    Source: Milvus' performance FAQ, "How to set nlist and nprobe for IVF indexes".
    """
    nlist = 2 ** round(log2(4 * sqrt(max(rows, 1))))
    asked = [
        now,
        Index("flat"),
        Index("ivf_flat", {"nlist": nlist}),
        Index("ivf_sq8", {"nlist": nlist}),
        Index("hnsw", {"M": 16, "efConstruction": 200}),
        Index("hnsw", {"M": 32, "efConstruction": 200}),
    ]
    different = {str(index): index for index in asked}
    return [Candidate.of(index, k=k) for index in different.values()]


def memory_estimate(index: Index, *, rows: int, dim: int) -> int:
    """Return about how many bytes an index holds in memory, by formula: nobody measured them.

    FLAT 4 d a row; IVF_FLAT 4 d + 8, IVF_SQ8 d + 8, IVF_PQ M + 8, and 4 d a cell; HNSW 4 d + 8 M.
    Rows' fields, and all that a server keeps beside its indexes, come on top.

    Source: the tables of https://github.com/facebookresearch/faiss/wiki/Faiss-indexes
    """
    cells = 4 * dim * index.params.get("nlist", 0)
    match index.kind:
        case "ivf_flat":
            return rows * (4 * dim + 8) + cells
        case "ivf_sq8":
            return rows * (dim + 8) + cells
        case "ivf_pq":
            return rows * (index.params["M"] + 8) + cells
        case "hnsw":
            return rows * (4 * dim + 8 * index.params["M"])
        case _:
            return rows * 4 * dim


def _brought(index: Index, k: int, efforts: Sequence[int]) -> tuple[int, ...]:
    """Return different efforts within the bounds of an index, ascending."""
    if index.kind == "hnsw":
        return tuple(sorted({max(effort, k) for effort in efforts}))
    return tuple(sorted({min(effort, index.params["nlist"]) for effort in efforts}))
