"""Pydantic models of response bodies; the OpenAPI schema is generated from them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from imgsearch.wire.values import CAT, Model


class Fault(Model):
    """An invalid value in a request: its location, and why it is invalid."""

    where: list[str]
    why: str


class Problem(BaseModel):
    """An error (RFC 9457). `code` is stable; `instance` is the id of the error in the log."""

    type: str = Field(examples=["urn:imgsearch:problem:image_not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["No image has this id."])
    instance: str = Field(examples=["urn:imgsearch:request:5f0c2b7a91d3e846"])
    code: str = Field(examples=["image_not_found"])
    errors: list[Fault] = []


class Image(Model):
    """The metadata of an image in a collection; `content` is the sha256 of its file."""

    id: str = Field(examples=[CAT])
    collection: str = Field(examples=["images"])
    content: str
    source: str = Field(examples=["upload"])
    name: str = Field(examples=["кот.jpg"])
    size: int = Field(description="bytes")
    width: int
    height: int
    format: str = Field(examples=["JPEG"])
    label: str = Field(examples=["cat"])
    fields: dict[str, Any] = Field(examples=[{"year": 2024}])
    encoder: str = Field(examples=["lite"])
    state: Literal["pending", "ready", "failed", "deleting"]
    error: str = Field(description="code of the failure, if `state` is failed")
    created: datetime
    updated: datetime
    original: str = Field(examples=[f"/v1/images/{CAT}/original?v=8c5e0b64a1f2"])
    thumbnail: str = Field(examples=[f"/v1/images/{CAT}/thumbnail?v=8c5e0b64a1f2"])


class Failure(Model):
    """An image that was not added: the stage that failed, and why."""

    name: str = Field(examples=["notes.pdf"])
    stage: str = Field(examples=["header"])
    code: str = Field(examples=["format_refused"])
    detail: str


class Added(Model):
    """The result of an upload; `updated` counts known images that got another label."""

    images: list[Image]
    new: int
    updated: int
    failures: list[Failure]


class Images(Model):
    """A page of images; `next` is the cursor of the next page, null on the last."""

    images: list[Image]
    total: int
    next: str | None


class Deleted(Model):
    """The number of deleted images."""

    deleted: int


class Hit(Model):
    """A hit; `references` is the number of images in the collection with the same content."""

    id: str = Field(examples=[CAT])
    content: str
    score: float = Field(description="higher is nearer; for the metric cosine, the cosine")
    distance: float
    name: str = Field(examples=["кот.jpg"])
    label: str = Field(examples=["cat"])
    fields: dict[str, Any]
    references: int
    original: str
    thumbnail: str


class Hits(Model):
    """The hits of a search, nearest first; `took` maps each stage to milliseconds."""

    hits: list[Hit]
    took: dict[str, float] = Field(examples=[{"embed": 4.1, "search": 2.7}])
    collection: str = Field(examples=["images"])
    model: str = Field(examples=["lite"])
    warnings: list[str] = Field(description="parts of a text that the encoder does not know")


class BatchHits(Model):
    """The results of a batch of searches, in order. Each result is either hits or a problem."""

    results: list[Hits | Problem]


class Count(Model):
    """The number of images and vectors; images with identical content share a vector."""

    images: int
    vectors: int


class Collection(Model):
    """A collection: its size, encoder, metric and index."""

    name: str = Field(examples=["images"])
    images: int
    vectors: int
    model: str = Field(examples=["lite"])
    dim: int = Field(examples=[384])
    metric: str = Field(examples=["cosine"])
    index: str


class Collections(Model):
    """All collections, sorted by name."""

    collections: list[Collection]


class Job(Model):
    """A background job: its state, and the number of images that passed each stage."""

    id: str
    kind: Literal["folder", "urls", "upload", "retry"]
    collection: str
    state: Literal["queued", "running", "done", "cancelled", "failed"]
    found: int
    decoded: int
    embedded: int
    inserted: int
    searchable: int
    indexed: int
    skipped: int
    failed: int
    updated: int
    error: str = Field(description="code of the error that ended the job")
    created: datetime
    started: datetime | None
    finished: datetime | None


class JobList(Model):
    """A page of jobs, newest first; `next` is the cursor of the next page, null on the last."""

    jobs: list[Job]
    next: str | None


class JobFailures(Model):
    """A page of a job's failures; `next` is the cursor of the next page, null on the last."""

    failures: list[Failure]
    next: str | None


class Encoder(Model):
    """An encoder that collections can be created with."""

    name: str = Field(examples=["lite"])
    dim: int | None = Field(examples=[384])
    description: str
    texts: bool = Field(description="whether it encodes texts")
    installed: bool
    licence: str


class Encoders(Model):
    """The supported encoders; new collections use `default`."""

    default: str = Field(examples=["lite"])
    models: list[Encoder]


class Health(Model):
    """The health of each part of the service, checked with a trial embedding and search."""

    status: Literal["ok", "failing"]
    parts: dict[str, Literal["ok", "failing"]] = Field(examples=[{"encoder": "ok"}])


class Status(Model):
    """Whether the service is running, or is stopping and rejects requests."""

    status: Literal["ok", "stopping"]
