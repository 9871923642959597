"""Changes the model of a library: every image is embedded anew, and then searches change over.

The new vectors go to a shadow collection, while searches use the current one. A migration that ends
early, even by a kill, goes on when it is run again. `backends/versions.py` has the switch.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from os import PathLike
from typing import Any, Final

from imgsearch import encoders
from imgsearch.backends import Collection, Schema, versions
from imgsearch.backends.regions import WHOLE, has_regions
from imgsearch.encoders import Encoder, Recipe
from imgsearch.encoders.own import ImageModel
from imgsearch.encoders.registered import model_name
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    SchemaMismatch,
)
from imgsearch.filters import Filter
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.duplicate_memory import DuplicateMemory
from imgsearch.library.ingest import Ingest
from imgsearch.library.progress import Progress, Report, Tally
from imgsearch.library.quarantine import Quarantine
from imgsearch.library.shadow_sink import ShadowSink
from imgsearch.library.stored_files import ReadImage, StoredFiles
from imgsearch.text import counted
from imgsearch.types import Failure

_BATCH: Final = 500  # records looked up at once
_PASSES: Final = 20  # a library that grows faster than it is embedded is not switched
_GRACE: Final = 2.0  # seconds in which other processes follow a switch; checks allow 0.1 s
_OWN_GRACE: Final = 0.2  # seconds in which a write of this process ends


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    """The options of a migration.

    With `switch` searches change over once all images are embedded. Images that cannot be embedded
    prevent this, unless `skip_missing` is True; they are missing then. With `dry_run` nothing is
    embedded or written: files are only looked for.
    """

    switch: bool = False
    skip_missing: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """The result of a migration from `former_model` to `model`.

    `load.added` counts images that were embedded anew, `load.skipped` images that an earlier run
    had embedded, and `load.failures` has the first 1,000 images that could not be. `missing` is the
    number of images that the new collection lacks. `switched`: searches use the new model.
    """

    model: str
    former_model: str
    load: Report
    missing: int
    switched: bool


@dataclass(frozen=True, slots=True)
class MigrationEngine:
    """How a migration reads and embeds images.

    `quarantine` returns the pipeline for a recipe, in which an image that kills the process fails
    alone. `detects` says whether it finds regions. `files` reads the images. `ingest` builds the
    load engine, which ends early when `canceled` returns True. `on_filled` is called with the
    former and the new collection once all images are embedded, before a switch.
    """

    quarantine: Callable[[Recipe], Quarantine]
    detects: bool = False
    files: StoredFiles = field(default_factory=StoredFiles)
    ingest: Callable[..., Ingest[Any, Any]] = field(default=Ingest)
    canceled: Callable[[], bool] = lambda: False
    on_filled: Callable[[Collection, Collection], None] | None = None


def recipe_of(
    model: "str | Encoder | ImageModel",
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return the recipe of a migration's model. The arguments are as for `imgsearch.open`.

    Raises:
        ConfigError, ModelNotFound, WeightsNotFound, WeightsInvalid: as for `imgsearch.open`.
    """
    name = model if isinstance(model, str) else model_name(model)
    encoders.check(name, weights=weights, options=options)
    return Recipe.of(name, weights, options)


