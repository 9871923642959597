"""Finds operators by name: a program's own, a few of Towhee 0.x only, and Towhee 1.x's."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from imgsearch.errors import ConfigError
from imgsearch.towhee.imports import OperatorRegistry, towhee
from imgsearch.towhee.patches import to_rgb
from imgsearch.towhee.registry import require_operator


def operator(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the operator of a dotted name, built.

    Raises:
        OperatorNotFound: no operator has this name; the message suggests one of its kind.
    """
    hub_name = name.replace(".", "/").replace("_", "-")
    registered = OperatorRegistry.resolve(hub_name)
    if registered is None and name in _OWN:
        return _OWN[name](*args, **options)
    require_operator(hub_name, "main")
    wrapper = towhee.ops
    for part in name.split("."):
        wrapper = getattr(wrapper, part)
    built: Callable[..., Any] = wrapper(*args, **options).get_op()
    return built


def _milvus_search(collection: Any, **options: Any) -> Callable[[Any], list[Any]]:
    from imgsearch.backends.milvus import orm

    def search(vector: Any) -> list[Any]:
        row = towhee.datacollection.entity.Entity
        return [row(**hit) for hit in orm.search(collection, vector, **options)]

    return search


def _milvus_insert(collection: Any, **_: Any) -> Callable[..., Any]:
    from imgsearch.backends.milvus import orm

    def insert(*columns: Any) -> Any:
        result = orm.insert(collection, [[column] for column in columns])
        orm.finish(collection)
        return result

    return insert


def _save_image(dir: str) -> Callable[[Any], str]:  # noqa: A002 - the operator's argument
    folder = Path(dir)

    def save(image: Any) -> str:
        from PIL import Image

        path = folder / f"{uuid.uuid4().hex}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(to_rgb(image)).save(path)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"cannot save an image in {folder}: {error}") from error
        return str(path)

    return save


_OWN: Final[Mapping[str, Callable[..., Callable[..., Any]]]] = {
    "ann_insert.milvus": _milvus_insert,
    "milvus_search": _milvus_search,
    "save_image": _save_image,
}
