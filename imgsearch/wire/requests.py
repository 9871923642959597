"""Pydantic models of request bodies; the OpenAPI schema is generated from them."""

import json
from dataclasses import fields
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from imgsearch.errors import ConfigError
from imgsearch.filters import to_filter
from imgsearch.filters.mapping import to_json as filter_to_json
from imgsearch.filters.text import LONGEST
from imgsearch.query import Mode, SearchOptions
from imgsearch.wire.values import (
    CAT,
    MAX_EFFORT,
    MAX_FIELDS,
    MAX_IDS,
    MAX_K,
    MAX_OFFSET,
    MAX_QUERIES,
    MAX_TAGS,
    MAX_TERMS,
    MAX_URLS,
    CollectionName,
    Fields,
    Id,
    RequestBody,
    Score,
    Text,
    Weight,
    Words,
    one_of,
)

P = TypeVar("P", bound=RequestBody)
ORDER: Final = r"^-?[A-Za-z_]\w{0,63}$"
"""The pattern of a sort order: a field, after "-" in descending order."""


def build(kind: type[P], **values: Any) -> P:
    """Return a request body with these values.

    Raises:
        ConfigError: a value is invalid, or exceeds a limit of services.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"services do not accept {place}: {first['msg']}") from error


def to_json(kind: type[RequestBody], **values: Any) -> dict[str, Any]:
    """Return the JSON values of a request body, without values that are None.

    Raises:
        ConfigError: a value is invalid, or exceeds a limit of services.
    """
    return build(kind, **values).model_dump(exclude_none=True)


def _positive_first(terms: "list[QueryTerm]") -> "list[QueryTerm]":
    """Return the terms with negative weights last. Raises ValueError if no weight is positive."""
    if all(term.weight < 0 for term in terms):
        raise ValueError("at least one term needs a weight above 0")
    return sorted(terms, key=lambda term: term.weight < 0)


class Change(RequestBody):
    """Changes to an image's metadata; omitted values are kept."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"label": "cat", "fields": {"year": 2024}}]}
    )
    label: Text | None = None
    name: Annotated[Text, StringConstraints(min_length=1)] | None = None
    fields: Fields | None = None


class UploadedFields(RequestBody):
    """The fields of uploaded images: for all of them, or a list with one object a file."""

    fields: Fields | list[Fields] = Field({}, examples=[{"year": 2024}, [{"year": 2024}, {}]])

    def of_each(self, files: int) -> list[dict[str, Any]]:
        """Return the fields of each of `files` files.

        Raises:
            ConfigError: the list has another length.
        """
        if isinstance(self.fields, dict):
            return [self.fields] * files
        if len(self.fields) != files:
            raise ConfigError(f"fields has {len(self.fields)} items for {files} files")
        return [dict(fields) for fields in self.fields]


class Ids(RequestBody):
    """A list of image ids."""

    ids: list[Id] = Field(min_length=1, max_length=MAX_IDS, examples=[[CAT]])


_Url = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
_ONE: Final = ("text", "id", "image", "url")
_IMAGE: Final = "the image file in base64"
_URL: Final = "of an image, if the service fetches images by URL"


