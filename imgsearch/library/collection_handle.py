"""A handle to a named collection, which may not exist yet."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import Any, Final

from imgsearch import backends, encoders
from imgsearch.backends import Collection, FieldNames, Index, Metric, Schema, notes
from imgsearch.backends.collection import unnamed_encoder_error
from imgsearch.backends.schema import FieldType, check_metric
from imgsearch.encoders import Recipe
from imgsearch.errors import CollectionNotFound, ConfigError, EncoderMismatch, SchemaMismatch
from imgsearch.images import regions
from imgsearch.settings import TIMEOUT
from imgsearch.text import did_you_mean
from imgsearch.types import check_name

ARGUMENTS: Final = ("collection", "model", "weights", "options", "index", "metric")
"""The names of the arguments of `check_arguments`."""

_FIELDS: Final = ("path", "label")  # stored beside each vector


class CollectionHandle:
    """A collection that may not exist yet, with its encoder recipe. Thread-safe.

    Other programs may create or drop the collection while the handle is open. `known` is the
    collection as last read from the store, None if it did not exist. `recipe` is None if the
    collection records no encoder and the user named none.
    """

    def __init__(
        self,
        url: str | PathLike[str],
        name: str = "images",
        *,
        model: str | None = None,
        weights: str | PathLike[str] | None = None,
        options: Mapping[str, Any] | None = None,
        index: str | None = None,
        metric: Metric | None = None,
        names: FieldNames = FieldNames(),  # noqa: B008 - frozen
        token: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        if name == notes.NAME:
            raise ConfigError(
                f"invalid collection name {name!r}: the store's notes use it. Choose another name."
            )
        check_arguments(
            collection=name,
            model=model,
            weights=weights,
            options=options,
            index=index,
            metric=metric,
        )
        self.name, self._names = name, names
        self._encoder = (model, weights, options)
        if not backends.is_there(url):  # an invalid argument must not leave an empty store behind
            self._recipe_for(None)
        self._lock = threading.RLock()
        self._closed = False
        self.backend = backends.connect(url, token=token, timeout=timeout)
        try:
            self.known = self._existing()
            self._index, self._metric = _index_and_metric(self.known, index, metric)
            self.recipe = self._recipe_for(self.known)
        except BaseException:
            self.backend.close()
            raise

    def current(self) -> Collection | None:
        """Return the collection, or None if it does not exist yet.

        Raises:
            EncoderMismatch: another program has created it with another model.
        """
        with self._lock:
            if self.known is None and (collection := self._existing()) is not None:
                self.recipe = self._recipe_for(collection)
                self.known = collection
            return self.known

    def required(self) -> Collection:
        """Return the collection.

        Raises:
            CollectionNotFound: it does not exist.
            EncoderMismatch: another program has created it with another model.
        """
        if (collection := self.current()) is None:
            near = did_you_mean(self.name, notes.collections(self.backend))
            raise CollectionNotFound(
                f"no collection {self.name!r} in {self.backend.url}; add some images first{near}"
            )
        return collection

    def required_recipe(self) -> Recipe:
        """Return the recipe of the encoder.

        Raises:
            EncoderMismatch: the collection records no encoder, and the user named none.
        """
        if self.recipe is None:
            raise unnamed_encoder_error(self.known)
        return self.recipe

    def require_writable(self) -> None:
        """Check that the collection may be written to, or created.

        If another program dropped the collection, `open_or_create` will create it again.

        Raises:
            ConfigError: the collection was opened with field names.
            SchemaMismatch: the collection records no encoder.
        """
        if self._names:
            raise ConfigError(
                f"collection {self.name!r} was opened with field names, which is read-only. "
                "Open it without them to write to it."
            )
        with self._lock:
            if (collection := self.current()) is None:
                return
            collection.require_encoder()
            try:
                collection.get(["-"])
            except CollectionNotFound:
                self.known = None

    def open_or_create(self, *, with_regions: bool = False) -> Collection:
        """Return the collection; create it if it does not exist.

        With `with_regions` a new collection has fields for regions.

        Raises:
            EncoderError: the encoder cannot be built, so the dimension is unknown.
        """
        with self._lock:
            if self.known is None:
                self.known = self.backend.create(self.name, self._schema(with_regions=with_regions))
            return self.known

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.backend.close()

    def _existing(self) -> Collection | None:
        try:
            return self.backend.open_named(self.name, self._names)
        except CollectionNotFound:
            return None

    def _recipe_for(self, collection: Collection | None) -> Recipe | None:
        return _recipe(collection, *self._encoder)

    def _schema(self, *, with_regions: bool) -> Schema:
        recipe = self.required_recipe()
        encoder = encoders.load(**recipe.config()).fingerprint
        names = (*_FIELDS, *regions.FIELDS) if with_regions else _FIELDS
        fields: dict[str, FieldType] = dict.fromkeys(names, "str")
        index = Index.parse(self._index)
        return Schema(encoder.dim, self._metric, index, fields, encoder, recipe.to_json())


def check_arguments(
    *,
    collection: str = "images",
    model: str | None = None,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    index: str | None = None,
    metric: str | None = None,
) -> None:
    """Check the arguments of `imgsearch.open` that need no store.

    Raises:
        ConfigError, ModelNotFound, WeightsNotFound, WeightsInvalid: as for `imgsearch.open`.
    """
    check_name(collection)
    if index is not None:
        Index.parse(index)
    if metric is not None:
        check_metric(metric)
    if model is not None:
        encoders.check(model, weights=weights, options=options)


def _index_and_metric(
    collection: Collection | None, index: str | None, metric: Metric | None
) -> tuple[str, Metric]:
    """Return the requested index and metric, which default to the collection's.

    Raises:
        SchemaMismatch: the collection has another index or metric.
    """
    if collection is None:
        return str(Index.parse(index or "hnsw")), metric or "cosine"
    schema = collection.schema
    requested = Index.parse(index) if index else schema.index
    wanted = replace(schema, index=requested, metric=metric or schema.metric)
    if differences := schema.differences(wanted):
        raise SchemaMismatch(f"collection {collection.name!r}: {'; '.join(differences)}")
    return str(schema.index), schema.metric


def _recipe(
    collection: Collection | None,
    model: str | None,
    weights: str | PathLike[str] | None,
    options: Mapping[str, Any] | None,
) -> Recipe | None:
    """Return the recipe that the collection records, with the user's weights and options.

    Returns None if the collection records no encoder and the user names no model.

    Raises:
        ConfigError: weights or options are given without a model.
        EncoderMismatch: the collection was made by another model.
        EncoderRemoved: the collection's encoder was removed, and the user names another model.
    """
    schema = collection.schema if collection is not None else None
    known = Recipe.from_json(schema.note) if schema is not None else None
    if model is None and known is None and (weights is not None or options):
        raise ConfigError("weights and options were given without a model; name the model, too")
    if schema is not None and schema.encoder is None and model is None:
        return None
    name = None if model is None else encoders.canonical(model)
    if schema is not None and schema.encoder and name not in (None, schema.encoder.model):
        schema.require_current_encoder()
        raise EncoderMismatch(
            f"the collection holds vectors of {schema.encoder.model!r}, not of {model!r}. Omit the "
            "model, or add the images to another collection."
        )
    requested = Recipe.of(name or _model_name(known, schema), weights, options)
    if known is None or encoders.canonical(known.model) != requested.model:
        return requested
    merged = {**(known.options or {}), **(requested.options or {})}
    return Recipe(requested.model, requested.weights or known.weights, merged or None)


def _model_name(recipe: Recipe | None, schema: Schema | None) -> str:
    """Return the model in a collection's recipe or fingerprint, otherwise the default model."""
    if recipe is None and schema is not None and schema.encoder:
        return schema.encoder.model
    return (recipe or Recipe()).model
