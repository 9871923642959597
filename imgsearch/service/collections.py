"""Routes of collections: list, count and delete."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from imgsearch.archive import MigrationRequest
from imgsearch.fields import declared
from imgsearch.filters.text import LONGEST
from imgsearch.service import conversion
from imgsearch.service.bodies import described, json_body
from imgsearch.service.parameters import filter_of
from imgsearch.service.problems import HttpProblem
from imgsearch.service.scopes import allowed
from imgsearch.service.service import Here
from imgsearch.wire import requests, responses, values

router = APIRouter(prefix="/v1", tags=["collections"])


@router.get("/count", dependencies=[allowed("read", limited=True)])
def count_images(
    here: Here,
    collection: values.CollectionName = "images",
    where: Annotated[
        str | None, Query(max_length=LONGEST, description="a filter as a text or as JSON")
    ] = None,
) -> responses.ImageCounts:
    """Count a collection's images and vectors. Images with identical content share a vector.

    A filter by `where` reads the metadata of all images.
    """
    return here.archive.count(collection, where=filter_of(where))


@router.get("/collections", dependencies=[allowed("read", limited=True)])
def list_collections(here: Here) -> responses.Collections:
    """List all collections by name."""
    return responses.Collections(collections=here.archive.collections())


@router.get("/collections/{name}", dependencies=[allowed("read", limited=True)])
def get_collection(here: Here, name: values.CollectionName) -> responses.CollectionInfo:
    """Get a collection's size, encoder, metric and index."""
    return here.archive.collection(name)


@router.post(
    "/collections/{name}/fields",
    dependencies=[allowed("admin", limited=True)],
    openapi_extra=described(requests.FieldsRequest),
)
def update_fields(
    here: Here,
    name: values.CollectionName,
    body: Annotated[requests.FieldsRequest, json_body(requests.FieldsRequest)],
) -> responses.CollectionInfo:
    """Add declared fields to a collection, which is created if it does not exist.

    Fields keep their types, and cannot be removed.
    """
    types = declared(dict(body.fields))
    known = here.archive.field_types(name)
    for field, kind in types.items():
        if known.get(field, kind) != kind:
            text = f"The field {field!r} is {known[field]} there, and keeps its type."
            raise HttpProblem(409, "schema_mismatch", text)
    here.archive.declare_fields(name, types)
    return here.archive.collection(name)


@router.get("/collections/{name}/facets", dependencies=[allowed("read", limited=True)])
def get_facets(
    here: Here,
    name: values.CollectionName,
    field: Annotated[str, Query(max_length=64)],
    where: Annotated[str | None, Query(max_length=4_096, description="a filter")] = None,
    most: Annotated[int, Query(ge=1, le=1_000)] = 20,
) -> responses.Facets:
    """Count the values of a field. Images with identical content count once."""
    counts = here.archive.facets(name, field, where=filter_of(where), most=most)
    facets = [responses.Facet(value=value, images=number) for value, number in counts.items()]
    return responses.Facets(field=field, values=facets)


@router.post(
    "/collections/{name}/migrate",
    status_code=202,
    dependencies=[allowed("admin", limited=True)],
    openapi_extra=described(requests.MigrationRequest),
)
def start_migration(
    here: Here,
    name: values.CollectionName,
    migration: Annotated[requests.MigrationRequest, json_body(requests.MigrationRequest)],
    response: Response,
) -> responses.JobState:
    """Start a job that embeds a collection's images with another model."""
    started = here.jobs.start_migration(
        name, MigrationRequest(**migration.model_dump(exclude_none=True))
    )
    response.headers["Location"] = f"/v1/jobs/{started.id}"
    return conversion.job_state(started)


@router.delete("/collections/{name}", dependencies=[allowed("admin", limited=True)])
def delete_collection(
    here: Here,
    name: values.CollectionName,
    confirm: Annotated[str, Query(max_length=64, description="the collection's name again")],
) -> responses.Deleted:
    """Delete a collection with all its images. `confirm` must repeat its name."""
    return responses.Deleted(deleted=here.archive.drop(name, confirm=confirm))