class QueryTerm(RequestBody):
    """A query term: a text, the id of a stored image, an image in base64, or an image's URL."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"oneOf": one_of(*_ONE)})
    text: Words | None = None
    id: Id | None = None
    image: str | None = Field(None, description=_IMAGE)
    url: _Url | None = Field(None, description=_URL)
    weight: Weight = Field(default=1.0, description="negative to subtract the term; 0 is invalid")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(getattr(self, name) is not None for name in _ONE) != 1:
            raise ValueError("exactly one of text, id, image and url is required")
        if self.weight == 0:
            raise ValueError("a weight must not be 0")
        return self


class SearchParameters(RequestBody):
    """The collection and the options of a search, without its query."""

    collection: CollectionName = "images"
    k: int = Field(10, ge=1, le=MAX_K)
    offset: int = Field(0, ge=0, le=MAX_OFFSET)
    where: dict[str, Any] | Annotated[str, StringConstraints(max_length=LONGEST)] | None = Field(
        None,
        description="a text such as \"label = 'cat' and year >= 2019\", or an object such as "
        '{"label": "cat", "year": {">=": 2019}}, {"all": […]}, {"any": […]}, {"not": …}',
        examples=["label = 'cat'", {"label": ["cat", "dog"]}],
    )
    min_score: Score | Literal["auto"] | None = None
    hide_duplicates: StrictBool | Annotated[Score, Field(ge=-1, le=1)] = Field(
        default=False,
        description="true for the measured threshold, or the lowest score of two near-duplicates; "
        "pixels are not compared",
    )
    effort: int | None = Field(None, ge=1, le=MAX_EFFORT, description="search breadth of the index")
    mode: Mode | None = Field(
        None,  # "vector"; it is not sent, because older services refuse it
        description="text compares words in names, labels and text fields; hybrid does both",
    )
    order_by: Annotated[str, StringConstraints(pattern=ORDER)] | None = Field(
        None,
        description="field by which the nearest k hits are sorted, after - in descending order",
        examples=["-year"],
    )

    @staticmethod
    def values_of(options: SearchOptions) -> dict[str, Any]:
        """Return search options as arguments of this class.

        Raises:
            FieldInvalid: the filter is larger than services accept.
        """
        where = None if options.where is None else filter_to_json(to_filter(options.where))
        return {name: getattr(options, name) for name in _OPTIONS} | {
            "where": where,
            "mode": None if options.mode == "vector" else options.mode,
        }

    def options(self) -> SearchOptions:
        """Return the search options.

        Raises:
            FieldInvalid: the filter is invalid. The message contains only values of the request.
        """
        values = {name: getattr(self, name) for name in _OPTIONS}
        return SearchOptions(**{**values, "mode": self.mode or "vector"})


_OPTIONS: Final = tuple(option.name for option in fields(SearchOptions))


class QueryBody(RequestBody):
    """A query: exactly one of `text`, `id`, `image`, `url` and `terms`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"oneOf": one_of(*_ONE, "terms")})
    text: Words | None = None
    id: Id | None = None
    image: str | None = Field(None, description=_IMAGE)
    url: _Url | None = Field(None, description=_URL)
    terms: Annotated[list[QueryTerm], AfterValidator(_positive_first)] | None = Field(
        None, min_length=1, max_length=MAX_TERMS
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(getattr(self, name) is not None for name in (*_ONE, "terms")) != 1:
            raise ValueError("exactly one of text, id, image, url and terms is required")
        return self

    def query_terms(self) -> list[QueryTerm]:
        """Return the terms; a single text, id, image or URL is one."""
        if self.terms is not None:
            return self.terms
        return [QueryTerm(text=self.text, id=self.id, image=self.image, url=self.url)]


class SearchQuery(SearchParameters, QueryBody):
    """A search with exactly one of `text`, `id`, `image`, `url` and `terms`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": one_of(*_ONE, "terms"),
            "examples": [
                {"text": "a dog in the snow", "k": 5},
                {"id": CAT, "hide_duplicates": 0.95},
                {"terms": [{"id": CAT}, {"text": "snow", "weight": 0.5}]},
            ],
        },
    )


class SearchForm(SearchParameters):
    """The form fields of a search with an uploaded image.

    `where` is a filter as a text or as JSON, `hide_duplicates` is JSON.
    """

    @field_validator("hide_duplicates", mode="before")
    @classmethod
    def _parsed(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except RecursionError as error:  # about 1,000 nested brackets
            raise ValueError("the text is not JSON") from error

    def form(self) -> dict[str, str]:
        """Return the form fields of these values."""
        values = self.model_dump(exclude_none=True)
        return {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }


class Batch(RequestBody):
    """Several searches in one request."""

    queries: list[SearchQuery] = Field(min_length=1, max_length=MAX_QUERIES)


class ComparedImage(RequestBody):
    """An image to compare: the id of a stored image, or an image in base64."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"oneOf": one_of("id", "image")})
    id: Id | None = None
    image: str | None = Field(None, description="the image file in base64")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.id is None) == (self.image is None):
            raise ValueError("exactly one of id and image is required")
        return self


