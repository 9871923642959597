"""Pydantic models of response bodies; the OpenAPI schema is generated from them."""

from datetime import datetime
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from imgsearch import types
from imgsearch.errors import BackendError
from imgsearch.wire.problems import error_class, kind_named
from imgsearch.wire.values import CAT, ResponseBody

R = TypeVar("R", bound=ResponseBody)
_OVER: Final = ("done", "cancelled", "failed")


def parse(kind: type[R], text: bytes) -> R:
    """Parse the JSON text of a response as a `kind`.

    Raises:
        BackendError: the text is not JSON, or a key is missing or invalid.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        why = f"{place}: {first['msg']}" if place else first["msg"]
        why = "it is not JSON" if first["type"] == "json_invalid" else why
        raise unexpected_response(why) from error


def unexpected_response(why: str) -> BackendError:
    """Return the error for a response that this version does not understand."""
    return BackendError(f"unexpected response, perhaps of another version of the service: {why}")


def _one_of(*values: str) -> Any:
    """Return a `Field` for a text that is one of `values`, or one of a newer service's."""
    return Field(json_schema_extra={"enum": list(values)})


class Fault(ResponseBody):
    """An invalid value in a request: its location, and why it is invalid."""

    where: list[str] = Field([])
    why: str = ""


class Problem(ResponseBody):
    """An error (RFC 9457). `code` is stable; `instance` is the id of the error in the log."""

    # `errors` is sent with invalid requests only; proxies omit other keys, too
    model_config = ConfigDict(
        json_schema_serialization_defaults_required=False,
        json_schema_extra={"required": ["type", "title", "status", "detail", "instance", "code"]},
    )
    type: str = Field("", examples=["urn:imgsearch:problem:image_not_found"])
    title: str = Field("", examples=["Not Found"])
    status: int = Field(0, examples=[404])
    detail: str = Field("", examples=["No image has this id."])
    instance: str = Field("", examples=["urn:imgsearch:request:5f0c2b7a91d3e846"])
    code: str = Field("", examples=["image_not_found"])
    errors: list[Fault] = Field([])


class Image(ResponseBody):
    """An image in a collection. `content` is the sha256 of its bytes; images may share it.

    `size` is in bytes, `width` and `height` are in pixels, and times are timezone-aware. `error` is
    the problem code of a failed image. `original` and `thumbnail` are URL paths.
    """

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
    state: str = _one_of("pending", "ready", "failed", "deleting")
    error: str = Field(description="code of the failure, if `state` is failed")
    created: datetime
    updated: datetime
    original: str = Field("", examples=[f"/v1/images/{CAT}/original?v=8c5e0b64a1f2"])
    thumbnail: str = Field("", examples=[f"/v1/images/{CAT}/thumbnail?v=8c5e0b64a1f2"])
    video_id: str = Field("", description="of a frame; its original is the video")

    @property
    def path(self) -> str:
        """The name, which is the path in filters."""
        return self.name


class FailedImage(ResponseBody):
    """An image that was not added: the stage that failed, and why."""

    name: str = Field(examples=["notes.pdf"])
    stage: str = Field(examples=["header"])
    code: str = Field(examples=["format_refused"])
    detail: str

    @classmethod
    def of(cls, failure: types.Failure, name: str) -> Self:
        """Return a failure under a public `name`, without the service's paths."""
        kind = kind_named(failure.error)
        return cls(name=name, stage=failure.stage, code=kind.code, detail=kind.text)

    def failure(self, path: str = "") -> types.Failure:
        """Return the failure of the client's file at `path`, by default of the public name."""
        error = error_class(self.code).__name__
        return types.Failure(path or self.name, self.stage, error, self.detail)


class UploadResult(ResponseBody):
    """The result of an upload; `updated` counts known images that got another label."""

    images: list[Image]
    new: int
    updated: int = 0
    failures: list[FailedImage]


class Images(ResponseBody):
    """A page of images; `next` is the cursor of the next page, null on the last."""

    images: list[Image]
    total: int
    next: str | None


