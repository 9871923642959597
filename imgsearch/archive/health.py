"""Health of an archive: every part is used once."""

from collections.abc import Callable
from typing import Any

import numpy as np

from imgsearch.archive.libraries import Libraries
from imgsearch.catalog import Catalog
from imgsearch.errors import CollectionNotFound, ImgSearchError
from imgsearch.objects import ObjectStore


def health(libraries: Libraries, catalog: Catalog, originals: ObjectStore | None) -> dict[str, str]:
    """Return part → "ok" or its error, after embedding an image and searching for it."""

    def encoder() -> None:
        if (library := libraries.default()) is not None:
            library.encode(_drawn())

    def vectors() -> None:
        try:
            if (library := libraries.default()) is not None:
                library.search(_drawn(), k=1)
        except CollectionNotFound:
            libraries.names()

    return {
        "catalog": _state(catalog.ping),
        "originals": "ok" if originals is None else _state(originals.ping),
        "encoder": _state(encoder),
        "vectors": _state(vectors),
    }


def _drawn() -> np.ndarray[Any, np.dtype[np.uint8]]:
    across, down = np.meshgrid(np.arange(96), np.arange(96))
    return np.stack([across * 2, down * 2, (across + down) % 256], axis=2).astype(np.uint8)


def _state(trial: Callable[[], object]) -> str:
    try:
        trial()
    except ImgSearchError as error:
        return f"{type(error).__name__}: {error}"
    return "ok"