class Migration:
    """The versions of one library, and the change from one model to another."""

    def __init__(self, handle: CollectionHandle, engine: MigrationEngine) -> None:
        self._handle, self._engine = handle, engine
        self._store, self._name = handle.backend, handle.name

    @property
    def read_image(self) -> ReadImage:
        """The function that returns an image's bytes."""
        return self._engine.files.read

    @property
    def current(self) -> Collection:
        """The collection that is searched.

        Raises:
            CollectionNotFound: nothing was added yet.
        """
        return self._handle.required()

    @property
    def shadow(self) -> Collection | None:
        """The collection of an unfinished migration, or None."""
        return versions.shadow(self._store, self._name)

    @property
    def former(self) -> tuple[str, ...]:
        """The names of former collections in the store, oldest first; see `drop_former`."""
        return versions.read(self._store, self._name).former

    def discard(self) -> bool:
        """Delete the collection of an unfinished migration. Returns whether there was one."""
        return versions.discard(self._store, self._name)

    def drop_former(self) -> int:
        """Delete former collections, which are kept for a way back. Returns their number.

        Raises:
            ConfigError: the last migration was interrupted after its switch.
        """
        if not versions.read(self._store, self._name).settled:
            raise ConfigError(
                f"the last migration of {self._name!r} was interrupted at its end, and its former "
                "collection may hold images that the new one lacks. Run the migration again first."
            )
        return versions.drop_former(self._store, self._name)

    def run(
        self,
        recipe: Recipe,
        options: MigrationOptions,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> MigrationReport:
        """Embed the images that the new collection lacks, and switch to it if `options` say so.

        Raises: as for `Library.migrate`.
        """
        self._handle.require_writable()
        current = self._handle.required()
        former_model = current.schema.encoder.model if current.schema.encoder else ""
        tally = Tally(current.count(_whole(current)), on_progress, on_failure)
        tally.report_progress()
        schema = self._schema(current, recipe)
        if schema.encoder == current.schema.encoder:
            if not versions.read(self._store, self._name).settled:
                self._settle(recipe, tally, set())
            return MigrationReport(recipe.model, former_model, tally.report(), 0, switched=True)
        if options.dry_run:
            missing = self._look(current, tally)
            return MigrationReport(
                recipe.model, former_model, tally.report(), missing, switched=False
            )
        shadow = self._begin(schema)
        sink = ShadowSink(current, shadow, tally, self._engine.files)
        complete = self._fill(sink, recipe)
        if complete and self._engine.on_filled is not None:
            self._engine.on_filled(current, shadow)
            complete = self._fill(sink, recipe)  # images that were added meanwhile
        missing = len(sink.failed)
        switched = complete and options.switch and (options.skip_missing or not missing)
        if switched:
            versions.switch(self._store, self._name)
            self._settle(recipe, tally, sink.failed)
        elif options.switch and complete:
            tally.note(
                f"searches still use {former_model!r}: {counted(missing, 'image')} cannot be "
                "embedded anew. Restore the files, or leave these images out (skip_missing)."
            )
        report = tally.report(complete=complete)
        return MigrationReport(recipe.model, former_model, report, missing, switched)

    def _schema(self, current: Collection, recipe: Recipe) -> Schema:
        """Return the schema of the new collection: the current one with another encoder.

        Raises:
            ConfigError: the collection has regions, and this library has no detector.
            EncoderError: the encoder cannot be built.
        """
        if has_regions(current) and not self._engine.detects:
            raise ConfigError(
                f"collection {self._name!r} has regions. Open it with the object detector that "
                "found them: regions=FOLDER."
            )
        encoder = encoders.load(**recipe.config()).fingerprint
        return replace(current.schema, dim=encoder.dim, encoder=encoder, note=recipe.to_json())

    def _begin(self, schema: Schema) -> Collection:
        """Return the shadow collection.

        Raises:
            ConfigError: it belongs to another migration.
        """
        try:
            if (shadow := self.shadow) is not None:
                known = shadow.schema.fields
                later = {name: kind for name, kind in schema.fields.items() if name not in known}
                if later:  # declared since the migration began
                    self._store.add_fields(shadow.name, later)
            return versions.begin(self._store, self._name, schema)
        except SchemaMismatch as error:
            other = self.shadow
            model = other.schema.encoder.model if other and other.schema.encoder else "another one"
            raise ConfigError(
                f"a migration of {self._name!r} to {model!r} is unfinished, or began before a "
                "field was declared. Finish it, or discard it first."
            ) from error

    def _fill(self, sink: ShadowSink, recipe: Recipe) -> bool:
        """Embed images until the shadow holds them all; return whether it does.

        Images that are added, changed or removed meanwhile are found by another pass.
        """
        for _ in range(_PASSES):
            before = sink.changes
            self._embed(sink, recipe, update=True)
            if self._engine.canceled():
                return False
            sink.delete_removed()
            if sink.changes == before:
                return True
        sink.tally.note(
            f"searches still use the former model: after {_PASSES} passes there are still new "
            "images. Run the migration again while fewer images are added."
        )
        return False

    def _embed(self, sink: ShadowSink, recipe: Recipe, *, update: bool) -> None:
        with self._engine.quarantine(recipe) as quarantine:
            self._engine.ingest(sink, quarantine).run(sink.missing(update=update))

    def _settle(self, recipe: Recipe, tally: Tally, failed: set[str]) -> None:
        """Carry over images that reached the former collection around the switch."""
        shared = self._store.capabilities.shared
        threading.Event().wait(_GRACE if shared else _OWN_GRACE)
        former = versions.read(self._store, self._name).former
        try:
            before = self._store.open(former[-1])
        except (CollectionNotFound, IndexError):  # another program dropped it
            pass
        else:
            current = self._handle.required()
            memory = DuplicateMemory(self._store, current)
            memory.take(DuplicateMemory(self._store, before))
            sink = ShadowSink(before, current, tally, self._engine.files, failed=failed)
            self._embed(sink, recipe, update=False)
        versions.settle(self._store, self._name)

    def _look(self, current: Collection, tally: Tally) -> int:
        """Count embedded and missing images; return how many have no file."""
        records = current.iterate(where=_whole(current), vectors=False)
        shadow, missing = self.shadow, 0
        while batch := list(islice(records, _BATCH)):
            known = {} if shadow is None else shadow.get([record.id for record in batch])
            tally.count("skipped", len(known))
            for record in batch:
                if record.id in known:
                    continue
                error = self._engine.files.fault(record)
                if error is not None:
                    tally.fail(str(record.fields.get("path") or record.id), error)
                    missing += 1
        return missing


def _whole(collection: Collection) -> Filter | None:
    return WHOLE if has_regions(collection) else None
