"""The arguments that name a collection and its encoder: checked, and what they come to."""

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import Any, Final

from imgsearch import encoders
from imgsearch.backends import Collection, Index, Metric
from imgsearch.backends.base import check_name
from imgsearch.backends.schema import check_metric
from imgsearch.encoders import Recipe
from imgsearch.errors import ConfigError, EncoderMismatch, SchemaMismatch

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


def settled(
    collection: Collection | None, index: str | None, metric: Metric | None
) -> tuple[str, Metric]:
    """Return the index and the metric: those asked for, else the collection's, else defaults.

    Raises:
        SchemaMismatch: the collection has others.
    """
    if collection is None:
        return str(Index.parse(index or "hnsw")), metric or "cosine"
    schema = collection.schema
    asked = Index.parse(index) if index else schema.index
    wanted = replace(schema, index=asked, metric=metric or schema.metric)
    if differences := schema.differences(wanted):
        raise SchemaMismatch(f"collection {collection.name!r}: {'; '.join(differences)}")
    return str(schema.index), schema.metric


def chosen(
    collection: Collection | None,
    model: str | None,
    weights: str | PathLike[str] | None,
    options: Mapping[str, Any] | None,
) -> Recipe | None:
    """Return the encoder's recipe: what is asked for, over what the collection remembers.

    None where a collection notes no encoder and no model is named.

    Raises:
        ConfigError: weights or options are given without a model.
        EncoderMismatch: the collection was made by another model.
    """
    schema = collection.schema if collection is not None else None
    known = Recipe.from_json(schema.note) if schema is not None else None
    if model is None and known is None and (weights is not None or options):
        raise ConfigError("weights and options belong to a model; give the model's name, too")
    if schema is not None and schema.encoder is None and model is None:
        return None
    name = None if model is None else encoders.canonical(model)
    if schema is not None and schema.encoder and name not in (None, schema.encoder.model):
        raise EncoderMismatch(
            f"the collection holds vectors of {schema.encoder.model!r}, not of {model!r}; leave "
            "the model out, or add the images to another collection"
        )
    asked = Recipe.of(name or (known or Recipe()).model, weights, options)
    if known is None or encoders.canonical(known.model) != asked.model:
        return asked
    merged = {**(known.options or {}), **(asked.options or {})}
    return Recipe(asked.model, asked.weights or known.weights, merged or None)