class VideoInfo(ResponseBody):
    """A video: the number of its frames, each of which is an image, and its file.

    `name` is the value of the field ``video`` of its frames. `size` is in bytes. `original` and
    `thumbnail` are URL paths.
    """

    id: str = Field(examples=[CAT])
    collection: str = Field(examples=["images"])
    name: str = Field(examples=["2024/walk.mp4"])
    frames: int
    size: int = Field(description="bytes")
    format: str = Field(examples=["MP4"])
    label: str = ""
    source: str = Field("", examples=["upload"])
    original: str = ""
    thumbnail: str = ""


class Videos(ResponseBody):
    """A page of videos; `next` is the id to continue after, null on the last page."""

    videos: list[VideoInfo]
    next: str | None


class Deleted(ResponseBody):
    """The number of deleted images."""

    deleted: int


class FoundImage(ResponseBody):
    """A hit; `references` is the number of images in the collection with the same content."""

    id: str = Field(examples=[CAT])
    content: str
    score: float = Field(description="higher is nearer; for the metric cosine, the cosine")
    distance: float
    name: str = Field(examples=["кот.jpg"])
    label: str = Field(examples=["cat"])
    fields: dict[str, Any]
    references: int
    original: str = ""
    thumbnail: str = ""
    box: list[int] | None = Field(
        None, description="the nearest region: left, top, right, bottom in pixels of the image"
    )
    object: str = Field("", description="the region's object", examples=["dog"])
    video_id: str = Field("", description="of a frame; its original is the video")

    def hit(self) -> types.Hit:
        """Return the hit. Its fields hold also path (the name), label, content and references."""
        own = {name: getattr(self, name) for name in ("name", "label", "content", "references")}
        own["path"] = self.name  # as in filters and libraries
        if self.box is not None:
            own |= {"box": ",".join(map(str, self.box)), "object": self.object}
        if self.video_id:
            own["video_id"] = self.video_id
        return types.Hit(self.id, self.score, self.distance, {**self.fields, **own})


class Hits(ResponseBody):
    """The hits of a search, nearest first; `took` maps each stage to milliseconds."""

    hits: list[FoundImage]
    took: dict[str, float] = Field({}, examples=[{"embed": 4.1, "search": 2.7}])
    collection: str = Field("", examples=["images"])
    model: str = Field("", examples=["lite"])
    warnings: list[str] = Field([], description="parts of a text that the encoder does not know")


class BatchHits(ResponseBody):
    """The results of a batch of searches, in order. Each result is either hits or a problem."""

    results: list[Hits | Problem]


class Comparison(ResponseBody):
    """A comparison of two images: `score` compares embeddings, `verdict` pixels.

    `score` is a cosine, and `distance` is 1 - `score`. `threshold` is the measured lowest score of
    near-duplicates, if there is one, and `near` says whether `score` reaches it. `correlation` and
    `overlap` describe the best alignment of the second image on the first.
    """

    score: float = Field(examples=[0.93])
    distance: float = Field(examples=[0.07])
    verdict: str = _one_of("same", "different", "unclear")
    reason: str = ""
    threshold: float | None = None
    near: bool | None = None
    correlation: float = 0.0
    overlap: float = Field(0.0, description="share of the first image that the second covers")
    difference: str | None = Field(None, description="PNG file in base64, black where they agree")


class ImageCounts(ResponseBody):
    """The number of images and vectors; images with identical content share a vector."""

    images: int
    vectors: int


class CollectionInfo(ResponseBody):
    """A collection: its size, encoder, metric, index, and the types of its declared fields."""

    name: str = Field(examples=["images"])
    images: int
    vectors: int
    model: str = Field(examples=["lite"])
    dim: int = Field(examples=[384])
    metric: str = Field(examples=["cosine"])
    index: str
    fields: dict[str, str] = Field({}, examples=[{"path": "str", "label": "str", "year": "int"}])
    migrating_to: str = Field("", description="model of a migration that has not switched yet")
    encoder: dict[str, str | bool | int] = Field(
        {}, description="identity of the encoder: vectors of equal ones are comparable"
    )


class Facet(ResponseBody):
    """A value of a field, and its number of images."""

    value: str | bool | int | float = Field(examples=["dog"])
    images: int


