"""The settings of a new collection: its encoder, index, metric and fields."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Self

from imgsearch import encoders
from imgsearch.backends import Index, Metric
from imgsearch.backends.schema import check_metric
from imgsearch.fields import Declaration, declared
from imgsearch.images.metadata import checked_names


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """The encoder, index, metric, fields and partition field of a collection, as for `open`.

    None stands for the value that an existing collection has, or for the default. `new_model` and
    `new_weights` are the encoder of a new collection if `model` is None.
    """

    model: str | None = None
    weights: str | PathLike[str] | None = None
    options: Mapping[str, Any] | None = None
    index: str | None = None
    metric: Metric | None = None
    fields: Declaration | None = None
    exif: bool | Collection[str] | None = None
    new_model: str | None = None
    new_weights: str | PathLike[str] | None = None
    partition: str | None = None

    def for_new(self) -> Self:
        """Return the settings of a collection that does not exist yet."""
        if self.model is not None:
            return self
        weights = self.new_weights if self.weights is None else self.weights
        return replace(self, model=self.new_model, weights=weights)

    def load_encoder(self) -> encoders.Encoder:
        """Load the encoder of a new collection.

        Raises:
            ImgSearchError: the encoder cannot be loaded.
        """
        new = self.for_new()
        new.check()
        model = new.model or encoders.DEFAULT
        return encoders.load(model, weights=new.weights, options=new.options)

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
