"""Answers, as OpenAPI describes them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from imgsearch.wire.values import CAT, Model


class Fault(Model):
    """One value of a request that does not fit."""

    where: list[str]
    why: str


class Problem(BaseModel):
    """An error, as RFC 9457 has them; `code` is stable, `instance` is for the operator."""

    type: str = Field(examples=["urn:imgsearch:problem:image_not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no image of that id."])
    instance: str = Field(examples=["urn:imgsearch:request:5f0c2b7a91d3e846"])
    code: str = Field(examples=["image_not_found"])
    errors: list[Fault] = []


class Image(Model):
    """One image of a collection, as the catalogue knows it; `content` is its sha256."""

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
    error: str = Field(description="the code of what went wrong, of a failed one")
    created: datetime
    updated: datetime
    original: str = Field(examples=[f"/v1/images/{CAT}/original?v=8c5e0b64a1f2"])
    thumbnail: str = Field(examples=[f"/v1/images/{CAT}/thumbnail?v=8c5e0b64a1f2"])


class Failure(Model):
    """One image that did not go in."""

    name: str = Field(examples=["notes.pdf"])
    stage: str = Field(examples=["header"])
    code: str = Field(examples=["format_refused"])
    detail: str


class Added(Model):
    """The result of an upload: `new` images, and `updated` ones that got another label."""

    images: list[Image]
    new: int
    updated: int
    failures: list[Failure]


class Images(Model):
    """A page of images; `next` is the cursor of the following one, null on the last."""

    images: list[Image]
    total: int
    next: str | None


class Deleted(Model):
    """How many images there were to delete."""

    deleted: int


class Hit(Model):
    """One image that was found; `references` counts the images of the collection that are it."""

    id: str = Field(examples=[CAT])
    content: str
    score: float = Field(description="higher is nearer; the cosine, where the metric is one")
    distance: float
    name: str = Field(examples=["кот.jpg"])
    label: str = Field(examples=["cat"])
    fields: dict[str, Any]
    references: int
    original: str
    thumbnail: str


class Hits(Model):
    """What a search found, nearest first; `took` is in milliseconds, by stage."""

    hits: list[Hit]
    took: dict[str, float] = Field(examples=[{"embed": 4.1, "search": 2.7}])
    collection: str = Field(examples=["images"])
    model: str = Field(examples=["lite"])
    warnings: list[str] = Field(description="what of a text the encoder does not know")


class BatchHits(Model):
    """The answer to each search of a batch, in order: its hits, or its problem."""

    results: list[Hits | Problem]


class Count(Model):
    """How many images there are, which may share contents, and how many vectors."""

    images: int
    vectors: int


class Collection(Model):
    """A collection, and the encoder, metric and index that it was made with."""

    name: str = Field(examples=["images"])
    images: int
    vectors: int
    model: str = Field(examples=["lite"])
    dim: int = Field(examples=[384])
    metric: str = Field(examples=["cosine"])
    index: str


class Collections(Model):
    """All collections, by name."""

    collections: list[Collection]


class Job(Model):
    """A load in the background: how many images passed each stage."""

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
    error: str = Field(description="the code of what ended it")
    created: datetime
    started: datetime | None
    finished: datetime | None


class JobList(Model):
    """A page of jobs, newest first; `next` is the cursor of the following one."""

    jobs: list[Job]
    next: str | None


class JobFailures(Model):
    """A page of what failed in a job, in order; `next` is the cursor of the following one."""

    failures: list[Failure]
    next: str | None


class Encoder(Model):
    """A model that collections may be made with."""

    name: str = Field(examples=["lite"])
    dim: int | None = Field(examples=[384])
    description: str
    texts: bool = Field(description="whether it takes texts")
    installed: bool
    licence: str


class Encoders(Model):
    """The described models, and the one that new collections get."""

    default: str = Field(examples=["lite"])
    models: list[Encoder]


class Health(Model):
    """Of each part whether it does its work: an image is embedded, and searched for."""

    status: Literal["ok", "failing"]
    parts: dict[str, Literal["ok", "failing"]] = Field(examples=[{"encoder": "ok"}])


class Status(Model):
    """Whether the service lives, or takes requests."""

    status: Literal["ok", "stopping"]
