"""Routes of vectors: of queries, and of stored images."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter

from imgsearch.service.bodies import described, json_body
from imgsearch.service.queries import query_of
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here
from imgsearch.wire.vectors import EmbedRequest, Vectors, VectorsRequest, encoded

router = APIRouter(prefix="/v1", tags=["vectors"])


@router.post(
    "/embed", dependencies=[allowed("read", limited=True)], openapi_extra=described(EmbedRequest)
)
async def embed_items(
    here: Here, body: Annotated[EmbedRequest, json_body(EmbedRequest)]
) -> Vectors:
    """Get the vectors of texts and images by the collection's encoder."""

    def run() -> Vectors:
        queries = [query_of(here, item) for item in body.items]
        with here.archive.traffic.search(), here.embedding, here.metrics.stage("embed"):
            dim = here.archive.dim(body.collection)
            results = here.archive.encode(queries, collection=body.collection)
        warnings = dict.fromkeys(text for result in results for text in result.warnings)
        rows = np.array([result.vector for result in results], np.float32).reshape(-1, dim)
        return Vectors(vectors=[*encoded(rows, body.encoding)], dim=dim, warnings=list(warnings))

    return await here.searches.run(run)


@router.post(
    "/images/vectors",
    dependencies=[allowed("read", limited=True)],
    openapi_extra=described(VectorsRequest),
)
def get_vectors(here: Here, body: Annotated[VectorsRequest, json_body(VectorsRequest)]) -> Vectors:
    """Get the vectors of stored images; null for an unknown image or one without a vector."""
    stored = here.archive.vectors(body.ids)
    known = [id_ for id_ in body.ids if id_ in stored]
    rows = np.array([stored[id_] for id_ in known], np.float32)
    by_id = dict(zip(known, encoded(rows, body.encoding), strict=True))
    dim = rows.shape[1] if known else 0
    return Vectors(vectors=[by_id.get(id_) for id_ in body.ids], dim=dim, warnings=[])
