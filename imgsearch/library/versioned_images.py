"""The collection behind a library, its encoder, and the change to another model."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from typing import Any

from typing_extensions import override

from imgsearch import encoders
from imgsearch.backends import Collection
from imgsearch.encoders import Encoder, Recipe
from imgsearch.encoders.own import ImageModel
from imgsearch.fields import Declaration, FieldType, declared
from imgsearch.library.collection_handle import CollectionHandle
from imgsearch.library.contents import LibraryContents
from imgsearch.library.duplicate_memory import DuplicateMemory
from imgsearch.library.migration import (
    Migration,
    MigrationEngine,
    MigrationOptions,
    MigrationReport,
    recipe_of,
)
from imgsearch.library.progress import Progress
from imgsearch.library.progress_bar import progress_bar
from imgsearch.library.signature_memory import SignatureMemory
from imgsearch.library.thresholds import Thresholds
from imgsearch.types import Failure, Fingerprint


class VersionedImages(LibraryContents):
    """Images in a collection that remembers its encoder, and can be replaced by a new version."""

    def __init__(self, handle: CollectionHandle) -> None:
        self._handle = handle
        self.url, self.name = handle.backend.url, handle.name

    @property
    def model(self) -> str:
        """The encoder's name, or "" if the collection records none and the user named none."""
        _, recipe = self._handle.pair()
        return recipe.model if recipe else ""

    @property
    def exif(self) -> tuple[str, ...]:
        """The names of the fields that are read from the metadata of added files."""
        return self._handle.exif

    @property
    def fields(self) -> Mapping[str, FieldType]:
        """The types of the declared fields: "str", "int", "float" or "bool"."""
        return self._handle.fields

    @override
    def declare_fields(self, fields: Declaration) -> Mapping[str, FieldType]:
        types = declared(fields)
        self._handle.declare_now(types, with_regions=self._migration_engine().detects)
        return self._handle.fields

    @property
    @override
    def recipe(self) -> Recipe:
        """The recipe that the encoder is built from.

        Raises:
            EncoderMismatch: the collection records no encoder, and the user named none.
        """
        self._handle.pair()  # follows a model change
        return self._handle.required_recipe()

    @property
    def encoder(self) -> Encoder:
        """The encoder, which is loaded when it is first needed.

        Raises:
            EncoderMismatch: the collection records no encoder, and the user named none.
            EncoderError: the encoder cannot be built.
        """
        return encoders.load(**self.recipe.config())

    @property
    def version(self) -> str:
        """The name of the collection in the store that is current now; see `insert`."""
        return self._handle.current_version()

    @override
    def exists(self) -> bool:
        """Return whether the collection exists. Adding the first image creates it."""
        return self._handle.current() is not None

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds measured for this library's scores.

        Raises:
            CollectionNotFound: nothing was added yet.
        """
        return Thresholds(self._handle.backend, self._handle.required())

    @property
    def duplicate_memory(self) -> DuplicateMemory:
        """The memory of de-duplication: images that are kept apart, and measurements.

        Raises:
            CollectionNotFound: nothing was added yet.
        """
        return DuplicateMemory(self._handle.backend, self._handle.required())

    def signature_memory(self, encoder: Fingerprint, *, again: bool = False) -> SignatureMemory:
        """Return the files' signatures by an encoder that de-duplication remembers.

        With `again` earlier ones are forgotten.

        Raises:
            CollectionNotFound: nothing was added yet.
        """
        store, collection = self._handle.backend, self._handle.required()
        return SignatureMemory(store, collection, encoder, again=again)

    @property
    def collection(self) -> Collection:
        """The collection, for operations that a library lacks, such as `Collection.iterate`.

        Raises:
            CollectionNotFound: nothing was added yet.
        """
        return self._handle.required()

    def migrate(
        self,
        model: "str | Encoder | ImageModel",
        *,
        weights: str | PathLike[str] | None = None,
        options: Mapping[str, Any] | None = None,
        switch: bool = False,
        skip_missing: bool = False,
        dry_run: bool = False,
        progress: bool | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> MigrationReport:
        """Embed all images with another model, and with `switch` search them with it from then on.

        `model`, `weights` and `options` are as for `imgsearch.open`.

        Images are read from their files; ids, labels and fields are kept. Searches use the former
        model until the switch, then every open library follows. Images that are added or removed
        meanwhile are carried over. A migration that ended early goes on when it is called again,
        and one to the library's own model changes nothing.
        Thresholds are not carried over, because scores of two models differ: measure them again.

        An image whose file is gone or has changed is a line of the report. Such images prevent the
        switch, unless `skip_missing` is True; searches do not find them then. The former collection
        stays in the store until `migration.drop_former`, and a migration back to its model is
        short. `dry_run` only looks for the files. `progress` is as for `add`.

        >>> import imgsearch
        >>> from imgsearch.datasets import gallery
        >>> with imgsearch.open("memory://migrate", model="classic") as library:
        ...     added = library.add(gallery.FOLDER / "test")
        ...     report = library.migrate("lite", switch=True)
        ...     (report.switched, report.missing, library.model)
        (True, 0, 'lite')

        Raises:
            ConfigError: a migration to another model is unfinished, or the collection has regions
                and the library no detector.
            CollectionNotFound: nothing was added yet.
            EncoderError: the encoder cannot be built.
            SchemaMismatch: the collection records no encoder.
            BackendError: the store failed.
        """
        with progress_bar(progress, on_progress) as report:
            return self.migration().run(
                recipe_of(model, weights, options),
                MigrationOptions(switch, skip_missing, dry_run),
                on_progress=report,
                on_failure=on_failure,
            )

    @property
    def shadow(self) -> Collection | None:
        """The collection of an unfinished migration, or None."""
        return self.migration().shadow

    def migration(self, **changes: Any) -> Migration:
        """Return the versions of the library; `changes` replace parts of the `MigrationEngine`."""
        return Migration(self._handle, replace(self._migration_engine(), **changes))

    @abstractmethod
    def _migration_engine(self) -> MigrationEngine:
        """Return how the library reads and embeds its images."""
