"""Records that the client returns: images, collections, models, job states and hits."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from imgsearch.errors import BackendError
from imgsearch.types import Hit, Value

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a collection. `content` is the sha256 of its bytes; images may share it.

    `size` is in bytes, `width` and `height` are in pixels, and times are timezone-aware. `state` is
    "pending", "ready", "failed" or "deleting"; `error` is the problem code of a failed image.
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
    """A supported encoder. `dim` is None if it depends on the encoder's options."""

    name: str
    dim: int | None
    description: str
    texts: bool
    installed: bool
    licence: str


@dataclass(frozen=True, slots=True)
class JobState:
    """The state of a job, and how many of the `found` images passed each stage.

    `state` is ``queued``, ``running``, ``done``, ``cancelled`` or ``failed``; `error` is the
    problem code of a failed job. `skipped` counts known images, and `updated` known images that got
    another label. `updated` is 0 if an older service does not report it.
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
    """Build a `kind` dataclass from a response's JSON object; unknown keys are ignored.

    Raises:
        BackendError: a key is missing.
    """
    known: dict[str, Any] = {}
    for column in fields(kind):  # type: ignore[arg-type]  # a dataclass of this module
        if isinstance(values, dict) and column.name not in values and column.default is not MISSING:
            continue
        value = part(values, column.name)
        known[column.name] = _time(value) if "datetime" in str(column.type) else value
    return kind(**known)


def hits(response: Any) -> list[Hit]:
    """Parse the hits in a search response.

    A hit's `id` is an image id of the service. Its `fields` are the image's fields plus ``name``,
    ``label``, ``content`` and ``references``, the number of images with that content.

    Raises:
        BackendError: the hits are missing or malformed.
    """
    try:
        return [_hit(values) for values in response["hits"]]
    except (KeyError, TypeError, ValueError) as error:
        raise unexpected_response("no hits") from error


def part(response: Any, name: str, *, default: Any = MISSING) -> Any:
    """Return the value of `name` in a response, or `default` if an older service omits it.

    Raises:
        BackendError: the value is missing, and there is no default.
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
