"""Routes of collections: list, count and delete."""

from typing import Annotated

from fastapi import APIRouter, Query

from imgsearch.errors import CollectionNotFound
from imgsearch.service import conversion
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here
from imgsearch.wire import responses, values

router = APIRouter(prefix="/v1", tags=["collections"])


@router.get("/count", dependencies=[allowed("read")])
def count_images(here: Here, collection: values.CollectionName = "images") -> responses.Count:
    """Count a collection's images and vectors. Images with identical content share a vector."""
    counts = here.archive.count(collection)
    return responses.Count(images=counts.images, vectors=counts.vectors)


@router.get("/collections", dependencies=[allowed("read")])
def list_collections(here: Here) -> responses.Collections:
    """List all collections by name."""
    states = here.archive.collections()
    return responses.Collections(collections=[conversion.collection(state) for state in states])


@router.get("/collections/{name}", dependencies=[allowed("read")])
def get_collection(here: Here, name: values.CollectionName) -> responses.Collection:
    """Get a collection's size, encoder, metric and index."""
    for state in here.archive.collections():
        if state.name == name:
            return conversion.collection(state)
    raise CollectionNotFound(f"the collection {name!r} does not exist")


@router.delete("/collections/{name}", dependencies=[allowed("admin")])
def delete_collection(
    here: Here,
    name: values.CollectionName,
    confirm: Annotated[str, Query(max_length=64, description="the collection's name again")],
) -> responses.Deleted:
    """Delete a collection with all its images. `confirm` must repeat its name."""
    return responses.Deleted(deleted=here.archive.drop(name, confirm=confirm))