class Facets(ResponseBody):
    """The values of a field, most frequent first. Each item of a list counts."""

    field: str = Field(examples=["tags"])
    values: list[Facet]


class Collections(ResponseBody):
    """All collections, sorted by name."""

    collections: list[CollectionInfo]


class MeasureOfModels(ResponseBody):
    """A measure with the former and with the new model: means over `n` queries.

    `low` and `high` are the 95 % interval of `difference`, the new value minus the former one.
    """

    measure: str = Field("", examples=["precision@10"])
    first: float | None = None
    second: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    n: int = 0


class ModelsCompared(ResponseBody):
    """How two models find the neighbors of `queries` images; see docs/migrate.md."""

    queries: int
    k: int = 10
    labels: list[MeasureOfModels] = Field([], description="by labels, if images have them")
    copies: MeasureOfModels | None = Field(None, description="changed images found first")
    agreement: float | None = Field(None, description="share of the same neighbors")
    same_nearest: float | None = None


class MigrationOutcome(ResponseBody):
    """The result of a migration: both models, and their comparison before a switch."""

    model: str = Field("", examples=["resnet50"])
    former_model: str = Field("", examples=["lite"])
    missing: int = Field(0, description="images that the new model lacks")
    switched: bool = Field(default=False, description="whether searches use the new model")
    comparison: ModelsCompared | None = None


class JobState(ResponseBody):
    """The state of a job, and how many of the `found` images passed each stage.

    `error` is the problem code of a failed job. `skipped` counts known images, and `updated` known
    images that got another label. Of the `inserted` images, `changed` replaced an image of the same
    file, and `renamed` are at a new place. `deleted` images were removed by a sync. Frames are
    images, and `videos` counts the videos that were read.
    """

    id: str
    kind: str = _one_of("folder", "urls", "upload", "retry", "migrate")
    collection: str
    state: str = _one_of("queued", "running", "done", "cancelled", "failed")
    found: int
    decoded: int
    embedded: int
    inserted: int
    searchable: int
    indexed: int
    skipped: int
    failed: int
    updated: int = 0
    changed: int = 0
    renamed: int = 0
    deleted: int = 0
    videos: int = 0
    migration: MigrationOutcome | None = Field(None, description="of a job that changes the model")
    error: str = Field(description="code of the error that ended the job")
    created: datetime
    started: datetime | None
    finished: datetime | None

    @property
    def over(self) -> bool:
        """Whether the job has ended."""
        return self.state in _OVER


class JobList(ResponseBody):
    """A page of jobs, newest first; `next` is the cursor of the next page, null on the last."""

    jobs: list[JobState]
    next: str | None


class JobFailures(ResponseBody):
    """A page of a job's failures; `next` is the cursor of the next page, null on the last."""

    failures: list[FailedImage]
    next: str | None


class ModelInfo(ResponseBody):
    """An encoder that collections can be created with. `dim` is null if its options decide it."""

    name: str = Field(examples=["lite"])
    dim: int | None = Field(examples=[384])
    description: str
    texts: bool = Field(description="whether it encodes texts")
    installed: bool
    licence: str


class Models(ResponseBody):
    """The supported encoders; new collections use `default`."""

    default: str = Field("", examples=["lite"])
    models: list[ModelInfo]


class LogLine(ResponseBody):
    """A line of the service's log; `request_id` is empty outside of a request."""

    time: str = Field(examples=["2026-12-01T08:15:30.123Z"])
    level: str = _one_of("debug", "info", "warning", "error", "critical")
    logger: str
    message: str
    request_id: str = ""
    exception: str = ""


class Log(ResponseBody):
    """The newest lines of the log, oldest first."""

    lines: list[LogLine]


class Health(ResponseBody):
    """The health of each part of the service, checked with a trial embedding and search."""

    status: str = _one_of("ok", "failing")
    parts: dict[str, Annotated[str, _one_of("ok", "failing")]] = Field(examples=[{"encoder": "ok"}])


class Status(ResponseBody):
    """Whether the service is running, or is stopping and rejects requests."""

    status: str = _one_of("ok", "stopping")
