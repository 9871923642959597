"""What goes over the wire: requests and answers, as OpenAPI describes them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    model_validator,
)

from imgsearch.archive import CollectionState
from imgsearch.archive import Found as ArchiveFound
from imgsearch.catalog import Entry
from imgsearch.catalog import Job as CatalogJob
from imgsearch.service.problems import kind_named

MAX_K = 1_000
MAX_OFFSET = 10_000  # Milvus takes 16,384 for k and offset together
MAX_TERMS, MAX_QUERIES, MAX_FIELDS, MAX_IDS, MAX_URLS = 16, 32, 32, 1_000, 1_000

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
NewId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")
]  # "." and ".." vanish from URLs
CollectionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
# what a catalogue sorts and a page shows: no control characters, which NUL is one of
Text = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=r"\S")]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
_Whole = Annotated[StrictInt, Field(ge=-(2**53), le=2**53)]  # what every JSON reader keeps exactly
_Real = Annotated[StrictFloat, Field(allow_inf_nan=False)]
_Letters = Annotated[StrictStr, StringConstraints(max_length=2_000)]
Fields = Annotated[
    dict[_Name, _Letters | StrictBool | _Whole | _Real], Field(max_length=MAX_FIELDS)
]
Weight = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Score = Annotated[float, Field(allow_inf_nan=False)]

_CAT = "0f3c9a1e5b7d4c2a8e6f1b0d9c7a5e3f"


def _one_of(*names: str) -> Any:
    """Return what a JSON schema says of alternatives, for those who write clients by it."""
    return [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Fault(_Model):
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


class Image(_Model):
    """One image of a collection, as the catalogue knows it; `content` is its sha256."""

    id: str = Field(examples=[_CAT])
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
    encoder: str = Field(examples=["mini"])
    state: Literal["pending", "ready", "failed", "deleting"]
    error: str = Field(description="the code of what went wrong, of a failed one")
    created: datetime
    updated: datetime
    original: str = Field(examples=[f"/v1/images/{_CAT}/original?v=8c5e0b64a1f2"])
    thumbnail: str = Field(examples=[f"/v1/images/{_CAT}/thumbnail?v=8c5e0b64a1f2"])

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Return what is told of an entry: all but where it lies."""
        name = entry.error.partition(":")[0]
        told: dict[str, Any] = {
            each: getattr(entry, each) for each in cls.model_fields if hasattr(entry, each)
        }
        told |= {"fields": dict(entry.fields), "error": kind_named(name).code if name else ""}
        return cls(**told | links(entry))


class Failure(_Model):
    """One image that did not go in."""

    name: str = Field(examples=["notes.pdf"])
    stage: str = Field(examples=["header"])
    code: str = Field(examples=["format_refused"])
    detail: str


class Added(_Model):
    """What an upload brought: `new` of the images were not there before."""

    images: list[Image]
    new: int
    failures: list[Failure]


class Images(_Model):
    """A page of images; `next` is the cursor of the following one, null on the last."""

    images: list[Image]
    total: int
    next: str | None


class Change(_Model):
    """What is to be different about an image."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"label": "cat", "fields": {"year": 2024}}]}
    )
    label: Text | None = None
    name: Annotated[Text, StringConstraints(min_length=1)] | None = None
    fields: Fields | None = None


class Ids(_Model):
    """Images by id."""

    ids: list[Id] = Field(min_length=1, max_length=MAX_IDS, examples=[[_CAT]])


class Deleted(_Model):
    """How many images there were to delete."""

    deleted: int


def _positive(terms: "list[Term]") -> "list[Term]":
    """Return terms, one of them at least to look for; what is taken away comes last."""
    if all(term.weight < 0 for term in terms):
        raise ValueError("one term at least has a weight above 0")
    return sorted(terms, key=lambda term: term.weight < 0)


class Term(_Model):
    """One summand of a query: a text, an image that is there, or one in base64."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": _one_of("text", "id", "image")}
    )
    text: Words | None = None
    id: Id | None = None
    image: str | None = Field(None, description="the image file in base64")
    weight: Weight = Field(default=1.0, description="below 0 takes it away; 0 is refused")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(each is not None for each in (self.text, self.id, self.image)) != 1:
            raise ValueError("just one of text, id and image is wanted")
        if self.weight == 0:
            raise ValueError("a weight of 0 looks for nothing")
        return self


class How(_Model):
    """How to search, whatever for."""

    collection: CollectionName = "images"
    k: int = Field(10, ge=1, le=MAX_K)
    offset: int = Field(0, ge=0, le=MAX_OFFSET)
    where: dict[str, Any] | None = Field(
        None,
        description='{"field": "label", "op": "==", "value": "cat"}, {"all": […]}, {"any": […]}, '
        '{"not": …}',
        examples=[{"field": "label", "op": "==", "value": "cat"}],
    )
    min_score: Score | Literal["auto"] | None = None
    hide_duplicates: StrictBool | Annotated[Score, Field(ge=-1, le=1)] = Field(
        default=False, description="true, or the score of two images from which on they are alike"
    )


