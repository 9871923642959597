"""The settings of a new collection: its encoder, index, metric and fields."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from imgsearch import encoders
from imgsearch.backends import Index, Metric
from imgsearch.backends.schema import check_metric
from imgsearch.fields import Declaration, declared
from imgsearch.images.metadata import checked_names


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """The encoder, index, metric and fields of a collection, as for `imgsearch.open`.

    None stands for the value that an existing collection has, or for the default.
    """

    model: str | None = None
    weights: str | PathLike[str] | None = None
    options: Mapping[str, Any] | None = None
    index: str | None = None
    metric: Metric | None = None
    fields: Declaration | None = None
    exif: bool | Collection[str] | None = None

    def check(self) -> None:
        """Check the values that can be checked without a store.

        Raises:
            ConfigError, FieldInvalid, ModelNotFound, WeightsNotFound, WeightsInvalid: as for
                `imgsearch.open`.
        """
        if self.index is not None:
            Index.parse(self.index)
        if self.metric is not None:
            check_metric(self.metric)
        declared(self.fields)
        checked_names(self.exif)
        if self.model is not None:
            encoders.check(self.model, weights=self.weights, options=self.options)
