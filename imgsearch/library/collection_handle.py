"""A handle to a named collection, which may not exist yet."""

import threading
from collections.abc import Mapping
from dataclasses import replace

from imgsearch import backends, encoders
from imgsearch.backends import (
    Collection,
    FieldNames,
    Index,
    Metric,
    Schema,
    StoreOptions,
    notes,
    versions,
)
from imgsearch.backends.collection import unnamed_encoder_error
from imgsearch.backends.schema import check_partition, default_index
from imgsearch.encoders import Recipe
from imgsearch.errors import (
    CollectionNotFound,
    CollectionSwitched,
    ConfigError,
    EncoderMismatch,
    SchemaMismatch,
)
from imgsearch.fields import OWN, FieldType, declared
from imgsearch.images import metadata, regions
from imgsearch.library.collection_options import CollectionOptions
from imgsearch.text import did_you_mean
from imgsearch.types import check_name


class CollectionHandle:
    """A collection that may not exist yet, with its encoder recipe. Thread-safe.

    Other programs may create or drop the collection while the handle is open. `known` is the
    collection as last read from the store, None if it did not exist. `recipe` is None if the
    collection records no encoder and the user named none. After a model change the handle follows
    to the new collection.
    """

    def __init__(
        self,
        store: StoreOptions,
        name: str = "images",
        options: CollectionOptions = CollectionOptions(),  # noqa: B008 - frozen
        *,
        names: FieldNames = FieldNames(),  # noqa: B008 - frozen
    ) -> None:
        if name == notes.NAME:
            raise ConfigError(
                f"invalid collection name {name!r}: the store's notes use it. Choose another name."
            )
        check_name(name)
        options.check()
        self.name, self._options, self._names = name, options, names
        self._exif = metadata.checked_names(options.exif)
        facts = {name: metadata.FIELDS[name] for name in self._exif or ()}
        self._declared = {**facts, **declared(options.fields)}
        if not backends.is_there(store.url):  # an invalid option must not leave an empty store
            self._check_new()
        self._lock = threading.RLock()
        self._closed = False
        self.backend = store.connect()
        try:
            self._watch = versions.Watch(self.backend, name)
            self.known = self._existing()
            self._index, self._metric, self._partition = _layout(self.known, options)
            self._check_types(self.known)
            self.recipe = self._recipe_for(self.known) if self.known else self._check_new()
        except BaseException:
            self.backend.close()
            raise

    def current(self) -> Collection | None:
        """Return the collection, or None if it does not exist yet.

        Raises:
            EncoderMismatch: another program has created it with another model.
        """
        with self._lock:
            self._follow()
            if self.known is None and (collection := self._existing()) is not None:
                self._check_types(collection)
                self.recipe = self._recipe_for(collection)
                self.known = collection
            return self.known

    def pair(self) -> tuple[Collection | None, Recipe | None]:
        """Return `known` and `recipe`, which belong together, after following a model change."""
        with self._lock:
            self._follow()
            return self.known, self.recipe

    def required_pair(self) -> tuple[Collection, Recipe | None]:
        """Return the collection and its recipe.

        Raises: as for `required`.
        """
        with self._lock:
            return self.required(), self.recipe

    @property
    def version(self) -> str:
        """The name in the store of the collection that `known` is; see `current_version`."""
        return self._watch.current

    def current_version(self) -> str:
        """Return the name of the current collection in the store, after asking the store."""
        with self._lock:
            self._follow(now=True)
            return self.version

    def require_version(self, version: str) -> None:
        """Check that no model change has happened since `version` was read.

        Raises:
            CollectionSwitched: the name has another collection now.
        """
        if version != self.current_version():
            raise CollectionSwitched(
                f"{self.name!r} got another collection while images were written: its model was "
                "changed. Add the images again; those in the new collection are skipped."
            )

    def unsettled(self) -> Collection | None:
        """Return the former collection if late writes to it are still carried over, or None."""
        recorded = versions.read(self.backend, self.name)
        if recorded.settled or not recorded.former:
            return None
        try:
            return self.backend.open(recorded.former[-1])
        except CollectionNotFound:
            return None

    def required(self) -> Collection:
        """Return the collection.

        Raises:
            CollectionNotFound: it does not exist.
            EncoderMismatch: another program has created it with another model.
        """
        if (collection := self.current()) is None:
            near = did_you_mean(self.name, versions.collections(self.backend))
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

    @property
    def fields(self) -> dict[str, FieldType]:
        """The declared fields, name → type: of the collection and of the user."""
        known = {} if self.known is None else self.known.schema.fields
        return {**self._declared, **known}

    @property
    def exif(self) -> tuple[str, ...]:
        """The facts that are read from added files: as the user says, or all if all are declared.

        See `imgsearch.images.metadata`.
        """
        if self._exif is not None:
            return self._exif
        return tuple(metadata.FIELDS) if metadata.FIELDS.keys() <= self.fields.keys() else ()

    def declare(self, fields: Mapping[str, FieldType]) -> None:
        """Declare further fields, which the next write adds. Known ones keep their types."""
        with self._lock:
            self._declared = {**fields, **self._declared}

    def declare_now(self, fields: Mapping[str, FieldType], *, with_regions: bool = False) -> None:
        """Declare further fields of the collection, which is created if it does not exist.

        Raises:
            SchemaMismatch: a field is declared with another type, the store cannot add one, or
                another program created the collection.
            EncoderError: the collection is new, and its encoder cannot be built.
        """
        with self._lock:
            known = self.fields
            for name, kind in fields.items():
                if known.get(name, kind) != kind:
                    raise SchemaMismatch(
                        f"collection {self.name!r}: the field {name!r} is {known[name]}, not "
                        f"{kind}, and keeps its type. Choose another name."
                    )
            former, self._declared = self._declared, {**self._declared, **fields}
            try:
                self.require_writable()
                self.open_or_create(with_regions=with_regions)
            except BaseException:
                self._declared = former
                raise

    def require_writable(self) -> None:
        """Check that the collection may be written to, or created.

        Fields that the user declared are added to the collection. If another program dropped the
        collection, `open_or_create` will create it again.

        Raises:
            ConfigError: the collection was opened with field names.
            SchemaMismatch: the collection records no encoder, or its store cannot add a field.
        """
        if self._names:
            raise ConfigError(
                f"collection {self.name!r} was opened with field names, which is read-only. "
                "Open it without them to write to it."
            )
        with self._lock:
            self._follow(now=True)
            if (collection := self.current()) is None:
                return
            collection.require_encoder()
            try:
                collection.get(["-"])
            except CollectionNotFound:
                self.known = None
                return
            known = collection.schema.fields
            missing = {name: kind for name, kind in self._declared.items() if name not in known}
            if missing:
                self.known = self.backend.add_fields(self.version, missing)

    def open_or_create(self, *, with_regions: bool = False) -> Collection:
        """Return the collection; create it if it does not exist.

        With `with_regions` a new collection has fields for regions.

        Raises:
            EncoderError: the encoder cannot be built, so the dimension is unknown.
        """
        with self._lock:
            if self.known is None:
                self.known = self.backend.create(
                    self.version, self._schema(with_regions=with_regions)
                )
            return self.known

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.backend.close()

    def _follow(self, *, now: bool = False) -> None:
        """Take the current collection if the name has got another one."""
        if self._watch.moved(now=now):
            self.known = self._existing()
            if self.known is not None:
                self._options = CollectionOptions()  # they named the former encoder
            self.recipe = self._recipe_for(self.known)

    def _existing(self) -> Collection | None:
        try:
            return self.backend.open_named(self.version, self._names)
        except CollectionNotFound:
            return None

    def _check_new(self) -> Recipe | None:
        """Check the options of a new collection, and return its recipe."""
        check_partition(self._options.partition, {**dict.fromkeys(OWN, "str"), **self._declared})
        return self._recipe_for(None)

    def _check_types(self, collection: Collection | None) -> None:
        """Check that the user declared the fields of a collection with their types.

        Raises:
            SchemaMismatch: a field has another type.
        """
        known = {} if collection is None else collection.schema.fields
        for name, kind in self._declared.items():
            if known.get(name, kind) != kind:
                raise SchemaMismatch(
                    f"collection {self.name!r}: the field {name!r} is {known[name]} there, not "
                    f"{kind}. Declare it as {known[name]}, or choose another name."
                )

    def _recipe_for(self, collection: Collection | None) -> Recipe | None:
        return _recipe(collection, self._options)

    def _schema(self, *, with_regions: bool) -> Schema:
        recipe = self.required_recipe()
        encoder = encoders.load(**recipe.config()).fingerprint
        names = (*OWN, *regions.FIELDS) if with_regions else OWN
        fields: dict[str, FieldType] = {**dict.fromkeys(names, "str"), **self._declared}
        index = Index.parse(self._index)
        note = recipe.to_json()
        return Schema(
            encoder.dim, self._metric, index, fields, encoder, note, partition=self._partition
        )


