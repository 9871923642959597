"""A LangChain retriever over the images of a library or a service."""

from typing import Any

from typing_extensions import override

from imgsearch.errors import MissingExtra
from imgsearch.library.interface import SearchableImages
from imgsearch.query import Query
from imgsearch.types import Hit

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ModuleNotFoundError as missing:
    raise MissingExtra(
        "the retriever needs langchain_core", extra="langchain", name=missing.name
    ) from missing


class ImageRetriever(BaseRetriever):
    """Retrieves images for a text: ``ImageRetriever(images=library, k=3).invoke("a dog")``.

    `images` is a library or a client; `k`, `where` and `min_score` are as for `Library.search`. A
    document's text is the label and path of an image, its metadata are the fields, ``score`` and
    ``id``, by which ``images.get`` returns the record.
    """

    images: Any
    k: int = 4
    where: Any = None
    min_score: float | None = None

    @override
    def _get_relevant_documents(
        self, query: str, *, run_manager: "CallbackManagerForRetrieverRun"
    ) -> "list[Document]":
        del run_manager
        images: SearchableImages = self.images
        options = {"k": self.k, "where": self.where, "min_score": self.min_score}
        return [_document(hit) for hit in images.search(Query.text(query), **options)]


def _document(hit: Hit) -> "Document":
    text = ": ".join(filter(None, (hit.label, hit.path)))
    metadata = {**hit.fields, "id": hit.id, "score": hit.score}
    return Document(page_content=text, metadata=metadata, id=hit.id)
