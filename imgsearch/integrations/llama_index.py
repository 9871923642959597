"""A LlamaIndex retriever over the images of a library or a service."""

from typing import Any

from typing_extensions import override

from imgsearch.errors import MissingExtra
from imgsearch.library.interface import SearchableImages
from imgsearch.query import Query
from imgsearch.types import Hit

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle
except ModuleNotFoundError as missing:
    raise MissingExtra(
        "the retriever needs llama_index", extra="llama-index", name=missing.name
    ) from missing


class ImageRetriever(BaseRetriever):
    """Retrieves images for a text: ``ImageRetriever(library, k=3).retrieve("a dog")``.

    `images` is a library or a client; `k`, `where` and `min_score` are as for `Library.search`. A
    node is an image with its path, its label as text, and the fields as metadata. Its id is that of
    the hit, by which ``images.get`` returns the record.
    """

    def __init__(
        self,
        images: SearchableImages,
        *,
        k: int = 4,
        where: Any = None,
        min_score: float | None = None,
    ) -> None:
        self._images, self._k, self._where, self._min_score = images, k, where, min_score
        super().__init__()

    @override
    def _retrieve(self, query_bundle: "QueryBundle") -> "list[NodeWithScore]":
        query = Query.text(query_bundle.query_str)
        hits = self._images.search(query, k=self._k, where=self._where, min_score=self._min_score)
        return [NodeWithScore(node=_node(hit), score=hit.score) for hit in hits]


def _node(hit: Hit) -> "ImageNode":
    label, path = (str(hit.fields.get(name, "")) for name in ("label", "path"))
    return ImageNode(id_=hit.id, text=label, image_path=path or None, metadata=dict(hit.fields))
