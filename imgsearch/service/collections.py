"""Routes to collections: what there is, how much, and dropping one."""

from typing import Annotated

from fastapi import APIRouter, Query

from imgsearch.errors import CollectionNotFound
from imgsearch.service import conversion
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here
from imgsearch.wire import responses, values

router = APIRouter(prefix="/v1", tags=["collections"])


@router.get("/count", dependencies=[allowed("read")])
def count(here: Here, collection: values.CollectionName = "images") -> responses.Count:
    """Count images, which may share contents, and vectors."""
    counts = here.archive.count(collection)
    return responses.Count(images=counts.images, vectors=counts.vectors)


@router.get("/collections", dependencies=[allowed("read")])
def listing(here: Here) -> responses.Collections:
    """List all collections."""
    states = here.archive.collections()
    return responses.Collections(collections=[conversion.collection(each) for each in states])


@router.get("/collections/{name}", dependencies=[allowed("read")])
def tell(here: Here, name: values.CollectionName) -> responses.Collection:
    """Tell what is known of a collection."""
    for state in here.archive.collections():
        if state.name == name:
            return conversion.collection(state)
    raise CollectionNotFound(f"there is no collection {name!r}")


@router.delete("/collections/{name}", dependencies=[allowed("admin")])
def drop(
    here: Here,
    name: values.CollectionName,
    confirm: Annotated[str, Query(max_length=64, description="the collection's name again")],
) -> responses.Deleted:
    """Delete a collection with all its images, confirmed by its name."""
    return responses.Deleted(deleted=here.archive.drop(name, confirm=confirm))