def _layout(collection: Collection | None, options: CollectionOptions) -> tuple[str, Metric, str]:
    """Return the requested index, metric and partition field, by default the collection's.

    Raises:
        SchemaMismatch: the collection has others.
    """
    if collection is None:
        metric = options.metric or "cosine"
        index = Index.parse(options.index or default_index(metric))
        return str(index), metric, options.partition or ""
    schema = collection.schema
    requested = Index.parse(options.index) if options.index else schema.index
    wanted = replace(
        schema,
        index=requested,
        metric=options.metric or schema.metric,
        partition=schema.partition if options.partition is None else options.partition,
    )
    if differences := schema.differences(wanted):
        raise SchemaMismatch(f"collection {collection.name!r}: {'; '.join(differences)}")
    return str(schema.index), schema.metric, schema.partition


def _recipe(collection: Collection | None, options: CollectionOptions) -> Recipe | None:
    """Return the recipe that the collection records, with the user's weights and options.

    Returns None if the collection records no encoder and the user names no model.

    Raises:
        ConfigError: weights or options are given without a model.
        ModelNotFound, WeightsNotFound, WeightsInvalid: the encoder of a new collection is wrong.
        EncoderMismatch: the collection was made by another model.
        EncoderRemoved: the collection's encoder was removed, and the user names another model.
    """
    if collection is None:
        options = options.for_new()
        options.check()
    model, weights = options.model, options.weights
    schema = collection.schema if collection is not None else None
    known = Recipe.from_json(schema.note) if schema is not None else None
    if model is None and known is None and (weights is not None or options.options):
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
    requested = Recipe.of(name or _model_name(known, schema), weights, options.options)
    if known is None or encoders.canonical(known.model) != requested.model:
        return requested
    merged = {**(known.options or {}), **(requested.options or {})}
    return Recipe(requested.model, requested.weights or known.weights, merged or None)


def _model_name(recipe: Recipe | None, schema: Schema | None) -> str:
    """Return the model in a collection's recipe or fingerprint, otherwise the default model."""
    if recipe is None and schema is not None and schema.encoder:
        return schema.encoder.model
    return (recipe or Recipe()).model
