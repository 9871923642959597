"""Pydantic models of request bodies; the OpenAPI schema is generated from them."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)

from imgsearch.wire.values import (
    CAT,
    MAX_IDS,
    MAX_K,
    MAX_OFFSET,
    MAX_QUERIES,
    MAX_TERMS,
    MAX_URLS,
    CollectionName,
    Fields,
    Id,
    Model,
    Score,
    Text,
    Weight,
    Words,
    one_of,
)


def _positive_first(terms: "list[Term]") -> "list[Term]":
    """Return the terms with negative weights last. Raises ValueError if no weight is positive."""
    if all(term.weight < 0 for term in terms):
        raise ValueError("at least one term needs a weight above 0")
    return sorted(terms, key=lambda term: term.weight < 0)


class Change(Model):
    """Changes to an image's metadata; omitted values are kept."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"label": "cat", "fields": {"year": 2024}}]}
    )
    label: Text | None = None
    name: Annotated[Text, StringConstraints(min_length=1)] | None = None
    fields: Fields | None = None


class Ids(Model):
    """A list of image ids."""

    ids: list[Id] = Field(min_length=1, max_length=MAX_IDS, examples=[[CAT]])


class Term(Model):
    """A query term: a text, the id of a stored image, or an image in base64."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": one_of("text", "id", "image")}
    )
    text: Words | None = None
    id: Id | None = None
    image: str | None = Field(None, description="the image file in base64")
    weight: Weight = Field(default=1.0, description="negative to subtract the term; 0 is invalid")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(value is not None for value in (self.text, self.id, self.image)) != 1:
            raise ValueError("exactly one of text, id and image is required")
        if self.weight == 0:
            raise ValueError("a weight must not be 0")
        return self


class SearchOptions(Model):
    """The options of a search, without its query."""

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
        default=False,
        description="true for the measured threshold, or the lowest score of two near-duplicates; "
        "pixels are not compared",
    )


class SearchQuery(SearchOptions):
    """A search with exactly one of `text`, `id`, `image` and `terms`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": one_of("text", "id", "image", "terms"),
            "examples": [
                {"text": "a dog in the snow", "k": 5},
                {"id": CAT, "hide_duplicates": 0.95},
                {"terms": [{"id": CAT}, {"text": "snow", "weight": 0.5}]},
            ],
        },
    )
    text: Words | None = None
    id: Id | None = None
    image: str | None = Field(None, description="the image file in base64")
    terms: Annotated[list[Term], AfterValidator(_positive_first)] | None = Field(
        None, min_length=1, max_length=MAX_TERMS
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(value is not None for value in (self.text, self.id, self.image, self.terms)) != 1:
            raise ValueError("exactly one of text, id, image and terms is required")
        return self


class SearchForm(SearchOptions):
    """The form fields of a search with an uploaded image."""


class Batch(Model):
    """Several searches in one request."""

    queries: list[SearchQuery] = Field(min_length=1, max_length=MAX_QUERIES)


class JobRequest(Model):
    """A job that adds a folder inside the service's roots, or images by URL."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": one_of("folder", "urls"),
            "examples": [{"folder": "photos/2024", "collection": "images"}],
        },
    )
    folder: Annotated[str, StringConstraints(min_length=1, max_length=4_096)] | None = None
    urls: list[Annotated[str, StringConstraints(min_length=1, max_length=2_000)]] | None = Field(
        None, min_length=1, max_length=MAX_URLS
    )
    collection: CollectionName = "images"
    in_place: bool = Field(default=False, description="store no copies of the folder's files")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.folder is None) == (self.urls is None):
            raise ValueError("exactly one of folder and urls is required")
        return self
