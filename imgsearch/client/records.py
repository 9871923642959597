"""Records of a service: images, collections, models and jobs; and hits, as of a library."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from imgsearch.errors import BackendError
from imgsearch.types import Hit, Value

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a collection; several may have the same `content`, the sha256 of its bytes.

    `size` is in bytes, `width` and `height` are in pixels, times are aware. `state` is "pending",
    "ready", "failed" or "deleting"; `error` is the code of the failure.
    """

    id: str
    collection: str
    content: str
    source: str
    name: str
    size: int
    width: int
    height: int
    format: str
    label: str
    fields: Mapping[str, Value]
    encoder: str
    state: str
    error: str
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection: its size, encoder, metric and index."""

    name: str
    images: int
    vectors: int
    model: str
    dim: int
    metric: str
    index: str


@dataclass(frozen=True, slots=True)
class Model:
    """An encoder that collections can be created with; `dim` is None if its options decide."""

    name: str
    dim: int | None
    description: str
    texts: bool
    installed: bool
    licence: str


@dataclass(frozen=True, slots=True)
class JobState:
    """The progress of a job: how many of the `found` images passed each stage.

    `state` is ``queued``, ``running``, ``done``, ``cancelled`` or ``failed``; `error` is the code
    of the error that ended a failed job. `skipped` images were known already, `updated` ones
    got another label; older services do not count `updated`.
    """

    id: str
    kind: str
    collection: str
    state: str
    found: int
    decoded: int
    embedded: int
    inserted: int
    searchable: int
    indexed: int
    skipped: int
    failed: int
    error: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    updated: int = 0

    @property
    def over(self) -> bool:
        """Whether the job has ended."""
        return self.state in ("done", "cancelled", "failed")


def from_json(kind: type[T], values: Any) -> T:
    """Return the JSON object of a response as `kind`; unknown keys are ignored.

    Raises:
        BackendError: a key is missing.
    """
    known: dict[str, Any] = {}
    for column in fields(kind):  # type: ignore[arg-type]  # a dataclass of this file
        if isinstance(values, dict) and column.name not in values and column.default is not MISSING:
            continue
        value = part(values, column.name)
        known[column.name] = _time(value) if "datetime" in str(column.type) else value
    return kind(**known)


def hits(response: Any) -> list[Hit]:
    """Return the hits of a search.

    A hit's `id` is the id of an image in the service. Its `fields` are the image's own, and
    ``name``, ``label``, ``content`` and ``references``, the number of images with that content.

    Raises:
        BackendError: the response has no hits.
    """
    try:
        return [_hit(values) for values in response["hits"]]
    except (KeyError, TypeError, ValueError) as error:
        raise unexpected_response("no hits") from error


def part(response: Any, name: str, *, default: Any = MISSING) -> Any:
    """Return one part of a response, or `default` if an older service leaves it out.

    Raises:
        BackendError: the part is missing, and has no default.
    """
    if isinstance(response, dict) and (name in response or default is not MISSING):
        return response.get(name, default)
    raise unexpected_response(f"no {name!r}")


def unexpected_response(why: str) -> BackendError:
    """Return the error for a response that this version does not understand."""
    return BackendError(f"unexpected response, perhaps of another version of the service: {why}")


def _hit(values: Mapping[str, Any]) -> Hit:
    own = {name: values[name] for name in ("name", "label", "content", "references")}
    fields = {**values["fields"], **own}
    return Hit(str(values["id"]), float(values["score"]), float(values["distance"]), fields)


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise unexpected_response("a time is invalid") from error
