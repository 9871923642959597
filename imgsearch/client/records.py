"""What a service tells: images, collections, models, jobs; and hits, as a library has them."""

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
    "ready", "failed" or "deleting", `error` the code of what went wrong with a failed one.
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
    """A collection: its size, and the encoder, metric and index that it was made with."""

    name: str
    images: int
    vectors: int
    model: str
    dim: int
    metric: str
    index: str


@dataclass(frozen=True, slots=True)
class Model:
    """An encoder that collections may be made with; `dim` is None where its build decides."""

    name: str
    dim: int | None
    description: str
    texts: bool
    installed: bool
    licence: str


@dataclass(frozen=True, slots=True)
class JobState:
    """The progress of a job: how many of the `found` images passed each stage.

    `state` is "queued", "running", "done", "cancelled" or "failed"; `error` is the code of the
    error that ended a failed job. `skipped` images were known already, `updated` ones got another
    label; older services do not count `updated`.
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
        """Whether nothing will change any more."""
        return self.state in ("done", "cancelled", "failed")


def made(kind: type[T], told: Any) -> T:
    """Return an answer's JSON object as `kind`; what it tells beyond that is left alone.

    Raises:
        BackendError: something is missing.
    """
    values: dict[str, Any] = {}
    for each in fields(kind):  # type: ignore[arg-type]  # a dataclass of this file
        if isinstance(told, dict) and each.name not in told and each.default is not MISSING:
            continue
        if not isinstance(told, dict) or each.name not in told:
            raise unexpected(f"no {each.name!r} in {kind.__name__.lower()}")
        value = told[each.name]
        values[each.name] = _time(value) if "datetime" in str(each.type) else value
    return kind(**values)


def hits(told: Any) -> list[Hit]:
    """Return what a search found.

    A hit's `id` is an image's of the service; its `fields` are the image's own, and ``name``,
    ``label``, ``content`` and ``references``, how many images of the collection have that content.

    Raises:
        BackendError: it is no such answer.
    """
    try:
        return [_hit(each) for each in told["hits"]]
    except (KeyError, TypeError, ValueError) as error:
        raise unexpected("no hits") from error


def part(answer: Any, name: str, *, default: Any = MISSING) -> Any:
    """Return one part of a response, or `default` if an older service leaves it out.

    Raises:
        BackendError: the part is missing, and there is no default.
    """
    if isinstance(answer, dict) and (name in answer or default is not MISSING):
        return answer.get(name, default)
    raise unexpected(f"no {name!r}")


def unexpected(why: str) -> BackendError:
    """Return the error for an answer that this version does not understand."""
    return BackendError(f"the service answers otherwise than expected, of another version? {why}")


def _hit(told: Mapping[str, Any]) -> Hit:
    own = {name: told[name] for name in ("name", "label", "content", "references")}
    return Hit(
        str(told["id"]), float(told["score"]), float(told["distance"]), {**told["fields"], **own}
    )


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise unexpected("a time is none") from error
