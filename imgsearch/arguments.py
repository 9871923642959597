"""The arguments that name a collection and its encoder, checked before a store is touched."""

from collections.abc import Mapping
from os import PathLike
from typing import Any, Final

from imgsearch import encoders
from imgsearch.backends import Index
from imgsearch.backends.base import check_name
from imgsearch.backends.schema import check_metric

NAMES: Final = ("collection", "model", "weights", "options", "index", "metric")


def check_arguments(
    *,
    collection: str = "images",
    model: str | None = None,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    index: str | None = None,
    metric: str | None = None,
) -> None:
    """Check what `imgsearch.open` takes, as far as no store has to be asked.

    Raises:
        ConfigError, ModelNotFound, WeightsNotFound, WeightsInvalid: as `imgsearch.open` says.
    """
    check_name(collection)
    if index is not None:
        Index.parse(index)
    if metric is not None:
        check_metric(metric)
    if model is not None:
        encoders.check(model, weights=weights, options=options)