class CompareOptions(RequestBody):
    """The options of a comparison; the collection's encoder makes the embeddings."""

    collection: CollectionName = "images"
    difference: bool = Field(default=False, description="return the difference as a PNG file")


class CompareRequest(CompareOptions):
    """A comparison of two images."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"one": {"id": CAT}, "other": {"id": CAT}}]},
    )
    one: ComparedImage
    other: ComparedImage


_Column = Annotated[str, StringConstraints(min_length=1, max_length=1_000)] | None


class MigrationRequest(RequestBody):
    """A job that embeds a collection's images with another model.

    `model` is a name of `imgsearch models`, such as "lite".
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"model": "lite", "switch": True}]}
    )
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    switch: StrictBool = Field(
        default=False, description="search with the new model once all images are embedded"
    )
    skip_missing: StrictBool = Field(
        default=False, description="leave out images that cannot be read instead of failing"
    )
    drop_former: StrictBool = Field(
        default=False, description="delete the vectors of former models after the switch"
    )
    sample: int | None = Field(
        None,  # 200; it is not sent, because older services refuse it
        ge=0,
        le=10_000,
        description="images to compare the models with, 200 by default; 0 for none",
    )


class FieldsRequest(RequestBody):
    """Fields to declare: their names and types."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"fields": {"year": "int"}}]}
    )
    fields: dict[
        Annotated[str, StringConstraints(max_length=64)],
        Literal["str", "int", "float", "bool", "list"],
    ] = Field(min_length=1, max_length=MAX_FIELDS)


_Pattern = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


OCR: Final = "read the text in new images into the field text, if the service allows it"
TAGS: Final = "labels; those that fit a new image are its field tags, if the service allows it"
FRAMES: Final = (
    'frames of videos: one in so many seconds, by default 1; "scenes", both as in "5,scenes", '
    'or "none"'
)
TAG_TOP: Final = "the most tags of an image; without it the measured threshold decides"


class JobRequest(RequestBody):
    """A job that adds a folder inside the service's roots, or images by URL.

    `folder` may be a list file: csv, tsv, parquet, JSON lines, or a text with a path a line.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": one_of("folder", "urls"),
            "examples": [{"folder": "photos/2024", "collection": "images"}],
        },
    )
    folder: Annotated[str, StringConstraints(min_length=1, max_length=4_096)] | None = None
    urls: list[_Url] | None = Field(None, min_length=1, max_length=MAX_URLS)
    collection: CollectionName = "images"
    in_place: bool = Field(default=False, description="store no copies of the folder's files")
    exclude: list[_Pattern] = Field(
        default_factory=list,
        max_length=100,
        description="files and folders to pass over, as in .gitignore",
        examples=[["*.tmp", "raw/"]],
    )
    frames: Annotated[str, StringConstraints(min_length=1, max_length=50)] | None = Field(
        None,  # "1"; it is not sent, because older services refuse it
        description=FRAMES,
        examples=["5,scenes"],
    )
    sync: StrictBool = Field(
        default=False, description="also delete images whose files no longer exist"
    )
    dry_run: StrictBool = Field(default=False, description="count the changes, and make none")
    confirm: StrictBool = Field(
        default=False, description="confirm a sync that would be refused with `sync_refused`"
    )
    ocr: StrictBool = Field(default=False, description=OCR)
    tags: list[Text] | None = Field(None, min_length=1, max_length=MAX_TAGS, description=TAGS)
    tag_top: int | None = Field(None, ge=1, le=MAX_TAGS, description=TAG_TOP)
    path_column: _Column = Field(None, description="column of the paths, if `folder` is a list")
    label_column: _Column = Field(None, description="column of the labels, if `folder` is a list")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.folder is None) == (self.urls is None):
            raise ValueError("exactly one of folder and urls is required")
        if self.sync and self.folder is None:
            raise ValueError("sync needs a folder")
        if (self.dry_run or self.confirm) and not self.sync:
            raise ValueError("dry_run and confirm need sync")
        return self