class SearchQuery(How):
    """What to look for: one of text, id, image and terms."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": _one_of("text", "id", "image", "terms"),
            "examples": [
                {"text": "a dog in the snow", "k": 5},
                {"id": _CAT, "hide_duplicates": 0.95},
                {"terms": [{"id": _CAT}, {"text": "snow", "weight": 0.5}]},
            ],
        },
    )
    text: Words | None = None
    id: Id | None = None
    image: str | None = Field(None, description="the image file in base64")
    terms: Annotated[list[Term], AfterValidator(_positive)] | None = Field(
        None, min_length=1, max_length=MAX_TERMS
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(each is not None for each in (self.text, self.id, self.image, self.terms)) != 1:
            raise ValueError("just one of text, id, image and terms is wanted")
        return self


class SearchForm(How):
    """The fields beside an uploaded image."""


class Batch(_Model):
    """Several searches in one request."""

    queries: list[SearchQuery] = Field(min_length=1, max_length=MAX_QUERIES)


class Hit(_Model):
    """One image that was found; `references` counts the images of the collection that are it."""

    id: str = Field(examples=[_CAT])
    content: str
    score: float = Field(description="higher is nearer; the cosine, where the metric is one")
    distance: float
    name: str = Field(examples=["кот.jpg"])
    label: str = Field(examples=["cat"])
    fields: dict[str, Any]
    references: int
    original: str
    thumbnail: str

    @classmethod
    def of(cls, found: ArchiveFound) -> Self:
        """Return what is told of a hit."""
        entry = found.entry
        return cls(
            id=entry.id,
            content=entry.content,
            score=found.hit.score,
            distance=found.hit.distance,
            name=entry.name,
            label=entry.label,
            fields=dict(entry.fields),
            references=found.references,
            **links(entry),
        )


class Hits(_Model):
    """What a search found, nearest first; `took` is in milliseconds, by stage."""

    hits: list[Hit]
    took: dict[str, float] = Field(examples=[{"embed": 4.1, "search": 2.7}])
    collection: str = Field(examples=["images"])
    model: str = Field(examples=["mini"])
    warnings: list[str] = Field(description="what of a text the encoder does not know")


class BatchHits(_Model):
    """The answer to each search of a batch, in order: its hits, or its problem."""

    results: list[Hits | Problem]


class Count(_Model):
    """How many images there are, which may share contents, and how many vectors."""

    images: int
    vectors: int


class Collection(_Model):
    """A collection, and the encoder, metric and index that it was made with."""

    name: str = Field(examples=["images"])
    images: int
    vectors: int
    model: str = Field(examples=["mini"])
    dim: int = Field(examples=[384])
    metric: str = Field(examples=["cosine"])
    index: str

    @classmethod
    def of(cls, state: CollectionState) -> Self:
        """Return what is told of a collection."""
        return cls(**{each: getattr(state, each) for each in cls.model_fields})


class Collections(_Model):
    """All collections, by name."""

    collections: list[Collection]


class JobRequest(_Model):
    """What to add: a folder inside the service's roots, or images by URL."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": _one_of("folder", "urls"),
            "examples": [{"folder": "photos/2024", "collection": "images"}],
        },
    )
    folder: Annotated[str, StringConstraints(min_length=1, max_length=4_096)] | None = None
    urls: list[Annotated[str, StringConstraints(min_length=1, max_length=2_000)]] | None = Field(
        None, min_length=1, max_length=MAX_URLS
    )
    collection: CollectionName = "images"
    in_place: bool = Field(default=False, description="keep no original of the folder's files")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.folder is None) == (self.urls is None):
            raise ValueError("just one of folder and urls is wanted")
        return self


class Job(_Model):
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
    error: str = Field(description="the code of what ended it")
    created: datetime
    started: datetime | None
    finished: datetime | None

    @classmethod
    def of(cls, job: CatalogJob) -> Self:
        """Return what is told of a job: all but what it was asked to read."""
        name = job.error.partition(":")[0]
        told = {each: getattr(job, each) for each in cls.model_fields if each != "error"}
        return cls(**told, error=kind_named(name).code if name else "")


class JobList(_Model):
    """A page of jobs, newest first; `next` is the cursor of the following one."""

    jobs: list[Job]
    next: str | None


class JobFailures(_Model):
    """A page of what failed in a job, in order; `next` is the cursor of the following one."""

    failures: list[Failure]
    next: str | None


class Encoder(_Model):
    """A model that collections may be made with."""

    name: str = Field(examples=["mini"])
    dim: int | None = Field(examples=[384])
    description: str
    texts: bool = Field(description="whether it takes texts")
    installed: bool
    licence: str


class Encoders(_Model):
    """The described models, and the one that new collections get."""

    default: str = Field(examples=["mini"])
    models: list[Encoder]


class Health(_Model):
    """Of each part whether it does its work: an image is embedded, and searched for."""

    status: Literal["ok", "failing"]
    parts: dict[str, Literal["ok", "failing"]] = Field(examples=[{"encoder": "ok"}])


class Status(_Model):
    """Whether the service lives, or takes requests."""

    status: Literal["ok", "stopping"]


def links(entry: Entry) -> dict[str, str]:
    """Return where an image's pixels are; the version makes the address its content's alone."""
    base, version = f"/v1/images/{entry.id}", f"?v={version_of(entry.content)}"
    return {"original": f"{base}/original{version}", "thumbnail": f"{base}/thumbnail{version}"}


def version_of(content: str) -> str:
    """Return what stands for a content in an address."""
    return content[:12]
